//! Rows of the output: the columns that were passed through, then the predictions.

use std::io::Write;

use serde::Serialize;

use super::{
    Endpoint, Format,
    column::Column,
    error::ScoringError,
    file_columns::Selection,
    output_file::OutputFile,
    outputs::OutputPath,
    stored_file::{StoredWriter, is_absent, unquoted},
};
use crate::model::non_finite_text;

/// The form of the output.
#[derive(Debug)]
pub(super) struct Layout {
    format: Format,
    delimiter: u8,
    /// The names of the columns that are passed through.
    kept: Vec<String>,
    outputs: Vec<OutputPath>,
    /// For each column of the predictions, the text before its value in JSON.
    keys: Vec<Vec<u8>>,
}

/// Formatted rows.
#[derive(Debug)]
pub(super) enum Formatted {
    Text(Vec<u8>),
    Columns(Vec<Column>),
}

impl Layout {
    /// Plans the output.
    ///
    /// # Errors
    ///
    /// A line for each name that a column of the input and one of the predictions share.
    pub(super) fn new(
        format: Format,
        delimiter: u8,
        kept: Vec<String>,
        mut outputs: Vec<OutputPath>,
        selection: &Selection,
    ) -> Result<Self, ScoringError> {
        for path in &mut outputs {
            path.member.insert_str(0, &selection.prefix);
        }
        let name =
            |path: &OutputPath| if format == Format::JsonLines { path.member.clone() } else { path.flat() };
        let taken: Vec<String> = outputs.iter().map(name).collect();
        let faults: Vec<String> = kept
            .iter()
            .filter(|name| taken.contains(name))
            .map(|name| {
                format!(
                    "the input has a column `{name}`, and so have the predictions: use --prefix or --drop"
                )
            })
            .collect();
        if !faults.is_empty() {
            return Err(ScoringError::Columns { faults });
        }
        let keys = keys(&outputs);
        Ok(Self { format, delimiter, kept, outputs, keys })
    }

    fn names(&self) -> Vec<String> {
        self.kept.iter().cloned().chain(self.outputs.iter().map(OutputPath::flat)).collect()
    }

    /// Formats rows.
    pub(super) fn format(&self, kept: Vec<Column>, outputs: Vec<Column>) -> Formatted {
        match self.format {
            Format::Csv => Formatted::Text(self.csv(&kept, &outputs)),
            Format::JsonLines => Formatted::Text(self.json(&kept, &outputs)),
            Format::Parquet => Formatted::Columns(kept.into_iter().chain(outputs).collect()),
        }
    }

    fn csv(&self, kept: &[Column], outputs: &[Column]) -> Vec<u8> {
        let columns: Vec<&Column> = kept.iter().chain(outputs).collect();
        let rows = outputs.first().map_or(0, Column::len);
        let mut out = Vec::with_capacity(rows * columns.len() * 12);
        for row in 0..rows {
            for (index, column) in columns.iter().enumerate() {
                if index > 0 {
                    out.push(self.delimiter);
                }
                write_csv(&mut out, column, row, self.delimiter);
            }
            // An empty line would not be a record.
            if columns.len() == 1 && out.last().is_none_or(|last| *last == b'\n') {
                out.extend_from_slice(b"\"\"");
            }
            out.push(b'\n');
        }
        out
    }

    fn header(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (index, name) in self.names().iter().enumerate() {
            if index > 0 {
                out.push(self.delimiter);
            }
            write_field(&mut out, name.as_bytes(), self.delimiter);
        }
        out.push(b'\n');
        out
    }

    fn json(&self, kept: &[Column], outputs: &[Column]) -> Vec<u8> {
        let rows = outputs.first().map_or(0, Column::len);
        let mut out = Vec::with_capacity(rows * (kept.len() + outputs.len()) * 24);
        for row in 0..rows {
            out.push(b'{');
            let begin = out.len();
            for (index, column) in kept.iter().enumerate() {
                let name = self.kept.get(index).map_or("", String::as_str);
                write_member(&mut out, begin, name, column, row);
            }
            if out.len() > begin {
                out.push(b',');
            }
            for (key, column) in self.keys.iter().zip(outputs) {
                out.extend_from_slice(key);
                write_json(&mut out, column, row);
            }
            let is_inner = self.outputs.last().is_some_and(|path| path.inner.is_some());
            out.extend_from_slice(if is_inner { b"}}\n" } else { b"}\n" });
        }
        out
    }
}

/// Returns the text before each value: its name, and the braces between it and the value before.
fn keys(outputs: &[OutputPath]) -> Vec<Vec<u8>> {
    let mut before: Option<&OutputPath> = None;
    let mut keys = Vec::with_capacity(outputs.len());
    for path in outputs {
        let OutputPath { member, inner } = path;
        let mut key = Vec::new();
        let is_open = before.is_some_and(|before| before.member == *member && inner.is_some());
        if before.is_some_and(|before| before.inner.is_some()) && !is_open {
            key.push(b'}');
        }
        if before.is_some() {
            key.push(b',');
        }
        if !is_open {
            write(&mut key, member);
            key.push(b':');
        }
        if let Some(inner) = inner {
            if !is_open {
                key.push(b'{');
            }
            write(&mut key, inner);
            key.push(b':');
        }
        before = Some(path);
        keys.push(key);
    }
    keys
}

