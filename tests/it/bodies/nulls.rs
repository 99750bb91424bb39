//! Nulls where the description allows them, and the marks that texts may begin with.

use serde_json::{Value, json};

use super::{JSON, gateway, routes, send, sentence, without_token};
use crate::support::{TestGateway, table};

/// The schema that a reference leads to.
fn resolved<'d>(description: &'d Value, schema: &'d Value) -> &'d Value {
    match schema["$ref"].as_str() {
        Some(reference) => description.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

fn may_be_null(schema: &Value) -> bool {
    let is_null = |kind: &Value| kind == "null";
    // Without any of these, it may be anything.
    let is_anything = ["type", "$ref", "oneOf", "anyOf", "allOf"].iter().all(|name| schema[name].is_null());
    is_anything
        || is_null(&schema["type"])
        || schema["type"].as_array().is_some_and(|kinds| kinds.iter().any(is_null))
        || ["oneOf", "anyOf"]
            .iter()
            .any(|of| schema[of].as_array().is_some_and(|schemas| schemas.iter().any(may_be_null)))
}

/// This body with null for each field that may be null and is not needed, in turn.
fn with_nulls(description: &Value, schema: &Value, body: &Value) -> Vec<(String, Value)> {
    let schema = resolved(description, schema);
    let mut variants = Vec::new();
    match body {
        Value::Object(fields) => {
            let Some(properties) = schema["properties"].as_object() else { return variants };
            for (name, property) in properties {
                let within = fields.get(name).map(|field| with_nulls(description, property, field));
                let mut changed = within.unwrap_or_default();
                if may_be_null(property) && !fields.contains_key(name) {
                    changed.push((String::new(), Value::Null));
                }
                for (place, value) in changed {
                    let mut variant = body.clone();
                    variant[name] = value;
                    variants.push((format!("/{name}{place}"), variant));
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                for (place, value) in with_nulls(description, &schema["items"], item) {
                    let mut variant = body.clone();
                    variant[index] = value;
                    variants.push((format!("/{index}{place}"), variant));
                }
            }
        }
        _ => {}
    }
    variants
}

/// The description of the body of a route.
fn schema_of<'d>(description: &'d Value, path: &str) -> &'d Value {
    let described =
        path.replace("/versions/1", "/versions/{version}").replace("/models/iris", "/models/{model}");
    &description["paths"][&described]["post"]["requestBody"]["content"][JSON]["schema"]
}

#[tokio::test]
async fn every_field_that_the_description_says_may_be_null_is_taken_as_null() {
    let gateway = gateway().await;
    let description = serde_json::to_value(onnx_gateway::protocols::openapi()).unwrap();
    let mut tried = 0;
    for (path, kind, body) in routes().into_iter().filter(|(_, kind, _)| *kind == JSON) {
        let mut body: Value = serde_json::from_str(&body).unwrap();
        if path.ends_with("/infer") {
            body["outputs"] = json!([{"name": "label"}]);
        }
        // Vertex AI's route is described by no one but Vertex AI.
        let described = if path == super::VERTEX { "/v1/models/iris:predict" } else { path };
        // Of what MLflow and SageMaker share, the description is MLflow's.
        let schema = schema_of(&description, described);
        assert!(schema.is_object(), "{path} is not described");
        if path == "/invocations" && body["inputs"].is_array() {
            continue;
        }
        for (place, variant) in with_nulls(&description, schema, &body) {
            let answer = send(&gateway, path, kind, &[], variant.to_string()).await;
            assert_eq!(answer.status, 200, "{path}{place}: {answer:?}");
            tried += 1;
        }
    }
    assert!(tried >= 25, "{tried}");
}

#[tokio::test]
async fn a_tensor_and_a_request_to_the_repository_may_have_nulls_too() {
    let gateway = TestGateway::start().await;
    let cases = [
        ("/predict", r#"{"inputs":{"features":{"shape":[1,4],"data":[5.1,3.5,1.4,0.2],"datatype":null}}}"#),
        ("/v2/repository/index", r#"{"ready":null}"#),
        ("/v2/repository/models/iris/load", r#"{"parameters":null}"#),
        (
            "/invocations",
            r#"{"dataframe_split":{"columns":null,"index":null,"data":[[5.1,3.5,1.4,0.2]]},"params":null}"#,
        ),
    ];
    table::each_async(cases, async |(path, body)| {
        let answer = send(&gateway, path, JSON, &[], body).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    })
    .await;
}

#[tokio::test]
async fn a_byte_order_mark_is_ignored_and_another_encoding_is_named() {
    let gateway = gateway().await;
    table::each_async(routes(), async |(path, kind, body)| {
        if kind.ends_with("form-urlencoded") {
            return;
        }
        let expected = without_token(send(&gateway, path, kind, &[], body.as_str()).await);
        let answer = send(&gateway, path, kind, &[], format!("\u{feff}{body}")).await;
        assert_eq!(without_token(answer), expected, "{path}");
        if kind == JSON {
            for (mark, name) in
                [(&[0xff, 0xfe][..], "UTF-16"), (&[0xfe, 0xff], "UTF-16"), (&[0xff, 0xfe, 0, 0], "UTF-32")]
            {
                let answer = send(&gateway, path, kind, &[], [mark, body.as_bytes()].concat()).await;
                assert_eq!(answer.status, 400, "{path}: {answer:?}");
                assert!(sentence(&answer).contains(name), "{path}: {answer:?}");
            }
        }
    })
    .await;
    let empty = send(&gateway, "/v2/repository/index", JSON, &[], "\u{feff}").await;
    assert_eq!(empty.status, 200, "{empty:?}");
    // With a length of the JSON, the mark counts.
    let marked = format!("\u{feff}{}", super::V2);
    let length = marked.len().to_string();
    let headers = [("inference-header-content-length", length.as_str())];
    let answer = send(&gateway, "/v2/models/iris/infer", JSON, &headers, marked).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}
