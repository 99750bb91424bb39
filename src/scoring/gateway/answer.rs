//! Responses of a gateway as columns. Their types are those of the first predictions.

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    model::non_finite,
    scoring::{
        column::{Column, Texts},
        outputs::OutputPath,
    },
};

/// The bodies of responses for the rows of a block, and their numbers of rows.
#[derive(Default)]
pub(super) struct Answers(Vec<(Bytes, usize)>);

/// The predictions of a response.
#[derive(Deserialize)]
struct Body<'b> {
    #[serde(borrow)]
    predictions: Vec<Prediction<'b>>,
}

/// The prediction of a row.
pub(super) struct Prediction<'b>(Vec<(Cow<'b, str>, &'b RawValue)>);

impl Answers {
    pub(super) fn push(&mut self, body: Bytes, rows: usize) {
        self.0.push((body, rows));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the responses.
    ///
    /// # Errors
    ///
    /// If one does not hold a prediction for each row.
    pub(super) fn parse(&self) -> Result<Vec<Prediction<'_>>, String> {
        let mut all = Vec::new();
        for (body, rows) in &self.0 {
            let body: Body<'_> =
                serde_json::from_slice(body).map_err(|error| format!("the gateway's response: {error}"))?;
            let count = body.predictions.len();
            if count != *rows {
                return Err(format!("the gateway's response holds {count} predictions for {rows} rows"));
            }
            all.extend(body.predictions);
        }
        Ok(all)
    }
}

impl<'de: 'b, 'b> Deserialize<'de> for Prediction<'b> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor).map(Self)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(4);
        while let Some(Name(name)) = entries.next_key()? {
            members.push((name, entries.next_value()?));
        }
        Ok(members)
    }
}

#[derive(Deserialize)]
struct Name<'n>(#[serde(borrow)] Cow<'n, str>);

/// The columns of the predictions.
#[derive(Debug)]
pub(super) struct AnswerPlan(Vec<(OutputPath, Kind)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Integer,
    Number,
    Truth,
    Json,
}

impl AnswerPlan {
    /// Derives the columns from the first predictions.
    pub(super) fn of(predictions: &[Prediction<'_>]) -> Self {
        let mut columns = Vec::new();
        for (member, value) in predictions.first().map(|first| first.0.as_slice()).unwrap_or_default() {
            let is_object = value.get().starts_with('{');
            match serde_json::from_str::<Prediction<'_>>(value.get()) {
                Ok(Prediction(inner)) if is_object => {
                    columns.extend(inner.iter().map(|(name, _)| OutputPath::new(member, Some(name))));
                }
                _ => columns.push(OutputPath::new(member, None)),
            }
        }
        let kinds: Vec<Option<Kind>> = kinds(&columns, predictions);
        let kind = |(path, kind): (OutputPath, Option<Kind>)| (path, kind.unwrap_or(Kind::Json));
        Self(columns.into_iter().zip(kinds).map(kind).collect())
    }

    /// Returns the columns without rows.
    pub(super) fn columns(&self) -> (Vec<OutputPath>, Vec<Column>) {
        self.0.iter().map(|(path, kind)| (path.clone(), kind.empty())).unzip()
    }

