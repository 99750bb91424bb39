//! Which requests are run when, and with which others: seen from outside, by what is answered and what is counted.

use std::{sync::Arc, time::Duration};

use onnx_gateway::{config::Settings, model::WantedMode};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::timeout};

use crate::support::{Answer, PATIENCE, TestGateway, setosa, tokens::TokenBuilder};

/// Inferences and executions of a model so far.
async fn counts(gateway: &TestGateway, model: &str) -> (u64, u64) {
    let answer = gateway.get(&format!("/v2/models/{model}/stats")).send().await.unwrap();
    let statistics: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    let counts = &statistics["model_stats"][0];
    (counts["inference_count"].as_u64().unwrap(), counts["execution_count"].as_u64().unwrap())
}

/// Rows that are all different.
fn row(number: u32) -> [f64; 4] {
    let number = f64::from(number);
    [
        4.0 + number % 40.0 / 10.0,
        2.0 + number % 23.0 / 10.0,
        1.0 + number % 57.0 / 10.0,
        0.1 + number % 24.0 / 10.0,
    ]
}

/// One session on a thread of its own, which runs together whatever comes within this time.
fn one_thread(settings: &mut Settings, max_delay_ms: u64) {
    settings.runtime.scheduler = WantedMode::OwnThreads;
    settings.runtime.instances = 1;
    settings.runtime.max_delay_ms = max_delay_ms;
}

async fn batching() -> Arc<TestGateway> {
    Arc::new(TestGateway::builder().settings(|settings| one_thread(settings, 50)).start().await)
}

#[tokio::test]
async fn each_row_of_a_batch_is_answered_as_it_is_alone() {
    let request_thread = TestGateway::builder()
        .settings(|settings| settings.runtime.scheduler = WantedMode::RequestThread)
        .start()
        .await;
    for gateway in [batching().await, Arc::new(request_thread)] {
        let mut all = JoinSet::new();
        let before = counts(&gateway, "iris").await;
        for number in 0..64 {
            let gateway = Arc::clone(&gateway);
            all.spawn(async move { (number, gateway.predict(&json!({"features": row(number)})).await) });
        }
        let answers = all.join_all().await;
        let after = counts(&gateway, "iris").await;
        assert_eq!(after.0 - before.0, 64);
        if gateway.version("iris").await["scheduler"]["mode"] == "own_threads" {
            assert!(after.1 - before.1 < 64, "{before:?} {after:?}");
        }
        for (number, answer) in answers {
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
            let alone = gateway.predict(&json!({"features": row(number)})).await;
            assert_eq!(answer.text, alone.text, "{number}");
        }
    }
}

/// How many rows fit into the 2 ms that a run on a thread with other requests may take, by what the proof measured: all
/// that are asked for here, unless the machine was busy then.
async fn rows_of_a_turn(gateway: &TestGateway) -> u64 {
    let costs = gateway.version("iris").await["costs"].take();
    let nanoseconds = |name: &str| costs[name].as_u64().unwrap() * 1_000;
    let (one, many) = (nanoseconds("run_us").max(1), nanoseconds("run_32_rows_us"));
    let each = (many.saturating_sub(one) / 31).max(1);
    (2_000_000_u64.saturating_sub(one.saturating_sub(each)) / each).max(1)
}

#[tokio::test]
async fn what_is_more_than_a_run_takes_is_run_in_parts_and_answered_whole() {
    let whole = TestGateway::start().await;
    let rows: Vec<_> = (0..23).map(row).collect();
    let body = json!({"instances": rows});
    let expected = whole.predict(&body).await;
    for mode in [WantedMode::OwnThreads, WantedMode::RequestThread] {
        let builder = TestGateway::builder().settings(|settings| {
            settings.runtime.scheduler = mode;
            settings.runtime.max_batch_rows = 5;
        });
        let gateway = builder.start().await;
        let answer = gateway.predict(&body).await;
        assert_eq!((answer.status, &answer.text), (StatusCode::OK, &expected.text));
        let most = match mode {
            WantedMode::RequestThread => 5.min(rows_of_a_turn(&gateway).await),
            _ => 5,
        };
        // Parts are of one size.
        let part = 23_u64.div_ceil(23_u64.div_ceil(most));
        assert_eq!(counts(&gateway, "iris").await, (23, 23_u64.div_ceil(part)), "at most {most} rows a run");
    }
}

