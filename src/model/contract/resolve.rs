//! Resolution of a written contract against a model.

use std::collections::HashSet;

use super::{
    Contract, ContractDocument, ContractError, DEFAULT_TOLERANCE, Feature, Missing, classes, golden,
};
use crate::model::{ElementType, GraphFacts, Layout, RowInputs, Signature};

impl Contract {
    /// Checks a contract against the model's signature and graph. If each column of a row is an input of its own, the
    /// inputs are the features unless the contract names some. Facts of the graph are the defaults.
    ///
    /// # Errors
    ///
    /// [`ContractError::Invalid`] when it names something the model does not have, or contradicts itself or the graph.
    pub fn resolve(
        document: ContractDocument,
        signature: &Signature,
        graph: GraphFacts,
    ) -> Result<Self, ContractError> {
        let features = document.features.unwrap_or_default();
        let classes = document.classes.unwrap_or_default();
        check_features(&features)?;
        check_unique("class", classes.iter().map(String::as_str))?;
        let tolerance = tolerance("tolerance", document.tolerance, DEFAULT_TOLERANCE)?;
        let relative_tolerance = self::tolerance("relative_tolerance", document.relative_tolerance, 0.0)?;
        let golden = document.golden.unwrap_or_default();
        let examples = golden::examples(&golden);
        let golden = golden
            .into_iter()
            .enumerate()
            .map(|(index, case)| case.read(index, signature).map_err(ContractError::Invalid))
            .collect::<Result<_, _>>()?;
        let mut contract = Self {
            golden,
            examples,
            tolerance,
            relative_tolerance,
            non_finite_outputs: document.non_finite_outputs.unwrap_or_default(),
            graph,
            ..Self::new(features, classes)
        };
        let layout =
            Layout::of(signature, &contract).map_err(|error| ContractError::Invalid(error.to_string()))?;
        if contract.features.is_empty()
            && let Some(Layout { inputs: RowInputs::Columns(columns), .. }) = &layout
        {
            let features = columns.iter().map(|column| Feature::new(column.input.as_str())).collect();
            let Self { features, columns, .. } = Self::new(features, Vec::new());
            (contract.features, contract.columns) = (features, columns);
        }
        if let Some(layout) = &layout {
            check_keys(&contract.features, layout)?;
            contract.take_defaults(layout);
            classes::check(&contract, signature, layout)?;
        }
        Ok(contract)
    }

    /// Fills in the facts that the graph states about a feature's column and the contract does not.
    fn take_defaults(&mut self, layout: &Layout) {
        let Self { features, graph, .. } = self;
        for (column, feature) in features.iter_mut().enumerate() {
            let facts = layout.place(column).and_then(|(input, place)| graph.columns.get(input, place));
            if feature.missing == Missing::Unspecified {
                let is_float = layout.element_type(column).is_some_and(ElementType::is_float);
                let may_miss = is_float && facts.is_some_and(|facts| facts.missing);
                feature.missing = if may_miss { Missing::Nan } else { Missing::Refuse };
            }
            if let (None, None, Some((least, most))) =
                (feature.minimum, feature.maximum, facts.and_then(|facts| facts.range))
            {
                #[expect(clippy::cast_precision_loss, reason = "tables of more rows than 2^53 do not exist")]
                let bounds = (least as f64, most as f64);
                (feature.minimum, feature.maximum) = (Some(bounds.0), Some(bounds.1));
            }
        }
    }

    /// Reads a contract and checks it against the model's signature, without facts of the graph.
    ///
    /// # Errors
    ///
    /// As [`ContractDocument::parse_json`] and [`Contract::resolve`].
    pub fn parse(json: &str, signature: &Signature) -> Result<Self, ContractError> {
        Self::resolve(ContractDocument::parse_json(json)?, signature, GraphFacts::default())
    }
}

