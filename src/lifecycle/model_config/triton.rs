//! Triton's configuration of a model, `NAME/config.pbtxt`, as far as it means something here. It counts where there is no
//! `model.toml` (<https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto>).

mod text_format;

use std::{collections::BTreeSet, fmt};

use self::text_format::{Fields, Value};
use super::{
    ConfigFile, ModelConfig, SchedulerConfig, Versions,
    place::MODEL_FILE,
    scheduler::{LONGEST_DELAY_MS, MOST_ROWS, MOST_THREADS},
};
use crate::model::ModelVersion;

/// The platform and the backend of ONNX files.
const PLATFORM: &str = "onnxruntime_onnx";
const BACKEND: &str = "onnxruntime";

/// Most sentences about settings without an effect, and most letters of a name in one.
const MOST_SENTENCES: usize = 32;
const MOST_LETTERS: usize = 64;

/// Settings that cannot be applied, each with what to do.
const NOT_APPLIED: [(&str, &str); 8] = [
    ("optimization", "ONNX Runtime optimizes every graph by itself"),
    ("response_cache", "responses are not cached"),
    ("sequence_batching", "a request is independent of all others: pass the state as an input and an output"),
    ("ensemble_scheduling", "join the models to one ONNX file, for example with onnx.compose"),
    ("model_transaction_policy", "each request has one response"),
    ("cc_model_filenames", "models run on the CPU"),
    ("model_repository_agents", "pin files by `[pin]` in model.toml"),
    ("model_operations", "libraries of operators are not loaded"),
];

/// Reads a configuration for the model of this name.
///
/// # Errors
///
/// If it is malformed, or is not of an ONNX file.
pub(super) fn read(document: &str, model: &str) -> Result<ModelConfig, String> {
    let fields = text_format::read(document)?;
    let config = ModelConfig { file: ConfigFile::Triton, ..ModelConfig::default() };
    let mut read = Reading { model, config };
    for (name, value) in &fields {
        read.field(name, value)?;
    }
    Ok(read.config)
}

struct Reading<'m> {
    model: &'m str,
    config: ModelConfig,
}

