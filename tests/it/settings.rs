//! Settings as users write them: the documented table, the sample files, and what the binary says of mistakes.

use std::{collections::BTreeMap, fs, path::Path, time::SystemTime};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use futures_util::FutureExt;
use onnx_gateway::{
    auth::Authentication,
    config::{AuthSettings, Environment, KeySettings, Settings, load},
};
use serde_json::{Value, json};

use crate::support::{
    binary::{run, text},
    repository::source_tree,
    table,
    tokens::{SECRET, SigningKey, TokenBuilder},
};

/// Every setting with its default as `docs/configuration.md` writes it.
fn defaults() -> BTreeMap<String, String> {
    fn flatten(path: &str, value: &Value, settings: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(entries) if !entries.is_empty() => {
                for (name, value) in entries {
                    let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    flatten(&key, value, settings);
                }
            }
            other => {
                let shown = match other {
                    Value::Null | Value::Object(_) => "none".to_owned(),
                    Value::String(text) => format!("`{text}`"),
                    other => format!("`{other}`"),
                };
                settings.insert(path.to_owned(), shown);
            }
        }
    }
    let mut settings = BTreeMap::new();
    flatten("", &serde_json::to_value(Settings::default()).unwrap(), &mut settings);
    settings
}

#[test]
fn the_documentation_lists_every_setting_with_its_default() {
    let page = fs::read_to_string(source_tree().join("docs/configuration.md")).unwrap();
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let key = cells.next()?.strip_suffix('`')?;
        (key.contains('.') && !key.contains(' '))
            .then(|| (key.to_owned(), cells.next().unwrap_or_default().to_owned()))
    });
    assert_eq!(rows.collect::<BTreeMap<_, _>>(), defaults());
}

fn load_files(files: &[&str]) -> Settings {
    let files: Vec<_> = files.iter().map(|file| source_tree().join(file)).collect();
    let environment = Environment { working_directory: "/nonexistent".into(), ..Environment::default() };
    load(&files, &environment).unwrap_or_else(|problems| panic!("{problems}")).settings
}

#[test]
fn the_default_file_shows_the_defaults_and_every_setting() {
    let loaded = serde_json::to_value(load_files(&["config/default.toml"])).unwrap();
    assert_eq!(loaded, serde_json::to_value(Settings::default()).unwrap());
    let shown = fs::read_to_string(source_tree().join("config/default.toml")).unwrap();
    table::each(defaults().keys(), |key| {
        let name = key.rsplit('.').next().unwrap();
        let line = |line: &str| {
            let line = line.trim_start_matches("# ");
            line.starts_with(&format!("{name} = ")) || line.starts_with(&format!("[{key}."))
        };
        assert!(shown.lines().any(line), "{key} is not shown");
    });
}

#[test]
fn the_sample_files_are_good() {
    let development = load_files(&["config/default.toml", "config/development.toml"]);
    assert!(development.auth.clients.contains_key("demo"));
    assert!(development.server.listen.is_local());
    let container = load_files(&["config/container.toml"]);
    assert_eq!(container.server.listen.to_string(), "0.0.0.0:8000");
    assert_eq!(container.models.repository, Path::new("/models"));
}

#[test]
fn the_settings_of_the_service_are_good_once_it_has_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let (key, file) = (folder.path().join("signing-secret"), folder.path().join("gateway.toml"));
    fs::write(&key, SECRET).unwrap();
    let shipped = fs::read_to_string(source_tree().join("config/package.toml")).unwrap();
    let with_key = shipped.replace("= \"/etc/onnx-gateway/signing-secret", &format!("= \"{}", key.display()));
    assert_ne!(with_key, shipped);
    fs::write(&file, with_key).unwrap();
    let service = load_files(&[file.to_str().unwrap()]);
    assert_eq!(service.models.repository, Path::new("/var/lib/onnx-gateway/models"));
    assert!(service.server.listen.is_local());
}

