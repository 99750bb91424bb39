//! Names of classes: predictions and the keys of probabilities are the labels that the graph lists, or the names that the
//! contract gives them.

use serde_json::{Value, json};

use crate::support::{Answer, TestGateway, table};

/// A gateway with these models of `tests/models/classes`.
async fn gateway(models: &[&str]) -> TestGateway {
    let mut builder = TestGateway::builder_without_models();
    for model in models {
        builder = builder.model(&format!("{model}.onnx"), &format!("classes/{model}"));
    }
    builder.start().await
}

/// The key of the greatest probability, and all keys in their order.
fn keys(answer: &Value) -> (String, Vec<String>) {
    let probabilities = answer["probabilities"].as_object().unwrap_or_else(|| panic!("{answer}"));
    let greatest =
        probabilities.iter().max_by(|a, b| a.1.as_f64().unwrap().total_cmp(&b.1.as_f64().unwrap()));
    (greatest.unwrap().0.clone(), probabilities.keys().cloned().collect())
}

/// The answer to one row, by the fast path and by the normal one, which must be the same.
async fn ask(gateway: &TestGateway, model: &str, value: f64) -> Value {
    let path = format!("/models/{model}/predict");
    let one = gateway.predict_at(&path, &json!({"features": [value]})).await;
    assert_eq!(one.status.as_u16(), 200, "{model}: {one:?}");
    // A body with a byte order mark takes the normal path.
    let body = format!("\u{feff}{{\"features\": [{value}]}}");
    let request = gateway.post(&path).header("content-type", "application/json").body(body);
    let long = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(long.body, one.body, "{model}: {long:?}");
    one.body
}

#[tokio::test]
async fn keys_of_probabilities_are_the_labels_of_the_graph() {
    let quality = ["quality", "quality_maps", "quality_forest", "quality_neighbours"];
    let gateway = gateway(&[&quality[..], &["signs", "words"]].concat()).await;
    table::each_async(quality, async |model| {
        for (value, label) in [(-3.0, 3), (0.0, 4), (3.0, 5)] {
            let answer = ask(&gateway, model, value).await;
            assert_eq!(answer["prediction"], json!(label), "{model}: {answer}");
            let (likeliest, all) = keys(&answer);
            assert_eq!(
                (likeliest, all),
                (label.to_string(), vec!["3".into(), "4".into(), "5".into()]),
                "{model}"
            );
        }
    })
    .await;
    let answer = ask(&gateway, "signs", -3.0).await;
    assert_eq!((&answer["prediction"], keys(&answer).0.as_str()), (&json!(-1), "-1"));
    let answer = ask(&gateway, "words", 3.0).await;
    assert_eq!((&answer["prediction"], keys(&answer).0.as_str()), (&json!("yes"), "yes"));
}

#[tokio::test]
async fn a_name_of_the_contract_is_that_of_the_label_at_its_place() {
    let gateway = gateway(&["risk", "risk_maps", "risk_ten", "words_renamed", "likeliest_named"]).await;
    let cases = [
        ("risk", -3.0, "low"),
        ("risk", 0.0, "mid"),
        ("risk", 3.0, "high"),
        ("risk_maps", -3.0, "low"),
        ("risk_maps", 3.0, "high"),
        ("risk_ten", -3.0, "bad"),
        ("risk_ten", 3.0, "good"),
        ("words_renamed", -3.0, "nein"),
        ("words_renamed", 3.0, "ja"),
        ("likeliest_named", -3.0, "a"),
        ("likeliest_named", 3.0, "c"),
    ];
    table::each_async(cases, async |(model, value, name)| {
        let answer = ask(&gateway, model, value).await;
        assert_eq!(answer["prediction"], json!(name), "{model}, {value}: {answer}");
        assert_eq!(keys(&answer).0, name, "{model}, {value}: {answer}");
    })
    .await;
}

#[tokio::test]
async fn probabilities_of_classes_that_nothing_names_are_a_list() {
    let gateway = gateway(&["likeliest"]).await;
    let answer = ask(&gateway, "likeliest", 3.0).await;
    assert_eq!(answer["prediction"], json!(2));
    assert_eq!(answer["probabilities"].as_array().map(Vec::len), Some(3), "{answer}");
}

#[tokio::test]
async fn scores_of_pairs_of_classes_are_a_list_and_have_no_class_names() {
    let gateway = gateway(&["pairs", "pairs_named"]).await;
    for (model, prediction) in [("pairs", json!(4)), ("pairs_named", json!("mid"))] {
        let answer = ask(&gateway, model, 0.0).await;
        assert_eq!(answer["prediction"], prediction, "{answer}");
        assert_eq!(answer["probabilities"].as_array().map(Vec::len), Some(3), "{answer}");
    }
}

#[tokio::test]
async fn names_that_do_not_go_with_the_labels_are_refused_at_admission() {
    let models = ["too_few", "swapped", "likeliest_too_few"];
    let gateway = gateway(&models).await;
    let cases = models.into_iter().zip([
        "`classes` has 2 names, the graph has 3 labels (1, 2, 3)",
        "calls the label `no` `yes`",
        "`classes` has 2 names, the output `probabilities` has 3 columns",
    ]);
    table::each_async(cases, async |(model, part)| {
        let refusal = gateway.version(model).await["refusal"].clone();
        assert_eq!(refusal["reason"], json!("invalid_contract"), "{model}: {refusal}");
        assert!(refusal["detail"].as_str().unwrap().contains(part), "{model}: {refusal}");
    })
    .await;
}

#[tokio::test]
async fn classification_of_both_protocols_names_the_classes_of_the_graph() {
    let gateway = gateway(&["quality", "risk"]).await;
    table::each_async([("quality", "5"), ("risk", "high")], async |(model, name)| {
        let examples = json!({"examples": [{"X": 3.0}], "signature_name": "serving_default"});
        let answer = gateway.predict_at(&format!("/v1/models/{model}:classify"), &examples).await;
        let scores = answer.body["result"][0].as_array().unwrap_or_else(|| panic!("{answer:?}"));
        assert_eq!(scores.len(), 3, "{answer:?}");
        assert_eq!(scores[2][0], json!(name), "{answer:?}");
        let body = json!({
            "inputs": [{"name": "X", "shape": [1, 1], "datatype": "FP32", "data": [3.0]}],
            "outputs": [{"name": "probabilities", "parameters": {"classification": 1}}],
        });
        let answer = gateway.predict_at(&format!("/v2/models/{model}/infer"), &body).await;
        let text = answer.body["outputs"][0]["data"][0].as_str().unwrap_or_else(|| panic!("{answer:?}"));
        assert!(text.ends_with(&format!(":2:{name}")), "{answer:?}");
    })
    .await;
}
