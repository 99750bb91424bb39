//! Section `dialects`: the protocols of other servers and of managed platforms.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use validator::{Validate, ValidationError};

/// Switches and routes of the protocols of other servers. Their routes need a token like all others, unless the platform
/// in front of them authenticates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[expect(clippy::struct_excessive_bools, reason = "each is the switch of one dialect")]
pub struct DialectSettings {
    /// KServe V1 and TensorFlow Serving, under `/v1`.
    pub kserve_v1: bool,
    /// MLflow's scoring server.
    pub mlflow: bool,
    /// SageMaker.
    pub sagemaker: bool,
    /// Vertex AI, if its routes are set.
    pub vertex: bool,
    /// The path of Vertex AI's health check; unset: `AIP_HEALTH_ROUTE`.
    #[validate(custom(function = "is_route"))]
    pub vertex_health_route: Option<String>,
    /// The path of Vertex AI's predictions with the default model; unset: `AIP_PREDICT_ROUTE`.
    #[validate(custom(function = "is_route"))]
    pub vertex_predict_route: Option<String>,
    /// Dialects whose predictions need no token, as the platform in front of them authenticates callers.
    #[serde(default, deserialize_with = "names")]
    pub platform_authenticates: Vec<DialectName>,
}

impl Default for DialectSettings {
    fn default() -> Self {
        Self {
            kserve_v1: true,
            mlflow: true,
            sagemaker: true,
            vertex: true,
            vertex_health_route: None,
            vertex_predict_route: None,
            platform_authenticates: Vec::new(),
        }
    }
}

impl DialectSettings {
    /// Returns true if the platform in front of a protocol authenticates.
    #[must_use]
    pub fn authenticates(&self, dialect: DialectName) -> bool {
        self.platform_authenticates.contains(&dialect)
    }
}

/// A protocol that has a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DialectName {
    /// KServe V1 and TensorFlow Serving.
    KserveV1,
    /// MLflow.
    Mlflow,
    /// SageMaker.
    Sagemaker,
    /// Vertex AI.
    Vertex,
}

impl DialectName {
    const ALL: [Self; 4] = [Self::KserveV1, Self::Mlflow, Self::Sagemaker, Self::Vertex];
}

impl fmt::Display for DialectName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::KserveV1 => "kserve_v1",
            Self::Mlflow => "mlflow",
            Self::Sagemaker => "sagemaker",
            Self::Vertex => "vertex",
        })
    }
}

fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<DialectName>, D::Error> {
    let name = |text: String| {
        let named = DialectName::ALL.into_iter().find(|dialect| dialect.to_string() == text);
        named.ok_or_else(|| {
            D::Error::custom(format!("expected kserve_v1, mlflow, sagemaker or vertex, got `{text}`"))
        })
    };
    super::comma_list(deserializer)?.into_iter().map(name).collect()
}

/// Accepts only paths without characters that a router or a proxy could interpret.
fn is_route(route: &str) -> Result<(), ValidationError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~:@".contains(&byte);
    let is_name =
        |segment: &str| !segment.is_empty() && !segment.starts_with(':') && segment != "." && segment != "..";
    let names = route.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_name));
    if names && route.bytes().all(is_plain) {
        return Ok(());
    }
    let message = "must be a path of letters, digits and - . _ ~ : @, such as /predict";
    Err(ValidationError::new("route").with_message(message.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_plain_paths() {
        for good in ["/predict", "/v1/endpoints/12/deployedModels/34:predict", "/a.b/c"] {
            assert!(is_route(good).is_ok(), "{good}");
        }
        for bad in ["", "/", "predict", "/a//b", "/{model}", "/:model", "/*rest", "/a?b", "/a/../b", "/a b"] {
            assert!(is_route(bad).is_err(), "{bad}");
        }
    }
}
