//! Scans of folders: their models, and notices of what has no effect.

use std::{fs, path::Path, sync::Arc};

use super::*;
use crate::{
    lifecycle::{Defect, Reason, ScannedModel},
    model::ModelName,
};

fn iris() -> Vec<u8> {
    fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/models/iris/1/model.onnx")).unwrap()
}

fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[test]
fn thousands_of_files_in_a_folder_are_told_of_in_some_lines() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(&root.join("iris/1/model.onnx"), &iris());
    for number in 0..2000 {
        write(&root.join(format!("iris/old{number:04}.onnx")), b"");
        write(&root.join(format!("iris/1/epoch{number:04}.onnx")), b"");
    }
    let found = FolderSource::new(root.to_path_buf()).scan().unwrap();
    assert_eq!(found.models.len(), 1);
    let told: Vec<String> = found.notices.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 102);
    assert!(told.contains(&"iris/1/*: 1950 more files have no effect".to_owned()), "{told:?}");
    assert!(told.contains(&"iris/*: 1950 more files have no effect".to_owned()));
    assert!(told.iter().any(|text| text.starts_with("iris/old0000.onnx: has no effect")));
}

#[test]
fn finds_numbered_versions_and_flat_files_and_says_what_it_ignores() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for file in [
        "iris/1/model.onnx",
        "iris/12/model.onnx",
        "iris/latest/model.onnx",
        "wine.onnx",
        "iris.onnx",
        "a b.onnx",
        ".hidden.onnx",
        "iris/1/.model.tmp",
        "notes.txt",
    ] {
        write(&root.join(file), &iris());
    }
    write(&root.join("iris/model.toml"), b"versions = 1");
    write(&root.join("wine.toml"), b"version = 1");
    fs::create_dir_all(root.join("iris/3")).unwrap();
    fs::create_dir_all(root.join("wine")).unwrap();

    let found = FolderSource::new(root.to_path_buf()).scan().unwrap();
    let names = |(name, model): (&ModelName, &ScannedModel)| {
        let numbers: Vec<String> = model.candidates.keys().map(ToString::to_string).collect();
        format!("{name}: {}", numbers.join(" "))
    };
    assert_eq!(found.models.iter().map(names).collect::<Vec<_>>(), ["iris: 1 12", "wine: 1"]);
    let config = |name: &str| found.models[&name.parse::<ModelName>().unwrap()].config.clone();
    assert_ne!(config("iris").unwrap(), Arc::default());
    assert!(config("wine").unwrap_err().starts_with("wine.toml: unknown field `version`"));
    let said = said(&found);
    assert_eq!(said.len(), 4, "{said:?}");
    assert!(said[0].starts_with("a b.onnx: a model name has"), "{said:?}");
    assert_eq!(said[1], "iris.onnx: the folder iris holds the versions of this model");
    assert_eq!(said[2], "iris/3: expected iris/3/model.onnx, and the folder is empty");
    assert!(said[3].starts_with("iris/latest: a version is a whole number"), "{said:?}");
    assert!(said[3].ends_with(": expected iris/1/model.onnx, found iris/latest/model.onnx: move it there"));
}

fn said(found: &RepositoryScan) -> Vec<String> {
    let mut said: Vec<String> = found.notices.iter().map(ToString::to_string).collect();
    said.sort();
    said
}

/// Lists all notices of a repository with these files; a name that ends in `/` is an empty folder.
fn said_of(files: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        match file.strip_suffix('/') {
            Some(_) => fs::create_dir_all(path).unwrap(),
            None if file.contains(".toml") || file.contains(".TOML") => write(&path, b"versions = 1"),
            None => write(&path, &iris()),
        }
    }
    said(&FolderSource::new(folder.path().to_path_buf()).scan().unwrap())
}

