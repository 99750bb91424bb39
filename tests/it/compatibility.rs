//! Pairs of models of which one takes the place of the other: `diff`, `verify --against` and the swap say the same of each
//! pair in `tests/models/pairs`, in one line a difference.

use std::{
    collections::BTreeSet,
    fs,
    sync::atomic::{AtomicUsize, Ordering},
};

use onnx_gateway::model::Digest;
use serde_json::{Value, json};

use crate::support::{
    Answer, TestGateway,
    binary::{run, text},
    repository::{Repository, source_tree, test_model},
};

/// Commands that run at a time.
const AT_A_TIME: usize = 4;

/// A row of two numbers.
const TWO: &str = r#"{"features":[1,2]}"#;

/// Two models, and what callers of the first notice of the second.
struct Pair {
    name: &'static str,
    breaks: bool,
    /// The one difference, or none.
    line: &'static str,
    /// A request that the old model answers.
    asked: &'static str,
}

const fn harmless(name: &'static str, line: &'static str, asked: &'static str) -> Pair {
    Pair { name, breaks: false, line, asked }
}

const fn breaks(name: &'static str, line: &'static str, asked: &'static str) -> Pair {
    Pair { name, breaks: true, line, asked }
}

const TENSORS: &str = r#"{"inputs":{"x":[1,2],"y":[3,4]}}"#;
const THREE_TENSORS: &str = r#"{"inputs":{"x":[1,2],"y":[3,4],"maybe":[5,6]}}"#;
const BIASED: &str = r#"{"inputs":{"x":[[1,2]],"bias":[1]}}"#;
const TWO_MATRICES: &str = r#"{"inputs":{"a":[[1,2]],"b":[[3,4],[5,6]]}}"#;
const THREE: &str = r#"{"features":[1,2,3]}"#;

