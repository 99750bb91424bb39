//! The list of tools, and calls of them.

use serde_json::{Value, json};

use super::{ask, ask_stateless, builder, call, list, names, row};
use crate::support::{Answer, TestGateway, json_schema::fault, setosa, table, tokens::TokenBuilder};

/// Models of different kinds, by name, with their files in `tests/models`.
const KINDS: [(&str, &str); 9] = [
    ("towns", "towns"),
    ("one_hot", "exporters/sk_columns_one_hot"),
    ("names", "exporters/cat_names"),
    ("gaps", "exporters/sk_histograms_gaps"),
    ("picture", "exporters/keras_picture"),
    ("sequence", "kinds/sequence_output"),
    ("texts", "kinds/texts"),
    ("wide.sum-2", "wide_sum"),
    ("states", "kinds/states"),
];

async fn with_kinds() -> TestGateway {
    let builder =
        KINDS.iter().fold(builder(), |builder, (name, file)| builder.model(&format!("{name}.onnx"), file));
    builder.start().await
}

/// The body of the native request with the same inputs.
fn native(tool: &Value, arguments: &Value) -> Value {
    let is_native =
        |name: &str| tool["inputSchema"]["required"] == json!([name]) && arguments[name].is_array();
    if is_native("features") || (arguments["inputs"].is_object() && arguments.as_object().unwrap().len() == 1)
    {
        arguments.clone()
    } else {
        json!({"features": arguments})
    }
}

#[tokio::test]
async fn each_model_is_a_tool_whose_call_is_the_native_prediction() {
    let gateway = with_kinds().await;
    let tools = list(&gateway, "read predict").await;
    let mut expected: Vec<&str> = KINDS.iter().map(|(name, _)| *name).chain(["iris"]).collect();
    expected.sort_unstable();
    assert_eq!(names(&tools), expected);
    let mut examples = 0;
    table::each_async(&tools, async |tool| {
        let name = tool["name"].as_str().unwrap();
        for schema in ["inputSchema", "outputSchema"] {
            assert_eq!(tool[schema]["type"], "object", "{name}: {tool}");
        }
        assert!(tool["description"].as_str().unwrap().contains(&format!("`{name}`")), "{tool}");
        assert_eq!(tool["annotations"]["readOnlyHint"], true, "{tool}");
        let arguments = &tool["inputSchema"]["examples"][0];
        if arguments.is_null() {
            return;
        }
        examples += 1;
        assert_eq!(fault(&tool["inputSchema"], "", arguments), None, "{name}: {arguments}");
        let body = native(tool, arguments);
        let predicted = gateway.predict_at(&format!("/models/{name}/predict"), &body).await;
        assert_eq!(predicted.status, 200, "{body}: {predicted:?}");
        let result = call(&gateway, name, arguments).await;
        assert_eq!(result["isError"], false, "{name}: {result}");
        assert_eq!(result["structuredContent"], predicted.body, "{name}");
        assert_eq!(result["content"], json!([{"type": "text", "text": predicted.text}]), "{name}");
        assert_eq!(fault(&tool["outputSchema"], "", &predicted.body), None, "{name}: {predicted:?}");
    })
    .await;
    assert!(examples >= KINDS.len(), "{examples} tools have an example");
}

