//! Checks of inputs against a signature before ONNX Runtime sees them, so that one response can name every fault in
//! terms of the request.

use std::collections::{HashMap, HashSet};

use super::{
    Dimension, Signature, Tensor, TensorData, TensorDocuments, ValueSpec, Violations, nearest::nearest,
};

/// One fault of the inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputViolation {
    /// The input, by its name in the request, or in the model if it was not sent.
    pub input: String,
    /// The location in that input, as a JSON pointer; empty for the whole.
    pub path: String,
    /// A stable code for programs.
    pub code: &'static str,
    /// A sentence for people that says which values are allowed.
    pub message: String,
}

/// More elements than any request can carry: a shape with a zero in it can claim any size.
const MAX_ELEMENTS: usize = 1 << 27;

/// Checks tensors against a signature: names, element types, shapes, strings.
///
/// # Errors
///
/// All faults of the tensors.
pub fn check_inputs(
    signature: &Signature,
    inputs: &[(String, Tensor)],
) -> Result<(), Violations<InputViolation>> {
    let mut violations = Violations::default();
    check_names(signature, inputs.iter().map(|(name, _)| name.as_str()), &mut violations);
    check_tensors(signature, inputs, &mut violations);
    violations.into_result(|| ())
}

/// Reads the tensors of a request and checks them against a signature. An optional input may be `null` or left out.
///
/// # Errors
///
/// All faults of the tensors.
pub fn documents_to_tensors(
    documents: &TensorDocuments<'_>,
    signature: &Signature,
) -> Result<Vec<(String, Tensor)>, Violations<InputViolation>> {
    let mut violations = Violations::default();
    check_names(signature, documents.0.iter().map(|(name, _)| name.as_str()), &mut violations);
    let mut inputs = Vec::with_capacity(documents.0.len());
    for (name, document) in &documents.0 {
        let Some(spec) = signature.input(name) else { continue };
        let Some((element_type, _)) = spec.as_tensor() else { continue };
        if spec.is_optional() && document.is_null() {
            continue;
        }
        if let Some(tensor) = document.tensor(name, element_type, &mut violations) {
            inputs.push((name.clone(), tensor));
        }
    }
    check_tensors(signature, &inputs, &mut violations);
    violations.into_result(|| inputs)
}

fn check_names<'n>(
    signature: &Signature,
    names: impl Iterator<Item = &'n str> + Clone,
    violations: &mut Violations<InputViolation>,
) {
    if names.clone().eq(signature.inputs.iter().map(|spec| spec.name.as_str())) {
        return;
    }
    let mut given = HashSet::new();
    for name in names {
        if signature.input(name).is_none() {
            add(violations, name, "unknown_input", || unknown(name, signature));
        } else if !given.insert(name) {
            add(violations, name, "duplicate", || format!("`{name}` is given more than once"));
        }
    }
    for spec in &signature.inputs {
        if !spec.is_optional() && !given.contains(spec.name.as_str()) {
            add(violations, &spec.name, "missing", || format!("`{}` ({}) is required", spec.name, spec.kind));
        }
    }
}

fn unknown(name: &str, signature: &Signature) -> String {
    let names = || signature.inputs.iter().map(|spec| spec.name.as_str());
    match nearest(name, names()) {
        Some(nearest) => format!("the model has no input of this name; did you mean `{nearest}`?"),
        None => format!(
            "the model has no input of this name; it has [{}]",
            names().collect::<Vec<_>>().join(", ")
        ),
    }
}

fn check_tensors<'s>(
    signature: &'s Signature,
    inputs: &[(String, Tensor)],
    violations: &mut Violations<InputViolation>,
) {
    let mut sizes: HashMap<&'s str, (usize, &'s str)> = HashMap::new();
    for (name, tensor) in inputs {
        let Some(spec) = signature.input(name) else { continue };
        for (code, message) in objections(spec, tensor, &mut sizes) {
            add(violations, name, code, || message);
        }
    }
}

