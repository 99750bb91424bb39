//! The binary as a package or a Python environment installs it: it finds ONNX Runtime by itself.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{binary::text, repository::source_tree, table};

/// Where the library of a package and of the wheel `onnxruntime` is, beside the folder `bin` of the binary.
const PLACES: [&str; 2] = [
    "lib/onnx-gateway/libonnxruntime.so",
    "lib/python3.11/site-packages/onnxruntime/capi/libonnxruntime.so.1.32.0",
];

#[test]
fn the_binary_finds_onnx_runtime_by_itself() {
    let prefix = tempfile::tempdir().unwrap();
    let binary = prefix.path().join("bin/onnx-gateway");
    fs::create_dir(prefix.path().join("bin")).unwrap();
    let built = Path::new(env!("CARGO_BIN_EXE_onnx-gateway"));
    // A link is made in no time, where both folders are on one file system.
    fs::hard_link(built, &binary).or_else(|_| fs::copy(built, &binary).map(|_| ())).unwrap();
    let model = source_tree().join("models/iris/1/model.onnx");
    let inspect = || Command::new(&binary).env_clear().arg("inspect").arg(&model).output().unwrap();

    let refused = inspect();
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(text(&refused.stderr).contains("was not found: run tools/setup"), "{refused:?}");

    let library = std::env::var_os("ORT_DYLIB_PATH")
        .map_or_else(|| source_tree().join(".onnxruntime/libonnxruntime.so"), PathBuf::from);
    let library = library.canonicalize().unwrap();
    table::each(PLACES, |place| {
        let place = prefix.path().join(place);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&library, &place).unwrap();
        let inspected = inspect();
        assert!(inspected.status.success(), "{inspected:?}");
        fs::remove_file(&place).unwrap();
    });
}
