//! Columns of many rows: those that are passed through, and those of predictions.

use super::stored::StoredColumn;
use crate::model::Scalar;

/// Texts of many rows in one buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Texts {
    /// Adds a text.
    pub(super) fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
    }

    /// Adds the text that a function appends to the buffer.
    pub(super) fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// Returns the number of texts.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns a text; empty if there is no such text.
    pub(super) fn get(&self, index: usize) -> &[u8] {
        let end = self.ends.get(index).copied().unwrap_or_default();
        let begin =
            index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default();
        self.bytes.get(begin..end).unwrap_or_default()
    }

    /// Iterates over the texts.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Returns the bytes of all texts, and the end of each.
    pub(super) fn into_parts(self) -> (Vec<u8>, Vec<usize>) {
        (self.bytes, self.ends)
    }

    fn append(&mut self, other: &Self) {
        let offset = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.ends.extend(other.ends.iter().map(|end| end + offset));
    }

    fn retain(&mut self, is_kept: &[bool]) {
        let mut kept = Self::default();
        for (text, _) in self.iter().zip(is_kept).filter(|(_, is_kept)| **is_kept) {
            kept.push(text);
        }
        *self = kept;
    }
}

/// A column of many rows.
#[derive(Clone, Debug)]
pub(super) enum Column {
    /// Texts.
    Texts(Texts),
    /// JSON values as text; an empty text is an absent one.
    Json(Texts),
    /// The members of JSON objects as text, without braces; empty if there are none.
    Members(Texts),
    /// Whole numbers.
    Integers(Vec<i64>),
    /// Whole numbers that are not negative.
    Unsigned(Vec<u64>),
    /// 32-bit floats.
    Singles(Vec<f32>),
    /// 64-bit floats.
    Doubles(Vec<f64>),
    /// Truths.
    Bools(Vec<bool>),
    /// Lists: all items, and the end of each list among them.
    Lists(Box<Column>, Vec<usize>),
    /// A column of a Parquet file.
    Stored(StoredColumn),
}