const PAIRS: &[Pair] = &[
    harmless("01-other-weights", "", TWO),
    harmless("02-wider-input", "input `x` was FP32 [N, 2] and is now FP32 [N, M]", TWO),
    harmless("03-wider-range", "the feature `a` may be -5 to 50, was 0 to 10", TWO),
    harmless("04-missing-taken", "a missing value of `a` is taken as 0, was refused", TWO),
    harmless("05-unit-appears", "the feature `a` is said to be in cm", TWO),
    harmless("06-feature-names-appear", "the features have names now: a, b", TWO),
    harmless("07-optional-input", "input `maybe` (optional FP32 [2]) is new and may be left out", TENSORS),
    harmless("08-inputs-reordered", "the inputs [a, b] became [b, a]", TWO),
    harmless("09-golden-case", "0 golden cases became 1", TWO),
    harmless("10-optional-now", "input `maybe` was FP32 [2] and is now optional FP32 [2]", THREE_TENSORS),
    breaks("11-input-renamed", "input `x` (FP32 [N, 2]) is called `z` now", TWO),
    breaks("12-input-type", "input `x` was FP32 [N, 2] and is now FP64 [N, 2]", TWO),
    breaks("13-narrower-input", "input `x` was FP32 [N, M] and is now FP32 [N, 2]", TWO),
    breaks("14-input-needed", "input `bias` (FP32 [1]) is new and must be given", TWO),
    breaks("15-input-gone", "input `bias` (FP32 [1]) is gone", BIASED),
    breaks("16-optional-no-more", "input `maybe` was optional FP32 [2] and is now FP32 [2]", TENSORS),
    breaks("17-outputs-reordered", "the outputs [p, q] became [q, p]", TWO),
    breaks("18-output-new", "output `q` (FP32 [N, 2]) is new", TWO),
    breaks("19-output-gone", "output `q` (FP32 [N, 2]) is gone", TWO),
    breaks("20-output-renamed", "output `y` (FP32 [N, 1]) is called `total` now", TWO),
    breaks("21-output-type", "output `y` was FP32 [N, 1] and is now FP64 [N, 1]", TWO),
    breaks("22-output-columns", "output `y` was FP32 [N, 3] and is now FP32 [N, 2]", TWO),
    breaks(
        "23-probabilities-as-maps",
        "output `probabilities` was FP32 [N, 2] and is now sequence of map of INT64 to FP32",
        TWO,
    ),
    breaks("24-features-reordered", "the features [a, b] became [b, a]", TWO),
    breaks("25-feature-renamed", "the features [a, b] became [a, c]", TWO),
    breaks("26-feature-names-vanish", "the features [a, b] have no names any more", TWO),
    breaks("27-feature-more", "the features [a, b] became [a, b, c]", TWO),
    breaks("28-narrower-range", "the feature `a` may be 0 to 5, was 0 to 10", r#"{"features":[7,2]}"#),
    breaks("29-other-unit", "the feature `a` is in mm, was in cm", TWO),
    breaks(
        "30-missing-refused",
        "a missing value of `a` is refused, was taken as NaN",
        r#"{"features":[3,2]}"#,
    ),
    breaks(
        "31-other-default",
        "a missing value of `a` is taken as 1, was taken as 0",
        r#"{"features":[null,2]}"#,
    ),
    breaks("32-rows-refused", "input `x` was FP32 [N, 2] and is now FP32 [N, M]: rows are refused", TWO),
    breaks("33-inputs-reordered-unnamed", "the features [a, b] became [b, a]", TWO),
    breaks(
        "34-rows-tied",
        "input `b` was FP32 [M, 2] and is now FP32 [N, 2]: dimensions called `N` must be equal",
        TWO_MATRICES,
    ),
    breaks("35-class-names-appear", "the classes have names now: a, b, c", THREE),
    breaks("36-classes-renamed", "the classes [no, yes, perhaps] became [nein, ja, vielleicht]", THREE),
    breaks("37-labels-renamed", "the classes [no, yes] became [ja, nein]", TWO),
    breaks("38-labels-renumbered", "the classes [3, 4, 5, 6] became [0, 1, 2, 3]", TWO),
    breaks("39-not-finite", "NaN and infinity are returned, were an error", TWO),
    breaks("40-category-gone", "`x` may not be [Oslo] any more", r#"{"features":["Oslo"]}"#),
    breaks("41-fewer-ids", "`x` may be -5 to 4, was -10 to 9", r#"{"features":[7]}"#),
];

impl Pair {
    fn file(&self, which: &str) -> String {
        format!("tests/models/pairs/{}/{which}.onnx", self.name)
    }

    fn model(&self, which: &str) -> Vec<u8> {
        test_model(&format!("pairs/{}/{which}", self.name))
    }

    /// The differences as `--json` shows them.
    fn document(&self) -> Value {
        let line = |breaks: bool| -> Vec<&str> {
            if self.line.is_empty() || self.breaks != breaks { Vec::new() } else { vec![self.line] }
        };
        json!({"compatible": !self.breaks, "breaking": line(true), "harmless": line(false)})
    }

    /// The differences as they are printed for people.
    fn shown(&self) -> String {
        match (self.line, self.breaks) {
            ("", _) => {
                "callers notice no difference: the same inputs, outputs, features and classes\n".to_owned()
            }
            (line, true) => format!("breaks   {line}\n"),
            (line, false) => format!("harmless {line}\n"),
        }
    }

    fn refusal(&self) -> String {
        format!(
            "callers of the version in service would break: {}; give it another version number, or set \
             allow_breaking_changes in model.toml",
            self.line
        )
    }
}

/// Has each pair examined, some at a time; fails with everything that is wrong.
fn examine(examine: impl Fn(&Pair) -> Result<(), String> + Sync) {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut wrong = Vec::new();
        while let Some(pair) = PAIRS.get(next.fetch_add(1, Ordering::Relaxed)) {
            wrong.extend(examine(pair).err().map(|problem| format!("{}: {problem}", pair.name)));
        }
        wrong
    };
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn same<T: PartialEq + std::fmt::Debug>(found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("expected\n  {expected:?}, got\n  {found:?}")) }
}

#[test]
fn every_pair_of_files_has_its_line() {
    let folders = fs::read_dir(source_tree().join("tests/models/pairs")).unwrap();
    let folders: BTreeSet<String> =
        folders.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let named: BTreeSet<String> = PAIRS.iter().map(|pair| pair.name.to_owned()).collect();
    assert_eq!(folders, named);
    assert!(PAIRS.iter().filter(|pair| !pair.breaks).count() >= 10);
    assert!(PAIRS.iter().filter(|pair| pair.breaks).count() >= 20);
}

#[test]
fn diff_shows_each_difference_in_one_line() {
    examine(|pair| {
        let (old, new) = (pair.file("old"), pair.file("new"));
        let status = if pair.breaks { Some(3) } else { Some(0) };
        let output = run(&["diff", &old, &new], &source_tree(), &[]);
        same(&(output.status.code(), text(&output.stdout)), &(status, pair.shown()))?;
        let output = run(&["diff", &old, &new, "--json"], &source_tree(), &[]);
        let document = serde_json::from_slice(&output.stdout).map_err(|_| format!("{output:?}"))?;
        same(&(output.status.code(), document), &(status, pair.document()))
    });
}

#[test]
fn verify_refuses_what_would_break_callers_of_the_other_file() {
    examine(|pair| {
        let arguments = ["verify", &pair.file("new"), "--against", &pair.file("old"), "--json"];
        let output = run(&arguments, &source_tree(), &[]);
        let status = if pair.breaks { Some(4) } else { Some(0) };
        let document: Value = serde_json::from_slice(&output.stdout).map_err(|_| format!("{output:?}"))?;
        same(&(output.status.code(), &document["changes"]), &(status, &pair.document()))?;
        same(&document["admitted"], &json!(!pair.breaks))?;
        if pair.breaks {
            same(&document["reason"], &json!("incompatible_signature"))?;
            same(&document["detail"], &json!(pair.refusal()))?;
        }
        Ok(())
    });
}

#[test]
fn verify_says_for_people_what_callers_notice_and_heeds_model_toml() {
    let [harmless, breaking] = ["03-wider-range", "28-narrower-range"]
        .map(|name| PAIRS.iter().find(|pair| pair.name == name).unwrap());
    let verify = |pair: &Pair, more: &[&str]| {
        let (old, new) = (pair.file("old"), pair.file("new"));
        let arguments = [&["verify", new.as_str(), "--against", old.as_str()], more].concat();
        run(&arguments, &source_tree(), &[])
    };
    let output = verify(harmless, &[]);
    assert!(output.status.success(), "{output:?}");
    assert!(text(&output.stdout).contains("would serve\n"), "{output:?}");
    assert!(text(&output.stdout).ends_with(&harmless.shown()), "{output:?}");

    let output = verify(breaking, &[]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(4), breaking.shown()), "{output:?}");
    let said = format!("would be refused: incompatible_signature: {}", breaking.refusal());
    assert!(text(&output.stderr).contains(&said), "{output:?}");

    let folder = Repository::new();
    let toml = folder.path().join("model.toml");
    let with_toml = |content: &str| {
        fs::write(&toml, content).unwrap();
        verify(breaking, &["--model-toml", toml.to_str().unwrap()])
    };
    let allowed = with_toml("allow_breaking_changes = true");
    assert!(allowed.status.success(), "{allowed:?}");
    assert!(text(&allowed.stdout).ends_with(&breaking.shown()), "it is said all the same: {allowed:?}");
    let of_both = with_toml("[[contract.features]]\nname = \"c\"\n[[contract.features]]\nname = \"d\"");
    assert!(of_both.status.success(), "one contract holds for both: {of_both:?}");
    let pin = format!("[pin]\nsha256 = \"{}\"", Digest::of(&breaking.model("new")));
    assert_eq!(with_toml(&pin).status.code(), Some(4), "the pin is for the new file, which breaks callers");
    let toml = toml.to_str().unwrap();
    let output = run(
        &["diff", &breaking.file("old"), &breaking.file("new"), "--model-toml", toml],
        &source_tree(),
        &[],
    );
    assert_eq!(output.status.code(), Some(3), "{output:?}");

    let gone = run(&["verify", &breaking.file("new"), "--against", "gone.onnx"], &source_tree(), &[]);
    assert_eq!(gone.status.code(), Some(1), "that is no verdict: {gone:?}");
}

