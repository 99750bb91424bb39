//! Weights in a file beside the model: what is done to that file is not done to what serves.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::json;

use super::{
    load::{Load, Plan, Seen},
    row::{Row, sized},
    server::{Server, until},
};
use crate::support::repository::source_tree;

/// A name, what is done, and the reasons that fit.
type Damage<'d> = (&'d str, &'d dyn Fn(), &'d [&'d str]);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weights_that_are_damaged_in_place_do_no_harm() {
    let prepared = Server::prepare().setting("MODELS__INCOMPLETE_GRACE_MS", 500);
    for file in ["model.onnx", "weights.bin"] {
        let content = fs::read(source_tree().join("tests/models/external").join(file)).unwrap();
        prepared.folder.put(&format!("models/external/1/{file}"), &content);
    }
    let server = prepared.start().await;
    // The prediction tells which of the weights answered.
    let retrained = Arc::new(AtomicBool::new(false));
    let may_be_retrained = Arc::clone(&retrained);
    let check = move |seen: &Seen| {
        let allowed = if may_be_retrained.load(Ordering::SeqCst) { &[5.0, 9.0][..] } else { &[5.0] };
        let right = seen.body["prediction"].as_f64().is_some_and(|prediction| allowed.contains(&prediction));
        if seen.status == 200 && right { Ok(()) } else { Err(format!("{}: {}", seen.status, seen.body)) }
    };
    let bodies = vec![json!({"features": [1.0, 1.0]})];
    let plan = Plan { path: "/models/external/predict", bodies, connections: 4, check: Arc::new(check) };
    let load = Load::start(&server, plan);
    load.until_answers(20).await;

    let weights = server.file("external/1/weights.bin");
    let in_place = || OpenOptions::new().write(true).open(&weights).unwrap();
    let nan: Vec<u8> = [f32::NAN, f32::NAN].iter().flat_map(|number| number.to_le_bytes()).collect();
    let damages: [Damage<'_>; 3] = [
        ("overwritten", &|| in_place().write_all_at(&nan, 0).unwrap(), &["non_finite_output"]),
        ("cut short", &|| in_place().set_len(4).unwrap(), &["load_failed", "truncated"]),
        ("deleted", &|| fs::remove_file(&weights).unwrap(), &["truncated"]),
    ];
    for (number, (case, damage, reasons)) in (1..).zip(damages) {
        damage();
        until(case, async || (server.refusals().await >= number).then_some(())).await;
        until(case, async || {
            let reason = server.version("external").await["refusal"]["reason"].clone();
            reasons.iter().any(|expected| reason == *expected).then_some(())
        })
        .await;
        load.until_answers(sized(50, 5_000)).await;
        assert_eq!(server.refusals().await, number, "{case}: it is refused once");
        load.assert_no_failure(case);
    }
    assert_eq!(server.swaps().await, 1);

    retrained.store(true, Ordering::SeqCst);
    fs::copy(source_tree().join("tests/models/external_retrained/weights.bin"), &weights).unwrap();
    until("the new weights serve", async || {
        let answer = server.post("/models/external/predict", &json!({"features": [1.0, 1.0]})).await;
        (answer.body["prediction"] == 9.0).then_some(())
    })
    .await;
    let tally = load.stop().await;
    Row::new("external data", "weights overwritten, cut short, deleted and replaced in place").finish(&tally);
}
