//! `onnx-gateway check`

use std::path::PathBuf;

use super::{Failure, examine::Examiner, load_settings, output, verify, warnings::scopes_without_model};
use crate::{
    config::{Environment, Settings},
    lifecycle::{Candidate, ModelConfig, Notice, ScannedModel, Source, Versions},
    model::ModelName,
};

/// Shows the settings and proves each model as the server would; fails with every problem found.
pub(super) fn check(files: &[PathBuf]) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let (loaded, _) = load_settings::prepare(files, &environment)?;
    if !loaded.warnings.is_empty() {
        output::warnings(&loaded.warnings.join("\n"));
    }
    output::print(&format!("# settings\n\n{}\n# models\n\n", toml::to_string(&loaded.settings)?))?;
    let problems = check_models(&loaded.settings, &environment)?;
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n").into()) }
}

/// Prints what would serve; returns what would not.
fn check_models(settings: &Settings, environment: &Environment) -> Result<Vec<String>, Failure> {
    let examiner = Examiner::with(settings, environment)?;
    let repository = settings.models.folder().display();
    let found = Source::of(&settings.models)
        .scan()
        .map_err(|error| format!("models.repository: {repository} cannot be read: {error}"))?;
    let mut problems: Vec<String> =
        found.notices.iter().map(|notice| format!("{repository}/{notice}")).collect();
    let is_there = |name: &ModelName| found.models.contains_key(name);
    let warnings = scopes_without_model(&settings.auth, is_there);
    if !warnings.is_empty() {
        output::warnings(&warnings.join("\n"));
    }
    let default = settings.models.default.as_ref().filter(|name| !is_there(name));
    problems.extend(default.map(|name| Notice::of_default(name).to_string()));
    if found.models.is_empty() {
        problems.push(Notice::of_empty_repository(settings.models.folder()).to_string());
    }
    for (name, ScannedModel { config, candidates, .. }) in found.models {
        match config {
            Ok(config) => {
                let missing = Notice::of_config(&name, &config, |version| candidates.contains_key(&version));
                problems.extend(missing.iter().map(ToString::to_string));
                let candidates: Vec<Candidate> = candidates.into_values().collect();
                check_model(&examiner, &name, &config, candidates, &mut problems)?;
            }
            Err(problem) => problems.push(format!("{name}: {problem}")),
        }
    }
    Ok(problems)
}

/// Proves the versions of a model that would serve.
fn check_model(
    examiner: &Examiner,
    name: &ModelName,
    config: &ModelConfig,
    candidates: Vec<Candidate>,
    problems: &mut Vec<String>,
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
            output::print(&format!("{name} version {version} would not serve and is not proven\n"))?;
            continue;
        }
        output::progress(&format!("proving {}", candidate.file.display()));
        let copied = examiner.copy(&candidate, config);
        let proven = copied.and_then(|copy| {
            let proof = examiner.prove(&copy)?;
            Ok((copy.digest(), examiner.schedule(config, &proof)?, proof))
        });
        match proven {
            Ok((digest, schedule, proof)) => {
                let digest = digest.short();
                output::print(&format!(
                    "{name} version {version} ({digest}) serves\n{}",
                    verify::describe(&proof, &schedule)
                ))?;
                newest_serves = true;
            }
            Err(refusal) => problems.push(format!("{}: {refusal}", candidate.file.display())),
        }
    }
    Ok(())
}
