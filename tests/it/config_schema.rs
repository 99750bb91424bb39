//! `onnx-gateway config-schema`: every setting is there, with a description and its default, and nothing else is.

use std::{collections::BTreeMap, fs};

use onnx_gateway::config::known_settings;
use serde_json::Value;

use crate::support::{
    binary::{run, text},
    repository::source_tree,
    table,
};

fn schema(arguments: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let output = run(&[&["config-schema"], arguments].concat(), folder.path(), &[]);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Every leaf of a schema by its key, dotted, with `*` for a name that users choose.
fn leaves(schema: &Value) -> BTreeMap<String, Value> {
    fn add(path: &str, schema: &Value, found: &mut BTreeMap<String, Value>) {
        let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        if let Some(properties) = schema["properties"].as_object() {
            assert_eq!(schema["additionalProperties"], false, "{path} allows any key");
            properties.iter().for_each(|(name, inner)| add(&join(name), inner, found));
        } else if schema["additionalProperties"].is_object() {
            add(&join("*"), &schema["additionalProperties"], found);
        } else {
            found.insert(path.to_owned(), schema.clone());
        }
    }
    let mut found = BTreeMap::new();
    add("", schema, &mut found);
    found
}

#[test]
fn every_setting_is_in_the_schema_and_nothing_else_is() {
    let schema = schema(&[]);
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let leaves = leaves(&schema);
    let known: Vec<String> = known_settings();
    // Keys and clients are empty by default, and known by what is in each.
    let is_map = |key: &&String| {
        ["auth.keys", "auth.clients", "auth.certificates", "rate_limit.plans", "rate_limit.per_model"]
            .contains(&key.as_str())
    };
    for key in known.iter().filter(|key| !is_map(key)) {
        assert!(leaves.contains_key(key), "{key} is not in the schema");
    }
    for (key, leaf) in &leaves {
        // A secret may come from a file, and the certificates of TLS always do.
        let setting = key.strip_suffix("_file").unwrap_or(key);
        assert!(known.iter().any(|known| known == setting || known == key), "{key} is no setting");
        let description = leaf["description"].as_str().unwrap_or_default();
        assert!(description.ends_with('.') && !description.contains("[`"), "{key}: {leaf}");
        let has_form = leaf["type"].is_string()
            || leaf["enum"].is_array()
            || leaf["oneOf"].is_array()
            || leaf["anyOf"].is_array();
        assert!(has_form, "{key}: {leaf}");
    }
}

/// The documented default of each setting.
fn documented() -> BTreeMap<String, String> {
    let page = fs::read_to_string(source_tree().join("docs/configuration.md")).unwrap();
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let key = cells.next()?.strip_suffix('`')?;
        let is_setting = key.contains('.') && !key.contains(' ');
        is_setting.then(|| (key.to_owned(), cells.next().unwrap_or_default().trim_matches('`').to_owned()))
    });
    rows.collect()
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let leaves = leaves(&schema(&[]));
    let documented = documented();
    table::each(documented.iter().filter(|(key, _)| leaves.contains_key(*key)), |(key, default)| {
        let shown = match &leaves[key]["default"] {
            Value::Null => "none".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        assert_eq!(shown, *default, "{key}");
    });
    let missing: Vec<&String> = documented.keys().filter(|key| !leaves.contains_key(*key)).collect();
    let own = [
        "auth.api_keys",
        "auth.certificates",
        "auth.clients",
        "auth.issuers",
        "auth.keys",
        "rate_limit.per_model",
        "rate_limit.plans",
    ];
    assert_eq!(missing, own, "tables of their own");
}

