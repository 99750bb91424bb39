//! Listings that are too long, too large, or hold names that no file can have.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{as_s3, as_webdav, gateway, next_poll, polls, serves, store_of_iris};
use crate::support::{
    repository::{iris, test_model},
    setosa,
};

#[tokio::test]
async fn ten_thousand_objects_are_listed_page_by_page_and_more_are_refused() {
    let store = store_of_iris().await;
    for index in 1..10_000 {
        // Hidden ones are listed, and not mirrored.
        store.put(&format!(".cache/{index:05}"), b"x");
    }
    let gateway = gateway(&store, as_s3).start().await;
    assert!(serves(&iris())(&gateway.predict(&setosa()).await));
    next_poll(&gateway, "unchanged").await;
    store.put(".cache/00000", b"x");
    store.put("iris/1/model.onnx", &test_model("iris_retrained"));
    next_poll(&gateway, "too_many").await;
    assert!(serves(&iris())(&gateway.predict(&setosa()).await), "nothing changes");
    store.remove(".cache/00000");
    gateway.predict_until(serves(&test_model("iris_retrained"))).await;
}

#[tokio::test]
async fn more_bytes_than_allowed_are_not_downloaded() {
    let store = store_of_iris().await;
    let most = iris().len() as u64 + 10;
    let gateway = gateway(&store, as_webdav).settings(|s| s.models.store.max_bytes = most).start().await;
    assert!(serves(&iris())(&gateway.predict(&setosa()).await));
    store.put("notes.txt", &[b'x'; 11]);
    store.requests();
    next_poll(&gateway, "too_large").await;
    assert!(store.requests().iter().all(|request| request == "LIST"));
    gateway.metrics_until(|metrics| metrics.contains("gateway_repository_available 0\n")).await;
}

/// All files and links below a folder.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let below =
        |path: PathBuf| if path.is_dir() && !path.is_symlink() { files_below(&path) } else { vec![path] };
    entries.flat_map(below).collect()
}

#[tokio::test]
async fn odd_names_are_refused_by_name_and_the_rest_is_mirrored() {
    let store = store_of_iris().await;
    store.put("line\\1\\model.onnx", &test_model("regressor"));
    let gateway = gateway(&store, as_s3).start().await;
    assert!(serves(&iris())(&gateway.predict(&setosa()).await));
    gateway.metrics_until(|metrics| polls(metrics, "unchanged") > 0).await;
    // The library for stores reads no listing with such a name.
    store.put("iris/../../outside.onnx", &test_model("regressor"));
    next_poll(&gateway, "odd_name").await;
    assert!(serves(&iris())(&gateway.predict(&setosa()).await));
    let mirrored =
        |path: &Path| path.ends_with("iris/1/model.onnx") || path.to_string_lossy().contains("mirrors");
    assert!(
        files_below(gateway.repository.path()).iter().any(|path| mirrored(path)),
        "it looks in the right place"
    );
    let is_outside = |path: &Path| path.file_name().is_some_and(|name| name == "outside.onnx");
    assert!(!files_below(gateway.repository.path()).iter().any(|path| is_outside(path)));
    store.remove("iris/../../outside.onnx");
    next_poll(&gateway, "unchanged").await;
}
