//! Operators that work element by element, on values of several shapes.

use super::{
    Operation,
    value::{Rows, Shape, Size, Stop, Value},
};

/// Operators on one value, whose other inputs have at most one element.
const UNARY: &[&str] = &[
    "Abs",
    "Acos",
    "Acosh",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "BitwiseNot",
    "Cast",
    "CastLike",
    "Ceil",
    "Celu",
    "Clip",
    "Cos",
    "Cosh",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "FastGelu",
    "Floor",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "IsInf",
    "IsNaN",
    "LeakyRelu",
    "Log",
    "Mish",
    "Neg",
    "Not",
    "QuickGelu",
    "Reciprocal",
    "Relu",
    "Round",
    "Selu",
    "Shrink",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Swish",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
];

/// Operators on several values of compatible shapes (Broadcasting in ONNX, multidirectional).
const BROADCAST: &[&str] = &[
    "Add",
    "And",
    "BiasGelu",
    "BitShift",
    "BitwiseAnd",
    "BitwiseOr",
    "BitwiseXor",
    "Div",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Max",
    "Mean",
    "Min",
    "Mod",
    "Mul",
    "Or",
    "PRelu",
    "Pow",
    "StringConcat",
    "Sub",
    "Sum",
    "Where",
    "Xor",
];

/// First version in which shapes are broadcast without attributes.
const FIRST_BROADCASTING_OPSET: u64 = 7;

pub(super) fn is_unary(operator: &str) -> bool {
    UNARY.contains(&operator)
}

pub(super) fn is_broadcast(operator: &str) -> bool {
    BROADCAST.contains(&operator)
}

pub(super) fn elementwise(operation: &Operation<'_>) -> Option<Result<Vec<Value>, Stop>> {
    let operator = operation.node.operator.as_str();
    if is_unary(operator) {
        Some(unary(operation))
    } else if is_broadcast(operator) {
        Some(several(operation).map(|value| vec![value]))
    } else if matches!(operator, "QLinearAdd" | "QLinearMul") {
        Some(quantized_pair(operation).map(|value| vec![value]))
    } else if matches!(operator, "QLinearSigmoid" | "QLinearLeakyRelu") {
        Some(unary(operation))
    } else if matches!(operator, "QuantizeLinear" | "DequantizeLinear") {
        Some(quantize(operation).map(|value| vec![value]))
    } else {
        None
    }
}

fn unary(operation: &Operation<'_>) -> Result<Vec<Value>, Stop> {
    let rows = operation.first()?;
    operation.fixed_from(1)?;
    if operation.node.operator == "Dropout" && may_train(operation) {
        return Err(Stop::Unknown("may be in training".to_owned()));
    }
    // FastGelu adds a bias along the last dimension.
    if operation.inputs.get(1).is_some_and(Option::is_some) && operation.node.operator == "FastGelu" {
        return several(operation).map(|value| vec![value]);
    }
    Ok(vec![Value::Rows(rows.clone()); operation.node.outputs.len().max(1)])
}

/// Returns true unless a dropout is known to be off.
fn may_train(operation: &Operation<'_>) -> bool {
    let is_off =
        |value: &Value| matches!(value, Value::Numbers { elements, .. } if elements[..] == [Size::Known(0)]);
    let is_old = operation.opset < FIRST_BROADCASTING_OPSET && operation.node.integer("is_test") != Some(1);
    is_old || operation.inputs.get(2).copied().flatten().is_some_and(|training| !is_off(training))
}

fn several(operation: &Operation<'_>) -> Result<Value, Stop> {
    if operation.opset < FIRST_BROADCASTING_OPSET && operation.node.attribute("broadcast").is_some() {
        return Err(Stop::Unknown("is of an operator set with other broadcasting rules".to_owned()));
    }
    let operands: Vec<&Value> = operation.inputs.iter().flatten().copied().collect();
    broadcast(&operands)
}

/// Handles quantized operators on two values: A and B are inputs 0 and 3; the others are scales and zero points.
fn quantized_pair(operation: &Operation<'_>) -> Result<Value, Stop> {
    let is_parameter = |index: &usize| !matches!(index, 0 | 3);
    let parameters = (0..operation.inputs.len()).filter(is_parameter);
    if parameters.filter_map(|index| operation.inputs[index]).any(Value::has_rows) {
        return Err(Stop::Coupled("takes a scale that is computed".to_owned()));
    }
    let operands: Vec<&Value> =
        [0, 3].iter().filter_map(|index| operation.inputs.get(*index)?.as_ref()).copied().collect();
    broadcast(&operands)
}

