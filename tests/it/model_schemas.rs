//! The schemas of each model: true, shown to those who may read the model, and new after a swap.

use std::collections::BTreeSet;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{
    Answer, TestGateway,
    binary::{run, text},
    json_schema::fault,
    setosa, table,
    tokens::TokenBuilder,
};

/// Models of different kinds, by name, with their files in `tests/models`.
const KINDS: [(&str, &str); 9] = [
    ("towns", "towns"),
    ("one_hot", "exporters/sk_columns_one_hot"),
    ("names", "exporters/cat_names"),
    ("gaps", "exporters/sk_histograms_gaps"),
    ("picture", "exporters/keras_picture"),
    ("sequence", "kinds/sequence_output"),
    ("texts", "kinds/texts"),
    ("zip_map", "kinds/zip_map"),
    ("states", "kinds/states"),
];

async fn with_kinds() -> TestGateway {
    let builder = KINDS
        .iter()
        .fold(TestGateway::builder(), |builder, (name, file)| builder.model(&format!("{name}.onnx"), file));
    builder.start().await
}

/// The description that a token with these scopes gets; without one if there are none.
async fn description(gateway: &TestGateway, scopes: Option<&str>) -> Answer {
    let request = gateway.client.get(gateway.url("/openapi.json"));
    let request = match scopes {
        Some(scopes) => request.bearer_auth(TokenBuilder::new().scope(scopes).build()),
        None => request,
    };
    Answer::of(request.send().await.unwrap()).await
}

/// The models that a description has schemas of.
fn described(description: &Value) -> BTreeSet<String> {
    let schemas = description["components"]["schemas"].as_object().unwrap();
    schemas.keys().filter_map(|name| Some(name.split_once('.')?.0.to_owned())).collect()
}

/// The operations of the protocols on one model, with their bodies' examples.
fn operations<'d>(description: &'d Value, model: &str) -> Vec<(&'d String, &'d Value)> {
    let paths = description["paths"].as_object().unwrap();
    let of_model = |path: &str| path.contains(&format!("/{model}/")) || path.contains(&format!("/{model}:"));
    let found = paths.iter().filter(|(path, _)| of_model(path) && !path.contains('{'));
    found.map(|(path, item)| (path, &item["post"])).collect()
}

/// Whether the schema of a request to this path accepts a body.
fn accepts(description: &Value, path: &str, body: &Value) -> Result<(), String> {
    let schema = &description["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"];
    let pointer = schema["$ref"].as_str().unwrap_or_else(|| panic!("{path}: {schema}"));
    fault(description, pointer.trim_start_matches('#'), body).map_or(Ok(()), Err)
}

