//! How much a client may ask.

use onnx_gateway::config::{QuotaSettings, Settings};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::json;

use crate::support::{
    Answer, TestGateway, pause, setosa, table,
    tokens::{SigningKey, TokenBuilder, now},
};

/// The default limits: 60 a minute for each address.
fn defaults(settings: &mut Settings) {
    settings.rate_limit = Settings::default().rate_limit;
}

async fn status(request: RequestBuilder) -> StatusCode {
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn the_61st_request_within_the_period_is_refused() {
    let gateway = TestGateway::builder()
        .settings(|settings| {
            defaults(settings);
            // So long that none of the 60 is given back while this runs.
            settings.rate_limit.per_address.period_seconds = 86_400;
        })
        .start()
        .await;
    let ask = |number: u8| {
        let forged = format!("198.51.100.{number}");
        let request = gateway.post("/predict").header("x-forwarded-for", forged).json(&setosa());
        async { Answer::of(request.send().await.unwrap()).await }
    };
    for number in 1..=60 {
        assert_eq!(ask(number).await.status, StatusCode::OK, "{number}");
    }
    let answer = ask(61).await;
    assert_eq!((answer.status.as_u16(), answer.problem_code()), (429, "address_quota_exceeded"));
    assert_eq!(answer.header("ratelimit-policy"), r#""address";q=60;w=86400"#);
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    // A tenth of the wait, at most 10 s, is added at random.
    assert!((1..=86_400 / 60 + 10).contains(&seconds), "{seconds}");
    assert_eq!(answer.header("ratelimit"), format!(r#""address";r=0;t={seconds}"#));
    assert_eq!(answer.body["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!(answer.body["violated-policies"], json!(["address"]));
}

#[tokio::test]
async fn by_default_it_is_60_a_minute() {
    let gateway = TestGateway::builder().settings(defaults).start().await;
    let refused = async {
        for number in 1.. {
            let answer = Answer::of(gateway.post("/predict").json(&setosa()).send().await.unwrap()).await;
            if answer.status != StatusCode::OK {
                return (number, answer);
            }
        }
        unreachable!("the numbers do not end")
    };
    let (number, answer) =
        tokio::time::timeout(crate::support::PATIENCE, refused).await.expect("a request is refused");
    // One is given back each second that this takes.
    assert!(number > 60, "the {number}th was refused");
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, "1"));
    assert_eq!(answer.header("ratelimit-policy"), r#""address";q=60;w=60"#);
    let told = answer.body["detail"].as_str().unwrap();
    let said = "this address may send 60 requests in 60 s; try again in 1 s. The gateway's rate_limit.per_address sets";
    assert!(told.starts_with(said) && told.ends_with("address_quota_exceeded in docs/errors.md"), "{told}");
}

/// A quota that no test outlives.
fn two_an_hour(settings: &mut Settings) {
    defaults(settings);
    settings.rate_limit.per_address.requests = 2;
    settings.rate_limit.per_address.period_seconds = 3600;
}

#[tokio::test]
async fn whoever_has_no_token_is_counted_too_and_probes_are_not() {
    let gateway = TestGateway::builder().settings(two_an_hour).start().await;
    let nobody = || gateway.client.post(gateway.url("/predict"));
    assert_eq!(status(nobody()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(gateway.client.get(gateway.url("/nothing"))).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(nobody()).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(status(gateway.post("/predict").json(&setosa())).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(status(gateway.client.post(gateway.url("/token"))).await, StatusCode::TOO_MANY_REQUESTS);
    for path in ["/health", "/health/live", "/health/ready"] {
        assert_eq!(status(gateway.client.get(gateway.url(path))).await, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_trusted_proxy_says_who_asks() {
    let builder = TestGateway::builder().settings(two_an_hour);
    let builder =
        builder.settings(|settings| settings.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]);
    let gateway = builder.start().await;
    let from = |forwarded: &str| {
        status(gateway.post("/predict").header("x-forwarded-for", forwarded).json(&setosa()))
    };
    for forged in ["1.1.1.1, 198.51.100.1", "2.2.2.2, 198.51.100.1"] {
        assert_eq!(from(forged).await, StatusCode::OK);
    }
    assert_eq!(from("3.3.3.3, 198.51.100.1").await, StatusCode::TOO_MANY_REQUESTS, "read from the right");
    let unreadable = reqwest::header::HeaderValue::from_bytes(b"\xff, 198.51.100.1").unwrap();
    let forged =
        gateway.post("/predict").header("x-forwarded-for", "4.4.4.4").header("x-forwarded-for", unreadable);
    assert_eq!(
        status(forged.json(&setosa())).await,
        StatusCode::OK,
        "charged to the proxy, whose first it is"
    );
    let again = reqwest::header::HeaderValue::from_bytes(b"\xff, 198.51.100.1").unwrap();
    for (forged, expected) in [("5.5.5.5", StatusCode::OK), ("6.6.6.6", StatusCode::TOO_MANY_REQUESTS)] {
        let forged = gateway
            .post("/predict")
            .header("x-forwarded-for", forged)
            .header("x-forwarded-for", again.clone());
        assert_eq!(
            status(forged.json(&setosa())).await,
            expected,
            "what stands left of nonsense is not believed"
        );
    }
    assert_eq!(from("198.51.100.2").await, StatusCode::OK, "another client has its own quota");
    assert_eq!(from("2001:db8::1").await, StatusCode::OK);
    assert_eq!(from("2001:db8::2").await, StatusCode::OK);
    assert_eq!(from("2001:db8::3").await, StatusCode::TOO_MANY_REQUESTS, "a /64 is one client");
}

#[tokio::test]
async fn whoever_was_refused_is_let_in_again() {
    let gateway = TestGateway::builder()
        .settings(|settings| {
            defaults(settings);
            settings.rate_limit.per_address.requests = 1;
            settings.rate_limit.per_address.period_seconds = 1;
        })
        .start()
        .await;
    let ask = || async { Answer::of(gateway.post("/predict").json(&setosa()).send().await.unwrap()).await };
    let refused = async {
        loop {
            let answer = ask().await;
            if answer.status == StatusCode::TOO_MANY_REQUESTS {
                return answer;
            }
        }
    };
    let refused =
        tokio::time::timeout(crate::support::PATIENCE, refused).await.expect("a second request is refused");
    let told: u64 = refused.header("retry-after").parse().unwrap();
    // Requests that are refused are not charged, so asking again and again makes no difference.
    let admitted = async {
        while ask().await.status != StatusCode::OK {
            pause().await;
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, admitted).await.expect("it is let in again");
    assert_eq!(told, 1, "a quota of one a second");
}

#[tokio::test]
async fn each_caller_has_a_quota_whatever_the_address() {
    let gateway = TestGateway::builder()
        .settings(|settings| {
            defaults(settings);
            settings.rate_limit.per_caller.requests = 2;
            settings.rate_limit.per_caller.period_seconds = 3600;
        })
        .start()
        .await;
    let ask = |subject: &'static str| {
        let token = TokenBuilder::new().claim("sub", json!(subject)).build();
        let request = gateway.client.post(gateway.url("/predict")).bearer_auth(token).json(&setosa());
        async { Answer::of(request.send().await.unwrap()).await }
    };
    assert_eq!(ask("a").await.status, StatusCode::OK);
    assert_eq!(ask("a").await.status, StatusCode::OK);
    let refused = ask("a").await;
    assert_eq!((refused.status.as_u16(), refused.problem_code()), (429, "caller_quota_exceeded"));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 1);
    assert_eq!(refused.body["violated-policies"], json!(["caller"]));
    assert_eq!(ask("b").await.status, StatusCode::OK, "another caller has their own");
}

/// The fields of a refusal by this quota, of three requests an hour.
fn assert_fields(answer: &Answer, policy: &str, place: &str) {
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{place}: {answer:?}");
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=1210).contains(&seconds), "{place}: {seconds}");
    assert_eq!(answer.header("ratelimit-policy"), format!(r#""{policy}";q=3;w=3600"#), "{place}");
    assert_eq!(answer.header("ratelimit"), format!(r#""{policy}";r=0;t={seconds}"#), "{place}");
}

/// A path of each protocol, with a body that is right.
fn every_protocol() -> [(&'static str, serde_json::Value); 8] {
    let instances = json!({"instances": [[5.1, 3.5, 1.4, 0.2]]});
    let input =
        json!({"name": "features", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]});
    [
        ("/predict", setosa()),
        ("/models/iris/predict", setosa()),
        ("/models/iris/versions/1/predict", setosa()),
        ("/v2/models/iris/infer", json!({"inputs": [input]})),
        ("/v1/models/iris:predict", instances.clone()),
        ("/invocations", instances.clone()),
        ("/models/iris/invoke", instances.clone()),
        ("/ask", instances),
    ]
}

fn three_an_hour() -> QuotaSettings {
    QuotaSettings { requests: 3, period_seconds: 3600 }
}

#[tokio::test]
async fn a_used_up_quota_has_the_same_fields_in_every_protocol() {
    let builder = TestGateway::builder().settings(|settings| {
        settings.rate_limit.enabled = true;
        settings.rate_limit.per_address.requests = 1_000_000;
        settings.rate_limit.per_caller = three_an_hour();
        settings.dialects.vertex_predict_route = Some("/ask".to_owned());
    });
    let gateway = builder.start().await;
    let token = TokenBuilder::new().build();
    let ask = async |path: &str, body: &serde_json::Value| {
        let request = gateway.client.post(gateway.url(path)).bearer_auth(&token).json(body);
        Answer::of(request.send().await.unwrap()).await
    };
    for (path, body) in every_protocol().iter().take(3) {
        assert_eq!(ask(path, body).await.status, StatusCode::OK, "{path}");
    }
    table::each_async(&every_protocol(), async |(path, body)| {
        assert_fields(&ask(path, body).await, "caller", path);
    })
    .await;
}

#[tokio::test]
async fn tokens_that_fail_have_a_quota_of_their_own_in_every_protocol() {
    let builder = TestGateway::builder().settings(|settings| {
        settings.rate_limit.enabled = true;
        settings.rate_limit.per_address.requests = 1_000_000;
        settings.rate_limit.failed_tokens = three_an_hour();
        settings.dialects.vertex_predict_route = Some("/ask".to_owned());
    });
    let gateway = builder.start().await;
    let ask = async |path: &str, token: &str, body: &serde_json::Value| {
        let request = gateway.client.post(gateway.url(path)).bearer_auth(token).json(body);
        Answer::of(request.send().await.unwrap()).await
    };
    let forged = TokenBuilder::new().build_with(&SigningKey::secret("another-secret-6c1f7e9a2b5d8c3f4e0a1b"));
    assert_eq!(status(gateway.client.get(gateway.url("/models"))).await, StatusCode::UNAUTHORIZED, "none");
    assert_eq!(ask("/predict", "no.token.at-all", &setosa()).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(ask("/predict", &forged, &setosa()).await.status, StatusCode::UNAUTHORIZED);
    let over = TokenBuilder::new().claim("exp", json!(now() - 600)).build();
    table::each_async(&every_protocol(), async |(path, body)| {
        assert_fields(&ask(path, &forged, body).await, "failed-tokens", path);
        let good = TokenBuilder::new().claim("jti", json!(path)).build();
        assert_eq!(ask(path, &good, body).await.status, StatusCode::OK, "{path}: a good token is believed");
        let answer = ask(path, &over, body).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}: a token that is over was no guess");
    })
    .await;
    let other = reqwest::Client::builder().local_address(std::net::IpAddr::from([127, 0, 2, 1])).build();
    let other = other.unwrap().post(gateway.url("/predict")).bearer_auth(&forged);
    assert_eq!(status(other).await, StatusCode::UNAUTHORIZED, "another address has its own");
    gateway.reload(|settings| settings.rate_limit.enabled = false);
    assert_eq!(ask("/predict", &forged, &setosa()).await.status, StatusCode::UNAUTHORIZED);
}
