//! Operators that change the shape of the same elements.

use super::{
    Operation,
    reduce::without,
    value::{Rows, Shape, Size, Stop, Value, from_either_end},
};

pub(super) fn reshape(operation: &Operation<'_>) -> Option<Result<Vec<Value>, Stop>> {
    let value = match operation.node.operator.as_str() {
        "Reshape" => reshaped(operation),
        "Flatten" => flattened(operation),
        "Squeeze" => squeezed(operation),
        "Unsqueeze" => unsqueezed(operation),
        "Expand" => expanded(operation),
        "Tile" => tiled(operation),
        _ => return None,
    };
    Some(value.map(|value| vec![value]))
}

fn not_outermost() -> Stop {
    Stop::Unknown("does not keep the rows outermost".to_owned())
}

fn reshaped(operation: &Operation<'_>) -> Result<Value, Stop> {
    let rows = operation.first()?;
    let target: Shape = match operation.whole_numbers("shape", usize::MAX)? {
        Some(numbers) => numbers.into_iter().map(Size::Known).collect(),
        None => operation.list_input(1)?.ok_or_else(not_outermost)?.to_vec(),
    };
    let copies = operation.node.integer("allowzero").unwrap_or(0) == 0;
    let at = place_of_rows(rows, &target, copies)?;
    let rest = target.get(at + 1..).unwrap_or_default();
    // A zero copies the size at the same position, which must not be that of the rows.
    let is_rows = |(place, size): (usize, &Size)| {
        matches!(size, Size::Rows | Size::Mixed) || (copies && *size == Size::Known(0) && place == rows.axis)
    };
    if rest.iter().enumerate().any(|(place, size)| is_rows((at + 1 + place, size))) {
        return Err(not_outermost());
    }
    if target[at] == Size::Known(-1) && rest.contains(&Size::Known(-1)) {
        return Err(not_outermost());
    }
    let copied = |place: usize| rows.shape.as_ref().and_then(|shape| shape.get(place).copied());
    let size = |(place, size): (usize, &Size)| match size {
        _ if place == at => Size::Rows,
        Size::Known(0) if copies => copied(place).unwrap_or(Size::Other),
        Size::Known(-1) if rows.shape.as_ref().is_some_and(|shape| shape.contains(&Size::Mixed)) => {
            Size::Mixed
        }
        Size::Known(-1) => Size::Other,
        other => *other,
    };
    Ok(Value::rows(at, Some(target.iter().enumerate().map(size).collect())))
}

/// Finds the dimension of the target that counts the rows: all outside it must stay unchanged, or be 1.
fn place_of_rows(rows: &Rows, target: &[Size], copies: bool) -> Result<usize, Stop> {
    let counts_rows = |place: usize| match target.get(place) {
        Some(Size::Rows | Size::Known(-1)) => true,
        Some(Size::Known(0)) => copies && place == rows.axis,
        _ => false,
    };
    if rows.is_outermost() {
        let at = target.iter().take_while(|size| **size == Size::Known(1)).count();
        return if counts_rows(at) { Ok(at) } else { Err(not_outermost()) };
    }
    let own = |place: usize| rows.shape.as_ref().and_then(|shape| shape.get(place).copied());
    let is_kept = |place: usize| match target.get(place) {
        Some(Size::Known(0)) => copies,
        Some(Size::Known(size)) if *size > 0 => own(place) == Some(Size::Known(*size)),
        _ => false,
    };
    let is_kept = (0..rows.axis).all(is_kept) && counts_rows(rows.axis);
    if is_kept { Ok(rows.axis) } else { Err(not_outermost()) }
}

fn flattened(operation: &Operation<'_>) -> Result<Value, Stop> {
    let rows = operation.first()?;
    let axis = rows.dimension(operation.node.integer("axis").unwrap_or(1))?;
    let is_padded = rows.shape.as_ref().is_some_and(|shape| shape.contains(&Size::Mixed));
    if axis == 0 && rows.is_outermost() && !is_padded {
        return Ok(Value::rows(1, Some(vec![Size::Known(1), Size::Rows])));
    }
    if !rows.is_outermost() || axis <= rows.axis {
        return Err(not_outermost());
    }
    let inner = match rows.shape.as_ref().and_then(|shape| shape.get(axis..)) {
        _ if is_padded => Size::Mixed,
        Some(sizes) => product(sizes),
        None => Size::Other,
    };
    Ok(Value::rows(0, Some(vec![Size::Rows, inner])))
}

