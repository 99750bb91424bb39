//! The contract of every source, of a folder and of one that is none.

use std::{
    fs, io,
    io::Read as _,
    sync::{Arc, mpsc},
};

use super::{memory::MemorySource, *};
use crate::lifecycle::{Reason, confined_file::OpenError};

type Put = Box<dyn Fn(&str, &[u8])>;

/// A source and a way to change its files.
struct Case {
    source: Arc<dyn ModelSource>,
    put: Put,
    remove: Box<dyn Fn(&str)>,
    /// Keeps the files of the source.
    _folder: Option<tempfile::TempDir>,
}

fn in_folder() -> Case {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_path_buf();
    let (to_put, to_remove) = (root.clone(), root.clone());
    let put = move |name: &str, bytes: &[u8]| {
        let path = to_put.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // In place of another file, as good tools do.
        fs::write(path.with_extension("part"), bytes).unwrap();
        fs::rename(path.with_extension("part"), path).unwrap();
    };
    Case {
        source: Arc::new(FolderSource::new(root)),
        put: Box::new(put),
        remove: Box::new(move |name| fs::remove_file(to_remove.join(name)).unwrap()),
        _folder: Some(folder),
    }
}

fn in_memory() -> Case {
    let source = MemorySource::of(&[]);
    let (to_put, to_remove) = (Arc::clone(&source), Arc::clone(&source));
    Case {
        source,
        put: Box::new(move |name, bytes| to_put.put(name, bytes)),
        remove: Box::new(move |name| to_remove.remove(name)),
        _folder: None,
    }
}

/// Runs a test with a folder and with a source that is none. Each has the model `ext`, version 1, with a data file.
fn each_source(test: impl Fn(&Case)) {
    for case in [in_folder(), in_memory()] {
        (case.put)("ext/1/model.onnx", &test_model("model.onnx"));
        (case.put)("ext/1/weights.bin", &test_model("weights.bin"));
        test(&case);
    }
}

fn test_model(name: &str) -> Vec<u8> {
    fs::read(format!("{}/tests/models/external/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn candidate(source: &dyn ModelSource) -> Candidate {
    let mut models = source.scan().unwrap().models;
    models.remove(&"ext".parse().unwrap()).unwrap().candidates.remove(&ModelVersion::new(1)).unwrap()
}

fn read(opened: Result<OpenedFile, OpenError>) -> Vec<u8> {
    let mut bytes = Vec::new();
    opened.unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_scan_finds_each_version_once_and_unchanged_files_are_equal() {
    each_source(|Case { source, put, remove, .. }| {
        let first = candidate(&**source);
        assert_eq!((first.model.as_str(), first.version), ("ext", ModelVersion::new(1)));
        assert_eq!((&*first.external, &first.defect), (&["weights.bin".to_owned()][..], &None));
        assert!(first.fingerprint.is_whole());
        assert_eq!(candidate(&**source), first);
        put("ext/2/model.onnx", &test_model("model.onnx"));
        put("ext/2/weights.bin", &test_model("weights.bin"));
        source.doubt(Some("ext"));
        let versions = |source: &dyn ModelSource| -> Vec<String> {
            let models = source.scan().unwrap().models;
            models.values().flat_map(|model| model.candidates.keys()).map(ToString::to_string).collect()
        };
        assert_eq!(versions(&**source), ["1", "2"]);
        remove("ext/2/model.onnx");
        source.doubt(None);
        assert_eq!(versions(&**source), ["1"]);
    });
}

#[test]
fn files_are_opened_by_their_names_and_none_outside_of_the_model() {
    each_source(|Case { source, put, .. }| {
        let candidate = candidate(&**source);
        put("secret", b"of another");
        put("ext/1/weights.bin.minisig", b"a signature");
        let (files, data) = (&candidate.files, FileName::Data("weights.bin"));
        for (name, file) in [(FileName::Model, "model.onnx"), (data, "weights.bin")] {
            assert_eq!(read(source.open(files, name)), test_model(file));
            assert_eq!(source.size(files, name), Some(test_model(file).len() as u64));
        }
        assert_eq!(read(source.open(files, FileName::Data("./weights.bin"))), test_model("weights.bin"));
        assert_eq!(read(source.open_signature(files, data)), b"a signature");
        for outside in ["../../secret", "/etc/passwd", "../1/model.onnx", ""] {
            let name = FileName::Data(outside);
            assert!(matches!(source.open(files, name), Err(OpenError::Outside(_))), "{outside}");
            assert!(matches!(source.open_signature(files, name), Err(OpenError::Outside(_))), "{outside}");
            assert_eq!(source.size(files, name), None, "{outside}");
        }
        for opened in
            [source.open(files, FileName::Data("gone")), source.open_signature(files, FileName::Model)]
        {
            let error = opened.err().unwrap();
            assert!(matches!(&error, OpenError::Io(_, error) if error.kind() == io::ErrorKind::NotFound));
        }
    });
}

#[test]
fn a_fingerprint_changes_with_each_of_the_files() {
    each_source(|Case { source, put, remove, .. }| {
        let found = candidate(&**source);
        let now = || source.fingerprint(&found.files, &found.external);
        let changed = || CandidateFiles::new(&**source, &found).have_changed();
        assert!(!changed() && now() == found.fingerprint);
        put("ext/1/other.bin", b"not of the model");
        assert!(!changed());
        put("ext/1/weights.bin", b"other weights");
        assert!(changed() && now().is_part_of(&found.fingerprint), "the model's file is the same");
        remove("ext/1/model.onnx");
        assert!(changed() && !now().is_whole());
    });
}

#[test]
fn a_file_named_twice_counts_once_and_one_outside_is_refused() {
    each_source(|Case { source, .. }| {
        let named = |names: &[&str]| Candidate {
            external: names.iter().map(ToString::to_string).collect(),
            ..candidate(&**source)
        };
        let twice = named(&["weights.bin", "./weights.bin", "model.onnx", "a/./b.bin"]);
        let names = CandidateFiles::new(&**source, &twice).data_names().unwrap();
        assert_eq!(names, ["weights.bin", "a/b.bin"]);
        let outside = named(&["weights.bin", "../w.bin"]);
        let refusal = CandidateFiles::new(&**source, &outside).data_names().unwrap_err();
        assert_eq!(refusal.reason, Reason::OutsideFolder);
        let bytes = CandidateFiles::new(&**source, &outside).bytes();
        assert_eq!(bytes, (test_model("model.onnx").len() + test_model("weights.bin").len()) as u64);
    });
}

#[test]
fn a_change_is_reported_by_the_name_of_its_entry() {
    each_source(|Case { source, put, .. }| {
        let (sender, changes) = mpsc::channel();
        source.watch(Box::new(move |name| sender.send(name).unwrap_or_default()));
        put("iris/1/model.onnx", b"new");
        let name = changes.recv_timeout(std::time::Duration::from_secs(30)).unwrap();
        assert_eq!(name.as_deref(), Some("iris"));
    });
}
