//! SIGKILL at every point of a swap.

use std::{fs, sync::Arc};

use serde_json::Value;

use super::{
    load::{Load, Tally},
    models::{BASES, Expected, bodies, bytes, digest, fresh},
    row::{Row, sized},
    server::{IRIS, Server},
    swaps::plan,
};
use crate::support::{
    PATIENCE,
    processes::{Child, children},
};

/// The digests that the state says serve.
fn remembered(server: &Server) -> Vec<String> {
    let text = fs::read_to_string(server.folder.path().join("state/deployments/iris.json")).unwrap();
    let state: Value = serde_json::from_str(&text).expect("whole JSON");
    let serving = state["serving"].as_array().unwrap();
    serving.iter().map(|one| one["digest"].as_str().unwrap()[..12].to_owned()).collect()
}

/// How far a swap has come. The server is killed as soon as it is there.
#[derive(Clone, Copy, Debug)]
enum Point {
    /// The file was put in place.
    Dropped,
    /// A copy of it is being made, or is there.
    Copied,
    /// The child that proves it runs.
    Proving,
    /// What serves was written down, or is about to be.
    Remembered,
    /// The new version answers.
    Answers,
}

const POINTS: [Point; 5] = [Point::Dropped, Point::Copied, Point::Proving, Point::Remembered, Point::Answers];

impl Point {
    async fn until(self, server: &Server, copies: usize, old: &str, new: &str) {
        let state = server.folder.path().join("state");
        let count = || fs::read_dir(state.join("copies")).unwrap().count();
        let is_there = || match self {
            Self::Dropped | Self::Answers => true,
            Self::Copied => count() > copies,
            Self::Proving => children(server.id()).iter().any(Child::is_proof),
            Self::Remembered => {
                // Written beside the old one, then put in its place.
                state.join("deployments/iris.tmp").exists() || remembered(server) != [old]
            }
        };
        // Not by way of `until`, which asks more seldom than these points last.
        while !is_there() {
            tokio::task::yield_now().await;
        }
        if matches!(self, Self::Answers) {
            server.until_serves("iris", new).await;
        }
    }
}

/// Asks a few times and sees that the answers are of a version that was deployed.
async fn ask(server: &Server, expected: &Arc<Expected>) -> Tally {
    let load = Load::start(server, plan(expected, 2));
    load.until_answers(20).await;
    load.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_serves_again_what_was_admitted() {
    let rounds = sized(POINTS.len(), 4 * POINTS.len());
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
        let copies = fs::read_dir(server.folder.path().join("state/copies")).unwrap().count();
        server.put(IRIS, &content);
        let point = POINTS[round % POINTS.len()];
        let new = digest(&content);
        let reached = point.until(&server, copies, &old, &new);
        tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{point:?} is not reached"));
        server.kill();

        let serving = remembered(&server);
        let known = [old.clone(), digest(&content)];
        assert!(
            serving.len() == 1 && known.contains(&serving[0]),
            "round {round}, {point:?}: {serving:?} of {known:?}"
        );
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
            assert!(waited.contains("waiting for") || waited.contains("written to"), "{waited}");
            server.put(IRIS, &content);
        }
        server.until_serves("iris", &digest(&content)).await;
        tally = tally.and(ask(&server, &expected).await);
        assert_eq!(remembered(&server), [digest(&content)]);
        old = digest(&content);
    }
    let mut row = Row::new("kill -9", format!("{rounds} rounds, each at one of {} points", POINTS.len()));
    row.figure("killed_after_the_swap", swapped);
    row.finish(&tally);
}
