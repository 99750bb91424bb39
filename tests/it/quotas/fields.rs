//! `RateLimit-Policy` and `RateLimit` on every response to a limited request.

use tonic::Code;

use super::{a_day, left, of_callers, predict, send, token_of};
use crate::support::{TestGateway, grpc::setosa_raw, table};

const BOTH: &str = r#""address";q=1000000;w=86400, "caller";q=50;w=86400"#;
const ADDRESS: &str = r#""address";q=1000000;w=86400"#;

#[tokio::test]
async fn every_response_tells_the_quotas() {
    let gateway = TestGateway::builder().settings(of_callers(50)).start().await;
    let token = token_of("a").build();
    let cases = [
        ("POST", "/predict", true, 422, BOTH),
        ("GET", "/models", true, 200, BOTH),
        ("GET", "/models/iris", true, 200, BOTH),
        ("HEAD", "/models", true, 200, BOTH),
        ("GET", "/nothing", true, 404, BOTH),
        ("GET", "/predict", true, 405, BOTH),
        ("GET", "/v2/models/iris", true, 200, BOTH),
        ("GET", "/v2/models/nothing", true, 404, BOTH),
        ("POST", "/v1/models/iris:predict", true, 400, BOTH),
        ("GET", "/models", false, 401, ADDRESS),
    ];
    table::each_async(cases, async |(method, path, has_token, status, policy)| {
        let request = gateway.client.request(method.parse().unwrap(), gateway.url(path));
        let request = if has_token { request.bearer_auth(&token) } else { request };
        let request = if method == "POST" && has_token {
            request.header("content-type", "application/json").body("{}")
        } else {
            request
        };
        let answer = send(request).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        assert_eq!(answer.header("ratelimit-policy"), policy, "{method} {path}");
        assert!(left(&answer.headers, "address") < 1_000_000, "{method} {path}");
        assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("x-ratelimit")), "{answer:?}");
    })
    .await;
    let probe = send(gateway.client.get(gateway.url("/health/live"))).await;
    assert!(probe.headers.get("ratelimit").is_none(), "probes are not limited: {probe:?}");
}

#[tokio::test]
async fn what_is_left_goes_down_by_one_along_both_paths() {
    let builder = TestGateway::builder().settings(of_callers(50));
    let gateway = builder.settings(|settings| settings.rate_limit.per_address = a_day(50)).start().await;
    let token = token_of("a").build();
    let mut expected = 50;
    for headers in [&[][..], &[], &[("x-tenant", "a")], &[]] {
        let request = gateway.client.post(gateway.url("/predict")).bearer_auth(&token);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = send(request.json(&crate::support::setosa())).await;
        expected -= 1;
        assert_eq!((answer.status.as_u16(), left(&answer.headers, "caller")), (200, expected));
        assert_eq!(left(&answer.headers, "address"), expected);
    }
}

#[tokio::test]
async fn calls_over_grpc_tell_the_quotas_as_metadata() {
    let gateway = TestGateway::builder().settings(of_callers(50)).start().await;
    let mut client = gateway.grpc_with(&token_of("a"));
    for expected in [49, 48] {
        let answer = client.model_infer(setosa_raw()).await.unwrap();
        let headers = answer.metadata().clone().into_headers();
        assert_eq!(
            (left(&headers, "caller"), &headers["ratelimit-policy"]),
            (expected, &BOTH.parse().unwrap())
        );
    }
    let mut wrong = setosa_raw();
    wrong.inputs.clear();
    let refused = client.model_infer(wrong).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(left(&refused.metadata().clone().into_headers(), "caller"), 47);
    let nobody = gateway.grpc_without_token().model_infer(setosa_raw()).await.unwrap_err();
    assert_eq!(nobody.metadata().get("ratelimit-policy").unwrap(), ADDRESS);
}

#[tokio::test]
async fn without_limits_there_are_no_fields() {
    let gateway = TestGateway::start().await;
    let answer = predict(&gateway, &token_of("a").build()).await;
    assert!(answer.headers.get("ratelimit").is_none() && answer.headers.get("ratelimit-policy").is_none());
    gateway.reload(|settings| {
        of_callers(50)(settings);
        settings.rate_limit.per_address = a_day(7);
        settings.auth.enabled = false;
    });
    let answer = predict(&gateway, "any").await;
    assert_eq!(answer.header("ratelimit-policy"), r#""address";q=7;w=86400"#, "there are no callers");
}
