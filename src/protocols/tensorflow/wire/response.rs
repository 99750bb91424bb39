//! Outputs of a model as nested lists, by row or by output.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::json;

use crate::model::{Constants, ElementType, Scalar, Signature, Tensor, TensorData, Value};

/// Suffix of outputs that hold bytes: their texts are written in base64.
pub(in crate::protocols::tensorflow) const BYTES_SUFFIX: &str = "_bytes";

/// The error of an output that does not hold one row for each row that was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "output `{output}` does not hold {rows} rows, one for each that was sent: send whole tensors as `inputs`"
)]
pub struct NotPredictions {
    /// The output.
    pub output: String,
    /// Number of rows that were sent.
    pub rows: usize,
}

/// The response by row: values if the model has one output, else objects of values by output name.
#[derive(Debug)]
pub struct Predictions<'v> {
    rows: usize,
    outputs: Vec<Output<'v>>,
}

#[derive(Debug)]
struct Output<'v> {
    name: &'v str,
    value: ByRow<'v>,
}

#[derive(Debug)]
enum ByRow<'v> {
    /// A tensor whose outermost dimension counts the rows.
    Tensor(&'v Tensor),
    /// A map for each row.
    Maps(&'v [Value]),
    /// Several tensors whose outermost dimension counts the rows, as of a model with several targets.
    Tensors(Vec<&'v Tensor>),
    /// One value for all rows.
    Constant(&'v Value),
    /// An optional output that is absent.
    Absent,
}

impl<'v> Predictions<'v> {
    /// Arranges the values of a run on `rows` rows, which are in the order of the signature.
    ///
    /// # Errors
    ///
    /// If an output that varies by row holds another number of rows.
    pub fn new(
        rows: usize,
        signature: &'v Signature,
        constants: &Constants,
        values: &'v [Value],
    ) -> Result<Self, NotPredictions> {
        let output = |(index, (spec, value)): (usize, (&'v crate::model::ValueSpec, &'v Value))| {
            let not_by_row = || NotPredictions { output: spec.name.clone(), rows };
            let constant = constants.contains(index).then_some(ByRow::Constant(value));
            let value = constant.or_else(|| by_row(value, rows)).ok_or_else(not_by_row)?;
            Ok(Output { name: &spec.name, value })
        };
        let outputs = signature.outputs.iter().zip(values).enumerate();
        let outputs = outputs.map(output).collect::<Result<_, _>>()?;
        Ok(Self { rows, outputs })
    }
}

fn by_row<'v>(value: &'v Value, rows: usize) -> Option<ByRow<'v>> {
    let holds = |tensor: &Tensor| tensor.shape().first() == Some(&rows);
    match value {
        Value::Tensor(tensor) => holds(tensor).then_some(ByRow::Tensor(tensor)),
        Value::Sequence(maps) if maps.iter().all(|item| matches!(item, Value::Map { .. })) => {
            (maps.len() == rows).then_some(ByRow::Maps(maps))
        }
        Value::Sequence(items) => {
            let tensor = |item: &'v Value| match item {
                Value::Tensor(tensor) if holds(tensor) => Some(tensor),
                _ => None,
            };
            items.iter().map(tensor).collect::<Option<_>>().map(ByRow::Tensors)
        }
        Value::Map { .. } => None,
        Value::Absent => Some(ByRow::Absent),
    }
}

impl Serialize for Predictions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((0..self.rows).map(|row| OneRow(self, row)))
    }
}

struct OneRow<'p>(&'p Predictions<'p>, usize);

impl Serialize for OneRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(predictions, row) = *self;
        match predictions.outputs.as_slice() {
            [only] => OutputRow(only, row).serialize(serializer),
            outputs => {
                serializer.collect_map(outputs.iter().map(|output| (output.name, OutputRow(output, row))))
            }
        }
    }
}

struct OutputRow<'p>(&'p Output<'p>, usize);

impl Serialize for OutputRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(Output { name, value }, row) = *self;
        match value {
            ByRow::Tensor(tensor) => Nested::row(tensor, row, name).serialize(serializer),
            ByRow::Tensors(tensors) => {
                serializer.collect_seq(tensors.iter().map(|tensor| Nested::row(tensor, row, name)))
            }
            ByRow::Maps(maps) => maps.get(row).map(|map| Written(map, name)).serialize(serializer),
            ByRow::Constant(value) => Written(value, name).serialize(serializer),
            ByRow::Absent => serializer.serialize_none(),
        }
    }
}

/// The response by output: a value if the model has one output, else an object of values by name.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'v> {
    /// The declared outputs.
    pub signature: &'v Signature,
    /// The output values, in the order of the signature.
    pub values: &'v [Value],
}

impl Serialize for Columns<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let ([spec], [value]) = (self.signature.outputs.as_slice(), self.values) {
            return Written(value, &spec.name).serialize(serializer);
        }
        let named = self.signature.outputs.iter().zip(self.values);
        serializer.collect_map(named.map(|(spec, value)| (&spec.name, Written(value, &spec.name))))
    }
}

/// A value, with the name of its output.
struct Written<'v>(&'v Value, &'v str);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(value, name) = *self;
        match value {
            Value::Tensor(tensor) => Nested::all(tensor, name).serialize(serializer),
            Value::Sequence(values) => {
                serializer.collect_seq(values.iter().map(|value| Written(value, name)))
            }
            Value::Map { keys, values } => {
                let mut map = serializer.serialize_map(Some(keys.len()))?;
                for index in 0..keys.len() {
                    if let (Some(key), Some(value)) = (keys.get(index), values.get(index)) {
                        map.serialize_entry(&key.to_string(), &value)?;
                    }
                }
                map.end()
            }
            Value::Absent => serializer.serialize_none(),
        }
    }
}