impl Column {
    /// Returns the number of rows.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Texts(texts) | Self::Json(texts) | Self::Members(texts) => texts.len(),
            Self::Integers(numbers) => numbers.len(),
            Self::Unsigned(numbers) => numbers.len(),
            Self::Singles(numbers) => numbers.len(),
            Self::Doubles(numbers) => numbers.len(),
            Self::Bools(truths) => truths.len(),
            Self::Lists(_, ends) => ends.len(),
            Self::Stored(stored) => stored.len(),
        }
    }

    /// Returns an empty column of the same type.
    pub(super) fn empty(&self) -> Self {
        match self {
            Self::Texts(_) => Self::Texts(Texts::default()),
            Self::Json(_) => Self::Json(Texts::default()),
            Self::Members(_) => Self::Members(Texts::default()),
            Self::Integers(_) => Self::Integers(Vec::new()),
            Self::Unsigned(_) => Self::Unsigned(Vec::new()),
            Self::Singles(_) => Self::Singles(Vec::new()),
            Self::Doubles(_) => Self::Doubles(Vec::new()),
            Self::Bools(_) => Self::Bools(Vec::new()),
            Self::Lists(items, _) => Self::Lists(Box::new(items.empty()), Vec::new()),
            Self::Stored(stored) => Self::Stored(stored.empty()),
        }
    }

    /// Returns the memory of the values, about.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Texts(texts) | Self::Json(texts) | Self::Members(texts) => {
                texts.bytes.len() + size_of_val(texts.ends.as_slice())
            }
            Self::Integers(numbers) => size_of_val(numbers.as_slice()),
            Self::Unsigned(numbers) => size_of_val(numbers.as_slice()),
            Self::Singles(numbers) => size_of_val(numbers.as_slice()),
            Self::Doubles(numbers) => size_of_val(numbers.as_slice()),
            Self::Bools(truths) => truths.len(),
            Self::Lists(items, ends) => items.bytes() + size_of_val(ends.as_slice()),
            Self::Stored(stored) => stored.bytes(),
        }
    }

    /// Adds a value of the model; `None` if it is not of the column's type.
    #[must_use]
    pub(super) fn push(&mut self, value: Scalar<'_>) -> Option<()> {
        match (self, value) {
            (Self::Texts(texts), Scalar::Text(text)) => texts.push(text.as_bytes()),
            // A label that the contract does not name.
            (Self::Texts(texts), other) => texts.push(other.to_string().as_bytes()),
            (Self::Integers(numbers), Scalar::Integer(number)) => numbers.push(number),
            (Self::Unsigned(numbers), Scalar::Unsigned(number)) => numbers.push(number),
            (Self::Singles(numbers), Scalar::Single(number)) => numbers.push(number),
            (Self::Doubles(numbers), Scalar::Double(number)) => numbers.push(number),
            (Self::Bools(truths), Scalar::Bool(truth)) => truths.push(truth),
            _ => return None,
        }
        Some(())
    }

    /// Appends the rows of a column of the same type; `None` if it is of another.
    #[must_use]
    pub(super) fn append(&mut self, other: &Self) -> Option<()> {
        match (self, other) {
            (Self::Texts(own), Self::Texts(other))
            | (Self::Json(own), Self::Json(other))
            | (Self::Members(own), Self::Members(other)) => own.append(other),
            (Self::Integers(own), Self::Integers(other)) => own.extend_from_slice(other),
            (Self::Unsigned(own), Self::Unsigned(other)) => own.extend_from_slice(other),
            (Self::Singles(own), Self::Singles(other)) => own.extend_from_slice(other),
            (Self::Doubles(own), Self::Doubles(other)) => own.extend_from_slice(other),
            (Self::Bools(own), Self::Bools(other)) => own.extend_from_slice(other),
            (Self::Lists(own, ends), Self::Lists(other, others)) => {
                let offset = own.len();
                own.append(other)?;
                ends.extend(others.iter().map(|end| end + offset));
            }
            (Self::Stored(own), Self::Stored(other)) => own.append(other)?,
            _ => return None,
        }
        Some(())
    }

    /// Keeps the rows that are marked.
    pub(super) fn retain(&mut self, is_kept: &[bool]) {
        fn retained<T: Copy>(values: &mut Vec<T>, is_kept: &[bool]) {
            let mut marks = is_kept.iter();
            values.retain(|_| marks.next().is_some_and(|is_kept| *is_kept));
        }
        match self {
            Self::Texts(texts) | Self::Json(texts) | Self::Members(texts) => texts.retain(is_kept),
            Self::Integers(numbers) => retained(numbers, is_kept),
            Self::Unsigned(numbers) => retained(numbers, is_kept),
            Self::Singles(numbers) => retained(numbers, is_kept),
            Self::Doubles(numbers) => retained(numbers, is_kept),
            Self::Bools(truths) => retained(truths, is_kept),
            Self::Lists(items, ends) => {
                let mut marks = Vec::with_capacity(items.len());
                let mut kept = Vec::with_capacity(ends.len());
                let (mut begin, mut count) = (0, 0);
                for (&end, &is_kept) in ends.iter().zip(is_kept) {
                    marks.resize(end, is_kept);
                    if is_kept {
                        count += end - begin;
                        kept.push(count);
                    }
                    begin = end;
                }
                items.retain(&marks);
                *ends = kept;
            }
            Self::Stored(stored) => stored.retain(is_kept),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(list: &[&str]) -> Texts {
        let mut texts = Texts::default();
        for text in list {
            texts.push(text.as_bytes());
        }
        texts
    }

    #[test]
    fn columns_are_appended_and_thinned_row_by_row() {
        let mut column = Column::Texts(texts(&["a", "", "ccc"]));
        column.append(&Column::Texts(texts(&["d"]))).unwrap();
        column.retain(&[false, true, true, true]);
        let Column::Texts(kept) = &column else { panic!("{column:?}") };
        assert_eq!(*kept, texts(&["", "ccc", "d"]));
        assert!(column.append(&Column::Bools(vec![true])).is_none());

        let mut lists = Column::Lists(Box::new(Column::Integers(vec![1, 2, 3, 4])), vec![1, 1, 4]);
        lists.append(&Column::Lists(Box::new(Column::Integers(vec![5])), vec![1])).unwrap();
        lists.retain(&[true, true, false, true]);
        let Column::Lists(items, ends) = &lists else { panic!("{lists:?}") };
        assert!(matches!(&**items, Column::Integers(items) if *items == [1, 5]), "{items:?}");
        assert_eq!(*ends, [1, 1, 2]);
    }
}
