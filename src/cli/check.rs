//! `onnx-gateway check`

use std::{collections::BTreeSet, path::PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::{
    Failure,
    examine::Examiner,
    load_settings::{Attempt, Prepared},
    output, verify,
    warnings::scopes_without_model,
};
use crate::{
    config::{AuthSettings, Environment, Problems, Settings, SettingsProblem},
    lifecycle::{
        Candidate, CandidateFiles, ModelConfig, ModelSource, Notice, Proof, Refusal, ScannedModel, Versions,
        source_for_command,
    },
    model::{Digest, ModelName, Schedule},
};

#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// Show every setting, too, with secrets left out
    #[arg(long, short)]
    verbose: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// The findings of a check; as text, they are printed as they come.
struct Report {
    as_json: bool,
    models: Vec<Value>,
    warnings: Vec<String>,
    problems: Vec<String>,
}

/// A version that would serve.
type Admitted = (Digest, Schedule, Proof);

/// Proves each model as the server would; fails with every problem found.
pub(super) fn check(files: &[PathBuf], arguments: &CheckArguments) -> Result<(), Failure> {
    let as_json = arguments.json;
    let environment = Environment::of_process();
    let loaded = match Attempt::new(files, &environment).prepared {
        Ok(Prepared { loaded, .. }) => loaded,
        Err(Problems(problems)) => {
            if as_json {
                let problems: Vec<Value> = problems.iter().map(document).collect();
                output::print(&format!("{}\n", json!({"problems": problems})))?;
            }
            return Err(Problems(problems).into());
        }
    };
    let mut report =
        Report { as_json, models: Vec::new(), warnings: loaded.warnings.clone(), problems: Vec::new() };
    if !loaded.warnings.is_empty() {
        output::warnings(&loaded.warnings.join("\n"));
    }
    if arguments.verbose && !as_json {
        let settings = toml::to_string(&loaded.settings)?;
        output::print(&format!("# settings\n\n{settings}\n# models\n\n"))?;
    }
    let unchecked = unchecked(&loaded.settings.auth);
    if !unchecked.is_empty() && !as_json {
        output::print(&format!("{}\n", unchecked.join("\n")))?;
    }
    check_models(&loaded.settings, &environment, &mut report)?;
    let Report { models, warnings, problems, .. } = report;
    if as_json {
        let listed: Vec<Value> = problems.iter().map(|message| json!({"message": message})).collect();
        let document = json!({
            "settings": loaded.settings,
            "models": models,
            "warnings": warnings,
            "problems": listed,
            "unchecked": unchecked,
        });
        output::print(&format!("{document}\n"))?;
    }
    if !problems.is_empty() {
        return Err(problems.join("\n").into());
    }
    if as_json { Ok(()) } else { Ok(output::print(&conclusion(&models, &warnings))?) }
}

/// Returns what a check cannot know: the keys that only a running gateway fetches.
fn unchecked(auth: &AuthSettings) -> Vec<String> {
    let fetched = auth.issuers.iter().filter_map(|(name, issuer)| Some((name, issuer.source()?)));
    fetched
        .map(|(name, url)| {
            format!("auth.issuers.{name}: its keys come from {url}, which a check does not fetch")
        })
        .collect()
}

/// Returns the line that ends a check without problems.
fn conclusion(models: &[Value], warnings: &[String]) -> String {
    let serving: Vec<&Value> = models.iter().filter(|model| model["serves"] == true).collect();
    let names: BTreeSet<&str> = serving.iter().filter_map(|model| model["model"].as_str()).collect();
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let versions = plural(serving.len(), "version");
    let but = match warnings.len() {
        0 => String::new(),
        count => format!(", with {}", plural(count, "warning")),
    };
    format!(
        "ok: the settings are valid, and {versions} of {} would serve{but}\n",
        plural(names.len(), "model")
    )
}

/// Returns a problem as JSON.
fn document(problem: &SettingsProblem) -> Value {
    let SettingsProblem { origin, key, message, excerpt } = problem;
    json!({
        "origin": origin,
        "setting": Some(key).filter(|key| !key.is_empty()),
        "message": message,
        "line": problem.line(),
        "text": excerpt.as_ref().map(|excerpt| &excerpt.text),
    })
}

/// Examines every model of the repository.
fn check_models(settings: &Settings, environment: &Environment, report: &mut Report) -> Result<(), Failure> {
    let examiner = Examiner::with(settings, environment)?;
    let repository = settings.models.folder().display().to_string();
    let failed = |error| format!("models.repository: {repository} cannot be read: {error}");
    let source = source_for_command(&settings.models).map_err(failed)?;
    let found = source.scan().map_err(failed)?;
    report.problems.extend(found.notices.iter().map(|notice| format!("{repository}/{notice}")));
    let is_there = |name: &ModelName| found.models.contains_key(name);
    let warnings = scopes_without_model(&settings.auth, is_there);
    if !warnings.is_empty() {
        output::warnings(&warnings.join("\n"));
        report.warnings.extend(warnings);
    }
    let default = settings.models.default.as_ref().filter(|name| !is_there(name));
    report.problems.extend(default.map(|name| Notice::of_default(name).to_string()));
    if found.models.is_empty() {
        report.problems.push(Notice::of_empty_repository(&repository, found.advice.as_deref()).to_string());
    }
    for (name, ScannedModel { config, candidates, .. }) in found.models {
        match config {
            Ok(config) => {
                let missing = Notice::of_config(&name, &config, |version| candidates.contains_key(&version));
                report.problems.extend(missing.iter().map(ToString::to_string));
                let candidates: Vec<Candidate> = candidates.into_values().collect();
                check_model((&examiner, &*source), &config, candidates, report)?;
            }
            Err(problem) => report.problems.push(format!("{name}: {problem}")),
        }
    }
    Ok(())
}

/// Proves the versions of a model that would serve.
fn check_model(
    (examiner, source): (&Examiner, &dyn ModelSource),
    config: &ModelConfig,
    candidates: Vec<Candidate>,
    report: &mut Report,
) -> Result<(), Failure> {
    let mut newest_serves = false;
    for candidate in candidates.into_iter().rev() {
        let version = candidate.version;
        let labelled = config.labels.values().any(|label| label.0 == version);
        let wanted = labelled
            || match &config.versions {
                Versions::Latest => !newest_serves,
                Versions::Exactly(versions) => versions.contains(&version),
            };
        if !wanted {
            report.add_unwanted(&candidate)?;
            continue;
        }
        let progress = output::Progress::start(&format!("proving {}", candidate.files));
        let copied = examiner.copy(CandidateFiles::new(source, &candidate), config);
        let proven = copied.and_then(|copy| {
            let proof = examiner.prove(&copy)?;
            Ok((copy.digest(), examiner.schedule(config, &proof)?, proof))
        });
        drop(progress);
        newest_serves |= proven.is_ok();
        report.add(&candidate, proven)?;
    }
    Ok(())
}

impl Report {
    /// Adds a version that the configuration does not select.
    fn add_unwanted(&mut self, candidate: &Candidate) -> Result<(), Failure> {
        let Candidate { model, version, .. } = candidate;
        self.models.push(json!({"model": model, "version": version, "serves": false}));
        if self.as_json {
            return Ok(());
        }
        Ok(output::print(&format!("{model} version {version} would not serve and is not proven\n"))?)
    }

    /// Adds a version that was proven, or refused.
    fn add(&mut self, candidate: &Candidate, proven: Result<Admitted, Refusal>) -> Result<(), Failure> {
        let Candidate { model, version, files, .. } = candidate;
        match proven {
            Ok((digest, schedule, proof)) => {
                let digest = digest.short();
                if !self.as_json {
                    let shown = verify::describe(&proof, &schedule);
                    output::print(&format!("{model} version {version} ({digest}) serves\n{shown}"))?;
                }
                self.models.push(json!({
                    "model": model,
                    "version": version,
                    "serves": true,
                    "digest": digest,
                    "proof": proof,
                    "scheduler": schedule,
                }));
            }
            Err(refusal) => {
                self.problems.push(format!("{files}: {refusal}"));
                let refused =
                    json!({"model": model, "version": version, "serves": false, "refusal": refusal});
                self.models.push(refused);
            }
        }
        Ok(())
    }
}
