//! The layers, as the `use` lines say: imports point down only.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::support::table;

/// The modules from the top down; those of one row do not know each other. A module may use those below it: the next
/// rows and the leaves.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["server", "scoring"],
    &["rest", "grpc"],
    &["transport"],
    &["limits"],
    &["serving"],
    &["lifecycle"],
    &["runtime"],
    &["auth"],
    &["telemetry"],
    &["config"],
    &["wire"],
    &["model"],
    &["system"],
];

/// Libraries that only some modules may name, with the reason.
const HOMES: &[(&str, &[&str], &str)] = &[
    ("axum", &["rest", "grpc", "transport", "server", "cli"], "HTTP is a matter of the transports"),
    ("tower", &["rest", "grpc", "transport", "server"], "middleware is a matter of the transports"),
    ("tower_http", &["rest", "grpc", "transport"], "middleware is a matter of the transports"),
    ("tower_governor", &["transport"], "middleware is a matter of the transports"),
    ("tonic", &["grpc"], "gRPC is a matter of its transport"),
    ("tonic_health", &["grpc"], "gRPC is a matter of its transport"),
    ("tonic_reflection", &["grpc"], "gRPC is a matter of its transport"),
    ("prost", &["grpc"], "gRPC is a matter of its transport"),
    ("hyper", &["server", "cli", "scoring"], "connections are a matter of the server"),
    ("parquet", &["scoring"], "files of rows are read and written in one place"),
    ("indicatif", &["cli"], "what people see is a matter of the command line"),
    ("utoipa", &["rest", "transport", "wire"], "the description is of what is sent"),
    ("ort", &["runtime"], "ONNX Runtime can be replaced in one place"),
    ("ndarray", &["runtime"], "it is the form that ONNX Runtime is fed with"),
    ("jsonwebtoken", &["auth"], "tokens are believed in one place"),
    ("argon2", &["auth"], "secrets are compared in one place"),
    ("governor", &["limits", "transport"], "quotas are counted in one place"),
    ("prometheus", &["telemetry"], "metrics are counted in one place"),
    ("landlock", &["system"], "the sandbox is built in one place"),
    ("seccompiler", &["system"], "the sandbox is built in one place"),
    ("libc", &["system", "server"], "the operating system is talked to in one place"),
    ("notify", &["lifecycle"], "the repository is watched in one place"),
    ("clap", &["cli"], "arguments are a matter of the command line"),
    ("std::env", &["config"], "the environment is read in one place"),
];

/// Names that only some files may use outside of tests, with the reason.
const PLACES: &[(&str, &[&str], &str)] = &[
    ("Authorized::check", &["transport/pipeline.rs"], "permission is checked in one place"),
    (
        "RunPermit(())",
        &["auth/authorized.rs"],
        "a permit comes from a proof or from a constructor that names its reason",
    ),
    (".run_permit()", &["serving/predict.rs"], "requests run models in one place"),
    ("RunPermit::of_command_line", &["cli/predict.rs", "scoring/local.rs"], "it is the operator's own run"),
    (
        "RunPermit::of_proof",
        &["lifecycle/admission/child.rs", "lifecycle/admission/child/conversion.rs", "lifecycle/proof.rs"],
        "no caller sees the outputs of a proof",
    ),
    ("RunPermit::of_comparison", &["lifecycle/replay.rs"], "no caller sees the outputs of a comparison"),
    (".request_started()", &["transport/pipeline.rs"], "requests are recorded in one place"),
    (".request_finished(", &["transport/pipeline.rs"], "requests are recorded in one place"),
    ("X_CONTENT_TYPE_OPTIONS", &["transport/pipeline.rs"], "standard headers are added in one place"),
    (
        "ApiError::CallerQuota",
        &["transport/error.rs", "transport/pipeline.rs"],
        "callers are charged in one place",
    ),
    (
        "ApiError::AddressQuota",
        &["transport/error.rs", "transport/rate_limit.rs"],
        "addresses are charged in one place",
    ),
    ("eq_ignore_ascii_case(\"bearer\")", &["transport/pipeline.rs"], "tokens are read in one place"),
];

#[derive(Debug)]
pub struct SourceFile {
    pub path: PathBuf,
    pub module: String,
    pub text: String,
}

pub fn source_files() -> Vec<SourceFile> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let read = |path: PathBuf| {
        let relative = path.strip_prefix(&root).unwrap().to_path_buf();
        let first = relative.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        let module = first.trim_end_matches(".rs").to_owned();
        SourceFile { text: fs::read_to_string(&path).unwrap(), path: relative, module }
    };
    files.into_iter().map(read).collect()
}

