//! Single-pass reader of the two common forms of a native request, `{"features":[5.1,3.5]}` and
//! `{"instances":[[5.1,3.5]]}`, into the elements of a tensor.

use crate::{
    codec::cursor::Cursor,
    model::{FlatElement, FlatLayout, Tensor},
};

/// The rows that were read from a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlatRows {
    /// Number of rows; at least one.
    pub rows: usize,
    /// True if they were sent as `instances`.
    pub many: bool,
}

/// Reads the rows of a body into the model's one input; `None` if the body is invalid or holds anything else.
#[must_use]
pub fn read_numbers(layout: &FlatLayout, body: &[u8]) -> Option<(Tensor, FlatRows)> {
    fn read_as<T: FlatElement>(layout: &FlatLayout, body: &[u8]) -> Option<(Tensor, FlatRows)> {
        let mut elements = Vec::<T>::new();
        let rows = read_flat_rows(body, layout, &mut elements)?;
        Some((layout.tensor(rows.rows, elements)?, rows))
    }
    read_as::<f32>(layout, body).or_else(|| read_as::<f64>(layout, body))
}

/// Reads rows of numbers, checked against the contract, and appends them to `elements`.
///
/// `None` if the body is anything else, valid or not. `elements` is then unchanged, and
/// [`PredictRequest`](super::PredictRequest) has to read the body. The tensor has the same bits as that of
/// [`rows_to_tensors`](crate::model::rows_to_tensors).
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
    // The other rows are about as long as the first, so their number can be estimated. A body of short rows reserves
    // little: an element takes at least two bytes.
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