fn tolerance(field: &str, given: Option<f64>, default: f64) -> Result<f64, ContractError> {
    match given {
        Some(tolerance) if !(tolerance.is_finite() && tolerance >= 0.0) => {
            invalid(format!("`{field}` must be zero or greater"))
        }
        given => Ok(given.unwrap_or(default)),
    }
}

fn invalid<T>(message: String) -> Result<T, ContractError> {
    Err(ContractError::Invalid(message))
}

fn check_features(features: &[Feature]) -> Result<(), ContractError> {
    check_unique("feature", features.iter().map(|feature| feature.name.as_str()))?;
    for Feature { name, minimum, maximum, .. } in features {
        if let (Some(minimum), Some(maximum)) = (minimum, maximum)
            && minimum > maximum
        {
            return invalid(format!(
                "feature `{name}` has the minimum {minimum} above its maximum {maximum}"
            ));
        }
    }
    Ok(())
}

/// Refuses what only numbers can have in columns of texts and truth values.
fn check_keys(features: &[Feature], layout: &Layout) -> Result<(), ContractError> {
    for (column, feature) in features.iter().enumerate() {
        let kind = match layout.element_type(column) {
            Some(ElementType::String) => "texts",
            Some(ElementType::Bool) => "true and false",
            _ => continue,
        };
        let Feature { name, unit, minimum, maximum, .. } = feature;
        let keys = [("minimum", minimum.is_some()), ("maximum", maximum.is_some()), ("unit", unit.is_some())];
        let given: Vec<String> =
            keys.iter().filter(|(_, is_given)| *is_given).map(|(key, _)| format!("`{key}`")).collect();
        let (are, them) = if given.len() == 1 { ("is", "it") } else { ("are", "them") };
        if !given.is_empty() {
            let given = given.join(" and ");
            return invalid(format!(
                "feature `{name}`: {given} {are} for numbers, and its column takes {kind}: remove {them}"
            ));
        }
    }
    Ok(())
}