/// What `check` says in an empty folder with these settings; it must fail.
fn refusal(file: Option<(&str, &str)>, environment: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = vec!["check".to_owned()];
    if let Some((name, content)) = file {
        fs::write(folder.path().join(name), content).unwrap();
        arguments.extend(["--config".to_owned(), name.to_owned()]);
    }
    let output = run(&arguments, folder.path(), environment);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    text(&output.stderr)
}

const KEY: (&str, &str) = ("GATEWAY__AUTH__SIGNING_SECRET", SECRET);

#[test]
fn without_a_key_the_settings_that_are_there_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let said = |arguments: &[&str]| text(&run(arguments, folder.path(), &[]).stderr);
    for arguments in [&["serve"][..], &["check"], &["token", "--subject", "a", "--scope", "read"]] {
        let told = said(arguments);
        assert!(told.contains("no key is configured"), "{told}");
        assert!(!told.contains("development.toml") && !told.contains("--config"), "nothing is there: {told}");
    }
    fs::write(folder.path().join("gateway.toml"), "").unwrap();
    for arguments in [&["serve"][..], &["check"]] {
        let told = said(arguments);
        assert!(told.contains("gateway.toml is here and was not read: add --config gateway.toml"), "{told}");
    }
    let told = said(&["check", "--config", "gateway.toml"]);
    assert!(told.contains("no key is configured") && !told.contains("was not read"), "{told}");
}

#[test]
fn the_start_is_refused_without_a_key_or_with_a_bad_one() {
    let development = fs::read_to_string(source_tree().join("config/development.toml")).unwrap();
    let client_only = development.split("[auth.clients.demo]").nth(1).unwrap();
    let client_only = format!("[auth.clients.demo]{client_only}");
    let secret = "GATEWAY__AUTH__SIGNING_SECRET";
    let cases = [
        ("no key", refusal(None, &[]), &["auth.signing_secret: no key is configured", secret][..]),
        ("a short key", refusal(None, &[(secret, "short")]), &["auth.signing_secret: has 5 bytes", secret]),
        (
            "a known key",
            refusal(None, &[(secret, "a-string-secret-at-least-256-bits-long")]),
            &["is well known"],
        ),
        (
            "a repeated key",
            refusal(None, &[(secret, &"ab".repeat(20))]),
            &["is a pattern that can be guessed"],
        ),
        (
            "the development key elsewhere",
            refusal(None, &[(secret, "development-only: everyone knows this key")]),
            &["auth.signing_secret: is the development key"],
        ),
        (
            "the development file under another name",
            refusal(Some(("production.toml", &development)), &[]),
            &[
                "production.toml: auth.signing_secret: is the development key",
                "auth.clients.demo: is the development client",
            ],
        ),
        (
            "the development client under another id",
            refusal(Some(("my.toml", &client_only.replace("clients.demo", "clients.shop"))), &[KEY]),
            &["auth.clients.shop: is the development client"],
        ),
        (
            "the development key beside an empty development file",
            refusal(Some(("development.toml", "")), &[(secret, "development-only: everyone knows this key")]),
            &["auth.signing_secret: is the development key"],
        ),
        (
            "the development client elsewhere",
            refusal(Some(("my.toml", &client_only)), &[KEY]),
            &["auth.clients.demo: is the development client"],
        ),
        (
            "a hash that is none",
            refusal(
                Some(("my.toml", "[auth.clients.a]\nsecret_hash = 'plain'\nscopes = ['predict', 'fly']")),
                &[KEY],
            ),
            &[
                "auth.clients.a.secret_hash: is not an argon2id hash",
                "auth.clients.a.scopes: `fly` is not a scope",
            ],
        ),
    ];
    table::each(cases, |(name, refused, parts)| {
        for part in parts {
            assert!(refused.contains(part), "{name}: no `{part}` in:\n{refused}");
        }
    });
}