/// Whether a value has the form that a schema asks for, as far as our schemas go.
fn fits(value: &Value, schema: &Value) -> bool {
    if let Some(forms) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
        return forms.iter().any(|form| fits(value, form));
    }
    if let Some(only) = schema.get("const") {
        return value == only;
    }
    if let Some(choices) = schema["enum"].as_array() {
        return choices.contains(value);
    }
    let within = |number: f64| {
        schema["minimum"].as_f64().is_none_or(|minimum| number >= minimum)
            && schema["maximum"].as_f64().is_none_or(|maximum| number <= maximum)
    };
    match (schema["type"].as_str(), value) {
        (Some("object"), Value::Object(entries)) => entries.iter().all(|(name, value)| {
            let inner = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
            inner.is_object() && fits(value, inner)
        }),
        (Some("array"), Value::Array(items)) => items.iter().all(|item| fits(item, &schema["items"])),
        (Some("string"), Value::String(_)) | (Some("boolean"), Value::Bool(_)) | (None, _) => true,
        (Some("integer"), Value::Number(number)) => {
            (number.is_i64() || number.is_u64()) && number.as_f64().is_some_and(within)
        }
        (Some("number"), Value::Number(number)) => number.as_f64().is_some_and(within),
        _ => false,
    }
}

fn toml(text: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap()
}

#[test]
fn the_sample_files_fit_and_mistakes_do_not() {
    let schema = schema(&[]);
    for file in ["default", "development", "container"] {
        let text = fs::read_to_string(source_tree().join(format!("config/{file}.toml"))).unwrap();
        assert!(fits(&toml(&text), &schema), "{file}");
    }
    table::each(
        [
            "[server]\nlisen = '127.0.0.1:1'",
            "[server]\nmax_connections = 0",
            "[server]\nmax_connections = 'many'",
            "[models]\npreserve = 'both'",
            "[auth.keys.a]\nalgorithm = 'none'",
            "[auth.clients.a]\nscope = []",
            "listen = '127.0.0.1:1'",
        ],
        |text| assert!(!fits(&toml(text), &schema), "{text}"),
    );
    assert!(fits(&toml("[auth.keys.'a.b']\nalgorithm = 'ES256'\npublic_key_file = 'a.pem'"), &schema));
}

#[test]
fn the_schema_of_a_model_has_what_its_file_may_hold() {
    let schema = schema(&["--model"]);
    let leaves = leaves(&schema);
    for key in ["versions", "allow_breaking_changes", "labels.*", "pin.sha256", "pin.minisign_public_key"] {
        assert!(leaves.contains_key(key), "{key}: {leaves:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    fs::copy(source_tree().join("models/iris/1/model.onnx"), folder.path().join("model.onnx")).unwrap();
    // An unknown key is refused with those that are known.
    for (section, heading) in
        [("", ""), ("pin", "[pin]"), ("contract", "[contract]"), ("scheduler", "[scheduler]")]
    {
        fs::write(folder.path().join("model.toml"), format!("{heading}\nzzzzzz = 1\n")).unwrap();
        let arguments = ["verify", "model.onnx", "--model-toml", "model.toml"];
        let output = run(&arguments, folder.path(), &[]);
        let said = text(&output.stderr);
        let listed =
            said.split("unknown field `zzzzzz`, expected").nth(1).unwrap_or_else(|| panic!("{said}"));
        let listed = listed.split("(line").next().unwrap();
        let mut expected: Vec<&str> = listed.split('`').skip(1).step_by(2).collect();
        if section == "contract" {
            expected.push("golden_file");
        }
        expected.sort_unstable();
        let table = if section.is_empty() { &schema } else { &schema["properties"][section] };
        let known: Vec<&str> = table["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(known, expected, "{section}");
    }
    let feature = &schema["properties"]["contract"]["properties"]["features"]["items"];
    assert_eq!(feature["required"], serde_json::json!(["name"]), "{feature}");
    for (text, is_good) in [
        ("versions = 'latest'\nlabels = {canary = 2}", true),
        ("versions = [1, 2]", true),
        ("versions = 'newest'", false),
        ("[contract]\ntolerance = 0.5\n[[contract.features]]\nname = 'a'\nminimum = 0\nmissing = 3", true),
        ("[[contract.features]]\nminimum = 'a'", false),
        ("[scheduler]\nmode = 'own_threads'\nmax_delay_ms = 2", true),
        ("[scheduler]\nmode = 'fast'", false),
        ("[scheduler]\nmax_delay_ms = 2000", false),
    ] {
        assert_eq!(fits(&toml(text), &schema), is_good, "{text}");
    }
}