#[tokio::test]
async fn a_swap_is_refused_where_callers_would_break_and_done_where_not() {
    let gateway = TestGateway::builder_without_models().start().await;
    let digest = |pair: &Pair, which: &str| json!(Digest::of(&pair.model(which)).short());
    for pair in PAIRS {
        gateway.repository.put(&format!("{}/1/model.onnx", pair.name), &pair.model("old"));
    }
    for pair in PAIRS {
        gateway.version_until(pair.name, |version| version["state"] == "READY").await;
    }
    let ask = async |pair: &Pair| {
        let body: Value = serde_json::from_str(pair.asked).unwrap();
        gateway.predict_at(&format!("/models/{}/predict", pair.name), &body).await
    };
    let mut before: Vec<Answer> = Vec::new();
    for pair in PAIRS {
        let answer = ask(pair).await;
        assert_eq!(answer.status.as_u16(), 200, "{}: {answer:?}", pair.name);
        assert_eq!(json!(answer.header("x-model-digest")), digest(pair, "old"), "{}", pair.name);
        before.push(answer);
    }
    for pair in PAIRS {
        gateway.repository.put(&format!("{}/1/model.onnx", pair.name), &pair.model("new"));
    }
    let mut wrong = Vec::new();
    for (pair, before) in PAIRS.iter().zip(before) {
        let decided =
            |version: &Value| !version["refusal"].is_null() || version["digest"] == digest(pair, "new");
        let version = gateway.version_until(pair.name, decided).await;
        let answer = ask(pair).await;
        let newest = &gateway.history(pair.name).await[0];
        let refusal = &version["refusal"];
        let refused = [&refusal["reason"], &refusal["detail"], &newest["detail"], &newest["event"]];
        let found = (refused, json!(answer.header("x-model-digest")), answer.status.as_u16());
        let (reason, detail) = (json!("incompatible_signature"), json!(pair.refusal()));
        let expected = if pair.breaks {
            ([&reason, &detail, &detail, &json!("refused")], digest(pair, "old"), 200)
        } else {
            ([&Value::Null, &Value::Null, &Value::Null, &json!("deployed")], digest(pair, "new"), 200)
        };
        let outcome = same(&found, &expected)
            .and_then(|()| if pair.breaks { same(&answer.body, &before.body) } else { Ok(()) });
        wrong.extend(outcome.err().map(|problem| format!("{}: {problem}", pair.name)));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