fn check_unique<'a>(kind: &str, names: impl Iterator<Item = &'a str>) -> Result<(), ContractError> {
    let mut seen = HashSet::new();
    for name in names {
        if name.is_empty() {
            return invalid(format!("a {kind} has no name"));
        }
        if !seen.insert(name) {
            return invalid(format!("the {kind} `{name}` occurs twice"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Dimension, ElementType, Tensor, TensorData, ValueSpec};

    fn signature() -> Signature {
        let rows = || Dimension::Dynamic("N".to_owned());
        Signature {
            inputs: vec![ValueSpec::tensor("x", ElementType::F32, vec![rows(), Dimension::Fixed(2)])],
            outputs: vec![ValueSpec::tensor("label", ElementType::I64, vec![rows()])],
        }
    }

    fn problem(json: &str) -> String {
        Contract::parse(json, &signature()).unwrap_err().to_string()
    }

    #[test]
    fn reads_features_classes_and_golden_cases() {
        let json = r#"{"features":[{"name":"a","unit":"cm","minimum":0,"maximum":1},{"name":"b"}],
            "classes":["no","yes"],"golden":[{"inputs":{"x":[[1,2.5]]},"outputs":{"label":[1]}}]}"#;
        let contract = Contract::parse(json, &signature()).unwrap();
        assert_eq!(contract.features[0].maximum, Some(1.0));
        assert_eq!(contract.classes, ["no", "yes"]);
        let case = &contract.golden[0];
        assert_eq!(
            case.inputs[0].1,
            Tensor::new(vec![1, 2], TensorData::F32(vec![1.0, 2.5].into())).unwrap()
        );
        assert_eq!(case.outputs[0].1, Tensor::new(vec![1], TensorData::I64(vec![1].into())).unwrap().into());
        assert!((contract.tolerance - DEFAULT_TOLERANCE).abs() < f64::EPSILON);
    }

    #[test]
    fn where_columns_are_inputs_they_are_the_features() {
        let column =
            |name| ValueSpec::tensor(name, ElementType::F32, vec![Dimension::Dynamic(String::new())]);
        let signature = Signature { inputs: vec![column("a"), column("b")], outputs: Vec::new() };
        let contract =
            Contract::resolve(ContractDocument::default(), &signature, GraphFacts::default()).unwrap();
        assert_eq!((contract.features.len(), contract.column("b")), (2, Some(1)));
    }

    #[test]
    fn what_only_numbers_have_is_refused_for_texts_and_truth_values() {
        let problem = |element_type, keys: &str| {
            let shape = vec![Dimension::Dynamic("N".to_owned()), Dimension::Fixed(2)];
            let inputs = vec![ValueSpec::tensor("x", element_type, shape)];
            let signature = Signature { inputs, outputs: Vec::new() };
            let json = format!(r#"{{"features":[{{"name":"a"}},{{"name":"b",{keys}}}]}}"#);
            Contract::parse(&json, &signature).map(drop).map_err(|error| error.to_string())
        };
        let (text, truth) = (ElementType::String, ElementType::Bool);
        for (element_type, keys, part) in [
            (text, r#""minimum":1"#, "`b`: `minimum` is for numbers, and its column takes texts: remove it"),
            (text, r#""maximum":1,"unit":"cm""#, "`maximum` and `unit` are for numbers, and its column"),
            (truth, r#""unit":"cm""#, "its column takes true and false: remove it"),
            (
                text,
                r#""missing":"nan""#,
                "`missing`: texts have no NaN: write \"refuse\", or a text in its place",
            ),
            (truth, r#""missing":"nan""#, "write \"refuse\", true or false"),
            (ElementType::I64, r#""missing":"nan""#, "INT64 has no NaN: write \"refuse\", or a whole number"),
        ] {
            let message = problem(element_type, keys).unwrap_err();
            assert!(message.contains(part), "{keys}: {message}");
        }
        assert_eq!(problem(text, r#""missing":{"default":"nan"}"#), Ok(()));
        assert_eq!(problem(ElementType::I64, r#""unit":"cm","minimum":0"#), Ok(()));
    }

    #[test]
    fn names_what_is_wrong() {
        for (json, part) in [
            ("[]", "cannot be read"),
            (r#"{"feature":[]}"#, "did you mean `features`?"),
            (r#"{"features":[{"name":"a"},{"name":"a"}]}"#, "the feature `a` occurs twice"),
            (r#"{"features":[{"name":""}]}"#, "a feature has no name"),
            (r#"{"features":[{"name":"a","minimum":2,"maximum":1}]}"#, "minimum 2 above its maximum 1"),
            (r#"{"tolerance":-1}"#, "`tolerance`"),
            (r#"{"relative_tolerance":-1}"#, "`relative_tolerance`"),
            (r#"{"non_finite_outputs":"maybe"}"#, "unknown variant `maybe`"),
            (r#"{"features":[{"name":"a"}]}"#, "1 features are named"),
            (
                r#"{"golden":[{"inputs":{},"outputs":{"label":[1]}}]}"#,
                "golden case 0, input `x`: `x` (FP32 [N, 2]) is required",
            ),
            (r#"{"golden":[{"inputs":{"x":[[1,2]]},"outputs":{}}]}"#, "compares no output"),
            (r#"{"golden":[{"inputs":{"x":[[1,2]]},"outputs":{"y":[1]}}]}"#, "has no output `y`"),
            (
                r#"{"golden":[{"inputs":{"x":[[1,2],[3]]},"outputs":{"label":[1]}}]}"#,
                "input `x/1`: expected a list of 2 items",
            ),
            (
                r#"{"golden":[{"inputs":{"x":[[1,2]]},"outputs":{"label":[1.5]}}]}"#,
                "expected a whole number, got 1.5 at `/0`",
            ),
        ] {
            let message = problem(json);
            assert!(message.contains(part), "{json}: {message}");
        }
    }
}
