//! Operators of networks whose specification names the dimension of samples: convolutions, pools, cells, attention.

use super::{
    Operation,
    value::{Rows, Shape, Size, Stop, Value},
};

pub(super) fn family(operation: &Operation<'_>) -> Option<Result<Vec<Value>, Stop>> {
    let operator = operation.node.operator.as_str();
    Some(match operator {
        "Conv"
        | "ConvTranspose"
        | "FusedConv"
        | "ConvInteger"
        | "QLinearConv"
        | "AveragePool"
        | "LpPool"
        | "GlobalAveragePool"
        | "GlobalMaxPool"
        | "GlobalLpPool"
        | "MaxPool"
        | "InstanceNormalization"
        | "GroupNormalization"
        | "GroupNorm"
        | "LRN"
        | "DepthToSpace"
        | "SpaceToDepth"
        | "QLinearAveragePool"
        | "QLinearGlobalAveragePool"
        | "Col2Im" => samples(operation),
        "BatchNormalization" => batch_normalization(operation),
        "Resize" | "Upsample" => resized(operation),
        "GridSample" => by_sample(operation, &[0, 1]),
        "RNN" | "GRU" | "LSTM" => cells(operation),
        "Attention" | "MultiHeadAttention" => attention(operation),
        "RotaryEmbedding" => rotated(operation),
        _ => return None,
    })
}

/// Returns a value whose outermost dimension counts rows, and of whose shape only the rank is known.
fn outermost(rows: &Rows) -> Value {
    let shape = rows.shape.as_ref().map(|shape| {
        let mut sizes: Shape = vec![Size::Other; shape.len()];
        if let Some(first) = sizes.first_mut() {
            *first = Size::Rows;
        }
        sizes
    });
    Value::rows(0, shape)
}

fn not_outermost() -> Stop {
    Stop::Coupled("takes the rows for something other than samples".to_owned())
}

/// Handles operators whose first input holds samples along the outermost dimension; the others are weights.
fn samples(operation: &Operation<'_>) -> Result<Vec<Value>, Stop> {
    let mut outputs = by_sample(operation, &[0])?;
    // The positions that a pool outputs are counted over all samples.
    for output in outputs.iter_mut().skip(1) {
        *output =
            Value::lost(Stop::Coupled("gives positions among all rows".to_owned()), &operation.node.operator);
    }
    Ok(outputs)
}

/// Handles operators of which only the inputs `of_samples` may hold samples, along the outermost dimension.
fn by_sample(operation: &Operation<'_>, of_samples: &[usize]) -> Result<Vec<Value>, Stop> {
    for (index, value) in operation.inputs.iter().enumerate() {
        match value {
            Some(Value::Rows(rows)) if of_samples.contains(&index) && rows.axis == 0 => {}
            Some(Value::Rows(_)) if of_samples.contains(&index) => return Err(not_outermost()),
            Some(value) if value.has_rows() => {
                return Err(Stop::Coupled("takes weights that are computed from rows".to_owned()));
            }
            _ if of_samples.contains(&index) => {
                return Err(Stop::Unknown("joins rows with a constant".to_owned()));
            }
            _ => {}
        }
    }
    Ok(vec![outermost(operation.first()?); operation.node.outputs.len().max(1)])
}

fn batch_normalization(operation: &Operation<'_>) -> Result<Vec<Value>, Stop> {
    let is_set = |name: &str| operation.node.integer(name).unwrap_or(0) != 0;
    let gives_statistics = operation.node.outputs.iter().skip(1).any(|name| !name.is_empty());
    let is_old = operation.opset < 7 && !is_set("is_test");
    if is_set("training_mode") || gives_statistics || is_old {
        return Err(Stop::Coupled("takes the mean of all rows, as in training".to_owned()));
    }
    samples(operation)
}

