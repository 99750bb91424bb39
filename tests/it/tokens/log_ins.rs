//! Log-ins that fail: who is refused, who waits, and who is served meanwhile.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use argon2::{Algorithm, Argon2, Params, Version, password_hash::PasswordHasher};
use onnx_gateway::config::{ClientSettings, QuotaSettings, Secret, Settings};
use reqwest::{Client, RequestBuilder, StatusCode};
use tokio::task::JoinSet;

use crate::support::{Answer, CLIENT_ID, CLIENT_SECRET, PATIENCE, TestGateway, client};

/// A client at an address of its own on this machine.
fn at(last: u8) -> Client {
    let address = IpAddr::V4(Ipv4Addr::new(127, 0, 1, last));
    Client::builder().local_address(address).build().unwrap()
}

fn log_in(client: &Client, gateway: &TestGateway, id: &str, secret: &str) -> RequestBuilder {
    let form = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
    client.post(gateway.url("/token")).form(&form)
}

/// A client whose secret takes as little to verify as the gateway accepts.
fn quick_client() -> ClientSettings {
    let parameters = Params::new(4096, 1, 1, None).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
    let hash = argon2.hash_password(CLIENT_SECRET.as_bytes()).unwrap().to_string();
    ClientSettings { secret_hash: Some(Secret::new(hash)), scopes: vec!["read".to_owned()], plan: None }
}

async fn answer(request: RequestBuilder) -> Answer {
    Answer::of(request.send().await.unwrap()).await
}

/// Quotas of which only that of failed log-ins is small, and gives nothing back while a test runs.
fn failed_log_ins(requests: u32) -> impl FnOnce(&mut Settings) {
    move |settings| {
        let plenty = QuotaSettings { requests: 1_000_000, period_seconds: 1 };
        let limit = &mut settings.rate_limit;
        limit.enabled = true;
        (limit.per_address, limit.per_caller, limit.failed_tokens) = (plenty.clone(), plenty.clone(), plenty);
        limit.failed_logins = QuotaSettings { requests, period_seconds: 86_400 };
        settings.auth.clients =
            [CLIENT_ID, "other"].map(|id| (id.to_owned(), quick_client())).into_iter().collect();
    }
}

#[tokio::test]
async fn an_address_that_fails_too_often_waits_whatever_client_it_names() {
    let gateway = TestGateway::builder().settings(failed_log_ins(3)).start().await;
    let (guesser, somebody) = (at(1), at(2));
    for id in [CLIENT_ID, "unknown", CLIENT_ID] {
        assert_eq!(answer(log_in(&guesser, &gateway, id, "wrong")).await.status, StatusCode::UNAUTHORIZED);
    }
    for (id, secret) in [(CLIENT_ID, "wrong"), ("unknown", "wrong"), (CLIENT_ID, CLIENT_SECRET)] {
        let refused = answer(log_in(&guesser, &gateway, id, secret)).await;
        assert_eq!((refused.status.as_u16(), refused.problem_code()), (429, "failed_logins_exceeded"));
        let seconds: u64 = refused.header("retry-after").parse().unwrap();
        // Up to ten seconds are added at random.
        assert!((1..=28_800 + 10).contains(&seconds), "{seconds}");
        assert_eq!(refused.header("ratelimit-policy"), r#""failed-logins";q=3;w=86400"#);
        assert_eq!(refused.header("ratelimit"), format!(r#""failed-logins";r=0;t={seconds}"#));
    }
    let served = answer(log_in(&somebody, &gateway, CLIENT_ID, CLIENT_SECRET)).await;
    assert_eq!(served.status, StatusCode::OK, "the client itself is not locked out: {served:?}");
    gateway.reload(|settings| settings.server.max_body_bytes += 1);
    let refused = answer(log_in(&guesser, &gateway, CLIENT_ID, "wrong")).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "a reload refills nothing");
    gateway.reload(|settings| settings.rate_limit.failed_logins.requests = 4);
    let failed = answer(log_in(&guesser, &gateway, CLIENT_ID, "wrong")).await;
    assert_eq!(failed.status, StatusCode::UNAUTHORIZED, "another quota begins full");
}

#[tokio::test]
async fn a_request_that_fails_for_another_reason_is_no_failed_log_in() {
    let gateway = TestGateway::builder().settings(failed_log_ins(1)).start().await;
    let client = at(3);
    for _ in 0..3 {
        let malformed = client.post(gateway.url("/token")).form(&[("grant_type", "password")]);
        assert_eq!(answer(malformed).await.status, StatusCode::BAD_REQUEST);
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", CLIENT_ID),
            ("client_secret", CLIENT_SECRET),
            ("scope", "manage"),
        ];
        let too_much = client.post(gateway.url("/token")).form(&form);
        assert_eq!(answer(too_much).await.status, StatusCode::BAD_REQUEST);
    }
    let served = answer(log_in(&client, &gateway, CLIENT_ID, CLIENT_SECRET)).await;
    assert_eq!(served.status, StatusCode::OK, "{served:?}");
}

#[tokio::test]
async fn a_client_is_not_refused_for_the_failed_log_ins_of_others() {
    let gateway = TestGateway::builder().settings(failed_log_ins(2)).start().await;
    let shared = at(4);
    assert_eq!(answer(log_in(&shared, &gateway, CLIENT_ID, CLIENT_SECRET)).await.status, StatusCode::OK);
    for _ in 0..2 {
        answer(log_in(&shared, &gateway, "other", "wrong")).await;
    }
    let neighbour = answer(log_in(&shared, &gateway, "other", CLIENT_SECRET)).await;
    assert_eq!(neighbour.status, StatusCode::TOO_MANY_REQUESTS, "who failed has to wait");
    let known = answer(log_in(&shared, &gateway, CLIENT_ID, CLIENT_SECRET)).await;
    assert_eq!(known.status, StatusCode::OK, "who got a token from here before has not: {known:?}");
    // From many addresses in its name.
    for last in 5..15 {
        answer(log_in(&at(last), &gateway, CLIENT_ID, "wrong")).await;
    }
    for last in [4, 15] {
        let served = answer(log_in(&at(last), &gateway, CLIENT_ID, CLIENT_SECRET)).await;
        assert_eq!(served.status, StatusCode::OK, "{last}: {served:?}");
    }
    // What it fails itself is held against it.
    for _ in 0..2 {
        answer(log_in(&shared, &gateway, CLIENT_ID, "wrong")).await;
    }
    let refused = answer(log_in(&shared, &gateway, CLIENT_ID, CLIENT_SECRET)).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "{refused:?}");
}