/// Handles quantization: scale and zero point have one element, or one for each place along `axis`.
fn quantize(operation: &Operation<'_>) -> Result<Value, Stop> {
    let rows = operation.first()?;
    if operation.inputs.iter().skip(1).flatten().any(|value| value.has_rows()) {
        return Err(Stop::Coupled("takes a scale that is computed".to_owned()));
    }
    let scale = operation.inputs.get(1).copied().flatten().and_then(Value::fixed_shape);
    let is_one = scale.is_some_and(|shape| shape.iter().all(|size| *size == Size::Known(1)));
    let axis = rows.dimension(operation.node.integer("axis").unwrap_or(1));
    if !is_one && axis? == rows.axis {
        return Err(Stop::Coupled("has a scale for each position among the rows".to_owned()));
    }
    Ok(Value::Rows(rows.clone()))
}

/// Broadcasts operands of compatible shapes.
pub(super) fn broadcast(operands: &[&Value]) -> Result<Value, Stop> {
    let of_rows: Vec<&Rows> = operands
        .iter()
        .filter_map(|value| match value {
            Value::Rows(rows) => Some(rows),
            _ => None,
        })
        .collect();
    let others = || operands.iter().filter(|value| !matches!(value, Value::Rows(_)));
    if others().any(|value| value.has_rows()) {
        return Err(Stop::Coupled("computes with the number of rows".to_owned()));
    }
    let shapes: Option<Vec<&Shape>> = of_rows.iter().map(|rows| rows.shape.as_ref()).collect();
    let Some(shapes) = shapes else {
        return match of_rows.as_slice() {
            [only] if others().all(|value| is_one_element(value)) => Ok(Value::Rows((*only).clone())),
            _ => Err(Stop::Unknown("takes a value of unknown rank".to_owned())),
        };
    };
    let unknown = || Stop::Unknown("takes a constant of unknown shape".to_owned());
    let fixed: Vec<Shape> =
        others().map(|value| value.fixed_shape().ok_or_else(unknown)).collect::<Result<_, _>>()?;
    let mut places = of_rows.iter().zip(&shapes).map(|(rows, shape)| shape.len() - rows.axis);
    let Some(place) = places.next() else { return Ok(Value::Fixed(None)) };
    if places.any(|other| other != place) {
        return Err(Stop::Coupled("combines rows with each other".to_owned()));
    }
    let against = |shape: &Shape| shape.len().checked_sub(place).and_then(|index| shape.get(index).copied());
    match fixed.iter().filter_map(against).find(|size| *size != Size::Known(1)) {
        Some(Size::Known(_)) => return Err(Stop::Coupled("combines the rows with a list".to_owned())),
        Some(_) => {
            return Err(Stop::Unknown("combines the rows with a constant of unknown shape".to_owned()));
        }
        None => {}
    }
    let shapes: Vec<&Shape> = shapes.into_iter().chain(&fixed).collect();
    let shape = shape_together(&shapes);
    Ok(Value::rows(shape.len() - place, Some(shape)))
}

/// Returns the shape that broadcasting values of these shapes results in.
pub(super) fn shape_together(shapes: &[&Shape]) -> Shape {
    let rank = shapes.iter().map(|shape| shape.len()).max().unwrap_or(0);
    (1..=rank).rev().map(|place| together(shapes, place)).collect()
}

/// Returns the size of a dimension counted from the innermost one, which is 1.
fn together(shapes: &[&Shape], place: usize) -> Size {
    let sizes = || shapes.iter().filter_map(|shape| shape.get(shape.len().checked_sub(place)?).copied());
    let greatest = sizes().find(|size| matches!(size, Size::Rows | Size::Mixed));
    greatest
        .or_else(|| sizes().find(|size| matches!(size, Size::Known(size) if *size != 1)))
        .or_else(|| sizes().find(|size| *size == Size::Other))
        .unwrap_or(Size::Known(1))
}

fn is_one_element(value: &Value) -> bool {
    value
        .fixed_shape()
        .is_some_and(|shape| shape.len() <= 1 && shape.iter().all(|size| *size == Size::Known(1)))
}
