//! A setting with one value or several.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One value, or a list of them. Numbers and truth values count as their text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Form")]
pub struct OneOrMore(Vec<String>);

impl OneOrMore {
    /// Returns the values.
    #[must_use]
    pub fn values(&self) -> &[String] {
        &self.0
    }
}

impl<T: Into<String>> FromIterator<T> for OneOrMore {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self(values.into_iter().map(Into::into).collect())
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Form {
    Flag(bool),
    Number(i64),
    Text(String),
    List(Vec<String>),
}

impl From<Form> for OneOrMore {
    fn from(form: Form) -> Self {
        Self(match form {
            Form::Flag(flag) => vec![flag.to_string()],
            Form::Number(number) => vec![number.to_string()],
            Form::Text(text) => vec![text],
            Form::List(list) => list,
        })
    }
}
