//! The documents: every metric, error code and route is there and nothing else is, links lead somewhere, and responses
//! are as shown.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, iter,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use onnx_gateway::{
    config::Settings,
    edge::{FIELD_CODES, OAUTH_CODES, PROBLEM_CODES},
    lifecycle::Reason,
    model::{Schedule, ScheduleMode},
    telemetry::{ConnectionEnd, Metrics, ModelInService, QuotaStoreFailure, SpanOutcome},
};
use serde_json::{Value, json};

use crate::support::{TestGateway, repository::source_tree};

/// Longest README in lines: it is what a newcomer reads.
const README_LINES: usize = 150;

fn read(path: &str) -> String {
    fs::read_to_string(source_tree().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The paths of all documents, relative to the source tree.
fn documents() -> Vec<String> {
    let is_document = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "md");
    let mut found = Vec::new();
    for folder in ["", "docs"] {
        let entries = fs::read_dir(source_tree().join(folder)).unwrap();
        let names = entries.map(|entry| PathBuf::from(folder).join(entry.unwrap().file_name()));
        found.extend(names.filter(is_document).map(|path| path.to_str().unwrap().to_owned()));
    }
    found.sort();
    assert!(found.contains(&"README.md".to_owned()) && found.contains(&"docs/errors.md".to_owned()));
    found
}

/// The part of a page below a heading, up to the next heading that is as high.
fn section<'p>(page: &'p str, heading: &str) -> &'p str {
    let level = heading.split(' ').next().unwrap();
    let begin = page.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("there is no {heading}"));
    let rest = &page[begin + 1 + heading.len()..];
    &rest[..rest.find(&format!("\n{level} ")).unwrap_or(rest.len())]
}

/// The cells of the rows of all tables whose first cell is code and nothing else.
fn rows(part: &str) -> Vec<Vec<&str>> {
    part.lines()
        .filter_map(|line| {
            let cells: Vec<&str> =
                line.strip_prefix("| `")?.strip_suffix('|')?.split('|').map(str::trim).collect();
            let first = cells[0].strip_suffix('`')?;
            (!first.contains('`')).then(|| iter::once(first).chain(cells[1..].iter().copied()).collect())
        })
        .collect()
}

/// The first cells of those rows; each is there once.
fn first_cells(part: &str) -> BTreeSet<&str> {
    let rows = rows(part);
    let cells: BTreeSet<&str> = rows.iter().map(|cells| cells[0]).collect();
    assert_eq!(rows.len(), cells.len(), "a row is there twice: {rows:?}");
    for cells in &rows {
        assert!(cells.last().is_some_and(|last| !last.is_empty()), "a row says nothing: {cells:?}");
    }
    cells
}

/// All reasons of a refusal: an unknown one is refused with those that are known.
fn reasons() -> BTreeSet<String> {
    let error = serde_json::from_str::<Reason>("\"?\"").unwrap_err().to_string();
    let listed = error.split_once("one of ").map(|(_, listed)| listed.to_owned()).unwrap();
    listed.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_error_code_and_every_reason_is_documented() {
    let page = read("docs/errors.md");
    for (heading, codes) in [
        ("## Codes", PROBLEM_CODES),
        ("## Codes in `errors`", FIELD_CODES),
        ("## Codes of `/token`", OAUTH_CODES),
    ] {
        assert_eq!(first_cells(section(&page, heading)), codes.iter().copied().collect(), "{heading}");
    }
    let reasons = reasons();
    assert!(reasons.len() > 20 && reasons.contains("golden_mismatch"), "{reasons:?}");
    let documented = first_cells(section(&page, "## Reasons of a refusal"));
    assert_eq!(documented, reasons.iter().map(String::as_str).collect());
}

/// The text of all source files outside of tests, but for the list of codes itself.
fn sources() -> String {
    fn add(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                add(&path, text);
            } else if !path.ends_with("codes.rs") && !path.ends_with("tests.rs") {
                let file = fs::read_to_string(&path).unwrap();
                *text += file.split("#[cfg(test)]").next().unwrap();
            }
        }
    }
    let mut text = String::new();
    add(&source_tree().join("src"), &mut text);
    text
}

