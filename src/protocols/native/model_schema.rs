//! The JSON Schema of a model's rows, requests and responses, with a request to paste.

use std::collections::BTreeMap;

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderMap, header},
};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::schema;
use crate::{
    codec::json_schema::{ROW, SchemaPlace},
    edge::{ApiError, EdgeState, MayRead, Permit, ProblemDocument},
    protocols::{model_example::model_example, tensorflow::run_inputs::model_of},
    serving::Servable,
    tls::Encrypted,
};

/// The dialect of the schemas.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The place of named schemas in a document.
const DEFINITIONS: &str = "#/$defs/";

/// Stands for the address of the gateway if the request does not name it.
const UNKNOWN_HOST: &str = "127.0.0.1:8000";

/// The schemas of a model's requests and responses; each is a JSON Schema (2020-12) of its own.
#[derive(Serialize, ToSchema)]
pub(super) struct SchemaDocument {
    /// The name of the model
    #[schema(example = "iris")]
    model: String,
    /// The version that requests without a version get
    #[schema(example = "1")]
    version: String,
    /// A row; absent if the model takes whole tensors only
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    row: Option<Value>,
    /// The body of a prediction request
    #[schema(value_type = Object)]
    request: Value,
    /// The body of its response
    #[schema(value_type = Object)]
    response: Value,
    /// A request that the model should accept: a golden case of its contract, or synthetic values; absent if it would be
    /// long
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    example: Option<Value>,
    /// A command that sends the example
    #[serde(skip_serializing_if = "Option::is_none")]
    curl: Option<String>,
}

/// Get the JSON Schema of one model
///
/// Has the rows, requests and responses of the version in service, with an example.
#[utoipa::path(get, path = "/models/{model}/schema", operation_id = "schema", tag = "models",
    security(("bearer" = ["read"])),
    params(("model" = String, Path, description = "The model's name", example = "iris")),
    responses(
        (status = 200, body = SchemaDocument),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "The token lacks the scope `read`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 404, description = "There is no such model", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 503, description = "The model is not in service", body = ProblemDocument,
            content_type = "application/problem+json")))]
pub(super) async fn schema(
    State(state): State<EdgeState>,
    permit: Permit<MayRead>,
    encrypted: Option<Extension<Encrypted>>,
    headers: HeaderMap,
) -> Result<Json<SchemaDocument>, ApiError> {
    let servable = state.serving.servable(&permit.model, None)?;
    let Servable { name, version, .. } = &*servable;
    let model = model_of(&servable);
    let schemas: BTreeMap<&str, Value> =
        schema::schemas(name.as_str(), model, SchemaPlace(DEFINITIONS)).into_iter().collect();
    let example = model_example(model).map(|example| example.native);
    let needs_token = state.authentication.is_on();
    let scheme = scheme(&headers, encrypted.is_some());
    let curl = example.as_ref().map(|body| command((scheme, &headers), name.as_str(), body, needs_token));
    Ok(Json(SchemaDocument {
        model: name.to_string(),
        version: version.to_string(),
        row: schemas.contains_key(ROW).then(|| document(ROW, &schemas)),
        request: document(schema::REQUEST, &schemas),
        response: document(schema::RESPONSE, &schemas),
        example,
        curl,
    }))
}

/// Returns one of these schemas as a document, with those that it refers to.
fn document(name: &str, schemas: &BTreeMap<&str, Value>) -> Value {
    let mut definitions: BTreeMap<&str, &Value> = BTreeMap::new();
    let mut open = vec![name];
    while let Some(name) = open.pop() {
        let Some((name, schema)) = schemas.get_key_value(name) else { continue };
        if definitions.insert(*name, schema).is_none() {
            references(schema, &mut open);
        }
    }
    json!({"$schema": DIALECT, "$ref": format!("{DEFINITIONS}{name}"), "$defs": definitions})
}

/// Collects the names of the schemas that one refers to.
fn references<'s>(schema: &'s Value, found: &mut Vec<&'s str>) {
    match schema {
        Value::Object(members) => {
            let target = members.get("$ref").and_then(Value::as_str);
            found.extend(target.and_then(|target| target.strip_prefix(DEFINITIONS)));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

/// Returns the scheme that the client used. A proxy that terminates TLS says so; the value changes only this client's own
/// response.
fn scheme(headers: &HeaderMap, is_encrypted: bool) -> &'static str {
    let is_https = headers.get("x-forwarded-proto").map_or(is_encrypted, |scheme| scheme == "https");
    if is_https { "https" } else { "http" }
}

/// Returns a command that sends this body to the address that the client used.
fn command((scheme, headers): (&str, &HeaderMap), model: &str, body: &Value, needs_token: bool) -> String {
    let is_plain = |host: &&str| {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".:-[]".contains(&byte);
        !host.is_empty() && host.bytes().all(is_allowed)
    };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.filter(is_plain).unwrap_or(UNKNOWN_HOST);
    let token = if needs_token { " -H \"Authorization: Bearer $TOKEN\"" } else { "" };
    let body = body.to_string().replace('\'', r"'\''");
    format!(
        "curl -s {scheme}://{host}/models/{model}/predict{token} -H 'Content-Type: application/json' -d '{body}'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_what_it_refers_to_and_nothing_else() {
        let schemas = BTreeMap::from([
            ("A", json!({"anyOf": [{"$ref": "#/$defs/B"}, {"$ref": "#/$defs/A"}]})),
            ("B", json!({"type": "string"})),
            ("C", json!({})),
        ]);
        let document = document("A", &schemas);
        let names: Vec<&str> = document["$defs"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["A", "B"]);
        assert_eq!(document["$ref"], "#/$defs/A");
    }

    #[test]
    fn a_command_is_safe_to_paste() {
        let shown = |host: &str| {
            let headers = HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]);
            command((scheme(&headers, false), &headers), "iris", &json!({"features": ["it's"]}), true)
        };
        assert_eq!(
            shown("models.example:8443"),
            "curl -s http://models.example:8443/models/iris/predict -H \"Authorization: Bearer $TOKEN\" \
             -H 'Content-Type: application/json' -d '{\"features\":[\"it'\\''s\"]}'"
        );
        assert!(shown("a$(reboot)").starts_with("curl -s http://127.0.0.1:8000/"));
    }

    #[test]
    fn the_scheme_is_that_of_the_client() {
        let of = |forwarded: Option<&'static str>, is_encrypted| {
            let forwarded =
                forwarded.map(|scheme| ("x-forwarded-proto".parse().unwrap(), scheme.parse().unwrap()));
            scheme(&forwarded.into_iter().collect(), is_encrypted)
        };
        assert_eq!([of(None, false), of(None, true)], ["http", "https"]);
        assert_eq!([of(Some("https"), false), of(Some("http"), true)], ["https", "http"]);
    }
}