/// A part of a tensor as nested lists.
struct Nested<'t> {
    data: &'t TensorData,
    shape: &'t [usize],
    offset: usize,
    base64: bool,
}

impl<'t> Nested<'t> {
    fn all(tensor: &'t Tensor, output: &str) -> Self {
        let is_text = tensor.data().element_type() == ElementType::String;
        let base64 = is_text && output.ends_with(BYTES_SUFFIX);
        Self { data: tensor.data(), shape: tensor.shape(), offset: 0, base64 }
    }

    fn row(tensor: &'t Tensor, row: usize, output: &str) -> Self {
        Self::all(tensor, output).item(row)
    }

    /// Returns an item of the outermost dimension.
    fn item(&self, index: usize) -> Self {
        let shape = self.shape.get(1..).unwrap_or_default();
        let size: usize = shape.iter().product();
        Self { data: self.data, shape, offset: self.offset + index * size, base64: self.base64 }
    }
}

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.shape.first() {
            Some(&size) => serializer.collect_seq((0..size).map(|index| self.item(index))),
            None => match self.data.get(self.offset) {
                Some(Scalar::Text(text)) if self.base64 => base64_of(text).serialize(serializer),
                element => element.serialize(serializer),
            },
        }
    }
}

fn base64_of(text: &str) -> serde_json::Value {
    use base64::{Engine, engine::general_purpose::STANDARD};
    json!({"b64": STANDARD.encode(text)})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ValueSpec;

    fn signature(names: &[&str]) -> Signature {
        let spec = |name: &&str| ValueSpec::tensor(*name, ElementType::F32, Vec::new());
        Signature { inputs: Vec::new(), outputs: names.iter().map(spec).collect() }
    }

    fn tensor(shape: &[usize], data: impl Into<TensorData>) -> Value {
        Tensor::new(shape.to_vec(), data.into()).unwrap().into()
    }

    fn rows(count: usize, names: &[&str], values: &[Value]) -> Result<String, String> {
        let signature = signature(names);
        let predictions = Predictions::new(count, &signature, &Constants::default(), values);
        let predictions = predictions.map_err(|error| error.output)?;
        Ok(serde_json::to_string(&predictions).unwrap())
    }

    fn columns(names: &[&str], values: &[Value]) -> String {
        let signature = signature(names);
        serde_json::to_string(&Columns { signature: &signature, values }).unwrap()
    }

    fn floats(shape: &[usize], floats: &[f32]) -> Value {
        tensor(shape, TensorData::F32(floats.to_vec().into()))
    }

    fn texts(texts: &[&str]) -> Value {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        tensor(&[texts.len()], TensorData::String(texts))
    }

    #[test]
    fn one_output_is_bare_and_several_have_names() {
        let matrix = floats(&[2, 2], &[0.1, f32::NAN, 2.0, 3.0]);
        assert_eq!(rows(2, &["y"], std::slice::from_ref(&matrix)).unwrap(), r#"[[0.1,"NaN"],[2.0,3.0]]"#);
        assert_eq!(columns(&["y"], std::slice::from_ref(&matrix)), r#"[[0.1,"NaN"],[2.0,3.0]]"#);
        let labels = texts(&["a", "b"]);
        let both = [labels.clone(), floats(&[2], &[1.0, 2.0])];
        let expected = r#"[{"label":"a","score":1.0},{"label":"b","score":2.0}]"#;
        assert_eq!(rows(2, &["label", "score"], &both).unwrap(), expected);
        assert_eq!(columns(&["label", "score"], &both), r#"{"label":["a","b"],"score":[1.0,2.0]}"#);
        assert_eq!(rows(2, &["label_bytes"], &[labels]).unwrap(), r#"[{"b64":"YQ=="},{"b64":"Yg=="}]"#);
    }

    #[test]
    fn maps_keep_their_keys_and_targets_stay_apart() {
        let map =
            Value::Map { keys: TensorData::I64(vec![7].into()), values: TensorData::F32(vec![0.5].into()) };
        let maps = [Value::Sequence(vec![map.clone(), map.clone()])];
        assert_eq!(rows(2, &["p"], &maps).unwrap(), r#"[{"7":0.5},{"7":0.5}]"#);
        assert_eq!(columns(&["p"], &maps), r#"[{"7":0.5},{"7":0.5}]"#);
        let targets = [Value::Sequence(vec![floats(&[1, 2], &[0.0, 1.0]), floats(&[1, 2], &[2.0, 3.0])])];
        assert_eq!(rows(1, &["p"], &targets).unwrap(), "[[[0.0,1.0],[2.0,3.0]]]");
        assert_eq!(rows(1, &["p"], &[Value::Absent]).unwrap(), "[null]");
    }

    #[test]
    fn an_output_of_another_number_of_rows_is_named() {
        let map = || Value::Map { keys: texts_data(&["a"]), values: TensorData::F32(vec![0.5].into()) };
        for value in [floats(&[], &[1.0]), floats(&[3], &[1.0; 3]), map(), Value::Sequence(vec![map()])] {
            assert_eq!(rows(2, &["y"], &[value]), Err("y".to_owned()));
        }
        assert_eq!(columns(&["y"], &[floats(&[], &[1.0])]), "1.0");
    }

    fn texts_data(texts: &[&str]) -> TensorData {
        TensorData::String(texts.iter().map(|&text| text.to_owned()).collect())
    }
}