/// The files of Rust and Python below a folder.
fn test_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { test_files(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|ending| ending == "rs" || ending == "py")).collect()
}

#[test]
fn every_threat_names_tests_that_exist() {
    let page = read("SECURITY.md");
    let files: Vec<PathBuf> = ["tests/it", "tools/suites", "tools/packages"]
        .iter()
        .flat_map(|folder| test_files(&source_tree().join(folder)))
        .collect();
    let exists = |module: &str, test: &str| {
        let is_of_module = |file: &&PathBuf| {
            file.file_stem().is_some_and(|stem| stem == module)
                || file.parent().is_some_and(|folder| folder.ends_with(module))
        };
        let mut texts = files.iter().filter(is_of_module).map(|file| fs::read_to_string(file).unwrap());
        texts.any(|text| ["fn", "def"].iter().any(|keyword| text.contains(&format!("{keyword} {test}("))))
    };
    let threats = section(&page, "## Threat model").lines().filter(|line| line.starts_with("| "));
    let threats: Vec<&str> = threats.skip(2).collect();
    assert!(threats.len() > 15, "{threats:?}");
    for threat in threats {
        let cells: Vec<&str> = threat.trim_matches('|').split('|').map(str::trim).collect();
        let [.., shown_by] = cells.as_slice() else { panic!("{threat}") };
        let named: Vec<&str> = shown_by.split('`').skip(1).step_by(2).collect();
        assert!(
            cells.len() == 5 && cells.iter().all(|cell| !cell.is_empty()) && !named.is_empty(),
            "{threat}"
        );
        for name in named {
            let (module, test) =
                name.split_once("::").unwrap_or_else(|| panic!("{name} is not MODULE::TEST"));
            assert!(exists(module, test), "there is no test {name}");
        }
    }
}

#[test]
fn every_listed_error_code_is_used() {
    let sources = sources();
    for code in PROBLEM_CODES.iter().chain(FIELD_CODES).chain(OAUTH_CODES) {
        assert!(sources.contains(&format!("\"{code}\"")), "{code} is used nowhere");
    }
}

/// The type and the labels of each series that the gateway exports once everything has happened.
fn exported() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let metrics = Metrics::new(true).unwrap();
    metrics.request_finished("POST", "/predict", "200", Duration::from_millis(1));
    metrics.inference_seconds("iris").observe(Duration::from_millis(1));
    metrics.connection_closed(ConnectionEnd::Full);
    metrics.handshake_failed("left");
    metrics.quota_store_failed(QuotaStoreFailure::Timeout);
    metrics.set_certificate_end("rest", Some(1));
    metrics.trace_spans(SpanOutcome::Dropped, 1);
    metrics.issuer_fetched("login", "fetched");
    metrics.set_issuer_keys_time("login", SystemTime::now());
    let time = Some(SystemTime::now());
    metrics.set_api_keys(iter::once(("shop", time, time)));
    metrics.repository_polled("changed", true, Some(1));
    metrics.model_swapped("iris");
    metrics.model_refused("iris", "not_onnx");
    metrics.model_rolled_back("iris", "request");
    let schedule = Schedule {
        mode: ScheduleMode::RequestThread,
        batching: true,
        max_batch_rows: 1,
        max_delay: Duration::ZERO,
        queue_capacity: 1,
        instances: 1,
        threads: 1,
        shares_session: true,
        reason: String::new(),
    };
    let model =
        ModelInService { model: "iris", version: "1", digest: "0", schedule: &schedule, waiting: Some(0) };
    let text = metrics.encode(iter::once(model)).unwrap();
    let mut exported = BTreeMap::new();
    for line in text.lines() {
        // The series of the process are those of every program.
        if line.contains("process_") {
            continue;
        }
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            exported.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
        } else if let Some((name, rest)) = line.split_once('{') {
            let (labels, _) = rest.split_once('}').unwrap();
            let labels =
                labels.split("\",").filter_map(|label| label.split_once('=')).map(|(label, _)| label);
            let (_, found) = exported.get_mut(series_of(name)).unwrap();
            found.extend(labels.filter(|label| *label != "le").map(str::to_owned));
        }
    }
    exported
}