/// The code without its comments.
pub fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The names that follow `prefix::` anywhere in the code, those in braces included.
fn names_after(code: &str, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (position, _) in code.match_indices(&format!("{prefix}::")) {
        let before = code[..position].chars().next_back();
        if before.is_some_and(|character| character.is_alphanumeric() || character == '_' || character == ':')
        {
            continue;
        }
        let rest = &code[position + prefix.len() + 2..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 1;
            let mut entry = String::new();
            for character in group.chars() {
                match character {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                if depth == 0 || (depth == 1 && character == ',') {
                    names.push(first_name(&entry));
                    entry.clear();
                } else {
                    entry.push(character);
                }
                if depth == 0 {
                    break;
                }
            }
        } else {
            names.push(first_name(rest));
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn first_name(text: &str) -> String {
    text.trim().chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
}

#[test]
fn imports_point_down() {
    let depth: BTreeMap<&str, usize> = LAYERS
        .iter()
        .enumerate()
        .flat_map(|(depth, row)| row.iter().map(move |name| (*name, depth)))
        .collect();
    table::each(source_files().iter().filter(|file| file.module != "lib"), |file| {
        let own = *depth.get(file.module.as_str()).unwrap_or_else(|| panic!("{} has no layer", file.module));
        let code = code(&file.text);
        let prefix = if file.module == "main" { "onnx_gateway" } else { "crate" };
        for name in names_after(&code, prefix) {
            if let Some(&other) = depth.get(name.as_str()) {
                let inside = name == file.module;
                assert!(
                    inside || other > own,
                    "{}: uses `{name}`, which is not below it",
                    file.path.display()
                );
            }
        }
    });
}

#[test]
fn libraries_stay_at_home() {
    table::each(source_files(), |file| {
        let code = code(&file.text);
        for (library, homes, reason) in HOMES {
            let grouped = library
                .split_once("::")
                .is_some_and(|(krate, module)| names_after(&code, krate).iter().any(|name| name == module));
            let named = grouped
                || code.match_indices(&format!("{library}::")).any(|(position, _)| {
                    let before = code[..position].chars().next_back();
                    !before.is_some_and(|character| {
                        character.is_alphanumeric() || character == '_' || character == ':'
                    })
                });
            let at_home = homes.contains(&file.module.as_str());
            assert!(!named || at_home, "{}: names `{library}`: {reason}", file.path.display());
        }
    });
}

/// The text before its tests.
pub fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default()
}

#[test]
fn every_step_of_a_request_has_one_place() {
    for (name, places, reason) in PLACES {
        let files = source_files();
        let with_name = files.iter().filter(|file| code(without_tests(&file.text)).contains(name));
        let mut found: Vec<_> = with_name.map(|file| file.path.to_string_lossy().into_owned()).collect();
        found.sort();
        assert_eq!(found, *places, "`{name}`: {reason}");
    }
}

#[test]
fn the_fast_path_takes_the_same_steps_as_the_middleware() {
    let files = source_files();
    let text = |path: &str| {
        let file = files.iter().find(|file| file.path == Path::new(path));
        code(without_tests(&file.unwrap_or_else(|| panic!("there is no {path}")).text))
    };
    let (fast, stream) = (text("rest/fast_path.rs"), text("grpc/stream.rs"));
    let (authenticate, observe) = (text("transport/authenticate.rs"), text("transport/observe.rs"));
    for (step, paths) in [
        ("charge(", &[&fast, &stream][..]),
        ("charge_caller(", &[&authenticate]),
        ("bearer(", &[&fast, &authenticate]),
        ("authorize(", &[&fast, &text("transport/permit.rs")]),
        ("Record::begin(", &[&fast, &observe]),
        ("record.finish(", &[&fast, &observe]),
    ] {
        for path in paths {
            assert!(path.contains(step), "`{step}` is missing in:\n{path}");
        }
    }
}

#[test]
fn the_fast_path_does_not_depend_on_the_log_level() {
    for file in source_files()
        .iter()
        .filter(|file| file.path.starts_with("rest/fast_path") || file.path == Path::new("rest/fast_path.rs"))
    {
        for name in ["LevelFilter", "Level::", "enabled!"] {
            let found = code(&file.text).contains(name);
            assert!(!found, "{}: names `{name}`: logging must not decide the path", file.path.display());
        }
    }
}

#[test]
fn unsafe_code_is_where_the_operating_system_is_talked_to() {
    table::each(source_files(), |file| {
        // `unsafe-inline` is a word of HTTP, `unsafe_settings` one of ours.
        let named = code(&file.text)
            .replace("unsafe-", "")
            .replace("unsafe_settings", "")
            .split(|character: char| !character.is_alphanumeric())
            .any(|word| word == "unsafe");
        let there = ["system/code_pages.rs", "system/fork.rs", "system/memory.rs", "system/priority.rs"]
            .iter()
            .any(|path| file.path == Path::new(path));
        assert_eq!(named, there, "{}: unsafe code is for four files of system only", file.path.display());
    });
}

#[test]
fn a_folder_has_its_file_beside_it_and_nothing_is_called_utils() {
    table::each(source_files(), |file| {
        let name = file.path.file_name().unwrap().to_string_lossy().into_owned();
        assert_ne!(name, "mod.rs", "{}: foo.rs stands beside foo/", file.path.display());
        for vague in ["utils", "util", "common", "helpers", "misc"] {
            assert_ne!(name, format!("{vague}.rs"), "{} says nothing", file.path.display());
        }
    });
}
