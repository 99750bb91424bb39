//! Columns as Parquet stores them, so that they pass through with their type.

use parquet::{
    basic::{LogicalType, TimeUnit},
    data_type::{ByteArray, FixedLenByteArray, Int96},
    record::Field,
    schema::types::ColumnDescPtr,
};
use serde::Serialize;

use crate::model::Cell;

/// Days from 1970 to the begin or the end of the calendar, about 200,000 years.
const MAX_DAYS: u32 = 73_000_000;

/// The largest whole number up to which 64-bit floats hold each.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A column of a Parquet file that has at most one value a row.
#[derive(Clone, Debug)]
pub(super) struct StoredColumn {
    pub(super) descriptor: ColumnDescPtr,
    pub(super) values: StoredValues,
    /// For each row, true if it has a value; empty if all have.
    pub(super) has_value: Vec<bool>,
}

/// Values by row; a row without one has any.
#[derive(Clone, Debug)]
pub(super) enum StoredValues {
    Bool(Vec<bool>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    I96(Vec<Int96>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Bytes(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
}

/// Calls an expression with the values of any type.
macro_rules! on_values {
    ($values:expr, $list:ident => $body:expr) => {
        match $values {
            StoredValues::Bool($list) => $body,
            StoredValues::I32($list) => $body,
            StoredValues::I64($list) => $body,
            StoredValues::I96($list) => $body,
            StoredValues::F32($list) => $body,
            StoredValues::F64($list) => $body,
            StoredValues::Bytes($list) => $body,
            StoredValues::Fixed($list) => $body,
        }
    };
}

impl StoredColumn {
    pub(super) fn len(&self) -> usize {
        on_values!(&self.values, list => list.len())
    }

    /// Returns an empty column of the same type.
    pub(super) fn empty(&self) -> Self {
        let mut empty = self.clone();
        on_values!(&mut empty.values, list => list.clear());
        empty.has_value.clear();
        empty
    }

    /// Returns the memory of the values, about.
    pub(super) fn bytes(&self) -> usize {
        let long = match &self.values {
            StoredValues::Bytes(list) => list.iter().map(ByteArray::len).sum(),
            StoredValues::Fixed(list) => list.iter().map(|value| value.len()).sum(),
            _ => 0,
        };
        long + on_values!(&self.values, list => size_of_val(list.as_slice())) + self.has_value.len()
    }

    /// Appends the rows of a column of the same type; `None` if it is of another.
    pub(super) fn append(&mut self, other: &Self) -> Option<()> {
        if !(self.has_value.is_empty() && other.has_value.is_empty()) {
            self.has_value.resize(self.len(), true);
            let others = other.has_value.iter().copied();
            self.has_value.extend(others.chain(std::iter::repeat(true)).take(other.len()));
        }
        match (&mut self.values, &other.values) {
            (StoredValues::Bool(own), StoredValues::Bool(other)) => own.extend_from_slice(other),
            (StoredValues::I32(own), StoredValues::I32(other)) => own.extend_from_slice(other),
            (StoredValues::I64(own), StoredValues::I64(other)) => own.extend_from_slice(other),
            (StoredValues::I96(own), StoredValues::I96(other)) => own.extend_from_slice(other),
            (StoredValues::F32(own), StoredValues::F32(other)) => own.extend_from_slice(other),
            (StoredValues::F64(own), StoredValues::F64(other)) => own.extend_from_slice(other),
            (StoredValues::Bytes(own), StoredValues::Bytes(other)) => own.extend_from_slice(other),
            (StoredValues::Fixed(own), StoredValues::Fixed(other)) => own.extend_from_slice(other),
            _ => return None,
        }
        Some(())
    }

    /// Keeps the rows that are marked.
    pub(super) fn retain(&mut self, is_kept: &[bool]) {
        let mut marks = is_kept.iter();
        on_values!(&mut self.values, list => list.retain(|_| marks.next().is_some_and(|is_kept| *is_kept)));
        let mut marks = is_kept.iter();
        self.has_value.retain(|_| marks.next().is_some_and(|is_kept| *is_kept));
    }

    /// Returns true if the row has a value.
    pub(super) fn has(&self, row: usize) -> bool {
        self.has_value.get(row).copied().unwrap_or(row < self.len())
    }

    /// Returns a value that is plainly a number; `None` for any other.
    pub(super) fn number(&self, row: usize) -> Option<f64> {
        if !self.has(row) {
            return None;
        }
        match (&self.values, self.is_plain()) {
            (StoredValues::I32(list), true) => list.get(row).map(|value| f64::from(*value)),
            (StoredValues::F32(list), _) => list.get(row).map(|value| f64::from(*value)),
            (StoredValues::F64(list), _) => list.get(row).copied(),
            _ => None,
        }
    }

    /// Returns a value as the cell of a row. NaN is a missing value, as for pandas.
    pub(super) fn cell(&self, row: usize) -> Cell {
        match self.field(row) {
            Field::Null => Cell::Null,
            Field::Bool(truth) => Cell::Bool(truth),
            Field::Byte(value) => Cell::Integer(value.into()),
            Field::Short(value) => Cell::Integer(value.into()),
            Field::Int(value) => Cell::Integer(value.into()),
            Field::Long(value) => Cell::Integer(value.into()),
            Field::UByte(value) => Cell::Integer(value.into()),
            Field::UShort(value) => Cell::Integer(value.into()),
            Field::UInt(value) => Cell::Integer(value.into()),
            Field::ULong(value) => Cell::Integer(value.into()),
            // The shortest decimal of a 32-bit float is what a request would hold.
            Field::Float(value) => float(value.to_string().parse().unwrap_or(f64::NAN)),
            Field::Float16(value) => float(value.to_f64()),
            Field::Double(value) => float(value),
            Field::Decimal(_) => self.text(row).parse().map_or(Cell::Null, float),
            _ => Cell::Text(self.text(row)),
        }
    }

    /// Returns a value as text, without quotes.
    pub(super) fn text(&self, row: usize) -> String {
        match self.field(row) {
            Field::Null => String::new(),
            Field::Str(text) => text,
            Field::Float(value) => zmij::Buffer::new().format(value).to_owned(),
            Field::Double(value) => zmij::Buffer::new().format(value).to_owned(),
            Field::Bytes(bytes) => String::from_utf8_lossy(bytes.data()).into_owned(),
            other => other.to_string(),
        }
    }

    /// Appends a value as JSON; a number that JSON does not have becomes a text.
    pub(super) fn write_json(&self, row: usize, out: &mut Vec<u8>) {
        match self.cell(row) {
            Cell::Null if self.has(row) => write(out, &"NaN"),
            Cell::Null => write(out, &()),
            Cell::Bool(truth) => write(out, &truth),
            Cell::Integer(_) => out.extend_from_slice(self.text(row).as_bytes()),
            Cell::Float(number) if number.is_finite() => out.extend_from_slice(self.text(row).as_bytes()),
            _ => write(out, &self.text(row)),
        }
    }

    /// Returns true if the values are numbers as they are stored.
    fn is_plain(&self) -> bool {
        use parquet::basic::ConvertedType::{INT_8, INT_16, INT_32, INT_64, NONE};
        matches!(self.descriptor.converted_type(), NONE | INT_8 | INT_16 | INT_32 | INT_64)
    }

    fn field(&self, row: usize) -> Field {
        if !self.has(row) {
            return Field::Null;
        }
        let descriptor = &self.descriptor;
        let of_bytes = |bytes: ByteArray| {
            Field::convert_byte_array(descriptor, bytes.clone()).unwrap_or(Field::Bytes(bytes))
        };
        let field = match &self.values {
            StoredValues::Bool(list) => list.get(row).map(|value| Field::convert_bool(descriptor, *value)),
            StoredValues::I32(list) => {
                list.get(row).map(|value| in_calendar(Field::convert_int32(descriptor, *value)))
            }
            StoredValues::I64(list) => list.get(row).map(|value| in_calendar(long(descriptor, *value))),
            StoredValues::I96(list) => list.get(row).map(|value| Field::convert_int96(descriptor, *value)),
            StoredValues::F32(list) => list.get(row).map(|value| Field::convert_float(descriptor, *value)),
            StoredValues::F64(list) => list.get(row).map(|value| Field::convert_double(descriptor, *value)),
            StoredValues::Bytes(list) => list.get(row).cloned().map(of_bytes),
            StoredValues::Fixed(list) => {
                list.get(row).map(|value| of_bytes(ByteArray::from(value.data().to_vec())))
            }
        };
        field.unwrap_or(Field::Null)
    }
}

/// Converts a 64-bit whole number. Nanoseconds are newer than the types that the library converts.
fn long(descriptor: &ColumnDescPtr, value: i64) -> Field {
    match descriptor.logical_type_ref() {
        Some(LogicalType::Timestamp(time)) if matches!(time.unit, TimeUnit::NANOS) => {
            Field::TimestampMicros(value.div_euclid(1000))
        }
        _ => Field::convert_int64(descriptor, value),
    }
}

/// Replaces a date that no calendar has by its number: the library would panic.
fn in_calendar(field: Field) -> Field {
    match field {
        Field::Date(days) if days.unsigned_abs() > MAX_DAYS => Field::Int(days),
        Field::TimestampMillis(time) if time.unsigned_abs() / 86_400_000 > MAX_DAYS.into() => {
            Field::Long(time)
        }
        Field::TimestampMicros(time) if time.unsigned_abs() / 86_400_000_000 > MAX_DAYS.into() => {
            Field::Long(time)
        }
        other => other,
    }
}

fn float(number: f64) -> Cell {
    match number {
        _ if number.is_nan() => Cell::Null,
        #[expect(clippy::cast_possible_truncation, reason = "such a whole number fits")]
        _ if number.fract() == 0.0
            && number.abs() <= EXACT
            && !(number == 0.0 && number.is_sign_negative()) =>
        {
            Cell::Integer(number as i128)
        }
        _ => Cell::Float(number),
    }
}

fn write(out: &mut Vec<u8>, value: &impl Serialize) {
    // Writing to memory cannot fail.
    let _ = serde_json::to_writer(out, value);
}