/// The name of a histogram from that of a part of it.
fn series_of(name: &str) -> &str {
    ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name)
}

/// The metrics that a text names.
fn named_metrics(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !(letter.is_ascii_lowercase() || letter == '_'));
    words.filter(|word| word.starts_with("gateway_")).map(series_of).collect()
}

#[test]
fn every_metric_is_documented_with_its_type_its_labels_and_a_query() {
    let (page, exported) = (read("docs/metrics.md"), exported());
    let names: BTreeSet<&str> = exported.keys().map(String::as_str).collect();
    let sources = sources();
    let in_source = sources.split('"').filter(|text| named_metrics(text).contains(text));
    assert_eq!(in_source.collect::<BTreeSet<_>>(), names, "what the source names, and what is exported");
    let rows = rows(&page);
    let documented = rows.iter().filter(|cells| cells[0].starts_with("gateway_")).map(|cells| {
        let labels = cells[2].split(", ").filter(|label| !label.is_empty());
        let labels = labels.map(|label| label.trim_matches('`').to_owned()).collect();
        (cells[0].to_owned(), (cells[1].to_owned(), labels))
    });
    assert_eq!(documented.collect::<BTreeMap<_, _>>(), exported);
    let queries: String =
        page.split("```promql\n").skip(1).filter_map(|block| block.split("```").next()).collect();
    assert_eq!(named_metrics(&queries), names, "queries, and what is exported");
}