/// Writes a member of the object that begins at `begin`, unless the row has no value for it.
fn write_member(out: &mut Vec<u8>, begin: usize, name: &str, column: &Column, row: usize) {
    let comma = |out: &mut Vec<u8>| {
        if out.len() > begin {
            out.push(b',');
        }
    };
    match column {
        Column::Members(texts) if texts.get(row).is_empty() => {}
        Column::Members(texts) => {
            comma(out);
            out.extend_from_slice(texts.get(row));
        }
        Column::Json(texts) if texts.get(row).is_empty() => {}
        column => {
            comma(out);
            write(out, &name);
            out.push(b':');
            write_json(out, column, row);
        }
    }
}

fn write(out: &mut Vec<u8>, value: &impl Serialize) {
    // Writing to memory cannot fail.
    let _ = serde_json::to_writer(out, value);
}

macro_rules! write_number {
    ($out:expr, $list:expr, $row:expr, $buffer:ident) => {
        if let Some(number) = $list.get($row) {
            $out.extend_from_slice($buffer::Buffer::new().format(*number).as_bytes());
        }
    };
}

/// Writes a value as JSON. NaN and infinity are texts, as in the server's responses.
fn write_json(out: &mut Vec<u8>, column: &Column, row: usize) {
    match column {
        Column::Texts(texts) => write(out, &String::from_utf8_lossy(texts.get(row))),
        Column::Json(texts) | Column::Members(texts) => {
            let text = texts.get(row);
            out.extend_from_slice(if text.is_empty() { b"null" } else { text });
        }
        Column::Integers(list) => write_number!(out, list, row, itoa),
        Column::Unsigned(list) => write_number!(out, list, row, itoa),
        Column::Singles(list) => match list.get(row) {
            Some(number) if !number.is_finite() => write(out, &non_finite_text((*number).into())),
            _ => write_number!(out, list, row, zmij),
        },
        Column::Doubles(list) => match list.get(row) {
            Some(number) if !number.is_finite() => write(out, &non_finite_text(*number)),
            _ => write_number!(out, list, row, zmij),
        },
        Column::Bools(list) => write(out, &list.get(row)),
        Column::Lists(items, ends) => write_list(out, items, ends, row),
        Column::Stored(stored) => stored.write_json(row, out),
    }
}

fn write_list(out: &mut Vec<u8>, items: &Column, ends: &[usize], row: usize) {
    let begin = row.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or_default();
    out.push(b'[');
    for item in begin..ends.get(row).copied().unwrap_or_default() {
        if item > begin {
            out.push(b',');
        }
        write_json(out, items, item);
    }
    out.push(b']');
}

/// Writes a value as a field of CSV: lists as JSON, and a missing value as an empty field.
fn write_csv(out: &mut Vec<u8>, column: &Column, row: usize, delimiter: u8) {
    match column {
        Column::Texts(texts) => write_field(out, texts.get(row), delimiter),
        Column::Json(texts) | Column::Members(texts) => {
            let text = texts.get(row);
            if !is_absent(text) {
                write_field(out, &unquoted(text), delimiter);
            }
        }
        Column::Singles(list) => match list.get(row) {
            Some(number) if !number.is_finite() => {
                out.extend_from_slice(non_finite_text((*number).into()).as_bytes());
            }
            _ => write_number!(out, list, row, zmij),
        },
        Column::Doubles(list) => match list.get(row) {
            Some(number) if !number.is_finite() => out.extend_from_slice(non_finite_text(*number).as_bytes()),
            _ => write_number!(out, list, row, zmij),
        },
        Column::Integers(_) | Column::Unsigned(_) | Column::Bools(_) => write_json(out, column, row),
        Column::Lists(items, ends) => {
            let mut text = Vec::new();
            write_list(&mut text, items, ends, row);
            write_field(out, &text, delimiter);
        }
        Column::Stored(stored) => write_field(out, stored.text(row).as_bytes(), delimiter),
    }
}

