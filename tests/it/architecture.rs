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
    &["protocols"],
    &["edge"],
    &["serving"],
    &["lifecycle"],
    &["runtime"],
    &["limits"],
    &["auth"],
    &["telemetry"],
    &["outbound"],
    &["tls"],
    &["config"],
    &["codec"],
    &["model"],
    &["system"],
];

/// Libraries that only some modules may name, with the reason.
const HOMES: &[(&str, &[&str], &str)] = &[
    ("axum", &["protocols", "edge", "server", "cli"], "HTTP is a matter of the edge and the protocols"),
    ("tower", &["protocols", "edge", "server"], "middleware is a matter of the edge"),
    ("tower_http", &["protocols", "edge"], "middleware is a matter of the edge"),
    ("tower_governor", &["edge"], "middleware is a matter of the edge"),
    ("tonic", &["protocols", "edge"], "gRPC is a matter of the edge and of the protocol that speaks it"),
    ("tonic_health", &["protocols"], "gRPC is a matter of the edge and of the protocol that speaks it"),
    ("tonic_reflection", &["protocols"], "gRPC is a matter of the edge and of the protocol that speaks it"),
    ("prost", &["protocols", "edge"], "gRPC is a matter of the edge and of the protocol that speaks it"),
    (
        "hyper",
        &["server", "cli", "scoring", "outbound"],
        "connections are a matter of the server and of clients",
    ),
    ("parquet", &["scoring"], "files of rows are read and written in one place"),
    ("indicatif", &["cli"], "what people see is a matter of the command line"),
    ("utoipa", &["protocols", "edge", "codec"], "the description is of what is sent"),
    ("rmcp", &["protocols"], "messages of agents are a matter of the protocol that speaks to them"),
    ("ort", &["runtime"], "ONNX Runtime can be replaced in one place"),
    ("ndarray", &["runtime"], "it is the form that ONNX Runtime is fed with"),
    ("jsonwebtoken", &["auth"], "tokens are believed in one place"),
    ("rustls", &["tls"], "TLS is spoken in one place"),
    ("tokio_rustls", &["tls"], "TLS is spoken in one place"),
    ("rustls_native_certs", &["tls"], "TLS is spoken in one place"),
    ("x509_cert", &["tls"], "certificates are read in one place"),
    ("argon2", &["auth"], "secrets are compared in one place"),
    ("governor", &["limits", "edge"], "quotas are counted in one place"),
    ("redis", &["limits"], "quotas are counted in one place"),
    ("prometheus", &["telemetry"], "metrics are counted in one place"),
    ("opentelemetry", &["telemetry"], "traces are exported in one place"),
    ("opentelemetry_otlp", &["telemetry"], "traces are exported in one place"),
    ("opentelemetry_sdk", &["telemetry"], "traces are exported in one place"),
    ("landlock", &["system"], "the sandbox is built in one place"),
    ("seccompiler", &["system"], "the sandbox is built in one place"),
    ("libc", &["system", "server"], "the operating system is talked to in one place"),
    ("notify", &["lifecycle"], "the repository is watched in one place"),
    ("object_store", &["lifecycle"], "objects are fetched in one place"),
    ("clap", &["cli"], "arguments are a matter of the command line"),
    ("std::env", &["config"], "the environment is read in one place"),
];

