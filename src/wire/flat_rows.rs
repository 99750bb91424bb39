//! The two forms of a native request that most requests have, `{"features":[5.1,3.5]}` and `{"instances":[[5.1,3.5]]}`, read
//! in one pass into the elements of a tensor.

use super::cursor::Cursor;
use crate::model::{FlatElement, FlatLayout};

/// What was read of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlatRows {
    /// How many rows; at least one.
    pub rows: usize,
    /// Whether they were given as `instances`.
    pub many: bool,
}

/// Reads rows of numbers and nothing else, checked against the contract, on to the end of `elements`.
///
/// Nothing for whatever else the body is, right or wrong: then `elements` is as it was, and
/// [`PredictRequest`](super::PredictRequest) is to read the body. Where there is something, its tensor has the same bits
/// that [`rows_to_tensors`](crate::model::rows_to_tensors) gives.
#[must_use]
pub fn read_flat_rows<T: FlatElement>(
    body: &[u8],
    layout: &FlatLayout,
    elements: &mut Vec<T>,
) -> Option<FlatRows> {
    if T::ELEMENT_TYPE != layout.element_type() {
        return None;
    }
    let before = elements.len();
    let read = read(&mut Cursor::new(body), body.len(), layout, elements);
    if read.is_none() {
        elements.truncate(before);
    }
    read
}

fn read<T: FlatElement>(
    text: &mut Cursor<'_>,
    size: usize,
    layout: &FlatLayout,
    elements: &mut Vec<T>,
) -> Option<FlatRows> {
    text.byte(b'{')?;
    let many = text.take(br#""features""#).is_none();
    if many {
        text.take(br#""instances""#)?;
    }
    text.byte(b':')?;
    let rows = if many {
        rows(text, size, layout, elements)?
    } else {
        elements.reserve(layout.columns());
        row(text, layout, elements)?;
        1
    };
    text.byte(b'}')?;
    text.is_at_end().then_some(FlatRows { rows, many })
}

fn rows<T: FlatElement>(
    text: &mut Cursor<'_>,
    size: usize,
    layout: &FlatLayout,
    elements: &mut Vec<T>,
) -> Option<usize> {
    text.byte(b'[')?;
    let begin = text.position();
    row(text, layout, elements)?;
    // The others are as long as the first, or nearly so. A body of short ones does not grow: two bytes make no more than
    // one element.
    let others = size.saturating_sub(text.position()) / (text.position() - begin).max(1);
    elements.reserve(others.saturating_mul(layout.columns()));
    let mut rows = 1;
    loop {
        match text.next()? {
            b',' => row(text, layout, elements)?,
            b']' => return Some(rows),
            _ => return None,
        }
        rows += 1;
    }
}

fn row<T: FlatElement>(text: &mut Cursor<'_>, layout: &FlatLayout, elements: &mut Vec<T>) -> Option<()> {
    text.byte(b'[')?;
    for column in 0..layout.columns() {
        if column > 0 {
            text.byte(b',')?;
        }
        elements.push(layout.element(column, text.number()?)?);
    }
    text.byte(b']')
}
