//! Back to what served before, asked or not.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use serde_json::{Value, json};

use super::{
    load::{Load, Plan, Seen},
    models::{BASES, Expected, bodies, bytes, digest, fresh},
    row::{Row, sized},
    server::{IRIS, Server, until},
    swaps::plan,
};

/// A rollback that takes longer than this is none that helps.
const MOST_MS: f64 = 1000.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_by_request_holds_over_a_restart() {
    let expected = Arc::new(Expected::of(&BASES, &bodies()).await);
    let (good, bad) = (bytes(BASES[0]), bytes(BASES[1]));
    expected.announce(&digest(&good), BASES[0]);
    expected.announce(&digest(&bad), BASES[1]);
    let mut server = Server::prepare().with_iris().start().await;
    let load = Load::start(&server, plan(&expected, 8));
    server.put(IRIS, &bad);
    load.until_answered_by(&digest(&bad)).await;
    load.until_answers(sized(100, 5_000)).await;

    let start = Instant::now();
    let answer = server.post("/models/iris/rollback", &json!({})).await;
    assert_eq!((answer.status.as_u16(), &answer.body["digest"]), (200, &digest(&good).into()), "{answer:?}");
    load.until_answered_by(&digest(&good)).await;
    let took_ms = start.elapsed().as_secs_f64() * 1e3;
    load.until_answers(sized(100, 5_000)).await;
    server.until_serves("iris", &digest(&good)).await;
    assert_eq!(server.refusal("iris").await, "rolled_back");
    let tally = load.stop().await;

    // What was taken back still lies there.
    server.kill();
    server.start_again().await;
    assert_eq!(server.refusal("iris").await, "rolled_back");
    server.until_serves("iris", &digest(&good)).await;
    let newer = fresh(&bad, 1);
    server.put(IRIS, &newer);
    server.until_serves("iris", &digest(&newer)).await;

    let mut row = Row::new("rollback by request", "A, B, rollback, restart, a newer file");
    row.limited("until_old_answers_ms", took_ms, MOST_MS);
    row.finish(&tally);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_fails_in_service_is_taken_back() {
    // The last one is too long a flower for the model that fails.
    let asked: Vec<Value> =
        bodies().into_iter().take(3).chain([json!({"features": [14.95, 3.5, 1.4, 0.2]})]).collect();
    let failing = asked.len() - 1;
    let expected = Arc::new(Expected::of(&["iris"], &asked).await);
    let usual = Arc::new(Expected::of(&["iris_nan_on_large"], &asked[..failing]).await);
    let (good, bad) = (bytes("iris"), bytes("iris_nan_on_large"));
    expected.announce(&digest(&good), "iris");
    usual.announce(&digest(&bad), "iris_nan_on_large");
    let own_failures: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let (bad_digest, failed) = (digest(&bad), Arc::clone(&own_failures));
    let check = move |seen: &Seen| {
        if seen.status == 422 && seen.index == failing && seen.body["code"] == "non_finite_output" {
            failed.lock().unwrap().push(Instant::now());
            return Ok(());
        }
        if seen.status != 200 {
            return Err(format!("status {}: {}", seen.status, seen.body));
        }
        let expected = if seen.digest == bad_digest { &usual } else { &expected };
        expected.check(seen.index, &seen.digest, &seen.version, &seen.body)
    };
    let prepared = Server::prepare()
        .with_iris()
        .setting("ROLLBACK__MIN_ANSWERS", 10)
        .setting("ROLLBACK__FAILURE_SHARE", 0.1);
    let mut server = prepared.start().await;
    let load = Load::start(
        &server,
        Plan { path: "/predict", bodies: asked, connections: 8, check: Arc::new(check) },
    );
    load.until_answers(sized(100, 5_000)).await;
    assert!(own_failures.lock().unwrap().is_empty(), "the model before does not fail");

    server.put(IRIS, &bad);
    until("it is taken back", async || {
        (server.counter("gateway_model_rollbacks_total").await == 1).then_some(())
    })
    .await;
    server.until_serves("iris", &digest(&good)).await;
    assert_eq!(server.refusal("iris").await, "rolled_back");
    let failed = own_failures.lock().unwrap().len();
    load.until_answers(sized(200, 5_000)).await;
    let tally = load.stop().await;
    let own_failures = own_failures.lock().unwrap().clone();
    assert!(failed > 0, "it failed");
    let (first, last) = (own_failures.first().unwrap(), own_failures.last().unwrap());

    server.kill();
    server.start_again().await;
    assert_eq!(server.refusal("iris").await, "rolled_back");
    server.until_serves("iris", &digest(&good)).await;
    let newer = fresh(&good, 1);
    server.put(IRIS, &newer);
    server.until_serves("iris", &digest(&newer)).await;

    let mut row =
        Row::new("rollback by failures", "a model that answers NaN in service, restart, a newer file");
    row.figure("own_failures", own_failures.len());
    row.limited("first_to_last_failure_ms", (*last - *first).as_secs_f64() * 1e3, MOST_MS);
    row.finish(&tally);
}
