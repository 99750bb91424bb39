//! The console: the page for browsers at `/`, its files, and the data that it needs.

use std::collections::BTreeSet;

use reqwest::{StatusCode, header};
use serde_json::{Value, json};

use crate::support::{Answer, TestGateway, table};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

async fn get(gateway: &TestGateway, path: &str, headers: &[(header::HeaderName, &str)]) -> Answer {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let request = client.get(gateway.url(path));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(name, *value));
    Answer::of(request.send().await.unwrap()).await
}

async fn page(gateway: &TestGateway) -> Answer {
    get(gateway, "/", &[(header::ACCEPT, BROWSER)]).await
}

/// The files that a page or a script names after this text.
fn named(text: &str, before: &str, end: char) -> BTreeSet<String> {
    text.split(before).skip(1).map(|rest| rest.split(end).next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_browser_gets_the_page_and_others_hear_that_the_gateway_lives() {
    let gateway = TestGateway::start().await;
    let page = page(&gateway).await;
    assert_eq!((page.status, page.header("content-type")), (StatusCode::OK, "text/html; charset=utf-8"));
    assert_eq!(page.header("vary"), "accept");
    for accept in ["*/*", "application/json", "text/html;q=0"] {
        let other = get(&gateway, "/", &[(header::ACCEPT, accept)]).await;
        assert_eq!((other.status, &other.body), (StatusCode::OK, &json!({"status": "alive"})), "{accept}");
        assert_eq!(other.header("vary"), "accept");
    }
    assert!(page.text.contains("data-clients=\"some\""), "the form offers the client first");
    let builder = TestGateway::builder().settings(|settings| settings.auth.clients.clear());
    let other = self::page(&builder.start().await).await;
    assert!(other.text.contains("data-clients=\"none\""), "the form offers the token alone");
    let head = gateway.client.head(gateway.url("/")).header(header::ACCEPT, BROWSER).send().await.unwrap();
    assert_eq!((head.status(), &head.headers()["etag"]), (StatusCode::OK, &page.headers["etag"]));
}

#[tokio::test]
async fn the_page_runs_nothing_inline_and_nothing_from_elsewhere() {
    let gateway = TestGateway::start().await;
    let page = page(&gateway).await;
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                  base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    assert_eq!(page.header("content-security-policy"), policy);
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert_eq!(page.header("cross-origin-opener-policy"), "same-origin");
    for forbidden in ["style=", "<style", " onclick", "javascript:", "http:", "https:", "{{"] {
        assert!(!page.text.contains(forbidden), "{forbidden}");
    }
    let scripts = page.text.matches("<script").count();
    assert_eq!((scripts, page.text.matches("<script type=\"module\" src=").count()), (1, 1));
}

#[tokio::test]
async fn a_browser_asks_for_the_page_again_and_keeps_its_files() {
    let gateway = TestGateway::start().await;
    let page = page(&gateway).await;
    assert_eq!(page.header("cache-control"), "no-cache");
    let known = [(header::ACCEPT, BROWSER), (header::IF_NONE_MATCH, page.header("etag"))];
    let again = get(&gateway, "/", &known).await;
    assert_eq!((again.status, again.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
    assert_eq!(again.header("etag"), page.header("etag"));
    assert!(again.header("content-security-policy").starts_with("default-src 'none'"));
    let changed = [(header::ACCEPT, BROWSER), (header::IF_NONE_MATCH, "\"another\"")];
    assert_eq!(get(&gateway, "/", &changed).await.status, StatusCode::OK);

    let mut files: BTreeSet<String> = named(&page.text, "\"console/", '"');
    let folder = files.first().unwrap().split('/').next().unwrap().to_owned();
    let main = get(&gateway, &format!("/console/{folder}/console.js"), &[]).await;
    files.extend(named(&main.text, " from './", '\'').iter().map(|name| format!("{folder}/{name}")));
    assert!(files.len() > 6, "{files:?}");
    table::each_async(files, async |file| {
        let path = format!("/console/{file}");
        let answer = get(&gateway, &path, &[]).await;
        let media_type = match file.rsplit('.').next().unwrap() {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            _ => "image/svg+xml",
        };
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, media_type));
        assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
        assert!(!answer.text.is_empty());
        let again = get(&gateway, &path, &[(header::IF_NONE_MATCH, answer.header("etag"))]).await;
        assert_eq!((again.status, again.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
    })
    .await;
}

#[tokio::test]
async fn files_of_another_version_or_name_do_not_exist() {
    let gateway = TestGateway::start().await;
    let page = page(&gateway).await;
    let files = named(&page.text, "\"console/", '"');
    let folder = files.first().unwrap().split('/').next().unwrap();
    for path in [
        "/console/0123456789ab/console.js".to_owned(),
        format!("/console/{folder}/index.html"),
        format!("/console/{folder}/..%2fconsole.js"),
        format!("/console/{folder}"),
        "/console/".to_owned(),
    ] {
        let answer = get(&gateway, &path, &[]).await;
        assert_eq!((answer.status, answer.problem_code()), (StatusCode::NOT_FOUND, "not_found"), "{path}");
    }
}

#[tokio::test]
async fn the_console_can_be_switched_off_while_the_gateway_runs() {
    let gateway = TestGateway::start().await;
    let before = page(&gateway).await;
    let file = named(&before.text, "\"console/", '"').first().unwrap().clone();
    let applied = gateway.reload(|settings| settings.console.enabled = false).applied;
    assert_eq!(applied, ["console.enabled"]);
    let off = page(&gateway).await;
    assert_eq!((off.status, off.header("location")), (StatusCode::TEMPORARY_REDIRECT, "docs"));
    assert_eq!(off.header("vary"), "accept");
    assert_eq!(get(&gateway, &format!("/console/{file}"), &[]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(get(&gateway, "/", &[]).await.body, json!({"status": "alive"}));
    let _ = gateway.reload(|settings| settings.console.enabled = true);
    assert_eq!(page(&gateway).await.text, before.text);
}

#[tokio::test]
async fn the_page_knows_whether_a_token_is_needed() {
    let gateway = TestGateway::start().await;
    assert!(page(&gateway).await.text.contains(r#"data-authentication="on""#));
    let gateway = TestGateway::builder().settings(|settings| settings.auth.enabled = false).start().await;
    assert!(page(&gateway).await.text.contains(r#"data-authentication="off""#));
}

#[tokio::test]
async fn a_model_shows_its_golden_cases_and_its_features_as_a_form_needs_them() {
    let builder = TestGateway::builder().model("towns.onnx", "facts/encoder");
    let gateway = builder.model("gaps.onnx", "exporters/sk_histograms_gaps").start().await;
    let iris = gateway.version("iris").await;
    let examples = iris["examples"].as_array().unwrap();
    assert!((1..=8).contains(&examples.len()), "{examples:?}");
    for example in examples {
        assert_eq!(example["inputs"]["features"][0].as_array().unwrap().len(), 4, "{example}");
        let answer = gateway.predict(&json!({"inputs": example["inputs"]})).await;
        assert_eq!(answer.body["outputs"]["label"]["data"], example["outputs"]["label"], "{answer:?}");
    }
    assert_eq!(iris["features"][0]["datatype"], "FP32");
    let list = Answer::of(gateway.get("/models").send().await.unwrap()).await;
    assert!(!list.text.contains("examples"), "the list is short: {}", list.text);
    let towns = gateway.version("towns").await;
    assert_eq!(towns["features"][0]["datatype"], "BYTES");
    assert_eq!(towns["features"][0]["categories"], json!(["Bern", "Zug"]));
    assert!(towns["features"][1].get("categories").is_none(), "{towns}");
    assert!(iris.get("nullable").is_none(), "all values of iris are needed: {iris}");
    let gaps = gateway.version("gaps").await;
    let nullable = gaps["nullable"].as_array().unwrap();
    assert!(!nullable.is_empty() && !list.text.contains("nullable"), "{gaps}");
    let row = vec![Value::Null; nullable.len()];
    let answer = gateway.predict_at("/models/gaps/predict", &json!({"features": row})).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
}
