//! Settings from the environment of a Vertex AI container ("Custom container requirements for prediction").

/// The variable that names the purpose of the container.
pub(super) const MODE: &str = "AIP_MODE";

/// The value of `MODE` for a container that serves predictions.
pub(super) const PREDICTION: &str = "PREDICTION";

/// The variables that are read.
pub(super) const VARIABLES: &[&str] = &[PORT, HEALTH_ROUTE, PREDICT_ROUTE, ENDPOINT_ID, DEPLOYED_MODEL_ID];

const PORT: &str = "AIP_HTTP_PORT";
const HEALTH_ROUTE: &str = "AIP_HEALTH_ROUTE";
const PREDICT_ROUTE: &str = "AIP_PREDICT_ROUTE";
const ENDPOINT_ID: &str = "AIP_ENDPOINT_ID";
const DEPLOYED_MODEL_ID: &str = "AIP_DEPLOYED_MODEL_ID";

const DEFAULT_PORT: &str = "8080";

/// A setting, and the variable that it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VertexSetting {
    pub(super) section: &'static str,
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) variable: &'static str,
}

/// Returns the settings in these variables; empty outside Vertex AI.
pub(super) fn settings(variables: &[(String, String)]) -> Vec<VertexSetting> {
    if variables.is_empty() {
        return Vec::new();
    }
    let value = |name: &str| {
        let found = variables.iter().find(|(known, value)| known == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    };
    let id = |name| value(name).unwrap_or("0");
    let default_route =
        format!("/v1/endpoints/{}/deployedModels/{}:predict", id(ENDPOINT_ID), id(DEPLOYED_MODEL_ID));
    let route = |variable| value(variable).unwrap_or(&default_route).to_owned();
    let dialects =
        |name, variable| VertexSetting { section: "dialects", name, value: route(variable), variable };
    vec![
        VertexSetting {
            section: "server",
            name: "listen",
            value: format!("0.0.0.0:{}", value(PORT).unwrap_or(DEFAULT_PORT)),
            variable: PORT,
        },
        dialects("vertex_health_route", HEALTH_ROUTE),
        dialects("vertex_predict_route", PREDICT_ROUTE),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Vec<String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let variables: Vec<_> = variables.iter().map(owned).collect();
        settings(&variables).into_iter().map(|setting| setting.value).collect()
    }

    #[test]
    fn everything_has_the_default_that_the_platform_documents() {
        assert_eq!(of(&[]), <[String; 0]>::default());
        let route = "/v1/endpoints/12/deployedModels/34:predict";
        let ids = [("AIP_ENDPOINT_ID", "12"), ("AIP_DEPLOYED_MODEL_ID", "34")];
        assert_eq!(of(&ids), ["0.0.0.0:8080", route, route]);
        let all = [("AIP_HTTP_PORT", "9"), ("AIP_HEALTH_ROUTE", "/up"), ("AIP_PREDICT_ROUTE", "/ask")];
        assert_eq!(of(&all), ["0.0.0.0:9", "/up", "/ask"]);
    }
}
