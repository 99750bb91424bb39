//! Cross-origin requests of browsers.

use axum::http::{Method, StatusCode};
use onnx_gateway::config::QuotaSettings;

use crate::support::{Answer, TestGateway, setosa, table};

const PAGE: &str = "https://app.example.com";

async fn gateway(origins: &[&str]) -> TestGateway {
    let origins: Vec<String> = origins.iter().map(ToString::to_string).collect();
    TestGateway::builder().settings(|settings| settings.cors.allowed_origins = origins).start().await
}

/// The response to what a browser asks before it sends a token and JSON.
async fn preflight(gateway: &TestGateway, path: &str, origin: &str) -> Answer {
    let request = gateway
        .client
        .request(Method::OPTIONS, gateway.url(path))
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type");
    Answer::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn without_origins_no_response_permits_anything() {
    let gateway = gateway(&[]).await;
    let refused = preflight(&gateway, "/predict", PAGE).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let answer =
        Answer::of(gateway.post("/predict").header("origin", PAGE).json(&setosa()).send().await.unwrap());
    for answer in [refused, answer.await] {
        assert!(
            answer.headers.keys().all(|name| !name.as_str().starts_with("access-control-")),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_predicts_and_reads_what_it_needs() {
    let gateway = gateway(&["http://localhost:3000", PAGE]).await;
    table::each_async(
        ["/predict", "/models/iris/predict", "/v2/models/iris/infer", "/nowhere"],
        async |path| {
            let permitted = preflight(&gateway, path, PAGE).await;
            assert_eq!(permitted.status, StatusCode::OK, "{path}: no token, and no quota");
            assert_eq!(permitted.header("access-control-allow-origin"), PAGE);
            assert_eq!(permitted.header("access-control-allow-methods"), "GET,HEAD,POST,DELETE");
            let headers = permitted.header("access-control-allow-headers");
            for name in ["authorization", "content-type", "x-api-key"] {
                assert!(headers.split(',').any(|found| found == name), "{name} in {headers}");
            }
            assert_eq!(permitted.header("access-control-max-age"), "3600");
            assert!(!permitted.header("x-request-id").is_empty());
        },
    )
    .await;
    let request = gateway.post("/predict").header("origin", PAGE).json(&setosa());
    let answer = Answer::of(request.send().await.unwrap()).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (StatusCode::OK, PAGE));
    assert!(answer.header("vary").contains("origin"), "{answer:?}");
    let exposed = answer.header("access-control-expose-headers");
    for name in
        ["x-model-version", "x-model-digest", "x-request-id", "ratelimit", "retry-after", "www-authenticate"]
    {
        assert!(exposed.split(',').any(|found| found == name), "{name} in {exposed}");
    }
    let request = gateway.client.post(gateway.url("/predict")).header("origin", PAGE).json(&setosa());
    let refused = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "its script learns why");
    assert_eq!(refused.header("access-control-allow-origin"), PAGE);
}

#[tokio::test]
async fn a_page_of_another_origin_is_not_permitted() {
    let gateway = gateway(&[PAGE]).await;
    for other in
        ["https://app.example.com.evil.example", "http://app.example.com", "https://example.com", "null"]
    {
        let answer = preflight(&gateway, "/predict", other).await;
        assert!(answer.headers.get("access-control-allow-origin").is_none(), "{other}: {answer:?}");
    }
}

#[tokio::test]
async fn every_origin_is_allowed_by_a_star_and_never_with_credentials() {
    let gateway = gateway(&["*"]).await;
    let answer = preflight(&gateway, "/predict", PAGE).await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert!(answer.headers.get("access-control-allow-credentials").is_none());
}

#[tokio::test]
async fn preflight_requests_take_nothing_from_a_quota() {
    let gateway = TestGateway::builder()
        .settings(|settings| {
            settings.cors.allowed_origins = vec![PAGE.to_owned()];
            settings.rate_limit.enabled = true;
            settings.rate_limit.per_address = QuotaSettings { requests: 2, period_seconds: 3600 };
        })
        .start()
        .await;
    for _ in 0..5 {
        assert_eq!(preflight(&gateway, "/predict", PAGE).await.status, StatusCode::OK);
    }
    let ask = async || {
        let request = gateway.post("/predict").header("origin", PAGE).json(&setosa());
        Answer::of(request.send().await.unwrap()).await
    };
    assert_eq!((ask().await.status, ask().await.status), (StatusCode::OK, StatusCode::OK));
    let refused = ask().await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.header("access-control-allow-origin"), PAGE, "its script learns when to come back");
}

#[tokio::test]
async fn origins_change_without_a_restart() {
    let gateway = gateway(&[]).await;
    gateway.reload(|settings| settings.cors.allowed_origins = vec![PAGE.to_owned()]);
    let answer = preflight(&gateway, "/predict", PAGE).await;
    assert_eq!(answer.header("access-control-allow-origin"), PAGE);
}