#[tokio::test]
async fn failed_log_ins_are_those_of_the_client_behind_a_trusted_proxy() {
    let builder = TestGateway::builder().settings(failed_log_ins(1));
    let builder =
        builder.settings(|settings| settings.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]);
    let gateway = builder.start().await;
    let from = async |forwarded: &str| {
        let request = log_in(&gateway.client, &gateway, "unknown", "wrong");
        answer(request.header("x-forwarded-for", forwarded)).await.status.as_u16()
    };
    assert_eq!(from("198.51.100.1").await, 401);
    assert_eq!(from("6.6.6.6, 198.51.100.1").await, 429);
    assert_eq!(from("198.51.100.2").await, 401);
    assert_eq!(from("2001:db8:1:2::1").await, 401);
    assert_eq!(from("2001:db8:1:2:ffff::1").await, 429, "a /64 is one client");
    assert_eq!(from("2001:db8:1:3::1").await, 401);
}

#[tokio::test]
async fn without_rate_limits_no_log_in_is_refused() {
    let builder = TestGateway::builder().settings(failed_log_ins(1));
    let gateway = builder.settings(|settings| settings.rate_limit.enabled = false).start().await;
    for _ in 0..3 {
        let failed = answer(log_in(&at(16), &gateway, CLIENT_ID, "wrong")).await;
        assert_eq!(failed.status, StatusCode::UNAUTHORIZED);
    }
    gateway.reload(|settings| settings.rate_limit.enabled = true);
    let refused = answer(log_in(&at(16), &gateway, CLIENT_ID, "wrong")).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
}

/// Addresses that send wrong secrets, each the next one as soon as the one before is answered.
struct Flood {
    answered: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Flood {
    /// Begins; each address has failed once when this returns.
    async fn begin(gateway: &TestGateway, id: &'static str, addresses: std::ops::Range<u8>) -> Self {
        let (answered, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let mut tasks = JoinSet::new();
        for last in addresses {
            let client = at(last);
            assert_eq!(answer(log_in(&client, gateway, id, "wrong")).await.status, StatusCode::UNAUTHORIZED);
            let request = log_in(&client, gateway, id, "wrong");
            let (answered, ended) = (Arc::clone(&answered), Arc::clone(&ended));
            tasks.spawn(async move {
                while !ended.load(Ordering::SeqCst) {
                    let answer = answer(request.try_clone().unwrap()).await;
                    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{answer:?}");
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        Self { answered, ended, tasks }
    }

    /// Ends, and answers how many were answered in all.
    async fn end(mut self) -> usize {
        self.ended.store(true, Ordering::SeqCst);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.answered.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn who_has_not_failed_is_served_before_those_who_have() {
    const FLOODING: u8 = 24;
    let gateway = TestGateway::builder()
        .settings(failed_log_ins(1_000))
        .settings(|settings| {
            // Which take so long to verify that most of those who failed are still waiting when another one comes.
            for number in 0..4 {
                settings.auth.clients.insert(format!("client{number}"), client(&["read"]));
            }
        })
        .start()
        .await;
    let flood = Flood::begin(&gateway, "client0", 20..20 + FLOODING).await;
    // Its own addresses, one after the other, as nobody is known from an earlier log-in; even the client in whose name
    // the others fail.
    for number in 0..4 {
        let (id, client) = (format!("client{number}"), at(100 + number));
        let before = flood.answered.load(Ordering::SeqCst);
        let served =
            tokio::time::timeout(PATIENCE, answer(log_in(&client, &gateway, &id, CLIENT_SECRET))).await;
        assert_eq!(served.expect("an answer").status, StatusCode::OK);
        let meanwhile = flood.answered.load(Ordering::SeqCst) - before;
        assert!(meanwhile < usize::from(FLOODING) / 2, "{meanwhile} of those who failed came before {id}");
    }
    assert!(flood.end().await > 0);
}