#[test]
fn every_file_in_a_wrong_place_is_told_of_with_the_right_one() {
    for (files, expected) in [
        (
            &["a/model.onnx"][..],
            "a: no version in it: expected a/1/model.onnx, found a/model.onnx: move it there",
        ),
        (&["a/a.onnx"], "a: no version in it: expected a/1/model.onnx, found a/a.onnx: move it there"),
        (&["a/1/a.onnx"], "a/1: expected a/1/model.onnx, found a/1/a.onnx: rename it"),
        (&["a/1/MODEL.ONNX"], "a/1: expected a/1/model.onnx, found a/1/MODEL.ONNX: rename it"),
        (
            &["a/1/b.onnx", "a/1/a.onnx", "a/1/a.pkl"],
            "a/1: expected a/1/model.onnx, found a/1/a.onnx, a/1/b.onnx: put one of them there",
        ),
        (&["a/1/onnx/model.onnx"], "a/1: expected a/1/model.onnx, found a/1/onnx/model.onnx: move it there"),
        (&["a/1/"], "a/1: expected a/1/model.onnx, and the folder is empty"),
        (&["a/1/README.md"], "a/1: expected a/1/model.onnx, which is not there"),
        (
            &["a/1/model.onnx.data"],
            "a/1: expected a/1/model.onnx, found a/1/model.onnx.data, which holds weights of a model: the model belongs beside it",
        ),
        (
            &["a/1/model.ort"],
            "a/1: expected a/1/model.onnx, found a/1/model.ort, which is not ONNX: export the model to ONNX",
        ),
        (
            &["a/1/saved_model/saved_model.pb"],
            "a/1: expected a/1/model.onnx, found a/1/saved_model/saved_model.pb, which is not ONNX: export the model to ONNX",
        ),
        (
            &["a/model.joblib"],
            "a: no version in it: expected a/1/model.onnx, found a/model.joblib, which is not ONNX: export the model to ONNX",
        ),
        (&["a/model.toml"], "a: no version in it: expected a/1/model.onnx, found only a/model.toml"),
        (&["a/"], "a: no version in it: expected a/1/model.onnx, and the folder is empty"),
        (
            &["a/1/model.onnx", "a/model.onnx"],
            "a/model.onnx: has no effect: the files of a version lie in its folder, as a/1/model.onnx",
        ),
        (&["a/1/model.onnx", "a/1/old.onnx"], "a/1/old.onnx: has no effect: only a/1/model.onnx is read"),
        (&["a/1/model.onnx", "a/1/model.toml"], "a/1/model.toml: has no effect: expected a/model.toml"),
        (&["a/1/model.onnx", "a/MODEL.toml"], "a/MODEL.toml: has no effect: expected a/model.toml"),
        (&["a/1/model.onnx", "a.toml"], "a.toml: has no effect: expected a/model.toml"),
        (&["a.toml"], "a.toml: has no effect: there is no a.onnx beside it"),
        (&["A.ONNX"], "A.ONNX: a flat model's name ends in .onnx, in small letters: expected A.onnx"),
        (&["a.pkl"], "a.pkl: is not ONNX: expected a.onnx: export the model to ONNX"),
        (
            &["a.onnx.data"],
            "a.onnx.data: holds weights of a model that is not there: expected a.onnx beside it",
        ),
        (
            &["a/v1/model.onnx"],
            "a/v1: a version is a whole number from 0 to 18446744073709551615 without leading zeros: expected a/1/model.onnx, found a/v1/model.onnx: move it there",
        ),
        (
            &["b.onnx", "group/a/1/model.onnx"],
            "group/a: holds versions, as a model does: move it up into the repository, or give the folder group as the repository",
        ),
    ] {
        assert_eq!(said_of(files), [expected], "{files:?}");
    }
    let unnamed = said_of(&["a b/1/model.onnx"]);
    assert!(
        unnamed.len() == 1 && unnamed[0].starts_with("a b/1/model.onnx: a model name has"),
        "{unnamed:?}"
    );
}

