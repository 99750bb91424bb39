//! Operators of `ai.onnx.ml`, and operators on strings.

use super::{
    AttributeValue, Operation,
    arrange::with_size,
    value::{Rows, Size, Stop, Value},
};

pub(super) fn ml(operation: &Operation<'_>) -> Option<Result<Vec<Value>, Stop>> {
    Some(match operation.node.operator.as_str() {
        "Binarizer" | "Scaler" | "Imputer" | "LabelEncoder" | "CategoryMapper" => each(operation),
        "Normalizer" => samples(operation, |rows| vec![Value::Rows(rows.clone())]),
        "LinearRegressor" | "SVMRegressor" | "TreeEnsembleRegressor" | "TreeEnsemble" => {
            samples(operation, |_| vec![matrix()])
        }
        "LinearClassifier" | "SVMClassifier" | "TreeEnsembleClassifier" => {
            samples(operation, |_| vec![Value::rows(0, Some(vec![Size::Rows])), matrix()])
        }
        "ZipMap" => samples(operation, |_| vec![Value::rows(0, None)]),
        "OneHotEncoder" => each(operation).map(|outputs| outputs.into_iter().map(with_one_more).collect()),
        "FeatureVectorizer" => features(operation),
        "ArrayFeatureExtractor" => extracted(operation).map(|value| vec![value]),
        _ => return None,
    })
}

/// Handles operators on strings in other domains.
pub(super) fn text(operation: &Operation<'_>) -> Option<Result<Vec<Value>, Stop>> {
    Some(match operation.node.operator.as_str() {
        "StringNormalizer" => normalized(operation),
        "Tokenizer" => tokens(operation),
        "TfIdfVectorizer" => words(operation),
        "StringSplit" => Err(Stop::Coupled("pads rows to the longest one".to_owned())),
        "RegexFullMatch" => each(operation),
        _ => return None,
    })
}

/// Handles operators that work element by element.
fn each(operation: &Operation<'_>) -> Result<Vec<Value>, Stop> {
    let rows = operation.first()?;
    operation.fixed_from(1)?;
    Ok(vec![Value::Rows(rows.clone())])
}

fn matrix() -> Value {
    Value::rows(0, Some(vec![Size::Rows, Size::Other]))
}

/// Returns an error unless the value is a matrix with a sample in each row: to these operators a vector is one sample.
fn is_samples(rows: &Rows) -> Result<(), Stop> {
    match (rows.rank()?, rows.axis) {
        (2, 0) => Ok(()),
        (1, _) => Err(Stop::Coupled("takes all rows for one sample".to_owned())),
        (2, _) => Err(Stop::Coupled("takes the rows for features".to_owned())),
        _ => Err(Stop::Unknown("takes more dimensions than are analysed".to_owned())),
    }
}

fn samples(operation: &Operation<'_>, outputs: impl Fn(&Rows) -> Vec<Value>) -> Result<Vec<Value>, Stop> {
    let rows = operation.first()?;
    operation.fixed_from(1)?;
    is_samples(rows)?;
    Ok(outputs(rows))
}

fn with_one_more(value: Value) -> Value {
    match value {
        Value::Rows(Rows { axis, shape }) => {
            let shape = shape.map(|mut shape| {
                shape.push(Size::Other);
                shape
            });
            Value::rows(axis, shape)
        }
        other => other,
    }
}

fn features(operation: &Operation<'_>) -> Result<Vec<Value>, Stop> {
    for value in operation.inputs.iter().flatten() {
        match value {
            Value::Rows(rows) => is_samples(rows)?,
            _ => return Err(Stop::Unknown("joins rows with a constant".to_owned())),
        }
    }
    Ok(vec![matrix()])
}

/// Extracts columns of the innermost dimension, or, from a list, the element that each row selects.
fn extracted(operation: &Operation<'_>) -> Result<Value, Stop> {
    match (operation.inputs.first().copied().flatten(), operation.inputs.get(1).copied().flatten()) {
        (Some(Value::Rows(rows)), Some(columns)) if !columns.has_rows() => {
            let last = rows.rank()? - 1;
            if rows.axis == last {
                return Err(Stop::Coupled("takes rows by their position".to_owned()));
            }
            Ok(Value::Rows(with_size(rows, last, Size::Other)))
        }
        (Some(list), Some(Value::Rows(asked))) if !list.has_rows() && asked.is_outermost() => {
            let unknown = || Stop::Unknown("takes a constant of unknown shape".to_owned());
            let mut shape = list.fixed_shape().ok_or_else(unknown)?;
            // The result for a list is a matrix of one row.
            if shape.len() == 1 {
                shape.insert(0, Size::Known(1));
            }
            *shape.last_mut().ok_or_else(unknown)? = Size::Rows;
            Ok(Value::rows(shape.len() - 1, Some(shape)))
        }
        _ => Err(Stop::Coupled("takes rows by their position".to_owned())),
    }
}

/// Handles normalization: without stop words each string remains one; with them, rows vanish.
fn normalized(operation: &Operation<'_>) -> Result<Vec<Value>, Stop> {
    let drops = match operation.node.attribute("stopwords") {
        None => false,
        Some(AttributeValue::List(words)) => !words.is_empty(),
        Some(_) => true,
    };
    if drops {
        return Err(Stop::Coupled("removes the rows that are stop words".to_owned()));
    }
    each(operation)
}

/// Handles tokenizers, which pad rows of tokens to the longest one.
fn tokens(operation: &Operation<'_>) -> Result<Vec<Value>, Stop> {
    let rows = operation.first()?;
    if operation.node.domain != "com.microsoft" || rows.axis != 0 {
        return Err(Stop::Unknown("is not analysed".to_owned()));
    }
    let mut shape =
        rows.shape.clone().ok_or_else(|| Stop::Unknown("takes a value of unknown rank".to_owned()))?;
    shape.push(Size::Mixed);
    Ok(vec![Value::rows(0, Some(shape))])
}

/// Handles word counts, which must not include the padding.
fn words(operation: &Operation<'_>) -> Result<Vec<Value>, Stop> {
    let rows = operation.first()?;
    is_samples(rows)?;
    let is_padded = rows.shape.as_ref().is_some_and(|shape| shape.contains(&Size::Mixed));
    if is_padded {
        let tokenizers = || operation.graph.nodes.iter().filter(|node| node.operator == "Tokenizer");
        let pool = operation.node.list("pool_strings").and_then(|pool| pool.texts());
        let is_apart = |filling: Option<&AttributeValue>| match (filling, pool) {
            (Some(AttributeValue::Text(filling)), Some(pool)) => !pool.contains(filling),
            _ => false,
        };
        if !tokenizers().all(|node| is_apart(node.attribute("pad_value"))) {
            return Err(Stop::Coupled("may count the padding of rows".to_owned()));
        }
    }
    Ok(vec![matrix()])
}