impl Reading<'_> {
    fn field(&mut self, name: &str, value: &Value) -> Result<(), String> {
        match name {
            "name" => self.name(value),
            "platform" => only(name, value, PLATFORM)?,
            "backend" => only(name, value, BACKEND)?,
            "default_model_filename" if value.text() != Some(MODEL_FILE) => {
                self.skip(name, &format!("the file of a version is {MODEL_FILE}"));
            }
            // The proof runs each session before it serves.
            "default_model_filename" | "model_warmup" => {}
            "max_batch_size" => self.max_batch_size(number(name, value)?),
            "dynamic_batching" => self.dynamic_batching(message(name, value)?)?,
            "instance_group" => self.instances(message(name, value)?)?,
            "version_policy" => self.versions(message(name, value)?)?,
            "parameters" => self.parameter(message(name, value)?)?,
            "input" | "output" => self.tensor(name, message(name, value)?),
            _ => {
                let known = NOT_APPLIED.iter().find(|(known, _)| *known == name);
                self.skip(name, known.map_or("the gateway has nothing like it", |(_, advice)| advice));
            }
        }
        Ok(())
    }

    /// Records that a setting has no effect.
    fn skip(&mut self, name: &str, advice: &str) {
        self.tell(format!("`{}` has no effect: {advice}", shown(name)));
    }

    fn tell(&mut self, sentence: String) {
        if self.config.not_applied.len() < MOST_SENTENCES {
            self.config.not_applied.insert(sentence);
        }
    }

    /// Returns a value, or the most that is possible here, which is then said.
    fn at_most<N: Copy + Ord + fmt::Display>(&mut self, name: &str, value: N, most: N) -> N {
        if value > most {
            self.tell(format!("`{}` is beyond the most, {most}, which is used", shown(name)));
        }
        value.min(most)
    }

    fn scheduler(&mut self) -> &mut SchedulerConfig {
        &mut self.config.scheduler
    }

    fn name(&mut self, value: &Value) {
        let model = self.model;
        if value.text().is_some_and(|name| !name.is_empty() && name != model) {
            self.skip("name", &format!("the name of a model is that of its folder, `{model}`"));
        }
    }

    fn max_batch_size(&mut self, rows: u64) {
        match usize::try_from(rows).unwrap_or(usize::MAX) {
            // Its requests are never joined.
            0 => self.scheduler().batching = Some(false),
            rows => {
                let rows = self.at_most("max_batch_size", rows, MOST_ROWS);
                self.scheduler().max_batch_rows = Some(rows);
            }
        }
    }

    fn dynamic_batching(&mut self, fields: &Fields) -> Result<(), String> {
        for (name, value) in fields {
            let path = format!("dynamic_batching.{name}");
            match name.as_str() {
                "max_queue_delay_microseconds" => {
                    let milliseconds = number(&path, value)?.div_ceil(1000);
                    let milliseconds = self.at_most(&path, milliseconds, LONGEST_DELAY_MS);
                    self.scheduler().max_delay_ms = Some(milliseconds);
                }
                "default_queue_policy" => self.queue(&path, message(&path, value)?)?,
                "preferred_batch_size" => {
                    self.skip(&path, "a batch takes all rows that wait, up to `max_batch_size`");
                }
                _ => self.skip(&path, "see docs/scheduling.md for what there is"),
            }
        }
        Ok(())
    }

    fn queue(&mut self, path: &str, fields: &Fields) -> Result<(), String> {
        for (name, value) in fields {
            let path = format!("{path}.{name}");
            match name.as_str() {
                "max_queue_size" => {
                    let most = usize::try_from(number(&path, value)?).unwrap_or(usize::MAX);
                    // Without a limit there.
                    if most > 0 {
                        let most = self.at_most(&path, most, MOST_ROWS);
                        self.scheduler().queue_capacity = Some(most);
                    }
                }
                _ => {
                    self.skip(&path, "`server.request_timeout_ms` and the deadlines of clients end requests");
                }
            }
        }
        Ok(())
    }

    fn instances(&mut self, fields: &Fields) -> Result<(), String> {
        let find = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
        // By name, or by number.
        let kind = find("kind").and_then(Value::word).unwrap_or("KIND_AUTO");
        if !matches!(kind, "KIND_AUTO" | "0" | "KIND_CPU" | "2") || find("gpus").is_some() {
            self.skip("instance_group", "models run on the CPU, as many at a time as it bears");
            return Ok(());
        }
        if let Some(count) = find("count") {
            let count = usize::try_from(number("instance_group.count", count)?).unwrap_or(usize::MAX);
            let before = self.config.scheduler.instances.unwrap_or(0);
            let count = self.at_most("instance_group.count", before.saturating_add(count), MOST_THREADS);
            self.scheduler().instances = Some(count);
        }
        Ok(())
    }

    fn versions(&mut self, fields: &Fields) -> Result<(), String> {
        for (policy, value) in fields {
            let path = format!("version_policy.{policy}");
            let fields = message(&path, value)?;
            let numbers = |wanted: &str| -> Result<BTreeSet<u64>, String> {
                let named = fields.iter().filter(|(name, _)| name == wanted);
                named.map(|(name, value)| number(&format!("{path}.{name}"), value)).collect()
            };
            match policy.as_str() {
                "specific" => {
                    let versions: BTreeSet<_> =
                        numbers("versions")?.into_iter().map(ModelVersion::new).collect();
                    if versions.is_empty() {
                        return Err(format!("{path} names no version"));
                    }
                    self.config.versions = Versions::Exactly(versions);
                }
                "latest" if numbers("num_versions")?.iter().all(|count| *count <= 1) => {}
                _ => self.skip(&path, "the newest version serves: list others as `versions` in a model.toml"),
            }
        }
        Ok(())
    }

    /// Applies a parameter of the backend of ONNX Runtime.
    fn parameter(&mut self, fields: &Fields) -> Result<(), String> {
        let find = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
        let key = find("key").and_then(Value::text).unwrap_or_default();
        let value = find("value").and_then(Value::message).and_then(|fields| fields.first());
        let value = value.and_then(|(_, value)| value.text()).unwrap_or_default();
        if key == "intra_op_thread_count" {
            let threads: usize = value.parse().map_err(|_| {
                format!("parameters.{key}: expected the number of threads, got {:?}", shown(value))
            })?;
            let threads = self.at_most(&format!("parameters.{key}"), threads, MOST_THREADS);
            self.scheduler().threads = Some(threads);
        } else {
            self.skip(&format!("parameters.{key}"), "see [scheduler] of model.toml for what there is");
        }
        Ok(())
    }

    fn tensor(&mut self, side: &str, fields: &Fields) {
        // Names, types and dimensions are those of the ONNX file.
        for (name, _) in fields {
            match name.as_str() {
                "reshape" => self.skip(&format!("{side}.reshape"), "the shapes are those of the ONNX file"),
                "label_filename" => {
                    self.skip(
                        &format!("{side}.label_filename"),
                        "name classes by `[contract]` in a model.toml",
                    );
                }
                _ => {}
            }
        }
    }
}

