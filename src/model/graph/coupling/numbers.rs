//! Short lists of whole numbers, from which shapes are computed, and the operators on them.

use super::{
    Operation,
    broadcast::{is_broadcast, is_unary, shape_together},
    value::{MAX_NUMBERS, Rows, Shape, Size, Stop, Value, from_either_end},
};

/// Returns the outputs of an operator without rows among its inputs; `None` if nothing is known of them.
pub(super) fn of_numbers(operation: &Operation<'_>) -> Option<Vec<Value>> {
    of_row_counts(operation).ok().or_else(|| Some(vec![Value::Fixed(Some(shape_of_fixed(operation)?))]))
}

/// Returns the shape of a value that is the same for all rows; `None` if it is unknown.
fn shape_of_fixed(operation: &Operation<'_>) -> Option<Shape> {
    let operator = operation.node.operator.as_str();
    let shapes = || operation.inputs.iter().flatten().map(|value| value.fixed_shape());
    let first = shapes().next()??;
    match operator {
        _ if is_unary(operator) || matches!(operator, "DequantizeLinear" | "QuantizeLinear") => Some(first),
        _ if is_broadcast(operator) => {
            let shapes: Vec<Shape> = shapes().collect::<Option<_>>()?;
            Some(shape_together(&shapes.iter().collect::<Vec<_>>()))
        }
        "Transpose" => {
            let order = operation.whole_numbers("perm", usize::MAX).ok()?;
            let order = order.unwrap_or_else(|| (0..i64::try_from(first.len()).unwrap_or(0)).rev().collect());
            order.iter().map(|axis| first.get(usize::try_from(*axis).ok()?).copied()).collect()
        }
        "Reshape" => {
            let size = |size: &Size| match size {
                Size::Known(-1..=0) => Size::Other,
                other => *other,
            };
            Some(operation.list_input(1).ok()??.iter().map(size).collect())
        }
        "Unsqueeze" => {
            let axes = operation.whole_numbers("axes", 1).ok()??;
            let rank = first.len() + axes.len();
            let mut axes: Vec<usize> =
                axes.iter().map(|axis| from_either_end(*axis, rank).ok()).collect::<Option<_>>()?;
            axes.sort_unstable();
            let mut shape = first;
            for axis in axes {
                shape.insert(axis.min(shape.len()), Size::Known(1));
            }
            Some(shape)
        }
        _ => None,
    }
}

/// Returns the outputs of an operator on lists, some of which count rows.
pub(super) fn of_row_counts(operation: &Operation<'_>) -> Result<Vec<Value>, Stop> {
    let computes = || Stop::Unknown("computes with the number of rows".to_owned());
    let value = match operation.node.operator.as_str() {
        "Identity" => {
            operation.inputs.first().copied().flatten().filter(|value| list(value).is_some()).cloned()
        }
        // INT32 and INT64: other types may compute with fractions.
        "Cast" if matches!(operation.node.integer("to"), Some(6 | 7)) => {
            operation.inputs.first().copied().flatten().filter(|value| list(value).is_some()).cloned()
        }
        "Concat" => joined(operation),
        "Gather" => gathered(operation),
        "Unsqueeze" => reshaped(operation, false),
        "Squeeze" => reshaped(operation, true),
        "Reshape" => match operation.list_input(1) {
            Ok(Some([])) => reshaped(operation, true),
            Ok(Some([Size::Known(-1 | 1)])) => reshaped(operation, false),
            _ => None,
        },
        "Slice" => sliced(operation),
        "Mul" | "Add" | "Sub" | "Div" => arithmetic(operation),
        "ConstantOfShape" => filled(operation),
        "Expand" | "Tile" => repeated(operation),
        _ => None,
    };
    Ok(vec![value.ok_or_else(computes)?])
}

