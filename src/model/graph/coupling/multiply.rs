//! Products of matrices: rows stay independent unless the sum runs along them.

use super::{
    Operation,
    value::{Rows, Shape, Size, Stop, Value},
};

pub(super) fn multiply(operation: &Operation<'_>) -> Option<Result<Vec<Value>, Stop>> {
    let input = |index: usize| operation.inputs.get(index).copied().flatten();
    let value = match operation.node.operator.as_str() {
        "MatMul" => product(input(0), input(1)),
        "MatMulInteger" => only(operation, &[0, 1]).and_then(|()| product(input(0), input(1))),
        "QLinearMatMul" => only(operation, &[0, 3]).and_then(|()| product(input(0), input(3))),
        "MatMulIntegerToFloat" => only(operation, &[0, 1]).and_then(|()| product(input(0), input(1))),
        "FusedMatMul" => transposed_product(operation),
        // The weights are a matrix in a packed form.
        "MatMulNBits" | "MatMulBnb4" => only(operation, &[0]).and_then(|()| by_weights(operation)),
        "Gemm" | "FusedGemm" => gemm(operation),
        "QGemm" => only(operation, &[0]).and_then(|()| gemm(operation)),
        "CDist" => only(operation, &[0]).and_then(|()| gemm(operation)),
        "Einsum" => einsum(operation),
        _ => return None,
    };
    Some(value.map(|value| vec![value]))
}

/// Returns an error if another input than these holds rows.
fn only(operation: &Operation<'_>, allowed: &[usize]) -> Result<(), Stop> {
    let others = operation.inputs.iter().enumerate().filter(|(index, _)| !allowed.contains(index));
    if others.filter_map(|(_, value)| *value).any(Value::has_rows) {
        return Err(Stop::Coupled("takes a scale or weights that are computed".to_owned()));
    }
    Ok(())
}

fn summed() -> Stop {
    Stop::Coupled("sums over the rows".to_owned())
}

fn against() -> Stop {
    Stop::Coupled("combines rows with each other".to_owned())
}

fn unknown_shape() -> Stop {
    Stop::Unknown("takes a constant of unknown shape".to_owned())
}

/// Handles products like numpy's `matmul`: the innermost two dimensions are those of matrices, the others are
/// broadcast.
fn product(left: Option<&Value>, right: Option<&Value>) -> Result<Value, Stop> {
    match (left, right) {
        (Some(Value::Rows(left)), Some(Value::Rows(right))) => both(left, right),
        (Some(Value::Rows(left)), Some(right)) if !right.has_rows() => {
            one_sided(left, &right.fixed_shape().ok_or_else(unknown_shape)?, true)
        }
        (Some(left), Some(Value::Rows(right))) if !left.has_rows() => {
            one_sided(right, &left.fixed_shape().ok_or_else(unknown_shape)?, false)
        }
        _ => Err(Stop::Coupled("computes with the number of rows".to_owned())),
    }
}

/// Multiplies rows by a constant, or a constant by rows.
fn one_sided(rows: &Rows, constant: &Shape, rows_are_left: bool) -> Result<Value, Stop> {
    let rank = rows.rank()?;
    if constant.is_empty() {
        return Err(Stop::Unknown("multiplies by a number without dimensions".to_owned()));
    }
    // Counted from the innermost dimension, which is 1: the sum runs along 1 on the left, and along 2 on the right.
    let place = rank - rows.axis;
    let is_vector = rank == 1;
    if is_vector || place == if rows_are_left { 1 } else { 2 } {
        return Err(summed());
    }
    if place > 2 && constant.len() >= place && constant[constant.len() - place] != Size::Known(1) {
        return Err(against());
    }
    let own = rows.shape.clone().unwrap_or_default();
    if constant.len() == 1 {
        // The dimension that a vector removes lies inside that of the rows, or next to it.
        let dropped = if rows_are_left { rank - 1 } else { rank - 2 };
        let axis = rows.axis - usize::from(dropped < rows.axis);
        let kept = own.iter().enumerate().filter(|(place, _)| *place != dropped);
        return Ok(Value::rows(axis, Some(kept.map(|(_, size)| *size).collect())));
    }
    let all = rank.max(constant.len());
    let mut shape: Shape = vec![Size::Other; all];
    let at = all - place;
    shape[at] = Size::Rows;
    let (mine, theirs) = if rows_are_left { (2, 1) } else { (1, 2) };
    shape[all - mine] = own[rank - mine];
    shape[all - theirs] = constant[constant.len() - theirs];
    if at != all - mine {
        shape[at] = Size::Rows;
    }
    Ok(Value::rows(at, Some(shape)))
}

/// Multiplies rows by rows: each matrix by the one of the same row.
fn both(left: &Rows, right: &Rows) -> Result<Value, Stop> {
    let (left_rank, right_rank) = (left.rank()?, right.rank()?);
    let (left_place, right_place) = (left_rank - left.axis, right_rank - right.axis);
    if left_place == 1 || right_place == 2 || left_rank == 1 || right_rank == 1 {
        return Err(summed());
    }
    if left_place != right_place || left_place <= 2 {
        return Err(against());
    }
    let all = left_rank.max(right_rank);
    let mut shape: Shape = vec![Size::Other; all];
    shape[all - left_place] = Size::Rows;
    Ok(Value::rows(all - left_place, Some(shape)))
}

