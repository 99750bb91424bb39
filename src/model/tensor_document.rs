//! Tensors as JSON: nested lists, or flat elements with their shape. Only this module turns such text into a tensor.
//!
//! A document is parsed before it is checked, so that one response can list everything that is wrong with it.

mod read;

use self::read::Values;
use super::{
    Cell, ElementType, InputViolation, Tensor, TensorData, Violations,
    element::{elements, non_finite, objection},
};

/// The most values in memory before they become elements of a tensor.
const BATCH_VALUES: usize = 16 * 1024;

/// The text of one tensor in a request.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorDocument<'b> {
    shape: Vec<usize>,
    /// The text of the elements, row-major; empty if they are missing.
    elements: &'b str,
    form: Form,
    /// The element type that the request names; `None` if it names none.
    datatype: Option<String>,
    /// Faults of the form: the location within the document, and the message.
    faults: Vec<(String, String)>,
}

/// Tensors by input name, in the order of the request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TensorDocuments<'b>(pub Vec<(String, TensorDocument<'b>)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Nested lists, or one bare value.
    Nested,
    /// `{"shape": […], "data": […]}`.
    Flat,
}

impl TensorDocument<'_> {
    /// Returns true if it is `null`, which is not a tensor.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.form == Form::Nested && self.elements == "null"
    }

    /// Converts it to a tensor of this element type; `None` if it has faults, which are added to the violations.
    pub(super) fn tensor(
        &self,
        input: &str,
        element_type: ElementType,
        violations: &mut Violations<InputViolation>,
    ) -> Option<Tensor> {
        let before = violations.total;
        let mut add = |path: String, code, message: String| {
            violations.add(|| InputViolation { input: input.to_owned(), path, code, message });
        };
        for (path, message) in &self.faults {
            add(path.clone(), "wrong_form", message.clone());
        }
        if let Some(datatype) = self.datatype.as_deref().filter(|given| *given != element_type.name()) {
            add(
                "/datatype".to_owned(),
                "wrong_datatype",
                format!("the model takes {element_type}, not {datatype}"),
            );
        }
        if !self.faults.is_empty() {
            return None;
        }
        let data = self.elements(element_type, |index, code, message| add(self.path(index), code, message));
        if violations.total > before {
            return None;
        }
        match Tensor::new(self.shape.clone(), data) {
            Ok(tensor) => Some(tensor),
            Err(error) => {
                violations.add(|| InputViolation {
                    input: input.to_owned(),
                    path: String::new(),
                    code: "wrong_shape",
                    message: error.to_string(),
                });
                None
            }
        }
    }

    /// Converts the elements. `fault` is called for each invalid value, and the result is then incomplete.
    fn elements(
        &self,
        element_type: ElementType,
        mut fault: impl FnMut(usize, &'static str, String),
    ) -> TensorData {
        let mut data = elements(&[], element_type);
        let mut batch: Vec<Cell> = Vec::new();
        let mut is_right = true;
        let mut flush = |batch: &mut Vec<Cell>| {
            let cells: Vec<&Cell> = batch.iter().collect();
            let part = elements(&cells, element_type);
            if data.is_empty() {
                data = part;
            } else {
                // Never refused, as both have the same type.
                data.append(part);
            }
            batch.clear();
        };
        for (index, cell) in Values::new(self.elements, self.form).enumerate() {
            let stands_for_number =
                matches!(&cell, Cell::Text(text) if element_type.is_float() && non_finite(text).is_some());
            if !stands_for_number && let Some((code, message)) = objection(&cell, element_type, None) {
                fault(index, code, message);
                is_right = false;
            }
            if is_right {
                batch.push(cell);
            }
            if batch.len() == BATCH_VALUES {
                flush(&mut batch);
            }
        }
        flush(&mut batch);
        data
    }

    /// Returns the location of an element, as a JSON pointer within the document.
    fn path(&self, index: usize) -> String {
        match self.form {
            Form::Flat => format!("/data/{index}"),
            Form::Nested => {
                let mut rest = index;
                let mut steps: Vec<String> = Vec::with_capacity(self.shape.len());
                for &size in self.shape.iter().rev() {
                    steps.push(format!("/{}", rest % size.max(1)));
                    rest /= size.max(1);
                }
                steps.into_iter().rev().collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str, element_type: ElementType) -> Result<Tensor, Vec<(String, &'static str)>> {
        let document: TensorDocument = serde_json::from_str(json).unwrap();
        let mut violations = Violations::default();
        let tensor = document.tensor("x", element_type, &mut violations);
        let faults: Vec<_> = violations.listed.into_iter().map(|fault| (fault.path, fault.code)).collect();
        if faults.is_empty() { Ok(tensor.unwrap()) } else { Err(faults) }
    }

    fn fault(json: &str, element_type: ElementType) -> (String, &'static str) {
        let mut faults = read(json, element_type).unwrap_err();
        assert_eq!(faults.len(), 1, "{json}: {faults:?}");
        faults.remove(0)
    }

    #[test]
    fn nested_lists_flat_data_and_bare_values_are_tensors() {
        let tensor = |shape: &[usize], data: &[i64]| {
            Tensor::new(shape.to_vec(), TensorData::I64(data.to_vec().into()))
        };
        for (json, expected) in [
            ("[[1,2,3],[4,5,6]]", tensor(&[2, 3], &[1, 2, 3, 4, 5, 6])),
            (r#"{"shape":[2,3],"data":[1,2,3,4,5,6]}"#, tensor(&[2, 3], &[1, 2, 3, 4, 5, 6])),
            (r#"{"data":[7],"datatype":"INT64","shape":[]}"#, tensor(&[], &[7])),
            ("7", tensor(&[], &[7])),
            ("[]", tensor(&[0], &[])),
            ("[[],[]]", tensor(&[2, 0], &[])),
            (r#"{"shape":[0,3],"data":[]}"#, tensor(&[0, 3], &[])),
            ("[9007199254740993]", tensor(&[1], &[9_007_199_254_740_993])),
        ] {
            assert_eq!(read(json, ElementType::I64), Ok(expected.unwrap()), "{json}");
        }
    }

    #[test]
    fn every_fault_has_its_place() {
        for (json, element_type, path, code) in [
            ("[[1,2],[3,300]]", ElementType::U8, "/1/1", "does_not_fit"),
            (r#"{"shape":[4],"data":[1,2,3,300]}"#, ElementType::U8, "/data/3", "does_not_fit"),
            ("[1.5]", ElementType::I64, "/0", "not_an_integer"),
            ("[1e39]", ElementType::F32, "/0", "does_not_fit"),
            ("[70000]", ElementType::F16, "/0", "does_not_fit"),
            (r#"["NaN"]"#, ElementType::I64, "/0", "not_a_number"),
            (r#"["nan"]"#, ElementType::F32, "/0", "not_a_number"),
            ("[[1,2],[3]]", ElementType::F32, "/1", "wrong_form"),
            ("[1,[2]]", ElementType::F32, "/1", "wrong_form"),
            ("[[1],2]", ElementType::F32, "/1", "wrong_form"),
            ("[[],2]", ElementType::F32, "/1", "wrong_form"),
            ("[[],[[]]]", ElementType::F32, "/1", "wrong_form"),
            (r#"[{"a":1}]"#, ElementType::F32, "/0", "not_a_number"),
            (r#"{"shape":[2],"data":[1]}"#, ElementType::F32, "", "wrong_shape"),
            (r#"{"shape":[1,-1],"data":[1]}"#, ElementType::F32, "/shape/1", "wrong_form"),
            (r#"{"shape":[1],"data":1}"#, ElementType::F32, "/data", "wrong_form"),
            (r#"{"shape":[1],"data":[[1]]}"#, ElementType::F32, "/data/0", "not_a_number"),
            (r#"{"data":[1]}"#, ElementType::F32, "", "wrong_form"),
            (r#"{"shape":[1]}"#, ElementType::F32, "", "wrong_form"),
            (r#"{"shape":[1],"data":[1],"type":"FP32"}"#, ElementType::F32, "/type", "wrong_form"),
            (
                r#"{"shape":[1],"data":[1],"datatype":"FP64"}"#,
                ElementType::F32,
                "/datatype",
                "wrong_datatype",
            ),
            ("null", ElementType::F32, "", "not_a_number"),
        ] {
            assert_eq!(fault(json, element_type), (path.to_owned(), code), "{json}");
        }
    }

    #[test]
    fn texts_name_the_numbers_that_json_has_not() {
        let tensor = read(r#"["NaN","Infinity","-Infinity"]"#, ElementType::F64).unwrap();
        let TensorData::F64(numbers) = tensor.data() else { panic!("{tensor:?}") };
        assert!(numbers[0].is_nan());
        assert_eq!(numbers[1..], [f64::INFINITY, f64::NEG_INFINITY]);
        let texts = read(r#"["NaN"]"#, ElementType::String).unwrap();
        assert_eq!(*texts.data(), TensorData::String(vec!["NaN".to_owned()]));
    }
}