#[test]
fn every_mistake_is_said_at_once_with_its_place() {
    let file = "[server]\nlisen = '127.0.0.1:1'\nlisten = 'here'\nmax_body_bytes = 0\n\
                [models]\npoll_interval_ms = 'often'\n[rate_limit]\nper_address = 60\n[log]\nformat = 'xml'\nlevel = 'info,a=b'\n";
    let refused = refusal(
        Some(("my.toml", file)),
        &[
            ("GATEWAY__AUTH__SIGNIN_SECRET", "x"),
            ("GATEWAY__SERVER__MAX_CONNECTIONS", "-1"),
            ("GATEWAY__AUTH__SIGNING_SECRET", "short"),
        ],
    );
    for line in [
        "error: my.toml: server.lisen: there is no such setting; did you mean `server.listen`?",
        "error: my.toml: server.listen: `here` is neither an address with a port (127.0.0.1:8000) nor a Unix socket (unix:/PATH)",
        "error: my.toml: server.max_body_bytes: must be from 1 to 1073741824 (1 GiB)",
        "error: my.toml: models.poll_interval_ms: expected an integer, got string \"often\"",
        "error: my.toml: rate_limit.per_address: is a section, not a setting",
        "error: environment variable GATEWAY__AUTH__SIGNING_SECRET: auth.signing_secret: has 5 bytes, an HS256 key needs \
         at least 32: openssl rand -hex 32",
        "error: my.toml: log.level: expected error, warn, info, debug or trace, or directives such as info,onnx_gateway=debug",
        "error: environment variable GATEWAY__AUTH__SIGNIN_SECRET: auth.signin_secret: there is no such setting; \
         did you mean `auth.signing_secret`?",
        "error: environment variable GATEWAY__SERVER__MAX_CONNECTIONS: server.max_connections: expected an integer, \
         got string \"-1\"",
    ] {
        assert!(refused.lines().any(|said| said == line), "no line\n{line}\nin\n{refused}");
    }
    assert!(refused.contains("my.toml: log.format: expected text or json, got `xml`"), "{refused}");
}

#[test]
fn a_level_of_the_log_that_is_none_stops_the_start_in_any_form() {
    let expected = "error: environment variable GATEWAY__LOG__LEVEL: log.level: expected error, warn, info, debug or trace, \
                    or directives such as info,onnx_gateway=debug";
    let cases = [
        "warning",
        "verbose",
        "information",
        "critical",
        "info,hyper",
        "onnx_gateway=loud",
        "info,",
        "hyper=info",
    ];
    table::each(cases, |level| {
        let refused = refusal(None, &[KEY, ("GATEWAY__LOG__LEVEL", level)]);
        assert!(refused.lines().any(|line| line == expected), "{level}: {refused}");
    });
    let cases =
        ["WARN", "Debug", "off", "onnx_gateway=debug", "info,onnx_gateway::access=off", "onnx_gateway"];
    table::each(cases, |level| {
        let refused = refusal(None, &[KEY, ("GATEWAY__LOG__LEVEL", level)]);
        assert!(!refused.contains("log.level"), "the repository is missing, no more: {level}: {refused}");
    });
}

#[test]
fn a_variable_that_is_nearly_a_setting_is_told_of() {
    let refused = refusal(
        None,
        &[
            KEY,
            ("GATEWAY_LOG_LEVEL", "debug"),
            ("gateway__server__max_body_bytes", "1"),
            ("GATEWAY_SERVICE_HOST", "x"),
        ],
    );
    for line in [
        "warning: environment variable GATEWAY_LOG_LEVEL has no effect: did you mean GATEWAY__LOG__LEVEL?",
        "warning: environment variable gateway__server__max_body_bytes has no effect: did you mean \
         GATEWAY__SERVER__MAX_BODY_BYTES?",
    ] {
        assert!(refused.lines().any(|said| said == line), "no line\n{line}\nin\n{refused}");
    }
    assert!(!refused.contains("GATEWAY_SERVICE_HOST"), "a platform's own variable: {refused}");
}

#[test]
fn files_that_cannot_be_read_are_named_and_their_lines_are_not_shown() {
    let refused = refusal(Some(("my.toml", "[auth]\nsigning_secret = \"open-ended-secret\n")), &[]);
    assert!(refused.contains("error: my.toml: line 2: "), "{refused}");
    assert!(!refused.contains("open-ended"), "{refused}");
    let folder = tempfile::tempdir().unwrap();
    let output = run(&["check", "--config", "missing.toml"], folder.path(), &[KEY]);
    assert!(text(&output.stderr).contains("error: missing.toml: cannot be read: No such file"), "{output:?}");
}