#[test]
fn no_document_names_a_metric_or_a_setting_that_does_not_exist() {
    let exported = exported();
    let settings = serde_json::to_value(Settings::default()).unwrap();
    let sections: Vec<&str> = settings.as_object().unwrap().keys().map(String::as_str).collect();
    // Keys and clients have names of their own; gRPC's service and the status in the access log are no settings.
    let is_other = |name: &str| {
        let others = [
            "auth.keys.",
            "auth.clients.",
            "auth.certificates.",
            "auth.issuers.",
            "grpc.health.",
            "grpc.status",
        ];
        others.iter().any(|other| name.starts_with(other))
    };
    let mut wrong = Vec::new();
    // The changelog names what was.
    for path in documents().into_iter().filter(|path| path != "CHANGELOG.md") {
        let page = read(&path);
        let unknown = named_metrics(&page).into_iter().filter(|name| !exported.contains_key(*name));
        wrong.extend(unknown.map(|name| format!("{path}: {name}")));
        let code = page.split('`').skip(1).step_by(2);
        for name in code.filter_map(|text| text.split([' ', '=']).next()) {
            let mut parts = name.split('.');
            if !sections.contains(&parts.next().unwrap()) || !name.contains('.') || is_other(name) {
                continue;
            }
            let known = name.trim_end_matches("_file").trim_end_matches(".*");
            let is_known = |name: &str| settings.pointer(&format!("/{}", name.replace('.', "/"))).is_some();
            if !is_known(known) && !is_known(name) {
                wrong.push(format!("{path}: {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Method, path and scope of each route: `none` without a token, `any` for a token of any scope.
fn routes() -> BTreeSet<(String, String)> {
    let mut settings = Settings::default();
    settings.mcp.enabled = true;
    let description: Value =
        serde_json::from_slice(&onnx_gateway::protocols::openapi_of(&settings, &[])).unwrap();
    let mut routes = BTreeSet::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let scope = match operation["security"][0]["bearer"].as_array().map(Vec::as_slice) {
                None => "none".to_owned(),
                Some([]) => "any".to_owned(),
                Some([scope, ..]) => format!("`{}`", scope.as_str().unwrap()),
            };
            routes.insert((format!("{} {path}", method.to_uppercase()), scope));
        }
    }
    routes
}

#[test]
fn every_route_is_documented_with_its_scope() {
    let page = read("docs/protocols.md");
    let rows = rows(&page);
    let is_route = |cell: &str| cell.split_once(' ').is_some_and(|(_, path)| path.starts_with('/'));
    let documented = rows.iter().filter(|cells| is_route(cells[0]));
    let documented = documented.map(|cells| (cells[0].to_owned(), cells[1].to_owned()));
    assert_eq!(documented.collect::<BTreeSet<_>>(), routes());
}

#[test]
fn every_grpc_method_is_documented() {
    let description = read("src/protocols/open_inference/grpc/open_inference.proto");
    let methods = description.lines().filter_map(|line| line.trim().strip_prefix("rpc ")?.split('(').next());
    let page = read("docs/protocols.md");
    assert_eq!(first_cells(section(&page, "### gRPC")), methods.collect());
}

/// The place that a heading has in links, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = |letter: &char| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter);
    heading
        .to_lowercase()
        .chars()
        .filter(kept)
        .map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

fn anchors(page: &str) -> BTreeSet<String> {
    let mut is_code = false;
    let headings = page.lines().filter(|line| {
        is_code ^= line.starts_with("```");
        !is_code && line.starts_with('#')
    });
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut links = 0;
    for path in documents() {
        let page = read(&path);
        let targets = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, place) =
                target.split_once('#').map_or((target, None), |(file, place)| (file, Some(place)));
            let linked = if file.is_empty() { path.clone() } else { format!("{}/{file}", folder_of(&path)) };
            let there = source_tree().join(&linked);
            assert!(there.exists(), "{path} links to {target}, which is not there");
            if let Some(place) = place {
                let page = fs::read_to_string(there).unwrap();
                assert!(anchors(&page).contains(place), "{path} links to {target}: there is no such heading");
            }
            links += 1;
        }
    }
    assert!(links > 100, "{links} links");
}

fn folder_of(path: &str) -> String {
    Path::new(path)
        .parent()
        .map(|folder| folder.to_str().unwrap().to_owned())
        .filter(|folder| !folder.is_empty())
        .unwrap_or_else(|| ".".to_owned())
}

#[test]
fn the_readme_is_short_and_leads_to_every_document() {
    let readme = read("README.md");
    assert!(readme.lines().count() <= README_LINES, "{} lines", readme.lines().count());
    for path in documents().iter().filter(|path| *path != "README.md") {
        assert!(readme.contains(&format!("]({path}")), "README.md does not lead to {path}");
    }
}

#[tokio::test]
async fn the_documents_show_true_responses() {
    let gateway = TestGateway::start().await;
    for (path, asked) in [
        (
            "README.md",
            vec![
                ("/predict", json!({"features": [5.1, 3.5, 1.4, 0.2]})),
                ("/predict", json!({"features": [51, "wide", 1.4, 0.2]})),
            ],
        ),
        (
            "docs/protocols.md",
            vec![
                ("/predict", json!({"inputs": {"features": [[6.7, 3.0, 5.2, 2.3]]}})),
                (
                    "/v2/models/iris/infer",
                    json!({"inputs": [{"name": "features", "shape": [1, 4], "datatype": "FP32",
                        "data": [6.7, 3.0, 5.2, 2.3]}]}),
                ),
                ("/v1/models/iris:predict", json!({"instances": [[6.7, 3.0, 5.2, 2.3]]})),
            ],
        ),
    ] {
        let page = read(path);
        let shown: Vec<Value> = page
            .split("```json\n")
            .skip(1)
            .map(|block| serde_json::from_str(block.split("```").next().unwrap()).unwrap())
            .collect();
        assert_eq!(shown.len(), asked.len(), "{path}");
        for (shown, (route, asked)) in shown.iter().zip(asked) {
            let sent = page.split("-d '").skip(1).filter_map(|rest| rest.split('\'').next());
            let mut sent = sent.filter_map(|body| serde_json::from_str::<Value>(body).ok());
            assert!(sent.any(|body| body == asked), "{path}: {asked}");
            assert_eq!(gateway.predict_at(route, &asked).await.body, *shown, "{path}");
        }
    }
}
