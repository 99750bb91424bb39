//! A native prediction request.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use utoipa::ToSchema;
use validator::{Validate, ValidationError};

use super::{BodyError, RowBase, body::parse_valid_seed};
use crate::model::{Contract, Layout, Row, Rows, RowsReader, TensorDocuments};

/// One row as `features`, many as `instances`, or whole tensors as `inputs`. A row is a list of values in the order of
/// the model's features, or an object of values by feature name. Every model takes tensors.
#[derive(Debug, Validate, ToSchema)]
#[validate(schema(function = "exactly_one_of"))]
pub struct PredictRequest<'b> {
    /// One row
    #[schema(value_type = Option<RowDocument>)]
    features: Option<RowsGiven>,
    /// Many rows
    #[schema(value_type = Option<Vec<RowDocument>>)]
    instances: Option<RowsGiven>,
    /// A tensor for each input, by name
    #[schema(value_type = Option<BTreeMap<String, InputDocument>>)]
    inputs: Option<TensorDocuments<'b>>,
}

/// The rows that were read.
#[derive(Debug)]
enum RowsGiven {
    /// In the form that the caller sent.
    Values(Vec<Row>),
    /// In the form that the model takes.
    Checked(Rows),
}

/// The inputs of a request, in one of three forms.
#[derive(Debug)]
pub enum RequestInputs<'b> {
    /// Rows, and the form they were sent in.
    Rows(Vec<Row>, RowBase),
    /// Rows that were checked while they were read, and the form they were sent in.
    Checked(Rows, RowBase),
    /// Whole tensors.
    Inputs(TensorDocuments<'b>),
}

impl<'b> PredictRequest<'b> {
    /// Reads a request for a model whose rows have this layout. Rows become its inputs as they are read; without a
    /// layout they are only counted.
    ///
    /// # Errors
    ///
    /// As [`parse_valid`](super::parse_valid).
    pub fn read(body: &'b [u8], model: Option<(&Layout, &Contract)>) -> Result<Self, BodyError> {
        parse_valid_seed(body, RequestSeed { rows: RowsAs::Inputs(model) })
    }

    /// Returns the only form of inputs in the request.
    #[must_use]
    pub fn asked(self) -> RequestInputs<'b> {
        let rows = |rows, base| match rows {
            RowsGiven::Values(rows) => RequestInputs::Rows(rows, base),
            RowsGiven::Checked(rows) => RequestInputs::Checked(rows, base),
        };
        match (self.features, self.instances, self.inputs) {
            (Some(row), ..) => rows(row, RowBase::Features),
            (None, Some(many), _) => rows(many, RowBase::Instances),
            (None, None, inputs) => RequestInputs::Inputs(inputs.unwrap_or_default()),
        }
    }
}

impl RowsGiven {
    fn is_empty(&self) -> bool {
        match self {
            Self::Values(rows) => rows.is_empty(),
            Self::Checked(rows) => rows.count() == 0,
        }
    }
}

impl<'de> Deserialize<'de> for PredictRequest<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RequestSeed { rows: RowsAs::Values }.deserialize(deserializer)
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

/// The form that rows are read into.
#[derive(Clone, Copy)]
enum RowsAs<'l> {
    Values,
    Inputs(Option<(&'l Layout, &'l Contract)>),
}

#[derive(Clone, Copy)]
struct RequestSeed<'l> {
    rows: RowsAs<'l>,
}

impl<'de> DeserializeSeed<'de> for RequestSeed<'_> {
    type Value = PredictRequest<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_struct("PredictRequest", &["features", "instances", "inputs"], self)
    }
}

impl<'de> Visitor<'de> for RequestSeed<'_> {
    type Value = PredictRequest<'de>;

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
                    features = Some(members.next_value_seed(RowsSeed { rows: self.rows, many: false })?);
                }
                Member::Instances => {
                    instances = Some(members.next_value_seed(RowsSeed { rows: self.rows, many: true })?);
                }
                Member::Inputs => inputs = Some(members.next_value()?),
            }
        }
        let (features, instances) = (features.flatten(), instances.flatten());
        Ok(PredictRequest { features, instances, inputs: inputs.flatten() })
    }
}

/// Seed that reads one row or many, or null.
struct RowsSeed<'l> {
    rows: RowsAs<'l>,
    many: bool,
}

impl<'de> DeserializeSeed<'de> for RowsSeed<'_> {
    type Value = Option<RowsGiven>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for RowsSeed<'_> {
    type Value = Option<RowsGiven>;

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
        let model = match self.rows {
            RowsAs::Values if self.many => {
                return Vec::deserialize(deserializer).map(RowsGiven::Values).map(Some);
            }
            RowsAs::Values => {
                return Row::deserialize(deserializer).map(|row| Some(RowsGiven::Values(vec![row])));
            }
            RowsAs::Inputs(model) => model,
        };
        let mut reader = match model {
            Some((layout, contract)) => RowsReader::new(Some(layout), contract),
            None => RowsReader::counting(),
        };
        if self.many {
            ListOfRows(&mut reader).deserialize(deserializer)?;
        } else {
            reader.push(Row::deserialize(deserializer)?);
        }
        Ok(Some(RowsGiven::Checked(reader.finish())))
    }
}

/// Seed that reads a list of rows one after the other.
pub(super) struct ListOfRows<'r, 'l>(pub(super) &'r mut RowsReader<'l>);

impl<'de> DeserializeSeed<'de> for ListOfRows<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ListOfRows<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        while let Some(row) = rows.next_element()? {
            self.0.push(row);
        }
        Ok(())
    }
}

fn exactly_one_of(request: &PredictRequest<'_>) -> Result<(), ValidationError> {
    let given = [request.features.is_some(), request.instances.is_some(), request.inputs.is_some()];
    if given.into_iter().filter(|given| *given).count() != 1 {
        let message = "expected one of `features` (one row), `instances` (a list of rows) and `inputs` (tensors by name)";
        return Err(ValidationError::new("exactly_one_of").with_message(message.into()));
    }
    if request.instances.as_ref().is_some_and(RowsGiven::is_empty) {
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