fn transposed_product(operation: &Operation<'_>) -> Result<Value, Stop> {
    let is_set = |name: &str| operation.node.integer(name).unwrap_or(0) != 0;
    if is_set("transBatchA") || is_set("transBatchB") {
        return Err(Stop::Unknown("transposes its dimensions".to_owned()));
    }
    let input = |index: usize| operation.inputs.get(index).copied().flatten();
    let left = turned(input(0), is_set("transA"))?;
    let right = turned(input(1), is_set("transB"))?;
    product(left.as_ref(), right.as_ref())
}

/// Exchanges the innermost two dimensions of the value if `is_turned`.
fn turned(value: Option<&Value>, is_turned: bool) -> Result<Option<Value>, Stop> {
    let Some(value) = value.filter(|_| is_turned) else { return Ok(value.cloned()) };
    Ok(Some(match value {
        Value::Rows(rows) => {
            let rank = rows.rank()?;
            let mut shape = rows.shape.clone().unwrap_or_default();
            if rank < 2 {
                return Ok(Some(value.clone()));
            }
            shape.swap(rank - 1, rank - 2);
            let axis = match rank - rows.axis {
                1 => rank - 2,
                2 => rank - 1,
                _ => rows.axis,
            };
            Value::rows(axis, Some(shape))
        }
        other => {
            let mut shape = other.fixed_shape().ok_or_else(unknown_shape)?;
            let rank = shape.len();
            if rank >= 2 {
                shape.swap(rank - 1, rank - 2);
            }
            Value::Fixed(Some(shape))
        }
    }))
}

/// Multiplies rows by weights that are a matrix in another form.
fn by_weights(operation: &Operation<'_>) -> Result<Value, Stop> {
    let rows = operation.first()?;
    let rank = rows.rank()?;
    if rows.axis + 1 == rank {
        return Err(summed());
    }
    let mut shape = rows.shape.clone().unwrap_or_default();
    shape[rank - 1] = Size::Other;
    Ok(Value::rows(rows.axis, Some(shape)))
}

/// Handles `alpha * A' * B' + beta * C`: matrices, except that the shape of C only has to be compatible with the
/// product.
fn gemm(operation: &Operation<'_>) -> Result<Value, Stop> {
    let input = |index: usize| operation.inputs.get(index).copied().flatten();
    let is_set = |name: &str| operation.node.integer(name).unwrap_or(0) != 0;
    let axis = |value: Option<&Value>, is_turned: bool| match value {
        Some(Value::Rows(rows)) => Ok(Some(if is_turned { 1 - rows.axis.min(1) } else { rows.axis })),
        Some(other) if other.has_rows() => Err(Stop::Coupled("computes with the number of rows".to_owned())),
        _ => Ok(None),
    };
    // CDist measures each row of A against each row of B, as a product of A and the transposed B would.
    let turns_right = is_set("transB") || operation.node.operator == "CDist";
    let at = match (axis(input(0), is_set("transA"))?, axis(input(1), turns_right)?) {
        (Some(0), None) => 0,
        (None, Some(1)) => 1,
        (Some(1), _) | (_, Some(0)) => return Err(summed()),
        _ => return Err(against()),
    };
    let shape = if at == 0 { vec![Size::Rows, Size::Other] } else { vec![Size::Other, Size::Rows] };
    let product = Value::rows(at, Some(shape));
    match input(2) {
        Some(bias) if !matches!(operation.node.operator.as_str(), "CDist" | "QGemm") => {
            match super::broadcast::broadcast(&[&product, bias])? {
                Value::Rows(rows) if rows.shape.as_ref().is_some_and(|shape| shape.len() == 2) => {
                    Ok(Value::Rows(rows))
                }
                _ => Err(unknown_shape()),
            }
        }
        _ => Ok(product),
    }
}

/// Handles Einsum: rows are independent if their letter is the same in all values that hold them, and stays in the
/// result.
fn einsum(operation: &Operation<'_>) -> Result<Value, Stop> {
    let unread = || Stop::Unknown("has an equation that is not analysed".to_owned());
    let Some(super::AttributeValue::Text(equation)) = operation.node.attribute("equation") else {
        return Err(unread());
    };
    let equation: String = equation.chars().filter(|letter| !letter.is_whitespace()).collect();
    let (terms, result) = equation.split_once("->").filter(|_| !equation.contains('.')).ok_or_else(unread)?;
    let terms: Vec<Vec<char>> = terms.split(',').map(|term| term.chars().collect()).collect();
    if terms.len() != operation.inputs.len() {
        return Err(unread());
    }
    let mut of_rows = None;
    for (term, value) in terms.iter().zip(&operation.inputs) {
        if let Some(Value::Rows(rows)) = value {
            let letter = *term.get(rows.axis).ok_or_else(unread)?;
            if *of_rows.get_or_insert(letter) != letter {
                return Err(against());
            }
            if term.iter().filter(|other| **other == letter).count() > 1 {
                return Err(against());
            }
        } else if value.is_none_or(Value::has_rows) {
            return Err(unread());
        }
    }
    let letter = of_rows.ok_or_else(unread)?;
    let fixed =
        terms.iter().zip(&operation.inputs).filter(|(_, value)| !matches!(value, Some(Value::Rows(_))));
    if fixed.into_iter().any(|(term, _)| term.contains(&letter)) {
        return Err(Stop::Coupled("combines the rows with a list".to_owned()));
    }
    let at = result.chars().position(|other| other == letter).ok_or_else(summed)?;
    let size = |other| if other == letter { Size::Rows } else { Size::Other };
    Ok(Value::rows(at, Some(result.chars().map(size).collect())))
}
