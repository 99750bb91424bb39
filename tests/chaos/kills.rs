//! SIGKILL at any moment of a swap.

use std::{fs, sync::Arc, time::Duration};

use rand::RngExt;
use serde_json::Value;

use super::{
    load::{Load, Tally},
    models::{BASES, Expected, bodies, bytes, digest, fresh},
    row::{Row, sized},
    server::{IRIS, Server},
    swaps::plan,
};

/// The digests that the state says serve.
fn remembered(server: &Server) -> Vec<String> {
    let text = fs::read_to_string(server.folder.path().join("state/deployments/iris.json")).unwrap();
    let state: Value = serde_json::from_str(&text).expect("whole JSON");
    let serving = state["serving"].as_array().unwrap();
    serving.iter().map(|one| one["digest"].as_str().unwrap()[..12].to_owned()).collect()
}

/// Asks a few times and sees that the answers are of a version that was deployed.
async fn ask(server: &Server, expected: &Arc<Expected>) -> Tally {
    let load = Load::start(server, plan(expected, 2));
    load.until_answers(20).await;
    load.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_serves_again_what_was_admitted() {
    let (rounds, longest_ms) = (sized(4, 20), sized(600, 1500));
    let expected = Arc::new(Expected::of(&BASES, &bodies()).await);
    let originals = BASES.map(bytes);
    expected.announce(&digest(&originals[0]), BASES[0]);
    let mut server = Server::prepare().with_iris().start().await;
    let mut tally = ask(&server, &expected).await;
    let (mut old, mut swapped) = (digest(&originals[0]), 0);
    for round in 1..=rounds {
        let base = round % 2;
        let content = fresh(&originals[base], round);
        expected.announce(&digest(&content), BASES[base]);
        server.put(IRIS, &content);
        // Any moment will do: this waits for nothing.
        let moment = Duration::from_millis(rand::rng().random_range(0..longest_ms));
        tokio::time::sleep(moment).await;
        server.kill();

        let serving = remembered(&server);
        let known = [old.clone(), digest(&content)];
        assert!(serving.len() == 1 && known.contains(&serving[0]), "round {round}: {serving:?} of {known:?}");
        swapped += usize::from(serving[0] != old);
        let is_broken = round % 2 == 0;
        if is_broken {
            server.put(IRIS, &content[..content.len() / 2]);
        }
        server.start_again().await;
        tally = tally.and(ask(&server, &expected).await);
        if is_broken {
            assert_eq!(server.version("iris").await["digest"], serving[0].as_str(), "what was admitted last");
            let waited = server.reason_in_index("iris").await;
            assert!(waited.contains("waited for") || waited.contains("being written"), "{waited}");
            server.put(IRIS, &content);
        }
        server.until_serves("iris", &digest(&content)).await;
        tally = tally.and(ask(&server, &expected).await);
        assert_eq!(remembered(&server), [digest(&content)]);
        old = digest(&content);
    }
    let mut row = Row::new("kill -9", format!("{rounds} rounds within {longest_ms} ms of a new file"));
    row.figure("killed_after_the_swap", swapped);
    row.finish(&tally);
}