/// Writes a field, in quotes if it needs them.
fn write_field(out: &mut Vec<u8>, text: &[u8], delimiter: u8) {
    let needs_quotes = text.iter().any(|byte| *byte == delimiter || b"\"\r\n".contains(byte));
    if !needs_quotes {
        return out.extend_from_slice(text);
    }
    out.push(b'"');
    for &byte in text {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// The writer of the output.
pub(super) struct Writer {
    file: OutputFile,
    kind: Kind,
}

enum Kind {
    Text(Box<dyn Write + Send>),
    Stored(Box<StoredWriter>),
}

impl Writer {
    /// Begins the output; `columns` are all columns without rows.
    pub(super) fn create(
        endpoint: &Endpoint,
        layout: &Layout,
        columns: &[Column],
    ) -> Result<Self, ScoringError> {
        let (file, mut output) = OutputFile::create(&endpoint.stream)?;
        let kind = match endpoint.format {
            Format::Parquet => {
                let columns = columns.iter().map(Column::empty).collect();
                let writer = StoredWriter::new(output, &layout.names(), columns);
                Kind::Stored(Box::new(
                    writer.map_err(|error| ScoringError::output(file.name(), error.to_string()))?,
                ))
            }
            Format::Csv => {
                output
                    .write_all(&layout.header())
                    .map_err(|error| ScoringError::output(file.name(), error.to_string()))?;
                Kind::Text(output)
            }
            Format::JsonLines => Kind::Text(output),
        };
        Ok(Self { file, kind })
    }

    /// Writes rows.
    pub(super) fn write(&mut self, rows: &Formatted) -> Result<(), ScoringError> {
        let written = match (&mut self.kind, rows) {
            (Kind::Text(output), Formatted::Text(text)) => {
                output.write_all(text).map_err(|error| error.to_string())
            }
            (Kind::Stored(writer), Formatted::Columns(columns)) => {
                writer.write(columns).map_err(|error| error.to_string())
            }
            _ => Err("rows of another format".to_owned()),
        };
        written.map_err(|error| ScoringError::output(self.file.name(), error))
    }

    /// Completes the output and gives it its name.
    pub(super) fn finish(self) -> Result<(), ScoringError> {
        let finished = match self.kind {
            Kind::Text(mut output) => output.flush().map_err(|error| error.to_string()),
            Kind::Stored(writer) => writer.finish().map_err(|error| error.to_string()),
        };
        finished.map_err(|error| ScoringError::output(self.file.name(), error))?;
        self.file.keep()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::column::Texts;

    fn texts(list: &[&str]) -> Texts {
        let mut texts = Texts::default();
        for text in list {
            texts.push(text.as_bytes());
        }
        texts
    }

    fn layout(format: Format, kept: &[&str]) -> Layout {
        let outputs = vec![
            OutputPath::new("prediction", None),
            OutputPath::new("probabilities", Some("a")),
            OutputPath::new("probabilities", Some("b,c")),
            OutputPath::new("outputs", Some("list")),
        ];
        let kept = kept.iter().map(|name| (*name).to_owned()).collect();
        Layout::new(format, b',', kept, outputs, &Selection::default()).unwrap()
    }

    fn outputs() -> Vec<Column> {
        vec![
            Column::Texts(texts(&["a", "b,c"])),
            Column::Singles(vec![1.0, f32::NAN]),
            Column::Doubles(vec![0.0, 0.5]),
            Column::Lists(Box::new(Column::Integers(vec![1, 2])), vec![0, 2]),
        ]
    }

    fn text(formatted: Formatted) -> String {
        let Formatted::Text(text) = formatted else { panic!("{formatted:?}") };
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn rows_are_written_as_csv_and_as_json() {
        let csv = layout(Format::Csv, &["id"]);
        assert_eq!(csv.header(), b"id,prediction,probabilities.a,\"probabilities.b,c\",outputs.list\n");
        let kept = || vec![Column::Texts(texts(&["1", "say \"x\""]))];
        let rows = text(csv.format(kept(), outputs()));
        assert_eq!(rows, "1,a,1.0,0.0,[]\n\"say \"\"x\"\"\",\"b,c\",NaN,0.5,\"[1,2]\"\n");
        let rows = text(layout(Format::JsonLines, &["id"]).format(kept(), outputs()));
        let expected = [
            r#"{"id":"1","prediction":"a","probabilities":{"a":1.0,"b,c":0.0},"outputs":{"list":[]}}"#,
            r#"{"id":"say \"x\"","prediction":"b,c","probabilities":{"a":"NaN","b,c":0.5},"outputs":{"list":[1,2]}}"#,
        ];
        assert_eq!(rows.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn members_are_passed_through_as_they_are() {
        let members = vec![Column::Members(texts(&[r#""id":7,"x":[null]"#, ""]))];
        let rows = text(layout(Format::JsonLines, &[]).format(members, outputs()));
        assert!(rows.starts_with(r#"{"id":7,"x":[null],"prediction":"a","#), "{rows}");
        assert!(rows.lines().nth(1).unwrap().starts_with(r#"{"prediction":"b,c","#), "{rows}");
        let kept = vec![Column::Json(texts(&["\"a,b\"", "null"]))];
        let rows = text(layout(Format::Csv, &["id"]).format(kept, outputs()));
        assert!(rows.starts_with("\"a,b\",a,") && rows.contains("\n,\"b,c\","), "{rows}");
    }

    #[test]
    fn a_name_that_the_predictions_have_is_refused() {
        let outputs = || vec![OutputPath::new("prediction", None)];
        let kept = || vec!["prediction".to_owned()];
        let refused = Layout::new(Format::Csv, b',', kept(), outputs(), &Selection::default()).unwrap_err();
        assert!(refused.to_string().contains("use --prefix or --drop"), "{refused}");
        let selection = Selection { prefix: "new_".to_owned(), ..Selection::default() };
        let layout = Layout::new(Format::Csv, b',', kept(), outputs(), &selection).unwrap();
        assert_eq!(layout.names(), ["prediction", "new_prediction"]);
    }
}