#[tokio::test]
async fn models_whose_rows_depend_on_each_other_are_never_given_those_of_others() {
    let builder = TestGateway::builder_without_models().model("centred.onnx", "centred");
    let builder = builder.settings(|settings| {
        one_thread(settings, 100);
        settings.runtime.max_batch_rows = 2;
    });
    let gateway = Arc::new(builder.start().await);
    let mut all = JoinSet::new();
    for number in 0..20 {
        let gateway = Arc::clone(&gateway);
        // The mean of a row alone is the row; of five rows, more than a run takes elsewhere, that of all five.
        let rows: Vec<_> = (0..5).map(|row| [number + row, 2 * row]).collect();
        all.spawn(async move {
            let one = gateway.predict(&json!({"features": [number, 1]})).await;
            (one, gateway.predict(&json!({"instances": rows})).await)
        });
    }
    for (one, five) in all.join_all().await {
        assert_eq!(one.body["prediction"], json!([0.0, 0.0]), "{one:?}");
        let centred = |row: f64| json!([row - 2.0, 2.0 * row - 4.0]);
        for (number, answered) in
            [0.0, 1.0, 2.0, 3.0, 4.0].into_iter().zip(five.body["predictions"].as_array().unwrap())
        {
            assert_eq!(answered["prediction"], centred(number), "{five:?}");
        }
    }
    assert_eq!(counts(&gateway, "centred").await, (120, 40));
}

#[tokio::test]
async fn an_answer_that_fails_fails_alone() {
    let builder = TestGateway::builder_without_models().model("root.onnx", "square_root");
    let builder = builder.settings(|settings| one_thread(settings, 50));
    let gateway = Arc::new(builder.start().await);
    let mut all = JoinSet::new();
    for number in 0_i32..16 {
        let gateway = Arc::clone(&gateway);
        let asked = if number == 7 { -1 } else { number * number };
        all.spawn(async move { (number, gateway.predict(&json!({"features": [asked]})).await) });
    }
    for (number, answer) in all.join_all().await {
        if number == 7 {
            assert_eq!((answer.status.as_u16(), answer.problem_code()), (422, "non_finite_output"));
        } else {
            assert_eq!(answer.body["prediction"], json!(f64::from(number)), "{answer:?}");
        }
    }
}

// --- Waiting ---

/// The turns of a run that is over at once.
const SHORT: f64 = 3.0;

/// The turns of a run of half a minute, if nothing ends it.
const LONG: f64 = 2e7;

/// Less than a long run takes.
const SOON: Duration = Duration::from_secs(10);

/// One session of a model that runs as long as it is told.
async fn slow() -> Arc<TestGateway> {
    let builder = TestGateway::builder().model("slow/1/model.onnx", "slow");
    let builder = builder.settings(|settings| {
        settings.runtime.instances = 1;
        // Longer than a test waits: no long run is ended for it.
        settings.server.request_timeout_ms = 600_000;
    });
    Arc::new(builder.start().await)
}

/// A request that goes on until it is dropped.
fn keep_busy(gateway: &Arc<TestGateway>) -> tokio::task::JoinHandle<Answer> {
    let gateway = Arc::clone(gateway);
    tokio::spawn(async move {
        gateway.predict_at("/models/slow/predict", &json!({"features": {"turns": LONG}})).await
    })
}

/// Waits until so many requests are being answered.
async fn in_flight(gateway: &TestGateway, count: usize) {
    metric(gateway, &format!("gateway_requests_in_flight {count}")).await;
}

