//! Plans: by the settings of clients and API keys, the default one, and changes of both.

use onnx_gateway::{
    auth::NewApiKey,
    config::{PlanSettings, Settings},
};
use serde_json::json;

use super::{left, of_callers, predict, token_of};
use crate::support::{CLIENT_ID, CLIENT_SECRET, TestGateway};

fn plan(requests: u32) -> PlanSettings {
    PlanSettings { requests, period_seconds: 86_400, concurrent: 0 }
}

/// Callers without a plan may send 10 a day, those with plan `gold` 100.
fn with_gold(settings: &mut Settings) {
    of_callers(10)(settings);
    settings.rate_limit.plans.insert("gold".to_owned(), plan(100));
    settings.auth.clients.get_mut(CLIENT_ID).unwrap().plan = Some("gold".to_owned());
}

#[tokio::test]
async fn clients_and_api_keys_have_the_plans_of_their_settings() {
    let (scopes, plan) = (vec!["predict".to_owned()], Some("gold".to_owned()));
    let key = NewApiKey::generate("batch", scopes, None, plan).unwrap();
    let settings = key.settings;
    let builder = TestGateway::builder().settings(with_gold).settings(|all| {
        all.auth.api_keys.insert("batch".to_owned(), settings);
    });
    let gateway = builder.start().await;
    let asked =
        json!({"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET});
    let issued = super::send(gateway.client.post(gateway.url("/token")).form(&asked)).await;
    let issued = issued.body["access_token"].as_str().unwrap().to_owned();
    let policy = |requests| format!(r#""address";q=1000000;w=86400, "caller";q={requests};w=86400"#);
    for (token, requests) in
        [(issued, 100), (key.key.expose().to_owned(), 100), (token_of("tester").build(), 10)]
    {
        let answer = predict(&gateway, &token).await;
        assert_eq!((answer.status.as_u16(), left(&answer.headers, "caller")), (200, requests - 1));
        assert_eq!(answer.header("ratelimit-policy"), policy(requests));
    }
}

#[tokio::test]
async fn a_plan_that_changes_applies_at_the_next_reload_and_others_keep_their_charges() {
    let gateway = TestGateway::builder().settings(with_gold).start().await;
    let (client, other) = (token_of(CLIENT_ID).build(), token_of("other").build());
    let of = async |token: &str| left(&predict(&gateway, token).await.headers, "caller");
    assert_eq!((of(&client).await, of(&other).await), (99, 9));
    gateway.reload(|settings| {
        settings.rate_limit.plans.insert("silver".to_owned(), plan(50));
        settings.auth.clients.get_mut(CLIENT_ID).unwrap().plan = Some("silver".to_owned());
    });
    assert_eq!((of(&client).await, of(&other).await), (49, 8), "another plan, with the same token");
    gateway.reload(|settings| {
        settings.rate_limit.plans.insert("gold".to_owned(), plan(200));
    });
    assert_eq!((of(&client).await, of(&other).await), (48, 7), "their quotas are the same");
    gateway.reload(|settings| settings.rate_limit.default_plan = Some("gold".to_owned()));
    assert_eq!((of(&client).await, of(&other).await), (47, 199));
    gateway.reload(|settings| settings.auth.clients.get_mut(CLIENT_ID).unwrap().plan = None);
    assert_eq!(of(&client).await, 199, "without a plan of its own");
}

#[tokio::test]
async fn a_plan_names_itself_where_it_is_used_up() {
    let gateway = TestGateway::builder()
        .settings(with_gold)
        .settings(|settings| {
            settings.rate_limit.plans.insert("gold".to_owned(), plan(1));
        })
        .start()
        .await;
    let client = token_of(CLIENT_ID).build();
    assert_eq!(predict(&gateway, &client).await.status, 200);
    let refused = predict(&gateway, &client).await;
    assert_eq!((refused.status.as_u16(), refused.problem_code()), (429, "caller_quota_exceeded"));
    assert!(refused.text.contains("rate_limit.plans.gold sets this quota"), "{refused:?}");
}
