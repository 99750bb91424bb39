//! Download of a single model, for commands.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{
    bucket::{Bucket, Object},
    failure::Failure,
    listing::Listing,
};
use crate::{
    config::{StoreSettings, StoreUrl},
    model::ModelVersion,
};

/// The file of a version in a model's folder.
const MODEL_FILE: &str = "model.onnx";

/// The place of a model's file in a store.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// The prefix of everything that belongs to the model.
    prefix: String,
    /// The name of the file below it.
    name: String,
    /// True if the prefix is the folder of one model, and false if other flat files may lie there.
    is_folder: bool,
}

impl Place {
    fn of(path: &str) -> Self {
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        let (above, version) = folder.rsplit_once('/').unwrap_or(("", folder));
        if file == MODEL_FILE && version.parse::<ModelVersion>().is_ok() {
            return Self { prefix: above.to_owned(), name: format!("{version}/{file}"), is_folder: true };
        }
        Self { prefix: folder.to_owned(), name: file.to_owned(), is_folder: false }
    }

    /// Returns true if an object may belong to the model: all of its version, and the files beside the versions.
    fn needs(&self, name: &str) -> bool {
        let ends_as_model = Path::new(name).extension().is_some_and(|ending| ending == "onnx");
        match name.split_once('/') {
            Some((folder, _)) => self.is_folder && self.name.split('/').next() == Some(folder),
            None => name == self.name || !ends_as_model,
        }
    }
}

/// Downloads the model of a URL, with the files that belong to it, into a folder. Returns its path there.
///
/// # Errors
///
/// If the store cannot be read, or has no such object.
pub fn download_model(url: &StoreUrl, settings: &StoreSettings, folder: &Path) -> io::Result<PathBuf> {
    let Place { prefix, name, .. } = &Place::of(&url.prefix);
    let bucket = Bucket::new(&StoreUrl { prefix: prefix.clone(), ..url.clone() }, settings);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let downloaded = runtime.block_on(async {
        let bucket = bucket?;
        let place = Place::of(&url.prefix);
        let listing = Listing::new(bucket.list().await?);
        let objects: Vec<&Object> = listing
            .sets
            .values()
            .flat_map(|set| set.values())
            .filter(|object| place.needs(&object.name))
            .collect();
        if !objects.iter().any(|object| object.name == *name) {
            return Err(Failure::Missing);
        }
        let bytes = objects.iter().fold(0, |sum: u64, object| sum.saturating_add(object.size));
        if bytes > settings.max_bytes {
            return Err(Failure::TooLarge(bytes, settings.max_bytes));
        }
        for object in objects {
            let path = folder.join(&object.name);
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            bucket.download(object, &mut File::create(path)?).await?;
        }
        Ok(folder.join(name))
    });
    downloaded.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_fetched_with_what_belongs_to_it_alone() {
        let of_folder = Place::of("live/iris/2/model.onnx");
        assert_eq!((of_folder.prefix.as_str(), of_folder.name.as_str()), ("live/iris", "2/model.onnx"));
        for (name, is_needed) in
            [("2/model.onnx", true), ("2/w/weights.bin", true), ("model.toml", true), ("1/model.onnx", false)]
        {
            assert_eq!(of_folder.needs(name), is_needed, "{name}");
        }
        let flat = Place::of("wine.onnx");
        assert_eq!((flat.prefix.as_str(), flat.name.as_str()), ("", "wine.onnx"));
        for (name, is_needed) in [
            ("wine.onnx", true),
            ("wine.toml", true),
            ("weights.bin", true),
            ("other.onnx", false),
            ("iris/x", false),
        ] {
            assert_eq!(flat.needs(name), is_needed, "{name}");
        }
    }
}