    /// Returns the columns of predictions.
    ///
    /// # Errors
    ///
    /// If one does not have the members and types of the first.
    pub(super) fn fill(&self, predictions: &[Prediction<'_>]) -> Result<Vec<Column>, String> {
        let mut columns: Vec<Column> = self.0.iter().map(|(_, kind)| kind.empty()).collect();
        for prediction in predictions {
            let values = Values::of(prediction);
            for ((path, _), column) in self.0.iter().zip(&mut columns) {
                let pushed = values.get(path).and_then(|value| push(column, value));
                pushed.ok_or_else(|| {
                    let name = path.flat();
                    format!("`{name}` in the gateway's response has another type than in the first: was the model replaced?")
                })?;
            }
        }
        Ok(columns)
    }
}

/// Finds the kind of each column that holds the values of all predictions.
fn kinds(columns: &[OutputPath], predictions: &[Prediction<'_>]) -> Vec<Option<Kind>> {
    let mut kinds = vec![None; columns.len()];
    for prediction in predictions {
        let values = Values::of(prediction);
        for (path, kind) in columns.iter().zip(&mut kinds) {
            let own = values.get(path).map_or(Kind::Json, Kind::of);
            *kind = Some(kind.map_or(own, |kind: Kind| kind.joined(own)));
        }
    }
    kinds
}

impl Kind {
    fn of(json: &str) -> Self {
        match json.as_bytes() {
            [b'"', ..] if number(json).is_some() => Self::Number,
            [b'"', ..] => Self::Text,
            [b't' | b'f', ..] => Self::Truth,
            [b'-' | b'0'..=b'9', ..] if json.parse::<i64>().is_ok() => Self::Integer,
            [b'-' | b'0'..=b'9', ..] => Self::Number,
            _ => Self::Json,
        }
    }

    /// Returns the kind that holds values of both.
    fn joined(self, other: Self) -> Self {
        match (self, other) {
            (own, other) if own == other => own,
            (Self::Integer, Self::Number) | (Self::Number, Self::Integer) => Self::Number,
            _ => Self::Json,
        }
    }

    fn empty(self) -> Column {
        match self {
            Self::Text => Column::Texts(Texts::default()),
            Self::Integer => Column::Integers(Vec::new()),
            Self::Number => Column::Doubles(Vec::new()),
            Self::Truth => Column::Bools(Vec::new()),
            Self::Json => Column::Json(Texts::default()),
        }
    }
}

/// Parses a number, or the text that stands for one that JSON does not have.
fn number(json: &str) -> Option<f64> {
    match json.strip_prefix('"') {
        Some(text) => non_finite(text.strip_suffix('"')?),
        None => json.parse().ok(),
    }
}

fn push(column: &mut Column, json: &str) -> Option<()> {
    match column {
        Column::Texts(texts) => texts.push(serde_json::from_str::<Cow<'_, str>>(json).ok()?.as_bytes()),
        Column::Integers(numbers) => numbers.push(json.parse().ok()?),
        Column::Doubles(numbers) => numbers.push(number(json)?),
        Column::Bools(truths) => truths.push(json.parse().ok()?),
        Column::Json(texts) => texts.push(json.as_bytes()),
        _ => return None,
    }
    Some(())
}

/// The members of a prediction, with the members of those that are objects.
struct Values<'p>(Vec<(&'p str, &'p RawValue, Option<Prediction<'p>>)>);

impl<'p> Values<'p> {
    fn of(prediction: &'p Prediction<'_>) -> Self {
        let inner =
            |json: &'p RawValue| json.get().starts_with('{').then(|| serde_json::from_str(json.get()).ok());
        Self(prediction.0.iter().map(|(name, json)| (name.as_ref(), *json, inner(json).flatten())).collect())
    }

    fn get(&self, path: &OutputPath) -> Option<&str> {
        let (_, json, inner) = self.0.iter().find(|(name, ..)| *name == path.member)?;
        let Some(name) = &path.inner else { return Some(json.get()) };
        let Prediction(members) = inner.as_ref()?;
        members.iter().find(|(own, _)| own == name).map(|(_, json)| json.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_predictions_decide_the_columns() {
        let mut answers = Answers::default();
        let first = br#"{"predictions":[{"prediction":"a","probabilities":{"a":1.0,"b":"NaN"},"outputs":{"n":1,"l":[1]}}]}"#;
        answers.push(Bytes::from_static(first), 1);
        let parsed = answers.parse().unwrap();
        let plan = AnswerPlan::of(&parsed);
        let (paths, _) = plan.columns();
        let names: Vec<String> = paths.iter().map(OutputPath::flat).collect();
        assert_eq!(names, ["prediction", "probabilities.a", "probabilities.b", "outputs.n", "outputs.l"]);
        let columns = plan.fill(&parsed).unwrap();
        assert!(matches!(&columns[2], Column::Doubles(list) if list[0].is_nan()), "{columns:?}");
        assert!(matches!(&columns[3], Column::Integers(list) if *list == [1]), "{columns:?}");

        let mut others = Answers::default();
        others.push(Bytes::from_static(br#"{"predictions":[{"prediction":1}]}"#), 1);
        assert!(plan.fill(&others.parse().unwrap()).unwrap_err().contains("`prediction`"));
        others.push(Bytes::from_static(br#"{"predictions":[]}"#), 1);
        assert!(others.parse().is_err());
    }
}