#[test]
fn a_mistake_is_shown_with_its_line_and_the_key_that_was_meant() {
    let file = "# shop\n[server]\nlisen = '127.0.0.1:1'\n[log]\nformat = 'xml'\n\n[auth.clients.shop]\nscopes = ['fly']\n\
                secret_hash = 'plain-secret'\npasword = 'my-secret'\n";
    let refused = refusal(Some(("my.toml", file)), &[KEY]);
    for part in [
        "did you mean `server.listen`?\n  --> my.toml:3\n   |\n 3 | lisen = '127.0.0.1:1'\n   | ^^^^^ did you mean `listen`?\n",
        "  --> my.toml:5\n   |\n 5 | format = 'xml'\n   | ^^^^^^\n",
        "`fly` is not a scope",
        " 8 | scopes = ['fly']\n",
        " 9 | secret_hash = …\n",
        "  --> my.toml:10\n    |\n 10 | pasword = …\n",
    ] {
        assert!(refused.contains(part), "no\n{part}\nin\n{refused}");
    }
    assert!(!refused.contains("plain-secret") && !refused.contains("my-secret"), "{refused}");
    // The file that is read if it is there is a layer like the others.
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("config")).unwrap();
    fs::write(folder.path().join("config/default.toml"), "[models]\npreserve = 'both'\n").unwrap();
    let output = run(&["check"], folder.path(), &[KEY]);
    assert!(
        text(&output.stderr).contains("config/default.toml:2\n   |\n 2 | preserve = 'both'\n"),
        "{output:?}"
    );
}

#[test]
fn secrets_come_from_files_too_but_not_twice() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    fs::write(&file, format!("{SECRET}\n")).unwrap();
    let path = file.to_str().unwrap();
    let by_file = ("GATEWAY__AUTH__SIGNING_SECRET_FILE", path);
    let arguments = ["token", "--subject", "ops", "--scope", "predict:iris"];
    let output = run(&arguments, folder.path(), &[by_file]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text(&output.stdout).trim().split('.').count(), 3);

    let twice = run(&arguments, folder.path(), &[by_file, KEY]);
    let said = text(&twice.stderr);
    assert!(
        said.contains("GATEWAY__AUTH__SIGNING_SECRET and GATEWAY__AUTH__SIGNING_SECRET_FILE are both set"),
        "{said}"
    );
    let missing = run(&arguments, folder.path(), &[("GATEWAY__AUTH__SIGNING_SECRET_FILE", "nowhere")]);
    assert!(text(&missing.stderr).contains("nowhere cannot be read"), "{missing:?}");
}