/// Returns the begin of a text from the file in a form that fits a line of the log.
fn shown(text: &str) -> String {
    text.chars().take(MOST_LETTERS).flat_map(char::escape_debug).collect()
}

/// Checks that a setting says what is the case for ONNX files.
fn only(name: &str, value: &Value, expected: &str) -> Result<(), String> {
    match value.text() {
        Some(text) if text.is_empty() || text == expected => Ok(()),
        _ => Err(format!("{name}: expected \"{expected}\", since this gateway serves ONNX files")),
    }
}

fn number(name: &str, value: &Value) -> Result<u64, String> {
    let word =
        value.word().and_then(|word| match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None if word.len() > 1 && word.starts_with('0') => u64::from_str_radix(word, 8).ok(),
            None => word.parse().ok(),
        });
    word.ok_or_else(|| format!("{name}: expected a whole number that is not negative"))
}

fn message<'v>(name: &str, value: &'v Value) -> Result<&'v Fields, String> {
    value.message().ok_or_else(|| format!("{name}: expected a message, as in `{name} {{ … }}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_iris(document: &str) -> Result<ModelConfig, String> {
        read(document, "iris")
    }

    #[test]
    fn applies_what_means_something_here() {
        let document = r#"
            name: "iris"
            platform: "onnxruntime_onnx"
            backend: "onnxruntime"
            default_model_filename: "model.onnx"
            max_batch_size: 64
            input [ { name: "features" data_type: TYPE_FP32 dims: [ 4 ] } ]
            output [ { name: "label" data_type: TYPE_INT64 dims: [ 1 ] } ]
            version_policy: { specific: { versions: [1, 3] } }
            instance_group [ { count: 2 kind: KIND_CPU }, { count: 1 } ]
            dynamic_batching {
              max_queue_delay_microseconds: 1500
              default_queue_policy { max_queue_size: 100 }
            }
            parameters { key: "intra_op_thread_count" value: { string_value: "4" } }
            model_warmup [ { name: "zeros" batch_size: 1 } ]
        "#;
        let config = read_iris(document).unwrap();
        assert_eq!(config.not_applied, BTreeSet::new());
        assert_eq!(config.versions, Versions::Exactly([1, 3].map(ModelVersion::new).into()));
        let scheduler = SchedulerConfig {
            max_batch_rows: Some(64),
            max_delay_ms: Some(2),
            queue_capacity: Some(100),
            instances: Some(3),
            threads: Some(4),
            ..SchedulerConfig::default()
        };
        assert_eq!(config.scheduler, scheduler);
        assert_eq!(read_iris("max_batch_size: 0x10").unwrap().scheduler.max_batch_rows, Some(16));
        assert_eq!(read_iris("max_batch_size: 010").unwrap().scheduler.max_batch_rows, Some(8));
        assert_eq!(read_iris("max_batch_size: 0").unwrap().scheduler.batching, Some(false));
        assert_eq!(read_iris("version_policy { latest { num_versions: 1 } }").unwrap().not_applied.len(), 0);
    }

    #[test]
    fn names_what_it_does_not_apply_and_what_to_do() {
        for (document, parts) in [
            ("name: \"roses\"", ["`name` has no effect", "its folder, `iris`"]),
            ("version_policy { all {} }", ["`version_policy.all`", "`versions` in a model.toml"]),
            ("version_policy { latest { num_versions: 2 } }", ["`version_policy.latest`", "the newest"]),
            ("instance_group [ { kind: KIND_GPU gpus: [0] } ]", ["`instance_group`", "on the CPU"]),
            (
                "dynamic_batching { preferred_batch_size: [4] }",
                ["preferred_batch_size`", "all rows that wait"],
            ),
            ("default_model_filename: \"iris.onnx\"", ["`default_model_filename`", "model.onnx"]),
            ("parameters { key: \"x\" value: { string_value: \"1\" } }", ["`parameters.x`", "[scheduler]"]),
            ("output [ { name: \"y\" label_filename: \"names.txt\" } ]", ["label_filename`", "classes"]),
            ("response_cache { enable: true }", ["`response_cache`", "not cached"]),
            ("something_new: 1", ["`something_new`", "nothing like it"]),
            (
                "dynamic_batching { max_queue_delay_microseconds: 5000000 }",
                ["max_queue_delay_microseconds`", "is beyond the most, 1000,"],
            ),
            ("instance_group [ { count: 2 kind: 1 } ]", ["`instance_group`", "on the CPU"]),
            ("parameters { key: \"a\\nb\" }", ["`parameters.a\\nb`", "no effect"]),
            ("max_batch_size: 2000000", ["`max_batch_size`", "1000000, which is used"]),
        ] {
            let not_applied = read_iris(document).unwrap().not_applied;
            let said = not_applied.iter().next().unwrap_or_else(|| panic!("{document}"));
            assert!(not_applied.len() == 1 && parts.iter().all(|part| said.contains(part)), "{said}");
        }
    }

    #[test]
    fn the_sentences_are_few_and_short() {
        let fields: Vec<String> = (0..1000).map(|number| format!("unknown_{number}: 1")).collect();
        let document = fields.join("\n");
        assert_eq!(read_iris(&document).unwrap().not_applied.len(), MOST_SENTENCES);
        let long = read_iris(&format!("{}: 1", "x".repeat(10_000))).unwrap().not_applied;
        assert!(long.first().unwrap().len() < 200, "{long:?}");
    }

    #[test]
    fn refuses_what_is_of_another_kind_or_malformed() {
        for (document, part) in [
            ("platform: \"tensorrt_plan\"", "platform: expected \"onnxruntime_onnx\""),
            ("backend: \"python\"", "backend: expected \"onnxruntime\""),
            ("max_batch_size: -1", "max_batch_size: expected a whole number"),
            ("max_batch_size: \"8\"", "max_batch_size: expected a whole number"),
            ("dynamic_batching: true", "dynamic_batching: expected a message"),
            ("version_policy { specific {} }", "version_policy.specific names no version"),
            ("parameters { key: \"intra_op_thread_count\" }", "expected the number of threads"),
            ("name \"iris\"", "line 1: expected `:` or `{`"),
        ] {
            let error = read_iris(document).unwrap_err();
            assert!(error.contains(part), "{document}: {error}");
        }
    }
}
