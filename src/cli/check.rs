//! `onnx-gateway check`

use std::{fmt::Write, path::PathBuf};

use super::{Failure, output, prepare};
use crate::{
    config::{Environment, Settings},
    lifecycle::{Candidate, Refusal, Servable, Snapshots, Source, admit},
    model::ModelName,
    runtime::Runtime,
};

/// Shows the settings and proves each model as the server would; fails with everything that is wrong.
pub(super) fn check(files: &[PathBuf]) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let (loaded, _) = prepare::prepare(files, &environment)?;
    if !loaded.warnings.is_empty() {
        output::warnings(&loaded.warnings.join("\n"));
    }
    output::print(&format!("# settings\n\n{}\n# models\n\n", toml::to_string(&loaded.settings)?))?;
    let problems = check_models(&loaded.settings, &environment)?;
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n").into()) }
}

/// Prints what would serve; answers what would not.
fn check_models(settings: &Settings, environment: &Environment) -> Result<Vec<String>, Failure> {
    let runtime = Runtime::load(&settings.runtime, environment)?;
    let snapshots = Snapshots::new(settings.models.snapshot_directory.as_deref())?;
    let repository = settings.models.repository.display();
    let found = Source::new(settings.models.repository.clone())
        .look()
        .map_err(|error| format!("models.repository: {repository} cannot be read: {error}"))?;
    let mut problems: Vec<String> =
        found.ignored.into_iter().map(|ignored| format!("{repository}/{ignored}")).collect();
    let mut candidates = found.candidates;
    if candidates.is_empty() {
        problems
            .push(format!("models.repository: {repository} holds no model (NAME/1/model.onnx or NAME.onnx)"));
    }
    candidates.sort_by(|left, right| (&left.model, right.version).cmp(&(&right.model, left.version)));
    let mut served: Option<ModelName> = None;
    for candidate in candidates {
        if served.as_ref() == Some(&candidate.model) {
            let Candidate { model, version, .. } = &candidate;
            output::print(&format!("{model} version {version} is older and is not tried\n"))?;
            continue;
        }
        output::progress(&format!("proving {}", candidate.file.display()));
        match prove(runtime, settings, &snapshots, &candidate) {
            Ok(servable) => {
                output::print(&describe(&servable))?;
                served = Some(candidate.model);
            }
            Err(problem) => problems.push(format!("{}: {problem}", candidate.file.display())),
        }
    }
    Ok(problems)
}

fn prove(
    runtime: Runtime,
    settings: &Settings,
    snapshots: &Snapshots,
    candidate: &Candidate,
) -> Result<Servable, Failure> {
    let snapshot = snapshots.take(&candidate.file)?;
    let identity = (candidate.model.clone(), candidate.version);
    Ok(admit(runtime, &settings.runtime, identity, snapshot, None)
        .map_err(|refusal: Refusal| refusal.to_string())?)
}

fn describe(servable: &Servable) -> String {
    let mut text = String::new();
    let digest = servable.digest().short();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{} version {} ({digest}) serves", servable.name, servable.version);
    for input in &servable.signature.inputs {
        let _ = writeln!(text, "  input   {input}");
    }
    for output in &servable.signature.outputs {
        let _ = writeln!(text, "  output  {output}");
    }
    for feature in &servable.contract.features {
        let bound = |bound: Option<f64>| bound.map_or_else(|| "any".to_owned(), |bound| bound.to_string());
        let unit = feature.unit.as_deref().unwrap_or_default();
        let (minimum, maximum) = (bound(feature.minimum), bound(feature.maximum));
        let _ = writeln!(text, "  feature {} {minimum} to {maximum} {unit}", feature.name);
    }
    if !servable.contract.classes.is_empty() {
        let _ = writeln!(text, "  classes {}", servable.contract.classes.join(", "));
    }
    let _ = writeln!(text, "  golden  {} cases answered as they must", servable.contract.golden.len());
    text
}