/// Returns the shape of rows or their number, for the operators `Shape` and `Size`.
pub(super) fn measured(operation: &Operation<'_>, rows: &Rows) -> Option<Value> {
    let shape = rows.shape.as_ref()?;
    match operation.node.operator.as_str() {
        "Size" => Some(Value::Numbers { elements: vec![Size::Rows], is_scalar: true }),
        "Shape" => {
            let rank = i64::try_from(shape.len()).ok()?;
            let place = |name: &str, otherwise: i64| {
                let place = operation.node.integer(name).unwrap_or(otherwise);
                let place = if place < 0 { place + rank } else { place };
                usize::try_from(place.clamp(0, rank)).ok()
            };
            let elements = shape.get(place("start", 0)?..place("end", rank)?).unwrap_or_default();
            Some(Value::Numbers { elements: elements.to_vec(), is_scalar: false })
        }
        _ => None,
    }
}

fn list(value: &Value) -> Option<(&[Size], bool)> {
    match value {
        Value::Numbers { elements, is_scalar } => Some((elements, *is_scalar)),
        _ => None,
    }
}

fn input<'o>(operation: &'o Operation<'_>, index: usize) -> Option<(&'o [Size], bool)> {
    operation.inputs.get(index).copied().flatten().and_then(list)
}

fn joined(operation: &Operation<'_>) -> Option<Value> {
    let mut elements = Vec::new();
    for value in &operation.inputs {
        match value.as_ref()? {
            Value::Numbers { elements: part, is_scalar: false } => elements.extend_from_slice(part),
            _ => return None,
        }
    }
    (elements.len() <= MAX_NUMBERS).then_some(Value::Numbers { elements, is_scalar: false })
}

fn gathered(operation: &Operation<'_>) -> Option<Value> {
    let (elements, is_scalar) = input(operation, 0)?;
    let (places, is_one) = input(operation, 1)?;
    if is_scalar || places.len() > MAX_NUMBERS {
        return None;
    }
    let length = i64::try_from(elements.len()).ok()?;
    let at = |place: &Size| match place {
        Size::Known(place) => {
            elements.get(usize::try_from(if *place < 0 { *place + length } else { *place }).ok()?).copied()
        }
        _ => None,
    };
    Some(Value::Numbers { elements: places.iter().map(at).collect::<Option<_>>()?, is_scalar: is_one })
}

/// Changes the dimensions of one number to none or one.
fn reshaped(operation: &Operation<'_>, is_scalar: bool) -> Option<Value> {
    let (elements, _) = input(operation, 0)?;
    let has_axis = operation.whole_numbers("axes", 1).ok().flatten();
    let is_first =
        operation.node.operator == "Reshape" || has_axis.is_none_or(|axes| axes == [0] || axes == [-1]);
    (is_first && elements.len() == 1).then(|| Value::Numbers { elements: elements.to_vec(), is_scalar })
}

fn sliced(operation: &Operation<'_>) -> Option<Value> {
    let (elements, is_scalar) = input(operation, 0)?;
    let by_inputs = operation.opset >= 10;
    let one = |name: &str, input: usize, otherwise: i64| {
        let numbers = operation.whole_numbers(name, if by_inputs { input } else { usize::MAX }).ok()?;
        match numbers.as_deref() {
            Some([number]) => Some(*number),
            None => Some(otherwise),
            Some(_) => None,
        }
    };
    let length = i64::try_from(elements.len()).ok()?;
    if is_scalar || one("steps", 4, 1)? != 1 {
        return None;
    }
    let place =
        |place: i64| usize::try_from((if place < 0 { place + length } else { place }).clamp(0, length)).ok();
    let (start, end) = (place(one("starts", 1, 0)?)?, place(one("ends", 2, length)?)?);
    let part = elements.get(start..end.max(start))?.to_vec();
    Some(Value::Numbers { elements: part, is_scalar: false })
}