/// Waits until so many requests wait for a run of the slow model.
async fn waiting(gateway: &TestGateway, count: usize) {
    let line = format!(r#"gateway_model_requests_waiting{{model="slow",version="1"}} {count}"#);
    metric(gateway, &line).await;
}

async fn metric(gateway: &TestGateway, line: &str) {
    gateway.metrics_until(|metrics| metrics.lines().any(|found| found == line)).await;
}

fn infer(turns: f64, parameters: &Value) -> Value {
    let input = json!({"name": "turns", "shape": [1, 1], "datatype": "FP32", "data": [turns]});
    json!({"parameters": parameters, "inputs": [input]})
}

#[tokio::test]
async fn a_model_that_is_busy_does_not_hold_up_another() {
    let gateway = slow().await;
    let busy: Vec<_> = (0..4).map(|_| keep_busy(&gateway)).collect();
    in_flight(&gateway, 4).await;
    for number in 0..50 {
        assert_eq!(gateway.predict(&json!({"features": row(number)})).await.status, StatusCode::OK);
    }
    assert!(busy.iter().all(|run| !run.is_finished()));
    busy.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_queue_that_is_full_refuses_at_once() {
    let gateway = slow().await;
    gateway.repository.put("slow/model.toml", b"[scheduler]\nqueue_capacity = 1\n");
    gateway.version_until("slow", |version| version["scheduler"]["queue_capacity"] == 1).await;
    let busy: Vec<_> = (0..2).map(|_| keep_busy(&gateway)).collect();
    in_flight(&gateway, 2).await;
    let refused = async {
        loop {
            // The two are counted a moment before they have their places.
            let body = json!({"features": [LONG]});
            let answer = gateway.predict_at("/models/slow/predict", &body);
            if let Ok(answer) = timeout(Duration::from_millis(500), answer).await {
                return answer;
            }
        }
    };
    let answer = timeout(PATIENCE, refused).await.expect("a refusal");
    assert_eq!((answer.status.as_u16(), answer.problem_code()), (503, "overloaded"));
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(
        gateway.predict(&setosa()).await.status,
        StatusCode::OK,
        "other models have queues of their own"
    );
    busy.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Asks the slow model as this caller, and waits until it is answered.
fn ask_as(gateway: &Arc<TestGateway>, caller: &str, turns: f64) -> tokio::task::JoinHandle<Answer> {
    let token = TokenBuilder::new().claim("sub", json!(caller)).build();
    let request = gateway.client.post(gateway.url("/models/slow/predict")).bearer_auth(token);
    let request = request.json(&json!({"features": {"turns": turns}}));
    tokio::spawn(async move { Answer::of(request.send().await.unwrap()).await })
}

#[tokio::test]
async fn a_caller_that_fills_the_queue_gives_way_to_one_that_has_no_place() {
    let gateway = slow().await;
    gateway.repository.put("slow/model.toml", b"[scheduler]\nqueue_capacity = 3\n");
    gateway.version_until("slow", |version| version["scheduler"]["queue_capacity"] == 3).await;
    let mut much = Vec::new();
    for waits in [0, 1, 2, 3] {
        much.push(ask_as(&gateway, "much", LONG));
        in_flight(&gateway, waits + 1).await;
        waiting(&gateway, waits).await;
    }
    let refused = timeout(PATIENCE, ask_as(&gateway, "much", LONG)).await.expect("at once").unwrap();
    assert_eq!((refused.status.as_u16(), refused.problem_code()), (503, "overloaded"));
    let little = ask_as(&gateway, "little", SHORT);
    let given_up = timeout(PATIENCE, much.pop().unwrap()).await.expect("its place was given up").unwrap();
    assert_eq!((given_up.status.as_u16(), given_up.problem_code()), (503, "overloaded"));
    assert_eq!(given_up.header("retry-after"), "1");
    // It waits in the place that was given up; with as many as the others have, a third one is refused.
    waiting(&gateway, 3).await;
    let second = ask_as(&gateway, "little", SHORT);
    let second = timeout(PATIENCE, second).await.expect("at once").unwrap();
    assert_eq!(second.status.as_u16(), 503, "two against two is no difference");
    much.iter().for_each(tokio::task::JoinHandle::abort);
    let answer = timeout(SOON, little).await.expect("its turn").unwrap();
    assert_eq!((answer.status, &answer.body["prediction"]), (StatusCode::OK, &json!(SHORT)), "{answer:?}");
}

#[tokio::test]
async fn who_does_not_wait_any_more_is_not_run() {
    let gateway = slow().await;
    let before = counts(&gateway, "slow").await;
    let (busy, gone) = (keep_busy(&gateway), keep_busy(&gateway));
    waiting(&gateway, 1).await;
    // Whichever of them waits, one is left.
    gone.abort();
    in_flight(&gateway, 1).await;
    waiting(&gateway, 0).await;
    let late = gateway.predict_at("/v2/models/slow/infer", &infer(LONG, &json!({"timeout": 1000}))).await;
    assert!([503, 504].contains(&late.status.as_u16()), "{late:?}");
    busy.abort();
    in_flight(&gateway, 0).await;
    // Were one of them run, this would wait for it.
    let body = json!({"features": [3]});
    let answer = gateway.predict_at("/models/slow/predict", &body);
    let answer = timeout(SOON, answer).await.expect("none of them is run");
    assert_eq!(answer.body["prediction"], 3.0, "{answer:?}");
    let after = counts(&gateway, "slow").await;
    assert_eq!((after.0 - before.0, after.1 - before.1), (1, 1));
}

/// Has requests of callers wait, with these priorities and turns and in this order, until all of them do. The last one is
/// short, and long ones would keep it waiting if they were run before it.
async fn assert_last_is_answered(gateway: &Arc<TestGateway>, asked: &[(&str, u8, f64)]) {
    let before = (keep_busy(gateway), keep_busy(gateway));
    waiting(gateway, 1).await;
    let mut requests = Vec::new();
    for &(caller, priority, turns) in asked {
        let token = TokenBuilder::new().claim("sub", json!(caller)).build();
        let request = gateway.client.post(gateway.url("/v2/models/slow/infer")).bearer_auth(token);
        let request = request.json(&infer(turns, &json!({"priority": priority})));
        requests.push(tokio::spawn(async move { Answer::of(request.send().await.unwrap()).await }));
        waiting(gateway, 1 + requests.len()).await;
    }
    before.0.abort();
    before.1.abort();
    let last = requests.pop().unwrap();
    let answer = timeout(SOON, last).await.expect("long runs come later").unwrap();
    let result = (answer.status, &answer.body["outputs"][0]["data"]);
    assert_eq!(result, (StatusCode::OK, &json!([SHORT])), "{answer:?}");
    requests.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn the_more_urgent_is_run_first() {
    let gateway = slow().await;
    let asked = [("a", 10, LONG), ("a", 10, LONG), ("b", 1, SHORT)];
    assert_last_is_answered(&gateway, &asked).await;
}

#[tokio::test]
async fn who_asks_for_much_does_not_keep_others_waiting() {
    let gateway = slow().await;
    let much = [SHORT, LONG, LONG, LONG].map(|turns| ("much", 1, turns));
    let asked: Vec<_> = much.into_iter().chain([("little", 1, SHORT)]).collect();
    assert_last_is_answered(&gateway, &asked).await;
}

#[tokio::test]
async fn those_who_wait_for_a_model_that_is_removed_get_an_answer() {
    let gateway = slow().await;
    let before = (keep_busy(&gateway), keep_busy(&gateway));
    waiting(&gateway, 1).await;
    let last = Arc::clone(&gateway);
    let last = tokio::spawn(async move {
        last.predict_at("/models/slow/predict", &json!({"features": {"turns": 5}})).await
    });
    waiting(&gateway, 2).await;
    gateway.repository.remove("slow");
    gateway.answer_until("/models/slow/predict", |answer| answer.status == StatusCode::NOT_FOUND).await;
    before.0.abort();
    before.1.abort();
    let answer = timeout(PATIENCE, last).await.expect("an answer").unwrap();
    assert_eq!((answer.status, &answer.body["prediction"]), (StatusCode::OK, &json!(5.0)), "{answer:?}");
}