#[test]
fn a_repository_one_folder_too_high_or_too_low_is_told_of_with_the_right_one() {
    let scan = |files: &[&str], repository: &str| {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            write(&folder.path().join(file), &iris());
        }
        let found = FolderSource::new(folder.path().join(repository)).scan().unwrap();
        let advice = found.advice.map(|advice| advice.replace(folder.path().to_str().unwrap(), "R"));
        (advice.unwrap_or_default(), found.notices.len())
    };
    let versions = &["models/iris/1/model.onnx", "models/wine/2/model.onnx", "models/a.onnx"][..];
    for (files, repository, expected) in [
        (
            versions,
            "",
            ("holds no model, but R/models does (iris, wine): give that folder as the repository", 0),
        ),
        (
            &["deploy/models/iris/1/model.onnx"],
            "",
            ("holds no model, but R/deploy/models does (iris): give that folder as the repository", 0),
        ),
        (
            versions,
            "models/iris",
            (
                "is the folder of one model, with its versions (1/model.onnx): give R/models as the repository, for the model `iris`",
                0,
            ),
        ),
        (
            &["a/1/x.txt", "models/iris.onnx", "models/wine.onnx"],
            "",
            ("holds no model, but R/models does (iris, wine): give that folder as the repository", 2),
        ),
        // These lie in wrong places, each with a notice.
        (&["churn/churn.onnx"], "", ("", 1)),
        (&["churn/model.onnx"], "", ("", 1)),
        (&["churn/forest.onnx", "wine/forest.onnx"], "", ("", 2)),
        (versions, "models", ("", 0)),
    ] {
        let (advice, notices) = scan(files, repository);
        assert_eq!((advice.as_str(), notices), expected, "{files:?} {repository}");
    }
}

#[test]
fn what_is_no_model_by_its_name_is_nobody_s_matter() {
    for files in [
        &["a/1/model.onnx", "a/1/model.pkl", "a/README.md", "a/golden.json", "a/config.pbtxt"][..],
        &["a/1/model.onnx", "a/1/.model.onnx", "a/.git/x.onnx", ".b.onnx", ".c/1/x.onnx"],
        &["a.onnx", "a.toml", "a.pkl", "a.onnx.data", "a/"],
        &["lost+found/", "__pycache__/", "notes/today.txt", "README.md", "a.onnx~", "a.onnx.part"],
    ] {
        assert_eq!(said_of(files), [""; 0], "{files:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(&root.join("a/1/real.onnx"), &iris());
    std::os::unix::fs::symlink("real.onnx", root.join("a/1/model.onnx")).unwrap();
    write(&root.join("files/b.onnx"), &iris());
    std::os::unix::fs::symlink("files/b.onnx", root.join("b.onnx")).unwrap();
    assert_eq!(said(&FolderSource::new(root.to_path_buf()).scan().unwrap()), [""; 0], "links lead to them");
}

#[test]
fn sees_at_once_what_will_not_serve_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(&root.join("cut.onnx"), &iris()[..1000]);
    write(&root.join("html.onnx"), b"<!DOCTYPE html>");
    fs::create_dir(root.join("folder.onnx")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", root.join("stolen.onnx")).unwrap();
    let source = FolderSource::new(root.to_path_buf());
    let found = source.scan().unwrap();
    let defect = |name: &str| {
        let model = &found.models[&name.parse::<ModelName>().unwrap()];
        model.candidates[&ModelVersion::new(1)].defect.clone().unwrap()
    };
    assert!(matches!(defect("cut"), Defect::Incomplete(_)));
    for (name, reason) in
        [("html", Reason::NotOnnx), ("folder", Reason::Unreadable), ("stolen", Reason::OutsideFolder)]
    {
        match defect(name) {
            Defect::Unusable(refusal) => assert_eq!(refusal.reason, reason, "{refusal}"),
            defect @ Defect::Incomplete(_) => panic!("{name}: {defect:?}"),
        }
    }
    write(&root.join("cut.onnx"), &iris());
    let found = source.scan().unwrap();
    assert_eq!(found.models[&"cut".parse().unwrap()].candidates[&ModelVersion::new(1)].defect, None);
}