#[tokio::test]
async fn a_row_is_an_argument_for_each_feature_with_its_limits() {
    let gateway = builder().start().await;
    let tools = list(&gateway, "read predict").await;
    let [iris] = tools.as_slice() else { panic!("{tools:?}") };
    let width = &iris["inputSchema"]["properties"]["petal_width"];
    assert_eq!(
        (&width["type"], &width["minimum"], &width["x-unit"]),
        (&json!("number"), &json!(0.1), &json!("cm"))
    );
    assert_eq!(iris["inputSchema"]["required"].as_array().unwrap().len(), 4);
    let description = iris["description"].as_str().unwrap();
    assert!(description.contains("one of setosa, versicolor, virginica"), "{description}");
    let version = gateway.version("iris").await;
    assert_eq!(iris["_meta"], json!({"onnx-gateway/version": "1", "onnx-gateway/digest": version["digest"]}));

    let params = json!({"name": "iris", "arguments": row()});
    for answer in [
        ask(&gateway, "predict:iris", "tools/call", &params).await,
        ask_stateless(&gateway, "tools/call", &params).await,
    ] {
        assert_eq!(answer.body["result"]["structuredContent"]["prediction"], "setosa", "{answer:?}");
        assert_eq!(answer.header("x-model-version"), "1");
        assert_eq!(answer.header("x-model-digest"), version["digest"].as_str().unwrap());
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn a_token_lists_the_models_that_it_may_read_and_predict_with() {
    let gateway = builder().model("towns.onnx", "towns").start().await;
    let cases: [(&str, &[&str]); 6] = [
        ("read predict", &["iris", "towns"]),
        ("read predict:towns", &["towns"]),
        ("read:iris predict", &["iris"]),
        ("read:iris predict:towns", &[]),
        ("read:iris predict:iris read:towns", &["iris"]),
        ("read:nothing predict:nothing", &[]),
    ];
    table::each_async(cases, async |(scope, expected)| {
        assert_eq!(names(&list(&gateway, scope).await), expected, "{scope}");
    })
    .await;
    let refused = [("read", "predict"), ("predict", "read"), ("", "read"), ("manage", "read")];
    table::each_async(refused, async |(scope, missing)| {
        let answer = ask(&gateway, scope, "tools/list", &json!({})).await;
        assert_eq!(answer.status, 403, "{scope}: {answer:?}");
        assert!(answer.header("www-authenticate").contains(&format!(r#"scope="{missing}""#)), "{answer:?}");
        assert_eq!(answer.body["error"]["data"]["code"], "insufficient_scope", "{answer:?}");
    })
    .await;
}

#[tokio::test]
async fn arguments_that_are_refused_have_the_native_code_place_and_words() {
    let gateway = builder().model("towns.onnx", "towns").model("sum.onnx", "wide_sum").start().await;
    let with = |name: &str, value: Value| {
        let mut row = row();
        row[name] = value;
        row
    };
    let without = |name: &str| {
        let mut row = row();
        row.as_object_mut().unwrap().remove(name);
        row
    };
    let rows = [
        with("sepal_length", json!(99)),
        with("sepal_length", json!("wide")),
        with("petal_width", Value::Null),
        with("petal_width", json!([1])),
        with("colour", json!(1)),
        with("a/b~c", json!(1)),
        without("sepal_width"),
        json!({}),
        json!({"features": [5.1, 3.5, 1.4, 0.2]}),
        json!({"instances": [row()]}),
    ];
    table::each_async(rows, async |arguments| {
        let native = gateway.predict(&json!({"features": arguments})).await;
        assert_eq!(native.status, 422, "{native:?}");
        let mut expected = native.body;
        for error in expected["errors"].as_array_mut().unwrap() {
            // The arguments are the row itself.
            error["pointer"] = error["pointer"].as_str().unwrap().strip_prefix("/features").unwrap().into();
        }
        let result = call(&gateway, "iris", &arguments).await;
        assert_eq!(result["isError"], true, "{result}");
        assert!(result["structuredContent"].is_null(), "{result}");
        let document: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(document, expected, "{arguments}");
    })
    .await;
    let result = call(&gateway, "iris", &Value::Null).await;
    assert!(result.is_null(), "null is not an object: {result}");
}

#[tokio::test]
async fn a_tool_takes_one_form_of_arguments() {
    let gateway = builder().model("states.onnx", "kinds/states").model("sum.onnx", "wide_sum").start().await;
    let tools = list(&gateway, "read predict").await;
    let tool = |name: &str| tools.iter().find(|tool| tool["name"] == name).unwrap();
    let code = async |name: &str, arguments: &Value| {
        let result = call(&gateway, name, arguments).await;
        let text = result["content"][0]["text"].as_str().unwrap();
        let document: Value = serde_json::from_str(text).unwrap();
        assert_eq!(result["isError"].as_bool(), Some(document["code"].is_string()), "{result}");
        document["code"].as_str().unwrap_or("none").to_owned()
    };
    assert_eq!(tool("states")["inputSchema"]["required"], json!(["inputs"]));
    let states = tool("states")["inputSchema"]["examples"][0].clone();
    assert_eq!(code("states", &states).await, "none");
    assert_eq!(code("states", &json!({"features": [1, 2]})).await, "rows_not_supported");
    assert_eq!(code("states", &json!({"inputs": {}})).await, "invalid_body");
    assert_eq!(code("states", &json!({})).await, "invalid_body");

    assert_eq!(tool("sum")["inputSchema"]["required"], json!(["features"]));
    let sum = tool("sum")["inputSchema"]["examples"][0].clone();
    assert_eq!(code("sum", &sum).await, "none");
    let row = &sum["features"];
    assert_eq!(code("sum", &json!({"instances": [row]})).await, "invalid_body");
    assert_eq!(code("sum", &json!({"inputs": {"x": [row]}})).await, "invalid_body");
    assert_eq!(code("sum", &json!({"features": [1]})).await, "invalid_body");
}

#[tokio::test]
async fn a_swap_changes_the_list_and_a_new_model_joins_it() {
    let gateway = builder().start().await;
    let digest = |tools: &[Value]| tools[0]["_meta"]["onnx-gateway/digest"].clone();
    let before = list(&gateway, "read predict").await;
    let known = gateway.version("iris").await["digest"].clone();
    assert_eq!(digest(&before), known);
    gateway.repository.put_test_model("iris/1/model.onnx", "iris_retrained");
    let version = gateway.version_until("iris", |version| version["digest"] != known).await;
    let after = list(&gateway, "read predict").await;
    assert_eq!(digest(&after), version["digest"]);
    gateway.repository.put_test_model("towns.onnx", "towns");
    gateway.version_until("towns", |version| version["state"] == "READY").await;
    assert_eq!(names(&list(&gateway, "read predict").await), ["iris", "towns"]);
}

#[tokio::test]
async fn many_tools_come_in_pages() {
    let folder = |number: usize| format!("model-{number:02}.onnx");
    let builder = (0..54).fold(builder(), |builder, number| builder.model(&folder(number), "regressor"));
    let gateway = builder.start().await;
    let first = ask(&gateway, "read predict", "tools/list", &json!({})).await.body["result"].clone();
    let tools = first["tools"].as_array().unwrap();
    assert_eq!((tools.len(), &first["nextCursor"]), (50, &tools[49]["name"]));
    let all = list(&gateway, "read predict").await;
    let mut sorted = names(&all);
    sorted.dedup();
    assert_eq!((all.len(), sorted.len()), (55, 55));
    assert!(sorted.is_sorted());
    // A cursor stays valid when its model is gone.
    gateway.repository.remove(&folder(48));
    gateway.everything_is_dealt_with().await;
    let rest = ask(&gateway, "read predict", "tools/list", &json!({"cursor": "model-48"})).await;
    assert_eq!(rest.body["result"]["tools"][0]["name"], "model-49", "{rest:?}");
    let wrong = ask(&gateway, "read predict", "tools/list", &json!({"cursor": "../x"})).await;
    assert_eq!((wrong.status.as_u16(), &wrong.body["error"]["code"]), (200, &json!(-32602)));
}

#[tokio::test]
async fn while_it_is_off_the_path_does_not_exist() {
    let gateway = TestGateway::start().await;
    for path in ["/mcp", "/mcp/x"] {
        let answer = Answer::of(gateway.post(path).json(&json!({})).send().await.unwrap()).await;
        let unknown = Answer::of(gateway.post("/nowhere").json(&json!({})).send().await.unwrap()).await;
        assert_eq!((answer.status.as_u16(), &answer.text), (404, &unknown.text));
        assert_eq!(answer.problem_code(), "not_found");
    }
    let described = async || {
        let request = gateway.client.get(gateway.url("/openapi.json"));
        Answer::of(request.send().await.unwrap()).await.body["paths"]["/mcp"].clone()
    };
    assert!(described().await.is_null());
    assert_eq!(gateway.predict(&setosa()).await.status, 200);

    let applied = gateway.reload(|settings| settings.mcp.enabled = true).applied;
    assert_eq!(applied, ["mcp.enabled"]);
    assert_eq!(names(&list(&gateway, "read predict").await), ["iris"]);
    assert_eq!(described().await["post"]["operationId"], "mcp");
    gateway.reload(|settings| settings.mcp.enabled = false);
    let request = gateway.client.post(gateway.url("/mcp")).bearer_auth(TokenBuilder::new().build());
    assert_eq!(Answer::of(request.send().await.unwrap()).await.problem_code(), "not_found");
}
