//! Operators that work along some dimensions: sums, softmax, norms, sorting.

use super::{
    Operation,
    value::{Rows, Size, Stop, Value},
};

/// First version in which softmax works along one dimension, not along all from that one on.
const SOFTMAX_OF_ONE_AXIS: u64 = 13;

pub(super) fn reduce(operation: &Operation<'_>) -> Option<Result<Vec<Value>, Stop>> {
    let operator = operation.node.operator.as_str();
    Some(match operator {
        "ArgMax" | "ArgMin" => reduction(operation, Some(vec![operation.node.integer("axis").unwrap_or(0)])),
        _ if operator.starts_with("Reduce") => {
            operation.whole_numbers("axes", 1).and_then(|axes| reduction(operation, axes))
        }
        "Softmax" | "LogSoftmax" | "Hardmax" => softmax(operation),
        "QLinearSoftmax" => along(operation, -1, true),
        "LpNormalization" => along(operation, operation.node.integer("axis").unwrap_or(-1), false),
        "LayerNormalization" | "RMSNormalization" | "SimplifiedLayerNormalization" => layer_norm(operation),
        "SkipLayerNormalization" | "SkipSimplifiedLayerNormalization" => skip_layer_norm(operation),
        "CumSum" | "CumProd" => match operation.whole_numbers("axis", 1) {
            Ok(Some(axis)) => along(operation, axis.first().copied().unwrap_or(0), false),
            Ok(None) => Err(Stop::Unknown("works along an unknown dimension".to_owned())),
            Err(stop) => Err(stop),
        },
        "TopK" => top_k(operation),
        "NonZero" | "Unique" | "NonMaxSuppression" => {
            Err(Stop::Coupled("lists what it finds in all rows".to_owned()))
        }
        "MeanVarianceNormalization" => mean_variance(operation),
        _ => return None,
    })
}

fn coupled(what: &str) -> Stop {
    Stop::Coupled(what.to_owned())
}

/// Reduces these dimensions, or all of them if there are none.
fn reduction(operation: &Operation<'_>, axes: Option<Vec<i64>>) -> Result<Vec<Value>, Stop> {
    let rows = operation.first()?;
    let axes = axes.unwrap_or_default();
    if axes.is_empty() {
        if operation.node.integer("noop_with_empty_axes").unwrap_or(0) != 0 {
            return Ok(vec![Value::Rows(rows.clone())]);
        }
        return Err(coupled("takes all rows together"));
    }
    let mut reduced: Vec<usize> = axes.iter().map(|axis| rows.dimension(*axis)).collect::<Result<_, _>>()?;
    reduced.sort_unstable();
    reduced.dedup();
    if reduced.contains(&rows.axis) {
        return Err(coupled("takes all rows together"));
    }
    if operation.node.integer("keepdims").unwrap_or(1) != 0 {
        let mut kept = rows.clone();
        for axis in reduced {
            if let Some(size) = kept.shape.as_mut().and_then(|shape| shape.get_mut(axis)) {
                *size = Size::Known(1);
            }
        }
        return Ok(vec![Value::Rows(kept)]);
    }
    Ok(vec![Value::Rows(without(rows, &reduced))])
}

/// Returns the value without some of its dimensions, none of which counts rows.
pub(super) fn without(rows: &Rows, dropped: &[usize]) -> Rows {
    let axis = rows.axis - dropped.iter().filter(|axis| **axis < rows.axis).count();
    let kept = |shape: &Vec<Size>| {
        let places = shape.iter().enumerate().filter(|(place, _)| !dropped.contains(place));
        places.map(|(_, size)| *size).collect()
    };
    Rows { axis, shape: rows.shape.as_ref().map(kept) }
}

/// Handles operators that keep the shape and work along one dimension, or along all from that one on.
fn along(operation: &Operation<'_>, axis: i64, to_the_end: bool) -> Result<Vec<Value>, Stop> {
    let rows = operation.first()?;
    operation.fixed_from(1)?;
    let axis = rows.dimension(axis)?;
    if axis == rows.axis || (to_the_end && rows.axis >= axis) {
        return Err(coupled("is taken along the rows"));
    }
    Ok(vec![Value::Rows(rows.clone()); operation.node.outputs.len().max(1)])
}

fn softmax(operation: &Operation<'_>) -> Result<Vec<Value>, Stop> {
    let is_new = operation.opset >= SOFTMAX_OF_ONE_AXIS;
    let axis = operation.node.integer("axis").unwrap_or(if is_new { -1 } else { 1 });
    along(operation, axis, !is_new)
}

/// Handles a norm whose scale and bias lie along the normalized dimensions.
fn layer_norm(operation: &Operation<'_>) -> Result<Vec<Value>, Stop> {
    let axis = operation.node.integer("axis").unwrap_or(-1);
    let mut outputs = along(operation, axis, true)?;
    // Mean and deviation have another shape.
    for output in outputs.iter_mut().skip(1) {
        if let Value::Rows(rows) = output {
            rows.shape = None;
        }
    }
    Ok(outputs)
}

fn skip_layer_norm(operation: &Operation<'_>) -> Result<Vec<Value>, Stop> {
    let rows = operation.first()?;
    operation.fixed_from(2)?;
    let is_last = rows.rank()? == rows.axis + 1;
    match operation.inputs.get(1).copied().flatten() {
        Some(Value::Rows(other))
            if !is_last && other.axis == rows.axis && other.rank()? == rows.rank()? =>
        {
            Ok(vec![Value::Rows(rows.clone()); operation.node.outputs.len().max(1)])
        }
        _ => Err(Stop::Unknown("takes rows in a place that is not analysed".to_owned())),
    }
}

fn top_k(operation: &Operation<'_>) -> Result<Vec<Value>, Stop> {
    let outputs = along(operation, operation.node.integer("axis").unwrap_or(-1), false)?;
    let axis = operation.first()?.dimension(operation.node.integer("axis").unwrap_or(-1))?;
    let other = |value: Value| match value {
        Value::Rows(mut rows) => {
            if let Some(size) = rows.shape.as_mut().and_then(|shape| shape.get_mut(axis)) {
                *size = Size::Other;
            }
            Value::Rows(rows)
        }
        other => other,
    };
    Ok(outputs.into_iter().map(other).collect())
}

fn mean_variance(operation: &Operation<'_>) -> Result<Vec<Value>, Stop> {
    let rows = operation.first()?;
    let axes = operation.whole_numbers("axes", usize::MAX)?.unwrap_or_else(|| vec![0, 2, 3]);
    let axes: Vec<usize> = axes.iter().map(|axis| rows.dimension(*axis)).collect::<Result<_, _>>()?;
    if axes.contains(&rows.axis) {
        return Err(coupled("is taken along the rows"));
    }
    Ok(vec![Value::Rows(rows.clone())])
}
