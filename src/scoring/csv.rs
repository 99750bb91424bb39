//! Rows of CSV files. CSV has no types, so the column of the model decides the type of a field.

use serde_json::value::RawValue;

use super::{
    CsvForm,
    block::Parsed,
    column::{Column, Texts},
    delimited::{Fields, leaves_open, record_end},
    encode::{CellSource, Checker, Encoder},
    error::ScoringError,
    file_columns::{FileColumns, ModelColumns, Selection},
    row_error::{RowError, raw, raw_object},
    text_reader::{NOT_CLOSED, TextReader, lines, trimmed},
};
use crate::{codec::csv_cell, model::Cell};

/// The most digits that a 64-bit float holds exactly as a whole number.
const EXACT_DIGITS: usize = 15;

/// Powers of ten that 64-bit floats hold exactly.
const POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// The rows of a CSV file.
#[derive(Debug)]
pub(super) struct CsvRows {
    form: CsvForm,
    /// The number of columns of the file.
    count: usize,
    /// The names of the columns; empty if they have none.
    header: Vec<String>,
    pub(super) columns: FileColumns,
}

impl CsvRows {
    /// Reads the header and matches it with the columns of the model; `None` if the file is empty.
    pub(super) fn open(
        reader: &mut TextReader,
        form: CsvForm,
        file: &str,
        model: &ModelColumns,
        selection: &Selection,
    ) -> Result<Option<Self>, ScoringError> {
        let mut header = Vec::new();
        let mut count = model.columns.len();
        if form.has_header {
            let Some(record) = reader.header()? else { return Ok(None) };
            header = names(&record, form.delimiter).map_err(|problem| ScoringError::input(file, problem))?;
            check_names(&header, model).map_err(|problem| ScoringError::input(file, problem))?;
            count = header.len();
        }
        let named = form.has_header.then_some(header.as_slice());
        let columns =
            FileColumns::of(named, count, model, selection).map_err(|faults| {
                match other_delimiter(&header, form.delimiter, model) {
                    Some(hint) => ScoringError::input(file, hint),
                    None => ScoringError::Columns { faults },
                }
            })?;
        reader.empty_is_row = count == 1;
        Ok(Some(Self { form, count, header, columns }))
    }

    /// Reads the rows of a block.
    pub(super) fn parse(&self, text: &[u8], rows: usize, model: Checker<'_>) -> Parsed {
        let mut encoder = Encoder::new(model, &self.columns, rows);
        let mut kept: Vec<Texts> = self.columns.kept.iter().map(|_| Texts::default()).collect();
        let mut places = Vec::with_capacity(rows);
        let mut fields = Fields::default();
        let is_text = std::str::from_utf8(text).is_ok();
        let mut begin = 0;
        while begin < text.len() {
            let end = record_end(text, begin, self.form.delimiter).map_or(text.len(), |end| end + 1);
            let record = trimmed(text.get(begin..end).unwrap_or_default());
            if !record.is_empty() || self.count == 1 {
                fields.split(record, self.form.delimiter);
                // Only the last record of a block may have no end.
                let is_open = end == text.len() && leaves_open(record, self.form.delimiter);
                let fault = is_open.then(|| RowError::of_row("malformed_csv", NOT_CLOSED));
                match fault.or_else(|| self.fault(record, &fields, is_text)) {
                    Some(fault) => encoder.reject(vec![fault]),
                    None => encoder.push(&CsvRow { record, fields: &fields, columns: &self.columns }),
                }
                for (texts, (source, _)) in kept.iter_mut().zip(&self.columns.kept) {
                    texts.push(fields.get(record, *source).unwrap_or_default());
                }
                places.push((begin, end));
            }
            begin = end;
        }
        Parsed { places, encoded: encoder.finish(), kept: kept.into_iter().map(Column::Texts).collect() }
    }

    /// Returns the fault of a record; `None` if it has a field for each column.
    fn fault(&self, record: &[u8], fields: &Fields, is_text: bool) -> Option<RowError> {
        if record.is_empty() {
            let message = "the line is empty: write a missing value of the only column as `\"\"`";
            return Some(RowError::of_row("malformed_csv", message));
        }
        if fields.len() != self.count {
            let (expected, got) = (self.count, fields.len());
            let together = match lines(record) {
                0 => String::new(),
                feeds => format!("; a quote holds {} lines together: is it not closed?", feeds + 1),
            };
            let message = format!("expected {expected} values, one a column, got {got}{together}");
            return Some(RowError::of_row("wrong_count", message));
        }
        if !is_text && std::str::from_utf8(record).is_err() {
            let message = "the row is not UTF-8: convert the file, for instance with `iconv -t UTF-8`";
            return Some(RowError::of_row("malformed_csv", message));
        }
        None
    }

    /// Returns a row as JSON: an object by column, or a list of its fields.
    pub(super) fn shown(&self, record: &[u8]) -> Box<RawValue> {
        let record = trimmed(record);
        let mut fields = Fields::default();
        fields.split(record, self.form.delimiter);
        let texts: Vec<_> = (0..fields.len())
            .map(|index| String::from_utf8_lossy(fields.get(record, index).unwrap_or_default()))
            .collect();
        if texts.len() != self.header.len() {
            return raw(&texts);
        }
        raw_object(self.header.iter().zip(&texts))
    }
}