fn arithmetic(operation: &Operation<'_>) -> Option<Value> {
    let ((left, left_is_scalar), (right, right_is_scalar)) = (input(operation, 0)?, input(operation, 1)?);
    let length = left.len().max(right.len());
    if !(left.len() == right.len() || left.len() == 1 || right.len() == 1) {
        return None;
    }
    let at = |list: &[Size], index: usize| list.get(if list.len() == 1 { 0 } else { index }).copied();
    let compute = |index| Some(computed(&operation.node.operator, at(left, index)?, at(right, index)?));
    let elements = (0..length).map(compute).collect::<Option<_>>()?;
    Some(Value::Numbers { elements, is_scalar: left_is_scalar && right_is_scalar })
}

fn computed(operator: &str, left: Size, right: Size) -> Size {
    match (operator, left, right) {
        (operator, Size::Known(left), Size::Known(right)) => match operator {
            "Add" => left.checked_add(right),
            "Sub" => left.checked_sub(right),
            "Mul" => left.checked_mul(right),
            _ => left.checked_div(right).filter(|_| left >= 0 && right > 0),
        }
        .map_or(Size::Other, Size::Known),
        ("Mul", Size::Rows, Size::Other | Size::Known(1..))
        | ("Mul", Size::Other | Size::Known(1..), Size::Rows)
        | ("Div", Size::Rows, Size::Known(1)) => Size::Rows,
        (_, Size::Known(_) | Size::Other, Size::Known(_) | Size::Other) => Size::Other,
        _ => Size::Mixed,
    }
}

/// Returns the dimension of a list of sizes that counts rows; `None` if none does.
///
/// # Errors
///
/// When several do, or one depends on the rows in another way.
fn place_of_rows(sizes: &[Size]) -> Result<Option<usize>, Stop> {
    let mut places = sizes.iter().enumerate().filter(|(_, size)| matches!(size, Size::Rows | Size::Mixed));
    let first = places.next();
    let is_clear = places.next().is_none() && first.is_none_or(|(_, size)| *size == Size::Rows);
    let unclear = || Stop::Unknown("makes a shape of which several sizes depend on the rows".to_owned());
    if is_clear { Ok(first.map(|(place, _)| place)) } else { Err(unclear()) }
}

/// Handles a constant of a computed shape, which may count rows.
fn filled(operation: &Operation<'_>) -> Option<Value> {
    let (sizes, _) = input(operation, 0)?;
    let shape = Some(sizes.to_vec());
    Some(match place_of_rows(sizes).ok()? {
        Some(axis) => Value::rows(axis, shape),
        None => Value::Fixed(shape),
    })
}

/// Handles a constant that is repeated for each row.
fn repeated(operation: &Operation<'_>) -> Option<Value> {
    let own = operation.inputs.first().copied().flatten()?.fixed_shape()?;
    let (sizes, _) = input(operation, 1)?;
    let at = place_of_rows(sizes).ok()?;
    let rank = own.len().max(sizes.len());
    let mut shape = vec![Size::Other; rank];
    // Repeated whole, the constant has the same parts for every row.
    let Some(at) = at else { return Some(Value::Fixed(Some(shape))) };
    let at = at + (rank - sizes.len());
    let kept = (at + own.len()).checked_sub(rank).and_then(|place| own.get(place).copied());
    let is_expand = operation.node.operator == "Expand";
    if is_expand && !matches!(kept, None | Some(Size::Known(1))) {
        return None;
    }
    shape[at] = Size::Rows;
    if is_expand {
        for place in (0..rank).filter(|place| *place != at) {
            let wanted = (place + sizes.len()).checked_sub(rank).and_then(|index| sizes.get(index).copied());
            let kept = (place + own.len()).checked_sub(rank).and_then(|index| own.get(index).copied());
            shape[place] = match (wanted, kept) {
                (None | Some(Size::Known(1)), Some(kept)) => kept,
                (Some(wanted), None | Some(Size::Known(1))) => wanted,
                (_, Some(kept)) => kept,
                (None, None) => Size::Known(1),
            };
        }
    }
    Some(Value::rows(at, Some(shape)))
}