#[tokio::test]
async fn examples_are_accepted_and_their_answers_are_as_described() {
    let gateway = with_kinds().await;
    let description = description(&gateway, Some("read")).await.body;
    let names = KINDS.iter().map(|(name, _)| *name).chain(["iris"]);
    table::each_async(names, async |model| {
        let operations = operations(&description, model);
        assert!(operations.len() >= 2, "{model} has {operations:?}");
        for (path, operation) in operations {
            let example = &operation["requestBody"]["content"]["application/json"]["example"];
            if example.is_null() {
                assert!(!path.ends_with("/predict"), "{path} has no example");
                continue;
            }
            assert_eq!(accepts(&description, path, example), Ok(()), "{path}");
            let answer = gateway.predict_at(path, example).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {example} {answer:?}");
            let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
            let pointer = schema["$ref"].as_str().unwrap().trim_start_matches('#');
            assert_eq!(fault(&description, pointer, &answer.body), None, "{path}: {answer:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_schema_refuses_the_gateway_refuses_and_the_other_way() {
    let gateway = with_kinds().await;
    let description = description(&gateway, Some("read")).await.body;
    let named = json!({"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2});
    let with = |name: &str, value: Value| {
        let mut row = named.clone();
        row[name] = value;
        json!({"features": row})
    };
    let requests = [
        ("iris", setosa(), true),
        ("iris", json!({"features": named}), true),
        ("iris", with("sepal_length", json!(15)), true),
        ("iris", with("sepal_length", json!(15.1)), false),
        ("iris", with("petal_width", json!(0.05)), false),
        ("iris", with("petal_width", Value::Null), false),
        ("iris", with("petal_width", json!("0.2")), false),
        ("iris", with("colour", json!(1)), false),
        ("iris", json!({"features": [5.1, 3.5, 1.4]}), false),
        ("iris", json!({"features": [5.1, 3.5, 1.4, 0.2, 1]}), false),
        ("iris", json!({"features": [99, 3.5, 1.4, 0.2]}), false),
        ("iris", json!({"instances": [named, [5.1, 3.5, 1.4, 0.2]]}), true),
        ("iris", json!({"instances": []}), false),
        ("iris", json!({}), false),
        ("iris", json!({"instances": [named], "features": named}), false),
        ("iris", json!({"inputs": {"features": [[5.1, 3.5, 1.4, 0.2]]}}), true),
        ("iris", json!({"inputs": {"features": [[5.1, 3.5, 1.4]]}}), false),
        ("iris", json!({"inputs": {"features": [[5.1, 3.5, 1.4, 4e38]]}}), false),
        ("iris", json!({"inputs": {"feature": [[5.1, 3.5, 1.4, 0.2]]}}), false),
        ("iris", json!({"inputs": {}}), false),
        ("gaps", json!({"features": [null, 1, null, 2]}), true),
        ("gaps", json!({"features": [1, 1, 1, "x"]}), false),
        ("texts", json!({"features": ["a"]}), false),
        ("texts", json!({"inputs": {"x": [["a", "b\u{0}"]]}}), false),
        ("states", json!({"features": [1, 2]}), false),
    ];
    table::each_async(requests, async |(model, body, is_valid)| {
        let path = format!("/models/{model}/predict");
        let answer = gateway.predict_at(&path, &body).await;
        let by_schema = accepts(&description, &path, &body);
        assert_eq!(answer.status == StatusCode::OK, is_valid, "{model} {body}: {answer:?}");
        assert_eq!(by_schema.is_ok(), is_valid, "{model} {body}: {by_schema:?}");
    })
    .await;
}

#[tokio::test]
async fn only_those_who_may_read_a_model_see_its_schemas() {
    let gateway = TestGateway::builder().model("towns.onnx", "towns").start().await;
    let cases: [(Option<&str>, &[&str]); 7] = [
        (None, &[]),
        (Some(""), &[]),
        (Some("predict manage"), &[]),
        (Some("read:nothing"), &[]),
        (Some("read:towns predict"), &["towns"]),
        (Some("read:iris read:towns"), &["iris", "towns"]),
        (Some("read"), &["iris", "towns"]),
    ];
    table::each_async(cases, async |(scopes, models)| {
        let answer = description(&gateway, scopes).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let expected: BTreeSet<String> = models.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(described(&answer.body), expected);
        for name in ["iris", "towns"].iter().filter(|name| !models.contains(name)) {
            // Elsewhere iris is an example only.
            assert!(!answer.text.contains(&format!("/{name}/predict")), "{name}: {}", answer.text);
        }
        let digest = gateway.version("towns").await["digest"].as_str().unwrap().to_owned();
        assert_eq!(answer.text.contains(&digest), models.contains(&"towns"));
        assert_eq!(answer.header("vary"), "authorization, x-api-key");
        assert_eq!(answer.header("cache-control").contains("private"), scopes.is_some());
    })
    .await;
    let forged = gateway.client.get(gateway.url("/openapi.json")).bearer_auth("x.y.z");
    assert_eq!(Answer::of(forged.send().await.unwrap()).await.problem_code(), "invalid_token");
}

#[tokio::test]
async fn the_default_model_types_the_paths_that_name_none() {
    let gateway = TestGateway::builder().model("towns.onnx", "towns").start().await;
    let request = |answer: &Answer, path: &str| {
        let body = &answer.body["paths"][path]["post"]["requestBody"]["content"]["application/json"];
        body["schema"]["$ref"].as_str().unwrap().to_owned()
    };
    let all = description(&gateway, Some("read")).await;
    assert_eq!(request(&all, "/predict"), "#/components/schemas/iris.PredictRequest");
    assert_eq!(request(&all, "/invocations"), "#/components/schemas/iris.InvocationRequest");
    let towns = description(&gateway, Some("read:towns")).await;
    assert_eq!(request(&towns, "/predict"), "#/components/schemas/PredictRequest");
}

#[tokio::test]
async fn the_description_changes_with_a_swap_and_not_before() {
    let gateway = TestGateway::builder().model("towns.onnx", "towns").start().await;
    let with_tag = async |scopes: &str, tag: &str| {
        let token = TokenBuilder::new().scope(scopes).build();
        let request = gateway.client.get(gateway.url("/openapi.json")).bearer_auth(token);
        Answer::of(request.header("if-none-match", tag).send().await.unwrap()).await
    };
    let tag = |answer: &Answer| answer.header("etag").to_owned();
    let (all, towns) =
        (description(&gateway, Some("read")).await, description(&gateway, Some("read:towns")).await);
    let generic = description(&gateway, None).await;
    assert_eq!([&all, &towns, &generic].map(tag).into_iter().collect::<BTreeSet<_>>().len(), 3);
    let known = with_tag("read", &tag(&all)).await;
    assert_eq!((known.status, known.text.as_str(), tag(&known)), (StatusCode::NOT_MODIFIED, "", tag(&all)));
    assert_eq!(with_tag("read", &tag(&generic)).await.status, StatusCode::OK);

    let before = gateway.version("iris").await["digest"].clone();
    gateway.repository.put_test_model("iris/1/model.onnx", "iris_retrained");
    gateway.version_until("iris", |version| version["digest"] != before).await;
    let swapped = with_tag("read", &tag(&all)).await;
    assert_eq!(swapped.status, StatusCode::OK);
    assert_ne!(tag(&swapped), tag(&all));
    assert_eq!(with_tag("read:towns", &tag(&towns)).await.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn many_models_are_described_and_no_name_takes_that_of_another() {
    let odd = ["a-b", "a.b", "A_b", "default", "model", "version", "7", "iris.Row"];
    let builder = odd.iter().fold(TestGateway::builder(), |builder, name| {
        builder.model(&format!("{name}/1/model.onnx"), "regressor")
    });
    let gateway = builder.start().await;
    let description = description(&gateway, Some("read")).await.body;
    assert_eq!(described(&description).len(), odd.len() + 1);
    let mut operations = BTreeSet::new();
    for item in description["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap().to_lowercase().replace('_', "");
            assert!(operations.insert(id.clone()), "{id} is there twice");
        }
    }
    for name in odd {
        assert!(description["paths"][format!("/models/{name}/predict")].is_object(), "{name}");
    }
}

#[tokio::test]
async fn a_model_has_a_schema_of_its_own_with_a_request_to_paste() {
    let gateway = with_kinds().await;
    table::each_async(KINDS.iter().map(|(name, _)| *name).chain(["iris"]), async |model| {
        let request = gateway.get(&format!("/models/{model}/schema"));
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let takes_rows = gateway.version(model).await["takes_rows"].as_bool().unwrap();
        assert_eq!(answer.body["row"].is_object(), takes_rows);
        let example = &answer.body["example"];
        assert_eq!(fault(&answer.body["request"], "", example), None, "{example}");
        let predicted = gateway.predict_at(&format!("/models/{model}/predict"), example).await;
        assert_eq!(predicted.status, StatusCode::OK, "{predicted:?}");
        assert_eq!(fault(&answer.body["response"], "", &predicted.body), None, "{predicted:?}");
        let curl = answer.body["curl"].as_str().unwrap();
        assert!(curl.contains(&gateway.url(&format!("/models/{model}/predict"))), "{curl}");
        if takes_rows {
            assert_eq!(fault(&answer.body["row"], "", &example["features"]), None, "{example}");
            assert!(fault(&answer.body["row"], "", &json!("x")).is_some());
        }
    })
    .await;
    let row = Answer::of(gateway.get("/models/iris/schema").send().await.unwrap()).await.body["row"].clone();
    let width = &row["$defs"]["Features"]["properties"]["petal_width"];
    assert_eq!(
        (&width["minimum"], &width["maximum"], &width["x-unit"]),
        (&json!(0.1), &json!(10), &json!("cm"))
    );

    let statuses = [("read:iris", "towns", 403), ("read", "nothing", 404), ("predict", "iris", 403)];
    table::each_async(statuses, async |(scope, model, status)| {
        let token = TokenBuilder::new().scope(scope).build();
        let request = gateway.client.get(gateway.url(&format!("/models/{model}/schema"))).bearer_auth(token);
        assert_eq!(request.send().await.unwrap().status().as_u16(), status);
    })
    .await;
}

#[tokio::test]
async fn the_command_prints_the_document_of_the_server() {
    let gateway = TestGateway::builder().model("towns.onnx", "towns").start().await;
    let served = description(&gateway, Some("read")).await.body;
    let folder = gateway.repository.path();
    let repository = [("GATEWAY__MODELS__REPOSITORY", folder.to_str().unwrap())];
    let here = |arguments: &[&str], environment: &[(&str, &str)]| {
        run(&[&["openapi"], arguments].concat(), folder, environment)
    };
    let offline: Value = serde_json::from_slice(&here(&["--json"], &repository).stdout).unwrap();
    assert_eq!(offline, served);
    let pretty = text(&here(&["."], &[]).stdout);
    assert_eq!(
        (serde_json::from_str::<Value>(&pretty).unwrap(), pretty.lines().count() > 1000),
        (served, true)
    );

    let one = here(&["towns.onnx", "--json"], &[]);
    assert_eq!(text(&one.stdout).lines().count(), 1);
    let document: Value = serde_json::from_slice(&one.stdout).unwrap();
    assert_eq!(described(&document), BTreeSet::from(["towns".to_owned()]));

    gateway.repository.put_test_model("bad.onnx", "iris_golden_mismatch");
    let partial = here(&["towns.onnx", "bad.onnx", "--json"], &[]);
    assert_eq!((partial.status.code(), &partial.stdout), (Some(1), &one.stdout), "{partial:?}");
    assert!(text(&partial.stderr).contains("golden_mismatch"), "{partial:?}");
    let missing = here(&["nothing.onnx"], &[]);
    assert_eq!((missing.status.code(), missing.stdout.len()), (Some(1), 0), "{missing:?}");
}
