//! Going back by itself: a deployment is taken back for what the one before answers, and for nothing else. And what a
//! caller is told whose inputs a model refuses.

mod ask;
mod refused;

use reqwest::StatusCode;
use serde_json::json;

use crate::support::{PATIENCE, TestGateway, repository::test_model, table};
use ask::{Asker, Form, Serves, asker, deployed, deployed_for_all, is_taken_back, stays};

/// Numbers of which the models of square roots are asked: `bad` of ten are negative.
fn roots(bad: usize) -> Vec<f32> {
    // No ten of them in a row have more bad ones than that at their beginning.
    let is_bad = |place: usize| (place + 1) * bad / 10 > place * bad / 10;
    (0..10_u8).map(|place| if is_bad(place.into()) { -4.0 } else { 4.0 }).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_that_no_deployment_answers_undo_nothing() {
    let gateway = deployed("lookup", &test_model("lookup")).await;
    let guest = asker(&gateway, "guest", Form::Row);
    let tester = asker(&gateway, "tester", Form::Row);
    let one = async |from: i64| {
        for number in from..from + 1250 {
            assert_eq!(guest.ask(&json!(number)).await, StatusCode::UNPROCESSABLE_ENTITY);
            if number % 50 == 0 {
                assert_eq!(tester.ask(&json!(number % 5)).await, StatusCode::OK);
            }
        }
    };
    let all = futures_util::future::join_all((0..8).map(|part| one(1000 + part * 1250)));
    tokio::time::timeout(2 * PATIENCE, all).await.expect("ten thousand answers");
    stays(&gateway, &test_model("lookup")).await;
    let answer = gateway.predict_at("/models/row/predict", &json!({"features": [77]})).await;
    assert_eq!((answer.status.as_u16(), answer.problem_code()), (422, "inputs_refused"));
}

#[tokio::test]
async fn a_town_that_no_deployment_knows_undoes_nothing() {
    let gateway = deployed("towns", &test_model("towns")).await;
    let guest = asker(&gateway, "guest", Form::Row);
    for _ in 0..60 {
        assert_eq!(guest.ask(&json!("Zug")).await, StatusCode::UNPROCESSABLE_ENTITY);
    }
    stays(&gateway, &test_model("towns")).await;
}

#[tokio::test]
async fn a_deployment_that_fails_where_the_one_before_answers_is_taken_back() {
    let gateway = deployed_for_all("absolute_root", &test_model("square_root")).await;
    table::each_async(Form::ALL, async |form| {
        let tester = asker(&gateway, "tester", form);
        let before = Serves::of(&tester, &test_model("absolute_root"));
        let asking = async {
            for number in roots(6).iter().cycle() {
                let status = tester.ask(&json!(number)).await;
                assert!(matches!(status.as_u16(), 200 | 422), "{form:?}: {status}");
                if before.now().await {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.expect("it is taken back");
        let detail = is_taken_back(&tester, &test_model("square_root")).await;
        assert!(detail.contains(" requests failed; the previous deployment answered "), "{detail}");
        assert_eq!(tester.ask(&json!(-4.0)).await, StatusCode::OK, "{form:?}");
    })
    .await;
}

#[tokio::test]
async fn a_deployment_that_fails_less_than_the_share_stays() {
    let gateway = deployed_for_all("absolute_root", &test_model("square_root")).await;
    table::each_async(Form::ALL, async |form| {
        let tester = asker(&gateway, "tester", form);
        for number in roots(4).iter().cycle().take(200) {
            let expected = if *number < 0.0 { 422 } else { 200 };
            assert_eq!(tester.ask(&json!(number)).await.as_u16(), expected, "{form:?}");
        }
    })
    .await;
    stays(&gateway, &test_model("square_root")).await;
}

#[tokio::test]
async fn a_deployment_that_refuses_what_the_one_before_answers_is_taken_back() {
    let gateway = deployed_for_all("lookup", &test_model("lookup_smaller")).await;
    table::each_async([Form::Row, Form::OpenInference, Form::Grpc], async |form| {
        let tester = asker(&gateway, "tester", form);
        let before = Serves::of(&tester, &test_model("lookup"));
        let asking = async {
            // Three of five are refused, among others that are refused by both.
            for number in [0, 3, 70, 1, 4, 71, 3, 72].iter().cycle() {
                let status = tester.ask(&json!(number)).await;
                assert!(matches!(status.as_u16(), 200 | 422), "{form:?}: {status}");
                if before.now().await {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.expect("it is taken back");
        is_taken_back(&tester, &test_model("lookup_smaller")).await;
        assert_eq!(tester.ask(&json!(4)).await, StatusCode::OK);
    })
    .await;
}

#[tokio::test]
async fn what_the_deployment_before_answers_with_nan_too_undoes_nothing() {
    // Metadata in another part of the file: a protocol buffer may be written in parts, one behind the other.
    let same = [&test_model("square_root")[..], &[0x72, 6, 0x0a, 1, b'a', 0x12, 1, b'b']].concat();
    let gateway = deployed_for_all("square_root", &same).await;
    table::each_async(Form::ALL, async |form| {
        let guest = asker(&gateway, "guest", form);
        for _ in 0..60 {
            assert_eq!(guest.ask(&json!(-4.0)).await, StatusCode::UNPROCESSABLE_ENTITY, "{form:?}");
        }
    })
    .await;
    stays(&gateway, &same).await;
}

#[tokio::test]
async fn answers_that_lack_rows_count_as_failures_where_rows_are_asked() {
    let gateway = deployed("absolute_root", &test_model("drops_large")).await;
    let tester = asker(&gateway, "tester", Form::Row);
    let before = Serves::of(&tester, &test_model("absolute_root"));
    let asking = async {
        while !before.now().await {
            let status = tester.ask(&json!(4e6)).await;
            assert!(matches!(status.as_u16(), 200 | 500), "{status}");
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("it is taken back");
    is_taken_back(&tester, &test_model("drops_large")).await;
}

/// Callers beside the guest. Callers are counted in groups that a random hash decides, so one of these may share the
/// guest's.
fn others(gateway: &TestGateway) -> [Asker<'_>; 3] {
    ["tester", "second", "third"].map(|name| asker(gateway, name, Form::Row))
}

#[tokio::test]
async fn one_caller_does_not_undo_what_serves_the_others() {
    let gateway = deployed("lookup", &test_model("lookup_smaller")).await;
    let (guest, others) = (asker(&gateway, "guest", Form::Row), others(&gateway));
    for other in &others {
        for _ in 0..15 {
            assert_eq!(other.ask(&json!(1)).await, StatusCode::OK);
        }
    }
    for _ in 0..100 {
        // The deployment before answers this.
        assert_eq!(guest.ask(&json!(4)).await, StatusCode::UNPROCESSABLE_ENTITY);
    }
    stays(&gateway, &test_model("lookup_smaller")).await;
    let before = Serves::of(&guest, &test_model("lookup"));
    let asking = async {
        while !before.now().await {
            let _ = guest.ask(&json!(4)).await;
            // Other callers fare like it.
            for other in &others {
                let _ = other.ask(&json!(3)).await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("it is taken back");
    is_taken_back(&guest, &test_model("lookup_smaller")).await;
}

#[tokio::test]
async fn a_flood_of_one_caller_does_not_hide_the_failures_of_others() {
    let gateway = deployed("lookup", &test_model("lookup_smaller")).await;
    let (guest, others) = (asker(&gateway, "guest", Form::Row), others(&gateway));
    for number in 1000..1500 {
        assert_eq!(guest.ask(&json!(number)).await, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let before = Serves::of(&guest, &test_model("lookup"));
    let asking = async {
        for (number, unknown) in [0, 3, 4].iter().cycle().zip(2000..) {
            for other in &others {
                let _ = other.ask(&json!(number)).await;
            }
            let _ = guest.ask(&json!(unknown)).await;
            if before.now().await {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("it is taken back");
    is_taken_back(&guest, &test_model("lookup_smaller")).await;
}
