//! Files that are no models, or not yet.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt},
    sync::Arc,
    time::Duration,
};

use super::{
    load::Load,
    models::{BASES, Expected, bodies, bytes, digest, fresh},
    row::{Row, sized},
    server::{IRIS, Prepared, Server, until},
    swaps::plan,
};
use crate::support::binary::command;

/// `nobody`, who may read what everybody may.
const NOBODY: u32 = 65534;

/// A file is written in so many bytes at a time.
const PIECE_BYTES: usize = 1024;

/// What is passing is tried again after five seconds; this is longer.
const LONGER_THAN_A_RETRY: Duration = Duration::from_secs(7);

/// A server under load, and good files to follow bad ones.
struct Scene {
    server: Server,
    load: Load,
    expected: Arc<Expected>,
    deployed: usize,
}

impl Scene {
    async fn start(prepared: Prepared) -> Self {
        let expected = Arc::new(Expected::of(&BASES, &bodies()).await);
        expected.announce(&digest(&bytes(BASES[0])), BASES[0]);
        let server = prepared.with_iris().start().await;
        let load = Load::start(&server, plan(&expected, 4));
        load.until_answers(20).await;
        Self { server, load, expected, deployed: 0 }
    }

    /// A file that was not deployed before.
    fn good_file(&mut self) -> Vec<u8> {
        self.deployed += 1;
        let base = BASES[self.deployed % 2];
        let content = fresh(&bytes(base), self.deployed);
        self.expected.announce(&digest(&content), base);
        content
    }

    /// Sees that what was put in place is refused once, for this reason, that the old version serves on, and that a good
    /// file is picked up then.
    async fn refused(&mut self, case: &str, reason: &str, (serves, refusals): (String, u64)) {
        let found = self.server.refusal("iris").await;
        assert_eq!(found, reason, "{case}");
        self.load.until_answers(50).await;
        let version = self.server.version("iris").await;
        assert_eq!((&version["digest"], &version["state"]), (&serves.into(), &"READY".into()), "{case}");
        assert_eq!(self.server.refusals().await, refusals + 1, "{case}: it is refused once");
        self.load.assert_no_failure(case);
    }

    /// Which file serves, and how many were refused.
    async fn now(&self) -> (String, u64) {
        let version = self.server.version("iris").await;
        (version["digest"].as_str().unwrap().to_owned(), self.server.refusals().await)
    }

    async fn recovers(&mut self, case: &str) {
        let good = self.good_file();
        self.server.put(IRIS, &good);
        self.load.until_answered_by(&digest(&good)).await;
        self.server.until_serves("iris", &digest(&good)).await;
        assert!(self.server.version("iris").await["refusal"].is_null(), "{case}: it is forgotten");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_written_slowly_is_waited_for() {
    let seconds = sized(2, 30);
    let mut scene = Scene::start(Server::prepare()).await;
    // Small files first, so that the slow one has many pieces.
    let (small, slow) = (scene.good_file(), scene.good_file());
    scene.server.put(IRIS, &small);
    scene.load.until_answered_by(&digest(&small)).await;
    let (refusals, swaps) = (scene.server.refusals().await, scene.server.swaps().await);

    let pieces: Vec<&[u8]> = slow.chunks(PIECE_BYTES).collect();
    let pause = Duration::from_secs(seconds) / u32::try_from(pieces.len()).unwrap();
    let mut writing = tokio::time::interval(pause);
    let mut file = OpenOptions::new().write(true).truncate(true).open(scene.server.file(IRIS)).unwrap();
    for (number, piece) in pieces.iter().enumerate() {
        writing.tick().await;
        file.write_all(piece).unwrap();
        if number == pieces.len() / 2 {
            let said = until("waiting for it", async || {
                let said = scene.server.reason_in_index("iris").await;
                (!said.is_empty()).then_some(said)
            })
            .await;
            assert!(said.contains("waiting for it") || said.contains("written to"), "{said}");
        }
    }
    drop(file);
    scene.load.until_answered_by(&digest(&slow)).await;
    scene.load.until_answers(50).await;
    assert_eq!(scene.server.refusals().await, refusals, "what was half written is not refused");
    assert_eq!(scene.server.swaps().await, swaps + 1);
    let tally = scene.load.stop().await;
    let done = format!("{} pieces of {PIECE_BYTES} bytes in {seconds} s, in place", pieces.len());
    Row::new("torn write", done).finish(&tally);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_files_are_refused_each_for_its_reason() {
    let grace_ms = sized(500, 5000);
    let prepared = Server::prepare().setting("MODELS__INCOMPLETE_GRACE_MS", grace_ms);
    let mut scene = Scene::start(prepared).await;
    let whole = bytes(BASES[0]);
    let garbage: Vec<u8> = whole.iter().map(|byte| byte.wrapping_mul(167) ^ 0xff).collect();
    let html = b"<html><head><title>404 Not Found</title></head></html>".to_vec();
    for (case, content, reason) in [
        ("truncated", whole[..whole.len() * 2 / 3].to_vec(), "truncated"),
        ("garbage", garbage, "not_onnx"),
        ("HTML", html, "not_onnx"),
        ("empty", Vec::new(), "truncated"),
    ] {
        let before = scene.now().await;
        scene.server.put(IRIS, &content);
        scene.refused(case, reason, before).await;
        scene.recovers(case).await;
        // The same once more, over what lies there.
        let before = scene.now().await;
        fs::write(scene.server.file(IRIS), &content).unwrap();
        scene.refused(&format!("{case}, in place"), reason, before).await;
        scene.recovers(case).await;
    }

    let before = scene.now().await;
    fs::remove_file(scene.server.file(IRIS)).unwrap();
    fs::create_dir(scene.server.file(IRIS)).unwrap();
    scene.refused("a folder", "unreadable", before).await;
    fs::remove_dir(scene.server.file(IRIS)).unwrap();
    scene.recovers("a folder").await;

    let (serves, refusals) = scene.now().await;
    fs::remove_file(scene.server.file(IRIS)).unwrap();
    scene.load.until_answers(200).await;
    assert_eq!(scene.now().await, (serves, refusals), "what is deleted serves on for a while");
    scene.recovers("deleted").await;
    assert_eq!(scene.server.refusals().await, refusals);

    let tally = scene.load.stop().await;
    let done = "truncated, garbage, HTML, empty (by rename and in place), a folder, deleted and back";
    Row::new("bad files", done).finish(&tally);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_may_not_be_read_is_said_once() {
    let mut prepared = Server::prepare();
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let row = Row::new("unreadable", "a file that only its owner could read");
    if is_root {
        use std::os::unix::process::CommandExt;
        let mut version = command();
        if !version.arg("--version").uid(NOBODY).gid(NOBODY).status().is_ok_and(|status| status.success()) {
            return row.leave_out("the binary lies where only root may run it");
        }
        prepared = prepared.user(NOBODY);
    }
    let mut scene = Scene::start(prepared).await;
    let before = scene.now().await;
    let refusals = before.1;
    let closed = scene.server.file("iris/1/.closed");
    fs::write(&closed, scene.good_file()).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
    fs::rename(&closed, scene.server.file(IRIS)).unwrap();
    scene.refused("unreadable", "unreadable", before).await;
    let said_again =
        until("it is said again", async || (scene.server.refusals().await > refusals + 1).then_some(()));
    let said_again = tokio::time::timeout(LONGER_THAN_A_RETRY, said_again).await;
    assert!(said_again.is_err(), "that it is tried again is no news as long as it ends the same");
    scene.recovers("unreadable").await;
    row.finish(&scene.load.stop().await);
}