fn product(sizes: &[Size]) -> Size {
    let times = |product: Size, size: &Size| match (product, size) {
        (Size::Known(product), Size::Known(size)) => {
            product.checked_mul(*size).map_or(Size::Other, Size::Known)
        }
        _ => Size::Other,
    };
    sizes.iter().fold(Size::Known(1), times)
}

fn squeezed(operation: &Operation<'_>) -> Result<Value, Stop> {
    let rows = operation.first()?;
    let Some(axes) = operation.whole_numbers("axes", 1)? else {
        return Err(Stop::Coupled("removes the rows' dimension where there is one row".to_owned()));
    };
    let axes: Vec<usize> = axes.iter().map(|axis| rows.dimension(*axis)).collect::<Result<_, _>>()?;
    if axes.contains(&rows.axis) {
        return Err(Stop::Coupled("removes the rows' dimension".to_owned()));
    }
    Ok(Value::Rows(without(rows, &axes)))
}

fn unsqueezed(operation: &Operation<'_>) -> Result<Value, Stop> {
    let rows = operation.first()?;
    let axes = operation.whole_numbers("axes", 1)?.unwrap_or_default();
    let rank = rows.rank()? + axes.len();
    let mut axes: Vec<usize> =
        axes.iter().map(|axis| from_either_end(*axis, rank)).collect::<Result<_, _>>()?;
    axes.sort_unstable();
    let mut shape = rows.shape.clone().unwrap_or_default();
    let mut at = rows.axis;
    for axis in axes {
        if axis > shape.len() {
            return Err(not_outermost());
        }
        shape.insert(axis, Size::Known(1));
        at += usize::from(axis <= at);
    }
    Ok(Value::rows(at, Some(shape)))
}

/// Handles `Expand`: broadcasts the value to these sizes.
fn expanded(operation: &Operation<'_>) -> Result<Value, Stop> {
    let rows = operation.first()?;
    let own = rows.rank()?;
    let target = operation.list_input(1)?.unwrap_or_default();
    let rank = own.max(target.len());
    let at = rows.axis + (rank - own);
    let wanted =
        |place: usize| (place + target.len()).checked_sub(rank).and_then(|index| target.get(index).copied());
    let size = |place: usize| {
        let kept = (place + own).checked_sub(rank).and_then(|index| rows.shape.as_ref()?.get(index).copied());
        match (place == at, wanted(place), kept) {
            (true, None | Some(Size::Rows | Size::Known(1)), _) => Ok(Size::Rows),
            (true, _, _) => Err(Stop::Coupled("combines the rows with a list".to_owned())),
            (false, Some(Size::Rows | Size::Mixed), _) => {
                Err(Stop::Coupled("repeats rows by their number".to_owned()))
            }
            (false, None | Some(Size::Known(1)), kept) => Ok(kept.unwrap_or(Size::Known(1))),
            (false, Some(wanted), None | Some(Size::Known(1))) => Ok(wanted),
            (false, Some(_), Some(kept)) => Ok(kept),
        }
    };
    Ok(Value::rows(at, Some((0..rank).map(size).collect::<Result<_, _>>()?)))
}

fn tiled(operation: &Operation<'_>) -> Result<Value, Stop> {
    let rows = operation.first()?;
    let repeats = operation.list_input(1)?.unwrap_or_default();
    if repeats.get(rows.axis) != Some(&Size::Known(1)) {
        return Err(Stop::Coupled("repeats the rows".to_owned()));
    }
    if repeats.iter().any(|size| matches!(size, Size::Rows | Size::Mixed)) {
        return Err(Stop::Coupled("repeats rows by their number".to_owned()));
    }
    let size = |(place, size): (usize, &Size)| match repeats.get(place) {
        Some(Size::Known(1)) => *size,
        _ => Size::Other,
    };
    let shape = rows.shape.as_ref().map(|shape| shape.iter().enumerate().map(size).collect());
    Ok(Value::rows(rows.axis, shape))
}