/// Names that only some files may use outside of tests, with the reason.
const PLACES: &[(&str, &[&str], &str)] = &[
    ("Authorized::check", &["edge/pipeline.rs"], "permission is checked in one place"),
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
    ("Router::new()", &[], "a router is made of a set of routes, which lists them"),
    (".route_service(", &["edge/route_set.rs"], "a route enters a router through a set, which lists it"),
    (".request_started()", &["edge/pipeline.rs"], "requests are recorded in one place"),
    (".request_finished(", &["edge/pipeline.rs"], "requests are recorded in one place"),
    ("X_CONTENT_TYPE_OPTIONS", &["edge/pipeline.rs"], "standard headers are added in one place"),
    ("quotas.charge_rows_now(", &["protocols/fast_path.rs"], "rows are charged in one place"),
    (
        "ApiError::AddressQuota",
        &["edge/error.rs", "edge/rate_limit.rs"],
        "addresses are charged in one place",
    ),
    ("eq_ignore_ascii_case(\"bearer\")", &["edge/credentials.rs"], "tokens are read in one place"),
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
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

#[test]
fn what_is_below_the_protocols_names_none_of_them() {
    const NAMES: &[&str] = &["open_inference", "tensorflow", "kserve", "mlflow", "sagemaker", "vertex"];
    let below = ["edge", "limits", "serving", "lifecycle", "runtime", "codec"];
    table::each(source_files().iter().filter(|file| below.contains(&file.module.as_str())), |file| {
        let code = code(without_tests(&file.text)).to_lowercase().replace([' ', '-'], "_");
        let named: Vec<_> = NAMES.iter().filter(|name| code.contains(**name)).collect();
        assert!(named.is_empty(), "{}: names {named:?}", file.path.display());
    });
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
    let fast = text("protocols/fast_path.rs");
    let fast_call = text("protocols/open_inference/grpc/fast_path.rs");
    let stream = text("protocols/open_inference/grpc/stream.rs");
    let (authenticate, observe) = (text("edge/authenticate.rs"), text("edge/observe.rs"));
    for (step, paths) in [
        ("charge(", &[&fast, &fast_call, &stream][..]),
        ("charge_caller(", &[&authenticate]),
        ("bearer(", &[&text("edge/pipeline.rs"), &authenticate]),
        ("known_caller(", &[&fast, &fast_call]),
        ("authorize(", &[&fast, &text("edge/permit.rs")]),
        ("Record::begin(", &[&fast, &fast_call, &observe]),
        ("record.finish(", &[&fast, &fast_call, &observe]),
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
        .filter(|file| file.path.starts_with("protocols/fast_path") || file.path.ends_with("fast_path.rs"))
    {
        for name in ["LevelFilter", "Level::", "enabled!"] {
            let found = code(&file.text).contains(name);
            assert!(!found, "{}: names `{name}`: logging must not decide the path", file.path.display());
        }
    }
}

#[test]
fn unsafe_code_is_where_the_operating_system_or_onnx_runtime_is_talked_to() {
    table::each(source_files(), |file| {
        // `unsafe-inline` is a word of HTTP, `unsafe_settings` one of ours.
        let named = code(&file.text)
            .replace("unsafe-", "")
            .replace("unsafe_settings", "")
            .split(|character: char| !character.is_alphanumeric())
            .any(|word| word == "unsafe");
        let there = [
            "runtime/shared_session.rs",
            "system/code_pages.rs",
            "system/fork.rs",
            "system/memory.rs",
            "system/priority.rs",
        ]
        .iter()
        .any(|path| file.path == Path::new(path));
        assert_eq!(named, there, "{}: unsafe code is for five files only", file.path.display());
    });
}

/// Names that only Linux has.
const LINUX_ONLY: &[&str] = &[
    "landlock::",
    "seccompiler::",
    "memfd_create",
    "pidfd_open",
    "set_no_new_privs",
    "set_parent_process_death_signal",
    "set_dumpable_behavior",
    "sched_setattr",
    "malloc_trim",
    "mallopt",
    "attach_filter",
    "set_tcp_notsent_lowat",
    "MonotonicCoarse",
    "FsWord",
    "pipe_with",
    "/proc/self/exe",
    "/proc/self/fd",
];

/// The parts of a file: each item with its attributes, imports one by one.
fn items(text: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let item = items.last_mut().unwrap();
        item.push_str(line);
        item.push('\n');
        let ends = matches!(line, "}" | "};" | "];") || (!line.starts_with(' ') && line.ends_with(';'));
        if ends || (line.is_empty() && lines.peek().is_some_and(|next| !next.starts_with(' '))) {
            items.push(String::new());
        }
    }
    items
}

#[test]
fn other_systems_compile_nothing_that_only_linux_has() {
    let files = source_files();
    // A module of Linux alone is declared behind the condition.
    let is_of_linux = |file: &SourceFile| {
        file.path.starts_with("system/sandbox/linux") || file.path == Path::new("system/sandbox/linux.rs")
    };
    assert!(files.iter().any(is_of_linux));
    table::each(files.iter().filter(|file| !is_of_linux(file)), |file| {
        for item in items(&code(without_tests(&file.text))) {
            for name in LINUX_ONLY.iter().filter(|name| item.contains(**name)) {
                assert!(
                    item.contains("target_os = \"linux\""),
                    "{}: `{name}` needs #[cfg(target_os = \"linux\")]:\n{item}",
                    file.path.display()
                );
            }
        }
    });
    let declared = files.iter().find(|file| file.path == Path::new("system/sandbox.rs")).unwrap();
    assert!(declared.text.contains("#[cfg(target_os = \"linux\")]\nmod linux;"));
}

#[test]
fn other_systems_depend_on_no_library_that_only_linux_has() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let (_, rest) = manifest.split_once("[target.'cfg(target_os = \"linux\")'.dependencies]\n").unwrap();
    let of_linux = rest.split("\n[").next().unwrap();
    for library in ["landlock", "seccompiler"] {
        let of = |text: &str| text.lines().filter(|line| line.starts_with(&format!("{library} = "))).count();
        assert_eq!((of(&manifest), of(of_linux)), (1, 1), "{library} is of Linux alone");
    }
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
