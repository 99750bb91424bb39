//! A source whose files lie in memory, for tests of everything that must not depend on folders.

use std::{
    collections::BTreeMap,
    io::{self, Cursor},
    sync::{Arc, Mutex, MutexGuard},
};

use super::{
    Candidate, ChangeListener, FileName, FilesHandle, ModelSource, OpenedFile, RepositoryScan, ScannedModel,
};
use crate::{
    lifecycle::{
        Defect, Reason,
        confined_file::{self, OpenError},
        fingerprint::{Fingerprint, Stamp},
        model_config::ModelConfig,
    },
    model::{ModelName, ModelVersion, OnnxFile},
};

/// Named files, as an object store has them: `iris/1/model.onnx`.
#[derive(Debug, Default)]
pub(in crate::lifecycle) struct MemorySource(Mutex<Files>);

#[derive(Default)]
struct Files {
    by_name: BTreeMap<String, Arc<Stored>>,
    /// Number of files that were ever written.
    written: u64,
    listener: Option<ChangeListener>,
    /// A change to make once a file was opened, as another client would.
    after_open: Option<(String, Vec<u8>)>,
}

struct Stored {
    revision: u64,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.by_name.keys()).finish()
    }
}

impl Files {
    fn put(&mut self, name: &str, bytes: &[u8]) {
        self.written += 1;
        let stored = Stored { revision: self.written, bytes: bytes.to_vec() };
        self.by_name.insert(name.to_owned(), Arc::new(stored));
        if let Some(listener) = &self.listener {
            listener(name.split('/').next().map(str::to_owned));
        }
    }

    fn stamp(&self, name: &str) -> Option<Stamp> {
        let Stored { revision, bytes } = &**self.by_name.get(name)?;
        Some(Stamp { identity: (0, *revision), size: bytes.len() as u64, changed: (0, 0) })
    }
}

impl MemorySource {
    /// Creates a source with these files.
    pub(in crate::lifecycle) fn of(files: &[(&str, &[u8])]) -> Arc<Self> {
        let source = Self::default();
        for (name, bytes) in files {
            source.put(name, bytes);
        }
        Arc::new(source)
    }

    pub(in crate::lifecycle) fn put(&self, name: &str, bytes: &[u8]) {
        self.files().put(name, bytes);
    }

    pub(in crate::lifecycle) fn remove(&self, name: &str) {
        self.files().by_name.remove(name);
    }

    /// Writes a file as soon as the next one was opened.
    pub(in crate::lifecycle) fn put_after_open(&self, name: &str, bytes: &[u8]) {
        self.files().after_open = Some((name.to_owned(), bytes.to_vec()));
    }

    /// Scans and returns the candidate of the first version of the first model.
    pub(in crate::lifecycle) fn candidate(&self) -> Candidate {
        let mut models = self.scan().unwrap().models.into_values();
        models.next().unwrap().candidates.into_values().next().unwrap()
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.0.lock().unwrap()
    }

    /// Describes the model's file of this name. All it names must lie below `scope`.
    fn describe(&self, model: ModelName, version: ModelVersion, scope: &str, file: &str) -> Candidate {
        let files = FilesHandle::new(scope, file);
        let stored = Arc::clone(&self.files().by_name[file]);
        let (external, defect) = match OnnxFile::read(Cursor::new(&stored.bytes)) {
            Ok(found) => (found.external_files.into_iter().collect(), None),
            Err(error) => (Vec::new(), Some(Defect::unusable(Reason::NotOnnx, &error))),
        };
        let fingerprint = self.fingerprint(&files, &external);
        Candidate { model, version, files, external, fingerprint, signatures: Fingerprint::default(), defect }
    }

    fn open_named(&self, name: &str) -> Result<OpenedFile, OpenError> {
        let missing = || OpenError::Io(name.to_owned(), io::ErrorKind::NotFound.into());
        let mut files = self.files();
        let stored = files.by_name.get(name).cloned().ok_or_else(missing)?;
        if let Some((name, bytes)) = files.after_open.take() {
            files.put(&name, &bytes);
        }
        Ok(Box::new(Cursor::new(stored.bytes.clone())))
    }
}

impl ModelSource for MemorySource {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    fn scan(&self) -> io::Result<RepositoryScan> {
        let mut found = RepositoryScan::default();
        let names: Vec<String> = self.files().by_name.keys().cloned().collect();
        for name in names {
            let [model, version, "model.onnx"] = name.split('/').collect::<Vec<_>>()[..] else { continue };
            let (model, version): (ModelName, ModelVersion) =
                (model.parse().map_err(io::Error::other)?, version.parse().map_err(io::Error::other)?);
            let candidate = self.describe(model.clone(), version, model.as_str(), &name);
            let config = Ok(Arc::new(ModelConfig::default()));
            let entry = found.models.entry(model);
            let scanned =
                entry.or_insert_with(|| ScannedModel { config, candidates: BTreeMap::new(), is_same: false });
            scanned.candidates.insert(version, candidate);
        }
        Ok(found)
    }

    fn doubt(&self, _name: Option<&str>) {}

    fn watch(&self, changed: ChangeListener) {
        self.files().listener = Some(changed);
    }

    fn reports_every_change(&self) -> bool {
        self.files().listener.is_some()
    }

    fn open(&self, files: &FilesHandle, name: FileName<'_>) -> Result<OpenedFile, OpenError> {
        self.open_named(&name_of(files, name)?)
    }

    fn open_signature(&self, files: &FilesHandle, name: FileName<'_>) -> Result<OpenedFile, OpenError> {
        self.open_named(&format!("{}.minisig", name_of(files, name)?))
    }

    fn size(&self, files: &FilesHandle, name: FileName<'_>) -> Option<u64> {
        let stored = self.files().by_name.get(&name_of(files, name).ok()?).cloned()?;
        Some(stored.bytes.len() as u64)
    }

    fn fingerprint(&self, files: &FilesHandle, data: &[String]) -> Fingerprint {
        let names = std::iter::once(FileName::Model).chain(data.iter().map(|name| FileName::Data(name)));
        let known = self.files();
        Fingerprint::new(names.map(|name| known.stamp(&name_of(files, name).ok()?)))
    }
}

/// Returns the full name of a candidate's file, which must lie in its scope.
fn name_of(files: &FilesHandle, name: FileName<'_>) -> Result<String, OpenError> {
    let (scope, model) = (files.scope().to_str().unwrap(), files.model().to_str().unwrap());
    let full = match name {
        FileName::Model => Some(model.to_owned()),
        FileName::Data(data) => {
            confined_file::relative(model.as_ref(), data).map(|path| path.to_str().unwrap().to_owned())
        }
    };
    full.filter(|full| full.starts_with(&format!("{scope}/")))
        .ok_or_else(|| OpenError::Outside(format!("{name:?}")))
}
