//! Operators that move whole parts of values: transposition, joining, splitting, padding.

use super::{
    Operation,
    value::{Rows, Shape, Size, Stop, Value, from_either_end},
};

pub(super) fn arrange(operation: &Operation<'_>) -> Option<Result<Vec<Value>, Stop>> {
    Some(match operation.node.operator.as_str() {
        "Transpose" => transposed(operation).map(|value| vec![value]),
        "Concat" => joined(operation).map(|value| vec![value]),
        "QLinearConcat" => Err(Stop::Unknown("is not analysed".to_owned())),
        "Split" => split(operation),
        "Pad" => padded(operation).map(|value| vec![value]),
        "SequenceConstruct" => sequence(operation).map(|value| vec![value]),
        "OneHot" => one_hot(operation).map(|value| vec![value]),
        "Trilu" => triangle(operation).map(|value| vec![value]),
        "ReverseSequence" => reversed(operation).map(|value| vec![value]),
        _ => return None,
    })
}

fn transposed(operation: &Operation<'_>) -> Result<Value, Stop> {
    let rows = operation.first()?;
    let rank = rows.rank()?;
    let order: Vec<usize> =
        match operation.whole_numbers("perm", usize::MAX)?.filter(|order| !order.is_empty()) {
            Some(order) => order.iter().map(|axis| from_either_end(*axis, rank)).collect::<Result<_, _>>()?,
            None => (0..rank).rev().collect(),
        };
    let at = order.iter().position(|axis| *axis == rows.axis);
    let at = at.ok_or_else(|| Stop::Unknown("does not keep the rows' dimension".to_owned()))?;
    let shape = rows.shape.as_ref().map(|shape| order.iter().map(|axis| shape[*axis]).collect());
    Ok(Value::rows(at, shape))
}

fn joined(operation: &Operation<'_>) -> Result<Value, Stop> {
    let mut parts = Vec::new();
    for value in operation.inputs.iter().flatten() {
        match value {
            Value::Rows(rows) => parts.push(rows),
            _ => return Err(Stop::Unknown("joins rows with a constant".to_owned())),
        }
    }
    let Some((first, others)) = parts.split_first() else { return Ok(Value::Fixed(None)) };
    let axis = first.dimension(operation.node.integer("axis").unwrap_or(1))?;
    if axis == first.axis {
        return Err(Stop::Coupled("joins values along the rows".to_owned()));
    }
    let mut shape = first.shape.clone();
    for other in others {
        let goes_together = match (&first.shape, &other.shape) {
            (Some(one), Some(other)) => one.len() == other.len(),
            // Only values of one rank are joined, so the dimensions are the same when counted from the outermost.
            _ => true,
        };
        if other.axis != first.axis || !goes_together {
            return Err(Stop::Coupled("combines rows with each other".to_owned()));
        }
        shape = shape.or_else(|| other.shape.clone());
    }
    if let Some(size) = shape.as_mut().and_then(|shape| shape.get_mut(axis)) {
        *size = if others.is_empty() { *size } else { Size::Other };
    }
    Ok(Value::rows(first.axis, shape))
}

fn split(operation: &Operation<'_>) -> Result<Vec<Value>, Stop> {
    let rows = operation.first()?;
    operation.fixed_from(1)?;
    let axis = rows.dimension(operation.node.integer("axis").unwrap_or(0))?;
    if axis == rows.axis {
        return Err(Stop::Coupled("splits the rows".to_owned()));
    }
    Ok(vec![Value::Rows(with_size(rows, axis, Size::Other)); operation.node.outputs.len()])
}

/// Returns the value with another size of a dimension.
pub(super) fn with_size(rows: &Rows, axis: usize, size: Size) -> Rows {
    let mut rows = rows.clone();
    if let Some(place) = rows.shape.as_mut().and_then(|shape| shape.get_mut(axis)) {
        *place = size;
    }
    rows
}

fn padded(operation: &Operation<'_>) -> Result<Value, Stop> {
    let rows = operation.first()?;
    operation.fixed_from(2)?;
    let rank = rows.rank()?;
    if operation.inputs.get(3).is_some_and(Option::is_some) {
        return Err(Stop::Unknown("names the dimensions that it pads".to_owned()));
    }
    let pads: Shape = match operation.whole_numbers("pads", usize::MAX)? {
        Some(pads) => pads.into_iter().map(Size::Known).collect(),
        None => operation.list_input(1)?.unwrap_or_default().to_vec(),
    };
    let is_free = |place: usize| pads.get(place) == Some(&Size::Known(0));
    if !is_free(rows.axis) || !is_free(rank + rows.axis) {
        return Err(Stop::Coupled("adds rows".to_owned()));
    }
    if pads.iter().any(|size| matches!(size, Size::Rows | Size::Mixed)) {
        return Err(Stop::Coupled("pads by the number of rows".to_owned()));
    }
    let size = |(place, size): (usize, &Size)| {
        if is_free(place) && is_free(rank + place) { *size } else { Size::Other }
    };
    let shape = rows.shape.as_ref().map(|shape| shape.iter().enumerate().map(size).collect());
    Ok(Value::rows(rows.axis, shape))
}

/// Returns a sequence of values that all have the rows outermost, as models with several targets output.
fn sequence(operation: &Operation<'_>) -> Result<Value, Stop> {
    let is_outermost = |value: &&Value| matches!(value, Value::Rows(rows) if rows.axis == 0);
    if operation.inputs.iter().flatten().all(is_outermost) {
        Ok(Value::rows(0, None))
    } else {
        Err(Stop::Unknown("makes a sequence of values that are not by row".to_owned()))
    }
}

fn one_hot(operation: &Operation<'_>) -> Result<Value, Stop> {
    let rows = operation.first()?;
    operation.fixed_from(1)?;
    let rank = rows.rank()? + 1;
    let axis = from_either_end(operation.node.integer("axis").unwrap_or(-1), rank)?;
    let mut shape = rows.shape.clone().unwrap_or_default();
    shape.insert(axis.min(shape.len()), Size::Other);
    Ok(Value::rows(rows.axis + usize::from(axis <= rows.axis), Some(shape)))
}

fn triangle(operation: &Operation<'_>) -> Result<Value, Stop> {
    let rows = operation.first()?;
    operation.fixed_from(1)?;
    if rows.rank()? < rows.axis + 3 {
        return Err(Stop::Coupled("cuts a triangle out of the rows".to_owned()));
    }
    Ok(Value::Rows(rows.clone()))
}

fn reversed(operation: &Operation<'_>) -> Result<Value, Stop> {
    let rows = operation.first()?;
    let axis = |name: &str, otherwise| {
        let axis = operation.node.integer(name).unwrap_or(otherwise);
        usize::try_from(axis).map_err(|_| Stop::Unknown("works along an unknown dimension".to_owned()))
    };
    if axis("time_axis", 0)? == rows.axis || axis("batch_axis", 1)? != rows.axis {
        return Err(Stop::Coupled("reverses the rows".to_owned()));
    }
    match operation.inputs.get(1).copied().flatten() {
        Some(Value::Rows(lengths)) if lengths.axis == 0 => Ok(Value::Rows(rows.clone())),
        _ => Err(Stop::Unknown("takes lengths that are not by row".to_owned())),
    }
}
