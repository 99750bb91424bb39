//! Writers for one row of an output, whose value holds the expected number of rows ([`Value::holds_rows`]).

use std::ops::Range;

use super::Classes;
use crate::{
    codec::{json_element::JsonElement, whole::Whole},
    model::{Tensor, TensorData, Value, on_elements},
};

/// Writes a prediction: the label of a class, or the value itself if it has none.
pub(super) fn write_prediction(
    out: &mut Vec<u8>,
    value: &Value,
    row: usize,
    total: usize,
    classes: &Classes,
) {
    match value {
        Value::Tensor(tensor) if !classes.labels.is_empty() => {
            let range = row_range(tensor, row, total);
            on_elements!(tensor.data(), elements => {
                write_list(out, elements.get(range).unwrap_or_default(), |element, out| {
                    match classes.label(element.label()) {
                        Some(label) => out.extend_from_slice(label),
                        None => element.write(out),
                    }
                });
            });
        }
        other => write_value(out, other, row, total),
    }
}

/// Writes probabilities by the names of their classes.
pub(super) fn write_probabilities(
    out: &mut Vec<u8>,
    value: &Value,
    row: usize,
    total: usize,
    classes: &Classes,
) {
    match value {
        Value::Tensor(tensor) => {
            let range = row_range(tensor, row, total);
            on_elements!(tensor.data(), elements => {
                write_by_class(out, elements.get(range).unwrap_or_default(), classes);
            });
        }
        Value::Sequence(items) => match items.get(row) {
            Some(Value::Map { keys, values }) => write_map(out, keys, values, Some(classes)),
            _ => write_value(out, value, row, total),
        },
        other => write_value(out, other, row, total),
    }
}

/// Writes any value: the elements of a tensor's row, those of several tensors, or a map.
pub(super) fn write_value(out: &mut Vec<u8>, value: &Value, row: usize, total: usize) {
    match value {
        Value::Tensor(tensor) => write_row(out, tensor, row, total),
        Value::Sequence(items) => match items.get(row) {
            Some(Value::Map { keys, values }) => write_map(out, keys, values, None),
            _ => write_parts(out, items, row, total),
        },
        Value::Map { .. } | Value::Absent => {}
    }
}

/// Writes a value that is the same for all rows.
pub(super) fn write_whole(out: &mut Vec<u8>, value: &Value) {
    let begin = out.len();
    // Writing to memory cannot fail, nor can a value that was read from an output.
    if serde_json::to_writer(&mut *out, &Whole(value)).is_err() {
        out.truncate(begin);
        out.extend_from_slice(b"null");
    }
}

/// Writes the rows of several tensors as a list.
fn write_parts(out: &mut Vec<u8>, parts: &[Value], row: usize, total: usize) {
    out.push(b'[');
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if let Value::Tensor(tensor) = part {
            write_row(out, tensor, row, total);
        }
    }
    out.push(b']');
}

fn row_range(tensor: &Tensor, row: usize, total: usize) -> Range<usize> {
    let width = tensor.row_width(total).unwrap_or_default();
    row * width..(row + 1) * width
}

fn write_row(out: &mut Vec<u8>, tensor: &Tensor, row: usize, total: usize) {
    let range = row_range(tensor, row, total);
    on_elements!(tensor.data(), elements => {
        write_list(out, elements.get(range).unwrap_or_default(), JsonElement::write);
    });
}

/// Writes the elements of one row: bare if there is one, else as a list.
fn write_list<E>(out: &mut Vec<u8>, elements: &[E], write: impl Fn(&E, &mut Vec<u8>)) {
    if let [only] = elements {
        return write(only, out);
    }
    out.push(b'[');
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(element, out);
    }
    out.push(b']');
}

/// Writes elements by class name if their number matches, else as a list.
fn write_by_class<E: JsonElement>(out: &mut Vec<u8>, elements: &[E], classes: &Classes) {
    if classes.keys.is_empty() || classes.keys.len() != elements.len() {
        return write_list(out, elements, JsonElement::write);
    }
    out.push(b'{');
    for (key, element) in classes.keys.iter().zip(elements) {
        out.extend_from_slice(key);
        element.write(out);
    }
    out.push(b'}');
}

/// Writes values by key, or by class label if the key is the number of a class.
fn write_map(out: &mut Vec<u8>, keys: &TensorData, values: &TensorData, classes: Option<&Classes>) {
    let entries = (0..keys.len()).filter_map(|index| Some((keys.get(index)?, values.get(index)?)));
    out.push(b'{');
    for (index, (key, value)) in entries.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        match classes.and_then(|classes| classes.key(key)) {
            Some(label) => out.extend_from_slice(label),
            None => key.to_string().write(out),
        }
        out.push(b':');
        value.write(out);
    }
    out.push(b'}');
}