/// Splits the header into names.
fn names(record: &[u8], delimiter: u8) -> Result<Vec<String>, String> {
    let mut fields = Fields::default();
    fields.split(record, delimiter);
    (0..fields.len())
        .map(|index| {
            let name = std::str::from_utf8(fields.get(record, index).unwrap_or_default());
            name.map(|name| name.trim().to_owned())
                .map_err(|_| "it is not UTF-8: convert it, for instance with `iconv -t UTF-8`".to_owned())
        })
        .collect()
}

/// Returns a hint at the delimiter that separates a header of one name into those of the model; `None` if none does.
fn other_delimiter(header: &[String], delimiter: u8, model: &ModelColumns) -> Option<String> {
    let [only] = header else { return None };
    let is_header = |(other, _): &(char, &str)| {
        let names: Vec<&str> = only.split(*other).map(|name| name.trim().trim_matches('"')).collect();
        let is_known = model.names().any(|own| names.contains(&own));
        names.len() > 1 && (is_known || (!model.are_named && names.len() == model.columns.len()))
    };
    let candidates = [(';', "';'"), ('\t', "$'\\t'"), ('|', "'|'"), (',', "','")];
    let (_, shown) =
        candidates.into_iter().filter(|(other, _)| *other != char::from(delimiter)).find(is_header)?;
    Some(format!(
        "the first line is one column, as `{}` is not what separates its names: use --delimiter {shown}",
        char::from(delimiter)
    ))
}

/// Refuses a first record of numbers: as a header, it would be missing from the output.
fn check_names(header: &[String], model: &ModelColumns) -> Result<(), String> {
    let is_row = |name: &String| name.parse::<f64>().is_ok() && !model.names().any(|own| own == name);
    if header.iter().all(is_row) {
        return Err(
            "the first line must name the columns, and holds numbers: add a header, or say --no-header \
                    if the columns are those of the model, in its order"
                .to_owned(),
        );
    }
    Ok(())
}

struct CsvRow<'r> {
    record: &'r [u8],
    fields: &'r Fields,
    columns: &'r FileColumns,
}

impl CsvRow<'_> {
    fn field(&self, column: usize) -> Option<&[u8]> {
        let source = self.columns.sources.get(column).copied().flatten()?;
        self.fields.get(self.record, source)
    }
}

impl CellSource for CsvRow<'_> {
    fn number(&self, column: usize) -> Option<f64> {
        plain_number(self.field(column)?)
    }

    fn cell(&self, column: usize) -> Cell {
        let text = self.field(column).map(|field| std::str::from_utf8(field).unwrap_or_default());
        let element_type = self.columns.types.get(column).copied();
        text.zip(element_type).map_or(Cell::Null, |(text, of)| csv_cell(text, Some(of)))
    }
}

/// Parses digits with at most one point and a minus, if a float holds them exactly before the division. `None` for any
/// other text, number or not.
pub(super) fn plain_number(text: &[u8]) -> Option<f64> {
    let (is_negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    if digits.len() > EXACT_DIGITS + 1
        || !digits.first()?.is_ascii_digit()
        || !digits.last()?.is_ascii_digit()
    {
        return None;
    }
    let (mut whole, mut point) = (0_u64, None);
    for (position, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => whole = whole * 10 + u64::from(byte - b'0'),
            b'.' if point.is_none() => point = Some(position),
            _ => return None,
        }
    }
    let fraction = point.map_or(0, |point| digits.len() - point - 1);
    if digits.len() > EXACT_DIGITS && point.is_none() {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "15 digits fit the mantissa")]
    let number = whole as f64 / POWERS.get(fraction)?;
    Some(if is_negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::ElementType;

    #[test]
    fn a_plain_number_is_read_exactly() {
        for text in ["0", "5.1", "-0.0", "123456789012345", "0.00000000000001", "12345678.1234567", "-7"] {
            let expected = text.parse::<f64>().unwrap();
            assert_eq!(plain_number(text.as_bytes()).map(f64::to_bits), Some(expected.to_bits()), "{text}");
        }
        for text in ["", "-", ".5", "5.", "1e3", "+1", " 1", "1.2.3", "NaN", "1234567890123456"] {
            assert_eq!(plain_number(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_plain_number_is_what_the_standard_library_reads(text in "-?[0-9]{1,9}(\\.[0-9]{1,8})?") {
            if let Some(number) = plain_number(text.as_bytes()) {
                prop_assert_eq!(number.to_bits(), text.parse::<f64>().unwrap().to_bits());
            }
        }
    }

    #[test]
    fn the_type_of_the_column_says_what_a_field_is() {
        for (text, element_type, expected) in [
            ("", ElementType::String, Cell::Null),
            ("nan", ElementType::F32, Cell::Null),
            ("nan", ElementType::String, Cell::Text("nan".to_owned())),
            (" 7 ", ElementType::F32, Cell::Integer(7)),
            ("-1.5e3", ElementType::I64, Cell::Integer(-1500)),
            ("inf", ElementType::F32, Cell::Text("inf".to_owned())),
            ("True", ElementType::Bool, Cell::Bool(true)),
            ("1", ElementType::Bool, Cell::Text("1".to_owned())),
        ] {
            assert_eq!(csv_cell(text, Some(element_type)), expected, "{text}");
        }
    }
}