/// Handles sizes or scales of all dimensions: the one of the rows must not change.
fn resized(operation: &Operation<'_>) -> Result<Vec<Value>, Stop> {
    let rows = operation.first()?;
    let is_upsample = operation.node.operator == "Upsample";
    let names_axes = operation.node.attribute("axes").is_some();
    if rows.axis != 0 {
        return Err(not_outermost());
    }
    if names_axes || operation.inputs.iter().skip(1).flatten().any(|value| matches!(value, Value::Rows(_))) {
        return Err(Stop::Unknown("names the dimensions that it resizes".to_owned()));
    }
    let scales = operation.inputs.get(if is_upsample { 1 } else { 2 }).copied().flatten();
    let sizes = operation.inputs.get(3).copied().flatten();
    let name = operation.node.inputs.get(if is_upsample { 1 } else { 2 });
    let first_scale = match name.and_then(|name| operation.graph.elements(name)) {
        Some(super::super::Elements::Numbers(scales)) => scales.first().copied(),
        _ => None,
    };
    let keeps = match (scales, sizes) {
        (_, Some(Value::Numbers { elements, .. })) => elements.first() == Some(&Size::Rows),
        (Some(_), None) => first_scale == Some(1.0),
        _ => false,
    };
    if !keeps {
        return Err(Stop::Unknown("is not known to keep the number of rows".to_owned()));
    }
    Ok(vec![outermost(rows)])
}

/// Handles recurrent cells: steps lie along the outermost dimension and samples along the next, or the reverse if
/// `layout` is 1.
fn cells(operation: &Operation<'_>) -> Result<Vec<Value>, Stop> {
    let rows = operation.first()?;
    let samples_first = operation.node.integer("layout").unwrap_or(0) != 0;
    if rows.axis != usize::from(!samples_first) {
        return Err(Stop::Coupled("takes the rows for steps in time".to_owned()));
    }
    // X, W, R, B, sequence_lens, initial_h, initial_c, P.
    for (index, value) in operation.inputs.iter().enumerate().skip(1) {
        let Some(value) = value else { continue };
        let axis = match (index, value) {
            (4, Value::Rows(lengths)) => lengths.axis == 0,
            (5 | 6, Value::Rows(state)) => state.axis == usize::from(!samples_first),
            (5 | 6, _) => return Err(Stop::Unknown("begins with a constant for some rows".to_owned())),
            (_, value) => !value.has_rows(),
        };
        if !axis {
            return Err(Stop::Coupled("takes weights or states that are not by row".to_owned()));
        }
    }
    let (all, last): (Value, Value) = if samples_first {
        let shape = |rank: usize| {
            let mut shape: Shape = vec![Size::Other; rank];
            shape[0] = Size::Rows;
            shape
        };
        (Value::rows(0, Some(shape(4))), Value::rows(0, Some(shape(3))))
    } else {
        let directions = match operation.node.attribute("direction") {
            Some(super::AttributeValue::Text(direction)) if direction == "bidirectional" => 2,
            _ => 1,
        };
        let directions = Size::Known(directions);
        let steps = rows.shape.as_ref().and_then(|shape| shape.first().copied()).unwrap_or(Size::Other);
        let all = vec![steps, directions, Size::Rows, Size::Other];
        (Value::rows(2, Some(all)), Value::rows(1, Some(vec![directions, Size::Rows, Size::Other])))
    };
    Ok(vec![all, last.clone(), last])
}

/// Handles attention: queries, keys and values hold samples outermost. A mask by row has as many dimensions as they
/// have.
fn attention(operation: &Operation<'_>) -> Result<Vec<Value>, Stop> {
    let is_microsofts = operation.node.domain == "com.microsoft";
    for (index, value) in operation.inputs.iter().enumerate() {
        match value {
            Some(Value::Rows(rows)) if rows.axis == 0 && rows.rank()? >= 3 => {}
            // A mask for each row is [rows, steps] in ONNX Runtime's operators, while one of ONNX's own begins with
            // steps.
            Some(Value::Rows(rows)) if is_microsofts && index >= 3 && rows.axis == 0 && rows.rank()? == 2 => {
            }
            Some(value) if value.has_rows() => return Err(not_outermost()),
            _ => {}
        }
        let is_mask = index == 3 && !is_microsofts;
        if let Some(Value::Rows(mask)) = value
            && is_mask
            && mask.rank()? < 4
        {
            return Err(not_outermost());
        }
    }
    let mut outputs = vec![outermost(operation.first()?)];
    let further = Stop::Unknown("has more outputs than are analysed".to_owned());
    outputs.resize(operation.node.outputs.len().max(1), Value::lost(further, &operation.node.operator));
    Ok(outputs)
}

fn rotated(operation: &Operation<'_>) -> Result<Vec<Value>, Stop> {
    let has_other_axis = |value: &Value| matches!(value, Value::Rows(rows) if rows.axis != 0);
    if operation.inputs.iter().flatten().copied().any(has_other_axis) {
        return Err(not_outermost());
    }
    Ok(vec![outermost(operation.first()?)])
}
