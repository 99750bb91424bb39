//! A native prediction request.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeSeed, Error, MapAccess, Visitor},
};
use utoipa::ToSchema;
use validator::{Validate, ValidationError, ValidationErrors};

use crate::{
    codec::{BodyError, ListOfRows, RowBase, body::parse_valid_seed},
    model::{Contract, Layout, Row, Rows, RowsReader, TensorDocuments},
};

/// One row as `features`, many as `instances`, or whole tensors as `inputs`. A row is a list of values in the order of
/// the model's features, or an object of values by feature name. Every model takes tensors.
#[derive(ToSchema)]
#[schema(as = PredictRequest)]
#[expect(dead_code, reason = "only its schema is used")]
pub struct PredictRequestDocument {
    /// One row
    features: Option<RowDocument>,
    /// Many rows
    instances: Option<Vec<RowDocument>>,
    /// A tensor for each input, by name
    inputs: Option<BTreeMap<String, InputDocument>>,
}

/// A request, with its rows in the form that the caller sent ([`Row`]) or in the form that the model takes ([`Rows`]).
#[derive(Debug)]
pub struct PredictRequest<'b, R = Vec<Row>> {
    features: Option<R>,
    instances: Option<R>,
    inputs: Option<TensorDocuments<'b>>,
}

/// The inputs of a request, in one of two forms.
#[derive(Debug)]
pub enum RequestInputs<'b, R = Vec<Row>> {
    /// Rows, and the form they were sent in.
    Rows(R, RowBase),
    /// Whole tensors.
    Inputs(TensorDocuments<'b>),
}

impl<'b> PredictRequest<'b, Rows> {
    /// Reads a request for a model whose rows have this layout. Rows become its inputs as they are read; without a
    /// layout they are only counted.
    ///
    /// # Errors
    ///
    /// As [`parse_valid`](crate::codec::parse_valid).
    pub fn read(body: &'b [u8], model: Option<(&Layout, &Contract)>) -> Result<Self, BodyError> {
        parse_valid_seed(body, RequestSeed(AsInputs(model)))
    }
}

impl<'b, R> PredictRequest<'b, R> {
    /// Returns the only form of inputs in the request.
    #[must_use]
    pub fn asked(self) -> RequestInputs<'b, R> {
        match (self.features, self.instances, self.inputs) {
            (Some(row), ..) => RequestInputs::Rows(row, RowBase::Features),
            (None, Some(many), _) => RequestInputs::Rows(many, RowBase::Instances),
            (None, None, inputs) => RequestInputs::Inputs(inputs.unwrap_or_default()),
        }
    }
}

impl<R: CountRows> Validate for PredictRequest<'_, R> {
    fn validate(&self) -> Result<(), ValidationErrors> {
        exactly_one_of(self).map_err(|error| {
            let mut errors = ValidationErrors::new();
            errors.add("__all__", error);
            errors
        })
    }
}

impl<'de> Deserialize<'de> for PredictRequest<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RequestSeed(AsSent).deserialize(deserializer)
    }
}

/// Rows that can be counted.
pub trait CountRows {
    /// Returns the number of rows.
    fn count_rows(&self) -> usize;
}

impl CountRows for Vec<Row> {
    fn count_rows(&self) -> usize {
        self.len()
    }
}

impl CountRows for Rows {
    fn count_rows(&self) -> usize {
        self.count()
    }
}

/// A form that rows are read into.
trait ReadRows: Copy {
    type Rows;

    fn read_one<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Rows, D::Error>;

    fn read_many<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Rows, D::Error>;
}

/// The form that the caller sent.
#[derive(Clone, Copy)]
struct AsSent;

impl ReadRows for AsSent {
    type Rows = Vec<Row>;

    fn read_one<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Row>, D::Error> {
        Ok(vec![Row::deserialize(deserializer)?])
    }

    fn read_many<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Row>, D::Error> {
        Vec::deserialize(deserializer)
    }
}

/// The form that the model takes; `None` to count the rows.
#[derive(Clone, Copy)]
struct AsInputs<'l>(Option<(&'l Layout, &'l Contract)>);

impl<'l> AsInputs<'l> {
    fn reader(self) -> RowsReader<'l> {
        match self.0 {
            Some((layout, contract)) => RowsReader::new(Some(layout), contract),
            None => RowsReader::counting(),
        }
    }
}

