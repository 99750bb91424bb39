//! A state directory that vanishes, fills up or may not be written while the gateway runs.

use std::{
    fs::{self, Permissions},
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::Path,
    process::Command,
};

use super::gateway::{Running, Site, digest, until, variant};
use crate::support::{binary::command, repository::iris};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Removes a file or folder in one step, as the gateway makes again what it misses.
fn remove(path: &Path) {
    let aside = tempfile::tempdir_in(path.ancestors().nth(2).unwrap()).unwrap();
    fs::rename(path, aside.path().join("removed")).unwrap();
}

/// The state's file of Iris: the versions that serve and those that were taken back.
fn remembered(site: &Site) -> serde_json::Value {
    let text = fs::read(site.state().join("deployments/iris.json")).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_directory_that_was_removed_is_made_and_filled_again() {
    let site = Site::with_iris();
    let gateway = site.start().await;
    site.put("iris/2/model.onnx", &variant(2));
    gateway.until_serves(&digest(&variant(2))).await;
    assert_eq!(gateway.roll_back().await.status, 200);
    remove(&site.state());
    gateway.process.wait_for_line("models.state_directory was removed or replaced");
    until("what was taken back is written again", async || {
        let rolled_back = remembered(&site)["rolled_back"].as_array()?.len();
        (rolled_back == 1).then_some(())
    })
    .await;
    for part in ["", "copies", "deployments"] {
        assert_eq!(mode(&site.state().join(part)), 0o700, "{part}");
    }
    // The file of what serves lies in the repository, so its copy is made again.
    until("it is copied again", async || {
        let copies = fs::read_dir(site.state().join("copies")).ok()?;
        copies.flatten().any(|copy| copy.path().join("files/model.onnx").exists()).then_some(())
    })
    .await;
    assert_eq!(gateway.digest().await, digest(&iris()));
    site.put("iris/3/model.onnx", &variant(3));
    gateway.until_serves(&digest(&variant(3))).await;
    assert_eq!(gateway.roll_back().await.status, 200, "the way back is there again");
    gateway.until_serves(&digest(&iris())).await;
    gateway.end();

    let gateway = site.start().await;
    assert_eq!(gateway.digest().await, digest(&iris()));
    gateway.until_refused(2, "rolled_back").await;
    gateway.until_refused(3, "rolled_back").await;
    let events = gateway.events().await;
    assert_eq!(events.iter().filter(|event| *event == "deployed").count(), 3, "{events:?}");
    gateway.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_of_the_state_directory_that_was_removed_is_made_again() {
    let site = Site::with_iris();
    let gateway = site.start().await;
    for (number, part) in [(2, "copies"), (3, "deployments"), (4, "users"), (5, "lock")] {
        remove(&site.state().join(part));
        site.put(&format!("iris/{number}/model.onnx"), &variant(number));
        gateway.until_serves(&digest(&variant(number))).await;
        let version = number.to_string();
        until("it is remembered", async || {
            (remembered(&site)["serving"][0]["version"] == version.as_str()).then_some(())
        })
        .await;
    }
    gateway.end();
    let gateway = site.start().await;
    assert_eq!(gateway.digest().await, digest(&variant(5)));
    gateway.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn private_copies_under_tmpdir_have_a_place_again_when_it_was_cleaned() {
    let site = Site::with_iris().setting("MODELS__STATE_DIRECTORY", "/proc/nowhere");
    let temporary = tempfile::tempdir().unwrap();
    let gateway = site.start_with(|command| _ = command.env("TMPDIR", temporary.path())).await;
    assert_eq!(gateway.metric("gateway_state_available").await, 0);
    for entry in fs::read_dir(temporary.path()).unwrap() {
        fs::remove_dir_all(entry.unwrap().path()).unwrap();
    }
    site.put("iris/2/model.onnx", &variant(2));
    gateway.until_serves(&digest(&variant(2))).await;
    gateway.end();
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

/// A file system of a megabyte in place of the state directory; `None` where only others may mount one.
struct SmallDisk<'site>(&'site Site);

impl<'site> SmallDisk<'site> {
    fn mount(site: &'site Site) -> Option<Self> {
        fs::create_dir(site.state()).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(site.state());
        mount.output().is_ok_and(|output| output.status.success()).then_some(Self(site))
    }

    fn fill(&self) {
        let path = self.0.state().join("filler");
        // Until nothing fits any more, block by block.
        let mut file = fs::File::create(path).unwrap();
        let block = [0_u8; 4096];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
    }

    fn empty(&self) {
        fs::remove_file(self.0.state().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.state()).output();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stderr, reason = "it is read where a test was left out")]
async fn with_a_full_disk_it_serves_on_and_swaps_once_there_is_room() {
    let site = Site::with_iris();
    let Some(disk) = SmallDisk::mount(&site) else {
        return eprintln!("left out: no file system can be mounted here");
    };
    let gateway = site.start().await;
    site.put("iris/2/model.onnx", &variant(2));
    gateway.until_serves(&digest(&variant(2))).await;
    disk.fill();
    site.put("iris/3/model.onnx", &variant(3));
    gateway.until_refused(3, "storage_unavailable").await;
    assert_eq!(gateway.digest().await, digest(&variant(2)));
    // Going back needs no room but for a few bytes that are kept until there is some.
    assert_eq!(gateway.roll_back().await.status, 200);
    gateway.until_metric("gateway_state_available", 0).await;
    assert_eq!(gateway.digest().await, digest(&iris()));
    assert!(gateway.events().await.contains(&"rolled_back".to_owned()));
    disk.empty();
    gateway.until_metric("gateway_state_available", 1).await;
    gateway.until_serves(&digest(&variant(3))).await;
    disk.fill();
    gateway.end();
    let gateway = site.start().await;
    assert_eq!(
        gateway.digest().await,
        digest(&variant(3)),
        "what served is read where nothing can be written"
    );
    let events = gateway.events().await;
    assert_eq!(events.iter().filter(|event| *event == "rolled_back").count(), 1, "{events:?}");
    gateway.end();
}

/// Another user than root, who may write anywhere.
const NOBODY: u32 = 65534;

async fn start_as_nobody(site: &Site) -> Option<Running> {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return Some(site.start().await);
    }
    let mut version = command();
    if !version.arg("--version").uid(NOBODY).gid(NOBODY).status().is_ok_and(|status| status.success()) {
        return None;
    }
    std::os::unix::fs::chown(site.folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    Some(site.start_with(|command| _ = command.uid(NOBODY).gid(NOBODY)).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stderr, reason = "it is read where a test was left out")]
async fn a_state_directory_that_may_not_be_written_any_more_is_used_once_it_may() {
    let site = Site::with_iris();
    let Some(gateway) = start_as_nobody(&site).await else {
        return eprintln!("left out: the binary lies where only root may run it");
    };
    let copies = site.state().join("copies");
    for closed in [site.state(), copies] {
        let number = if closed == site.state() { 2 } else { 3 };
        fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
        site.put(&format!("iris/{number}/model.onnx"), &variant(number));
        // With the directory closed copies go elsewhere; with the folder of copies closed they have to wait.
        if closed == site.state() {
            gateway.until_serves(&digest(&variant(number))).await;
            gateway.until_metric("gateway_state_available", 0).await;
        } else {
            gateway.until_refused(3, "storage_unavailable").await;
        }
        fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
        gateway.until_serves(&digest(&variant(number))).await;
        gateway.until_metric("gateway_state_available", 1).await;
    }
    gateway.end();
    let gateway = start_as_nobody(&site).await.unwrap();
    assert_eq!(gateway.digest().await, digest(&variant(3)));
    gateway.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_directory_that_can_only_be_read_says_what_served() {
    let site = Site::with_iris();
    let gateway = site.start().await;
    site.put("iris/2/model.onnx", &variant(2));
    gateway.until_serves(&digest(&variant(2))).await;
    assert_eq!(gateway.roll_back().await.status, 200);
    gateway.end();
    // As on a file system that is read-only: no lock can be made.
    for file in ["lock", "write-lock"] {
        fs::remove_file(site.state().join(file)).unwrap();
        fs::create_dir(site.state().join(file)).unwrap();
    }
    let gateway = site.start().await;
    assert_eq!(gateway.digest().await, digest(&iris()));
    gateway.until_refused(2, "rolled_back").await;
    assert_eq!(gateway.metric("gateway_state_available").await, 0);
    gateway.end();
}
