//! `onnx-gateway inspect`

use std::{fmt::Write, fs::File, path::PathBuf};

use serde_json::json;

use super::{
    Failure,
    examine::{Examiner, FileArguments, LocalFile, candidate},
    output, verify,
};
use crate::{lifecycle::CandidateFiles, model::OnnxFile};

/// Shows what a file declares, and the outcome of its proof.
pub(super) fn inspect(files: &[PathBuf], arguments: &FileArguments) -> Result<(), Failure> {
    let shown = arguments.file.display();
    let named = |error: &dyn std::fmt::Display| format!("{shown}: {error}");
    let local = LocalFile::of(&arguments.file, files)?;
    let file = File::open(&local.path).map_err(|error| named(&error))?;
    let bytes = file.metadata()?.len();
    let says = OnnxFile::read(file).map_err(|error| named(&error))?;
    let examiner = Examiner::new(files)?;
    let config = arguments.model_toml.read(&local.path)?;
    let progress = output::Progress::start(&format!("proving {shown}"));
    let (source, candidate) = candidate(&local.path)?;
    let copied = examiner.copy(CandidateFiles::new(&source, &candidate), &config);
    let digest = copied.as_ref().ok().map(|copy| copy.digest().to_string());
    let proven = copied.and_then(|copy| {
        let proof = examiner.prove(&copy)?;
        Ok((examiner.schedule(&config, &proof)?, proof))
    });
    drop(progress);
    if arguments.json {
        let document = json!({
            "file": arguments.file,
            "bytes": bytes,
            "sha256": digest,
            "model": says,
            "proof": proven.as_ref().ok().map(|(_, proof)| proof),
            "scheduler": proven.as_ref().ok().map(|(schedule, _)| schedule),
            "refusal": proven.as_ref().err(),
        });
        return Ok(output::print(&format!("{document}\n"))?);
    }
    let mut text = format!("{shown}\n");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "  size     {bytes} bytes");
    if let Some(digest) = digest {
        let _ = writeln!(text, "  sha256   {digest}");
    }
    let OnnxFile { ir_version, producer, producer_version, opsets, nodes, external_files, .. } = &says;
    let _ = writeln!(text, "  made by  {} {}", producer.escape_debug(), producer_version.escape_debug());
    let _ = writeln!(text, "  format   IR version {ir_version}, {nodes} nodes");
    for (domain, version) in opsets {
        let domain = if domain.is_empty() { "ai.onnx" } else { domain };
        let _ = writeln!(text, "  opset    {} {version}", domain.escape_debug());
    }
    for name in external_files {
        let _ = writeln!(text, "  weights  {}", name.escape_debug());
    }
    match &proven {
        Ok((schedule, proof)) => text.push_str(&verify::describe(proof, schedule)),
        Err(refusal) => {
            let _ = writeln!(text, "  refused  {refusal}");
        }
    }
    Ok(output::print(&text)?)
}
