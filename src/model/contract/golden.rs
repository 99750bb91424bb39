//! Golden cases: inputs and the outputs expected for them, in the forms of a request and its response.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::model::{
    ElementType, Signature, Tensor, TensorData, TensorDocument, TensorDocuments, Value, ValueKind,
    Violations, documents_to_tensors,
};

/// Most golden cases that remain as examples.
const MAX_EXAMPLES: usize = 8;

/// Most bytes of all examples together, as JSON: metadata of a model should stay small.
const MAX_EXAMPLE_BYTES: usize = 16 * 1024;

/// Inputs and the outputs expected for them.
#[derive(Clone, Debug, PartialEq)]
pub struct GoldenCase {
    /// The inputs of the model by name; an optional one may be left out.
    pub inputs: Vec<(String, Tensor)>,
    /// The outputs that are compared, by name.
    pub outputs: Vec<(String, Value)>,
}

/// A golden case as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GoldenDocument {
    /// The inputs by name: nested lists, or objects with `shape` and `data`.
    pub inputs: BTreeMap<String, Json>,
    /// The outputs that are compared, by name. A sequence is a list, a map an object.
    pub outputs: BTreeMap<String, Json>,
}

/// Returns the first cases, at most [`MAX_EXAMPLES`] and together at most [`MAX_EXAMPLE_BYTES`]. Larger ones are left
/// out.
pub(super) fn examples(cases: &[GoldenDocument]) -> Vec<GoldenDocument> {
    let mut left = MAX_EXAMPLE_BYTES;
    let fits = |case: &&GoldenDocument| {
        let bytes = serde_json::to_string(case).map_or(usize::MAX, |json| json.len());
        let rest = left.checked_sub(bytes);
        left = rest.unwrap_or(left);
        rest.is_some()
    };
    cases.iter().filter(fits).take(MAX_EXAMPLES).cloned().collect()
}

impl GoldenDocument {
    /// Reads the case with this number and checks it against the model's signature. The error is a sentence for people.
    pub(super) fn read(self, index: usize, signature: &Signature) -> Result<GoldenCase, String> {
        if self.outputs.is_empty() {
            return Err(format!("golden case {index} compares no output"));
        }
        let texts: Vec<(String, String)> =
            self.inputs.into_iter().map(|(name, json)| (name, json.to_string())).collect();
        let mut documents = Vec::with_capacity(texts.len());
        for (name, json) in &texts {
            let document: TensorDocument<'_> = serde_json::from_str(json)
                .map_err(|error| format!("golden case {index}, input `{name}`: {error}"))?;
            documents.push((name.clone(), document));
        }
        let inputs = documents_to_tensors(&TensorDocuments(documents), signature).map_err(|violations| {
            let first = violations.listed.into_iter().next();
            let first = first.map(|violation| {
                format!(", input `{}{}`: {}", violation.input, violation.path, violation.message)
            });
            format!("golden case {index}{}", first.unwrap_or_default())
        })?;
        let output = |(name, json): (String, Json)| {
            let spec = signature.outputs.iter().find(|spec| spec.name == name);
            let kind =
                &spec.ok_or_else(|| format!("golden case {index}: the model has no output `{name}`"))?.kind;
            match value(&json, kind) {
                Ok(value) => Ok((name, value)),
                Err(message) => Err(format!("golden case {index}, output `{name}` ({kind}): {message}")),
            }
        };
        Ok(GoldenCase { inputs, outputs: self.outputs.into_iter().map(output).collect::<Result<_, _>>()? })
    }
}

/// Reads a value of this kind, in the form of a response; the envelopes `{"sequence": …}` and `{"map": …}` may be left
/// out.
fn value(json: &Json, kind: &ValueKind) -> Result<Value, String> {
    match kind {
        ValueKind::Optional(_) if json.is_null() => Ok(Value::Absent),
        ValueKind::Optional(inner) => value(json, inner),
        ValueKind::Tensor { element_type, .. } => tensor(json, *element_type).map(Value::Tensor),
        ValueKind::Sequence(items) => {
            let list = json.get("sequence").unwrap_or(json).as_array().ok_or("expected a list")?;
            list.iter().map(|item| value(item, items)).collect::<Result<_, _>>().map(Value::Sequence)
        }
        ValueKind::Map { key, value } => {
            let entries = json.get("map").filter(|inner| inner.is_object()).unwrap_or(json);
            let entries = entries.as_object().ok_or("expected an object")?;
            let number = |text: &String| {
                text.parse::<i64>().map_err(|_| format!("the key `{text}` is not a whole number"))
            };
            let keys = match key {
                ElementType::String => TensorData::String(entries.keys().cloned().collect()),
                ElementType::I64 => TensorData::I64(entries.keys().map(number).collect::<Result<_, _>>()?),
                other => return Err(format!("maps with keys of type {other} cannot be compared")),
            };
            let values = tensor(&entries.values().cloned().collect(), *value)?.data().clone();
            Ok(Value::Map { keys, values })
        }
    }
}

fn tensor(json: &Json, element_type: ElementType) -> Result<Tensor, String> {
    let json = json.to_string();
    let document: TensorDocument<'_> = serde_json::from_str(&json).map_err(|error| error.to_string())?;
    let mut violations = Violations::default();
    document.tensor("", element_type, &mut violations).ok_or_else(|| {
        let first = violations.listed.into_iter().next();
        first.map_or_else(String::new, |fault| format!("{} at `{}`", fault.message, fault.path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_small_cases_remain_as_examples() {
        let case = |values: usize| GoldenDocument {
            inputs: BTreeMap::from([("x".to_owned(), vec![0; values].into())]),
            outputs: BTreeMap::new(),
        };
        assert_eq!(examples(&vec![case(1); 20]).len(), MAX_EXAMPLES);
        let sizes = |cases: &[GoldenDocument]| -> Vec<usize> {
            cases.iter().map(|case| case.inputs["x"].as_array().unwrap().len()).collect()
        };
        assert_eq!(sizes(&examples(&[case(3000), case(9000), case(4000), case(4)])), [3000, 4000, 4]);
    }

    #[test]
    fn sequences_and_maps_are_read_in_full_and_in_short() {
        let maps = ValueKind::Map { key: ElementType::I64, value: ElementType::F32 };
        let kind = ValueKind::Sequence(Box::new(maps));
        let expected = Value::Sequence(vec![Value::Map {
            keys: TensorData::I64(vec![0, 1].into()),
            values: TensorData::F32(vec![0.25, 0.75].into()),
        }]);
        for json in [r#"[{"0":0.25,"1":0.75}]"#, r#"{"sequence":[{"map":{"0":0.25,"1":0.75}}]}"#] {
            assert_eq!(value(&serde_json::from_str(json).unwrap(), &kind).as_ref(), Ok(&expected), "{json}");
        }
        let message = value(&serde_json::json!([{"a": 1}]), &kind).unwrap_err();
        assert_eq!(message, "the key `a` is not a whole number");
    }
}