type Objection = (&'static str, String);

/// Lists the faults of a tensor. `sizes` holds the named dimensions so far, each with the input that set it.
fn objections<'s>(
    spec: &'s ValueSpec,
    tensor: &Tensor,
    sizes: &mut HashMap<&'s str, (usize, &'s str)>,
) -> Vec<Objection> {
    let Some((element_type, declared)) = spec.as_tensor() else { return Vec::new() };
    let given = tensor.data().element_type();
    if given != element_type {
        return vec![("wrong_datatype", format!("the model takes {element_type}, not {given}"))];
    }
    let mut found = Vec::new();
    if let TensorData::String(texts) = tensor.data()
        && texts.iter().any(|text| text.contains('\0'))
    {
        found.push(("invalid_text", "a text must not hold a NUL character".to_owned()));
    }
    let claimed = tensor.shape().iter().filter(|size| **size > 0);
    let claimed = claimed.copied().try_fold(1_usize, usize::checked_mul);
    if claimed.is_none_or(|claimed| claimed > MAX_ELEMENTS) {
        found.push(("too_large", format!("a tensor may have {MAX_ELEMENTS} elements")));
    }
    // A declared shape without dimensions allows any shape.
    if declared.is_empty() {
        return found;
    }
    let shape = tensor.shape();
    if shape.len() != declared.len() {
        found.push(("wrong_shape", format!("expected {}, got the shape {shape:?}", spec.kind)));
        return found;
    }
    for (axis, (&size, dimension)) in shape.iter().zip(declared).enumerate() {
        match dimension {
            Dimension::Fixed(expected) if *expected != size => {
                found
                    .push(("wrong_shape", format!("expected {}, got {size} in dimension {axis}", spec.kind)));
            }
            Dimension::Fixed(_) => {}
            Dimension::Dynamic(_) => {
                let Some(symbol) = dimension.symbol() else { continue };
                let (first, input) = *sizes.entry(symbol).or_insert((size, &spec.name));
                if first != size {
                    let message =
                        format!("dimension `{symbol}` is {size} here and {first} in input `{input}`");
                    found.push(("wrong_shape", message));
                }
            }
        }
    }
    found
}

fn add(
    violations: &mut Violations<InputViolation>,
    input: &str,
    code: &'static str,
    message: impl FnOnce() -> String,
) {
    violations.add(|| InputViolation {
        input: input.to_owned(),
        path: String::new(),
        code,
        message: message(),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ElementType, ValueKind};

    fn signature() -> Signature {
        let named = |symbol: &str| Dimension::Dynamic(symbol.to_owned());
        let mask = ValueKind::Tensor { element_type: ElementType::F32, shape: Vec::new() };
        Signature {
            inputs: vec![
                ValueSpec::tensor("image", ElementType::F32, vec![named("N"), Dimension::Fixed(2)]),
                ValueSpec::tensor("length", ElementType::I64, vec![named("N")]),
                ValueSpec::tensor("text", ElementType::String, vec![named("?")]),
                ValueSpec { name: "mask".to_owned(), kind: ValueKind::Optional(Box::new(mask)) },
            ],
            outputs: Vec::new(),
        }
    }

    fn check(json: &str) -> Vec<(String, &'static str)> {
        let documents: TensorDocuments<'_> = serde_json::from_str(json).unwrap();
        match documents_to_tensors(&documents, &signature()) {
            Ok(_) => Vec::new(),
            Err(violations) => {
                violations.listed.into_iter().map(|violation| (violation.input, violation.code)).collect()
            }
        }
    }

    #[test]
    fn everything_that_is_wrong_is_named() {
        let one = |name: &str, code| vec![(name.to_owned(), code)];
        for (json, expected) in [
            (r#"{"image":[[1,2]],"length":[1],"text":["a","b"]}"#, Vec::new()),
            (r#"{"image":[[1,2]],"length":[1],"text":[],"mask":null}"#, Vec::new()),
            (r#"{"image":[[1,2]],"length":[1],"text":[],"mask":[[[1]]]}"#, Vec::new()),
            (r#"{"image":[[1,2]],"length":[1]}"#, one("text", "missing")),
            (r#"{"image":[[1,2]],"length":[1],"text":[],"texts":[]}"#, one("texts", "unknown_input")),
            (r#"{"image":[[1,2]],"length":[1],"text":[],"text":[]}"#, one("text", "duplicate")),
            (r#"{"image":[[1,2,3]],"length":[1],"text":[]}"#, one("image", "wrong_shape")),
            (r#"{"image":[1,2],"length":[1],"text":[]}"#, one("image", "wrong_shape")),
            (r#"{"image":[[1,2]],"length":[1,2],"text":[]}"#, one("length", "wrong_shape")),
            (r#"{"image":[[1,2]],"length":[1],"text":["\u0000"]}"#, one("text", "invalid_text")),
            (r#"{"image":[[1,2]],"length":["1"],"text":[]}"#, one("length", "not_a_number")),
            (
                r#"{"image":[[1,2]],"length":[1],"text":[],"mask":{"shape":[0,9999999999],"data":[]}}"#,
                one("mask", "too_large"),
            ),
        ] {
            assert_eq!(check(json), expected, "{json}");
        }
    }

    #[test]
    fn tensors_of_another_type_are_refused() {
        let texts = Tensor::new(vec![1], TensorData::String(vec!["a\0".to_owned()])).unwrap();
        let doubles = Tensor::new(vec![1, 2], TensorData::F64(vec![0.0; 2].into())).unwrap();
        let length = Tensor::new(vec![2], TensorData::I64(vec![0; 2].into())).unwrap();
        let inputs =
            [("image".to_owned(), doubles), ("length".to_owned(), length), ("text".to_owned(), texts)];
        let violations = check_inputs(&signature(), &inputs).unwrap_err();
        let messages: Vec<&str> = violations.listed.iter().map(|v| v.message.as_str()).collect();
        assert_eq!(messages, ["the model takes FP32, not FP64", "a text must not hold a NUL character"]);
    }
}