#[test]
fn a_secret_need_not_be_text_and_a_kid_may_hold_whatever_can_be_printed() {
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..48_u8).map(|number| number.wrapping_mul(89) ^ 0xa5).collect();
    assert!(String::from_utf8(bytes.clone()).is_err());
    fs::write(folder.path().join("key.bin"), &bytes).unwrap();
    fs::write(folder.path().join("key.base64"), format!("{}\n", STANDARD.encode(&bytes))).unwrap();
    let key = SigningKey::bytes(&bytes);
    let loaded = |file: &str| {
        let path = folder.path().join("gateway.toml");
        fs::write(&path, file).unwrap();
        let environment =
            Environment { working_directory: folder.path().to_path_buf(), ..Environment::default() };
        load(&[path], &environment).unwrap().settings.auth
    };
    let verified = |settings: &AuthSettings, kid: Option<&str>| {
        let token = TokenBuilder::new().header("kid", kid.map_or(Value::Null, |kid| json!(kid)));
        let authentication = Authentication::new(settings, &|_| false).unwrap();
        assert!(authentication.is_on());
        let token = token.build_with(&key);
        let verified = authentication.verify(&token, SystemTime::now());
        verified.now_or_never().expect("no key is fetched").map(drop)
    };
    for setting in ["signing_secret_file = 'key.bin'", "signing_secret_base64_file = 'key.base64'"] {
        assert_eq!(verified(&loaded(&format!("[auth]\n{setting}")), None), Ok(()), "{setting}");
    }
    let cases =
        ["ops@example.com", "https://keys.example/1?a=b#c", "a b", "[0]", "it's.\\one", "clé", "../x"];
    table::each(cases, |kid| {
        for setting in [
            "secret_file = 'key.bin'",
            "secret_base64_file = 'key.base64'",
            &format!("secret_base64 = '{}'", URL_SAFE_NO_PAD.encode(&bytes)),
        ] {
            let table = json!(kid);
            let settings = loaded(&format!("[auth.keys.{table}]\nalgorithm = 'HS256'\n{setting}"));
            assert_eq!(verified(&settings, Some(kid)), Ok(()), "{kid}: {setting}");
            assert!(verified(&settings, Some("another@example.com")).is_err(), "{kid}");
        }
    });
    let by_variable = ("GATEWAY__AUTH__SIGNING_SECRET_BASE64", STANDARD.encode(&bytes));
    let arguments = ["token", "--subject", "ops", "--scope", "predict:iris"];
    let output = run(&arguments, folder.path(), &[(by_variable.0, &by_variable.1)]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_kid_that_cannot_be_printed_is_named() {
    table::each(["", "a\u{0}b", &"k".repeat(129)], |kid| {
        let mut settings = AuthSettings::default();
        settings.keys.insert(kid.to_owned(), KeySettings::default());
        let problems = Authentication::new(&settings, &|_| false).unwrap_err();
        assert!(problems[0].to_string().contains("is not a key id"), "{problems:?}");
    });
}

#[test]
fn names_that_users_choose_may_hold_dots() {
    let folder = tempfile::tempdir().unwrap();
    let client = "[auth.clients.\"shop.example\"]\nscopes = ['read']\nsecret_hash = 'h'\n";
    fs::write(folder.path().join("a.toml"), client).unwrap();
    let again = "[auth.clients.\"shop.example\"]\nscopes = ['predict']\n[auth.keys.\"2026.11\"]\nalgorithm = 'ES256'\n";
    fs::write(folder.path().join("b.toml"), again).unwrap();
    let environment =
        Environment { working_directory: folder.path().to_path_buf(), ..Environment::default() };
    let files = ["a.toml", "b.toml"].map(|file| folder.path().join(file));
    let auth = load(&files, &environment).unwrap().settings.auth;
    assert_eq!(auth.clients["shop.example"].scopes, ["predict"]);
    assert!(auth.clients["shop.example"].secret_hash.is_some());
    assert!(auth.keys.contains_key("2026.11"));
}

#[test]
fn the_environment_wins_over_files() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("config")).unwrap();
    fs::write(
        folder.path().join("config/default.toml"),
        "[log]\nlevel = 'warn'\n[server]\nmax_connections = 7\n",
    )
    .unwrap();
    fs::write(folder.path().join("my.toml"), "[server]\nmax_connections = 8\nmax_body_bytes = 9\n").unwrap();
    let environment = Environment {
        working_directory: folder.path().to_path_buf(),
        settings: vec![
            ("GATEWAY__SERVER__MAX_BODY_BYTES".to_owned(), "10".to_owned()),
            ("GATEWAY__SERVER__TRUSTED_PROXIES".to_owned(), "10.0.0.0/8, ::1".to_owned()),
        ],
        ..Environment::default()
    };
    let settings = load(&[folder.path().join("my.toml")], &environment).unwrap().settings;
    assert_eq!(settings.log.level, "warn", "config/default.toml in the working directory");
    assert_eq!(settings.server.max_connections, 8, "a --config file over it");
    assert_eq!(settings.server.max_body_bytes, 10, "the environment over both");
    let proxies: Vec<String> = settings.server.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["10.0.0.0/8", "::1/128"]);
}