impl ReadRows for AsInputs<'_> {
    type Rows = Rows;

    fn read_one<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<Rows, D::Error> {
        let mut reader = self.reader();
        reader.push(Row::deserialize(deserializer)?);
        Ok(reader.finish())
    }

    fn read_many<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<Rows, D::Error> {
        let mut reader = self.reader();
        ListOfRows(&mut reader).deserialize(deserializer)?;
        Ok(reader.finish())
    }
}

/// The members of a request.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Member {
    Features,
    Instances,
    Inputs,
}

#[derive(Clone, Copy)]
struct RequestSeed<F>(F);

impl<'de, F: ReadRows> DeserializeSeed<'de> for RequestSeed<F> {
    type Value = PredictRequest<'de, F::Rows>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_struct("PredictRequest", &["features", "instances", "inputs"], self)
    }
}

impl<'de, F: ReadRows> Visitor<'de> for RequestSeed<F> {
    type Value = PredictRequest<'de, F::Rows>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("struct PredictRequest")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let (mut features, mut instances, mut inputs) = (None, None, None);
        let duplicate = |name| Err(A::Error::duplicate_field(name));
        while let Some(member) = members.next_key()? {
            match member {
                Member::Features if features.is_some() => return duplicate("features"),
                Member::Instances if instances.is_some() => return duplicate("instances"),
                Member::Inputs if inputs.is_some() => return duplicate("inputs"),
                Member::Features => {
                    features = Some(members.next_value_seed(RowsSeed { form: self.0, many: false })?);
                }
                Member::Instances => {
                    instances = Some(members.next_value_seed(RowsSeed { form: self.0, many: true })?);
                }
                Member::Inputs => inputs = Some(members.next_value()?),
            }
        }
        let (features, instances) = (features.flatten(), instances.flatten());
        Ok(PredictRequest { features, instances, inputs: inputs.flatten() })
    }
}

/// Seed that reads one row or many, or null.
struct RowsSeed<F> {
    form: F,
    many: bool,
}

impl<'de, F: ReadRows> DeserializeSeed<'de> for RowsSeed<F> {
    type Value = Option<F::Rows>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, F: ReadRows> Visitor<'de> for RowsSeed<F> {
    type Value = Option<F::Rows>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("option")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let rows =
            if self.many { self.form.read_many(deserializer) } else { self.form.read_one(deserializer) };
        rows.map(Some)
    }
}

fn exactly_one_of<R: CountRows>(request: &PredictRequest<'_, R>) -> Result<(), ValidationError> {
    let given = [request.features.is_some(), request.instances.is_some(), request.inputs.is_some()];
    if given.into_iter().filter(|given| *given).count() != 1 {
        let message = "expected one of `features` (one row), `instances` (a list of rows) and `inputs` (tensors by name)";
        return Err(ValidationError::new("exactly_one_of").with_message(message.into()));
    }
    if request.instances.as_ref().is_some_and(|rows| rows.count_rows() == 0) {
        return Err(
            ValidationError::new("no_rows").with_message("expected at least one row in `instances`".into())
        );
    }
    Ok(())
}

/// A row.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(examples(json!([5.1, 3.5, 1.4, 0.2])))]
#[expect(dead_code, reason = "only its schema is used")]
enum RowDocument {
    /// Values in the order of the model's features
    Positional(Vec<CellDocument>),
    /// Values by feature name
    Named(BTreeMap<String, CellDocument>),
}

/// A value of a row: a number, a text, true or false; null if the contract has a replacement for it.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum CellDocument {
    /// A number
    Number(f64),
    /// A text
    Text(String),
    /// true or false
    Truth(bool),
    /// No value
    Null(()),
}

/// A tensor: nested lists, one bare value, or flat elements with their shape. The texts `NaN`, `Infinity` and
/// `-Infinity` stand for these numbers.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(examples(json!([[5.1, 3.5, 1.4, 0.2]])))]
#[expect(dead_code, reason = "only its schema is used")]
enum InputDocument {
    /// Elements with their shape
    Flat {
        /// The size of each dimension
        shape: Vec<usize>,
        /// The elements, row-major
        data: Vec<CellDocument>,
        /// The element type, which must be the model's
        datatype: Option<String>,
    },
    /// Nested lists
    #[schema(value_type = Vec<Value>)]
    Nested(Vec<serde_json::Value>),
    /// A tensor without dimensions
    Bare(CellDocument),
}
