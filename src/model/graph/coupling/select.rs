//! Operators that select parts of values by position.

use super::{
    Operation,
    arrange::with_size,
    value::{Shape, Size, Stop, Value, from_either_end},
};

/// First version in which the bounds of slices are inputs instead of attributes.
const SLICE_BY_INPUTS: u64 = 10;

/// Least end of a slice that selects everything, as exporters write it.
const EVERYTHING: i64 = i32::MAX as i64;

pub(super) fn select(operation: &Operation<'_>) -> Option<Result<Vec<Value>, Stop>> {
    let value = match operation.node.operator.as_str() {
        "Gather" => gathered(operation),
        "GatherElements" => elements(operation, 2),
        "ScatterElements" => elements(operation, 3),
        "GatherND" => by_tuples(operation),
        "Slice" => sliced(operation),
        "Compress" | "ScatterND" | "Scatter" => {
            Err(Stop::Coupled("takes positions among all rows".to_owned()))
        }
        _ => return None,
    };
    Some(value.map(|value| vec![value]))
}

fn among_rows() -> Stop {
    Stop::Coupled("takes rows by their position".to_owned())
}

fn gathered(operation: &Operation<'_>) -> Result<Value, Stop> {
    let axis = operation.node.integer("axis").unwrap_or(0);
    match (operation.inputs.first().copied().flatten(), operation.inputs.get(1).copied().flatten()) {
        (Some(Value::Rows(data)), Some(indices)) if !indices.has_rows() => {
            let axis = data.dimension(axis)?;
            if axis == data.axis {
                return Err(among_rows());
            }
            let indices = indices.fixed_shape();
            let unknown = || Stop::Unknown("takes positions of unknown shape".to_owned());
            let at = if axis < data.axis {
                data.axis + indices.as_ref().ok_or_else(unknown)?.len() - 1
            } else {
                data.axis
            };
            let shape =
                data.shape.as_ref().zip(indices).map(|(shape, indices)| replaced(shape, axis, &indices));
            Ok(Value::rows(at, shape))
        }
        (Some(Value::Rows(_)), Some(_)) => Err(among_rows()),
        (Some(table), Some(Value::Rows(indices))) if !table.has_rows() => {
            let table = table.fixed_shape();
            let axis = match (usize::try_from(axis), &table) {
                (Ok(axis), _) => axis,
                (Err(_), Some(shape)) => from_either_end(axis, shape.len())?,
                (Err(_), None) => return Err(Stop::Unknown("works along an unknown dimension".to_owned())),
            };
            if table.as_ref().is_some_and(|table| axis >= table.len()) {
                return Err(Stop::Unknown("works along an unknown dimension".to_owned()));
            }
            let shape =
                table.zip(indices.shape.as_ref()).map(|(table, indices)| replaced(&table, axis, indices));
            Ok(Value::rows(axis + indices.axis, shape))
        }
        _ => Err(Stop::Unknown("takes rows in a place that is not analysed".to_owned())),
    }
}

/// Returns a shape with one dimension replaced by several.
fn replaced(shape: &Shape, axis: usize, with: &Shape) -> Shape {
    let mut shape = shape.clone();
    if axis < shape.len() {
        shape.splice(axis..=axis, with.iter().copied());
    }
    shape
}

/// Selects or sets single elements along a dimension. Rows are independent if all inputs hold rows.
fn elements(operation: &Operation<'_>, count: usize) -> Result<Value, Stop> {
    let data = operation.first()?;
    let axis = data.dimension(operation.node.integer("axis").unwrap_or(0))?;
    if axis == data.axis {
        return Err(among_rows());
    }
    let is_by_row =
        |value: Option<&Value>| matches!(value, Some(Value::Rows(rows)) if rows.axis == data.axis);
    if operation.inputs.len() != count || !operation.inputs.iter().copied().all(is_by_row) {
        return Err(Stop::Unknown("takes positions that are not by row".to_owned()));
    }
    // The result of GatherElements has the shape of the indices, that of ScatterElements the shape of the data.
    let size = if count == 2 { Size::Other } else { return Ok(Value::Rows(data.clone())) };
    let other = (0..data.rank()?).filter(|place| *place != data.axis);
    Ok(Value::Rows(other.fold(data.clone(), |rows, place| with_size(&rows, place, size))))
}

fn by_tuples(operation: &Operation<'_>) -> Result<Value, Stop> {
    let batched = operation.node.integer("batch_dims").unwrap_or(0);
    match (operation.inputs.first().copied().flatten(), operation.inputs.get(1).copied().flatten()) {
        (Some(Value::Rows(data)), Some(Value::Rows(places)))
            if data.axis == 0 && places.axis == 0 && batched >= 1 =>
        {
            Ok(Value::rows(0, None))
        }
        (Some(table), Some(Value::Rows(places))) if !table.has_rows() && batched == 0 => {
            if places.axis + 1 == places.rank()? {
                return Err(among_rows());
            }
            Ok(Value::rows(places.axis, None))
        }
        _ => Err(among_rows()),
    }
}

fn sliced(operation: &Operation<'_>) -> Result<Value, Stop> {
    let rows = operation.first()?;
    if operation.inputs.iter().skip(1).flatten().any(|value| matches!(value, Value::Rows(_))) {
        return Err(Stop::Coupled("slices all rows at positions that rows give".to_owned()));
    }
    if operation.inputs.iter().skip(1).flatten().any(|value| value.has_rows()) {
        return Err(Stop::Coupled("splits rows by their number".to_owned()));
    }
    let by_inputs = operation.opset >= SLICE_BY_INPUTS;
    let list = |name: &str, input: usize| -> Result<Option<Vec<i64>>, Stop> {
        operation.whole_numbers(name, if by_inputs { input } else { usize::MAX })
    };
    let numbers = |name: &str, input: usize| -> Result<Option<Shape>, Stop> {
        match operation.node.attribute(name) {
            Some(_) => Ok(list(name, input)?.map(|list| list.into_iter().map(Size::Known).collect())),
            None => Ok(operation.list_input(input)?.map(<[Size]>::to_vec)),
        }
    };
    let (starts, ends) = (numbers("starts", 1), numbers("ends", 2));
    let axes = match list("axes", 3)? {
        Some(axes) => axes.iter().map(|axis| rows.dimension(*axis)).collect::<Result<Vec<_>, _>>()?,
        None => (0..starts.clone()?.unwrap_or_default().len()).collect(),
    };
    if let Some(place) = axes.iter().position(|axis| *axis == rows.axis) {
        let at = |list: &Option<Shape>| list.as_ref().and_then(|list| list.get(place).copied());
        let step = list("steps", 4)?.map_or(Some(1), |steps| steps.get(place).copied());
        let takes_all = at(&starts?) == Some(Size::Known(0))
            && matches!(at(&ends?), Some(Size::Known(EVERYTHING..)))
            && step == Some(1);
        if !takes_all {
            return Err(among_rows());
        }
    }
    let others = axes.iter().filter(|axis| **axis != rows.axis);
    Ok(Value::Rows(others.fold(rows.clone(), |rows, axis| with_size(&rows, *axis, Size::Other))))
}
