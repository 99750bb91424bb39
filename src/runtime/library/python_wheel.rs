//! The library in the Python wheel `onnxruntime` of the environment that the binary was installed into.

use std::{
    cmp::Reverse,
    fs,
    path::{Path, PathBuf},
};

/// Folders of an environment that hold a folder for each version of Python. Both exist where packages with machine code
/// have a folder of their own.
const LIBRARY_FOLDERS: [&str; 2] = ["lib", "lib64"];

/// Folders for packages within the folder of a version of Python; Debian's own Python uses the second.
const PACKAGE_FOLDERS: [&str; 2] = ["site-packages", "dist-packages"];

/// The folder of the library within the installed wheel.
const WHEEL_FOLDER: &str = "onnxruntime/capi";

/// Finds the libraries of all wheels below an environment's prefix, those of the newest Python first.
pub(super) fn libraries(prefix: &Path) -> Vec<PathBuf> {
    let mut pythons: Vec<(u32, PathBuf)> =
        LIBRARY_FOLDERS.iter().flat_map(|folder| pythons(&prefix.join(folder))).collect();
    pythons.sort_by_key(|(minor, _)| Reverse(*minor));
    let packages = pythons.iter().flat_map(|(_, python)| PACKAGE_FOLDERS.map(|folder| python.join(folder)));
    packages.flat_map(|packages| libraries_in(&packages.join(WHEEL_FOLDER))).collect()
}

/// Lists the folders `python3.MINOR` with their minor versions.
fn pythons(folder: &Path) -> Vec<(u32, PathBuf)> {
    let minor = |name: &str| name.strip_prefix("python3.")?.trim_end_matches('t').parse().ok();
    entries(folder).into_iter().filter_map(|(name, path)| Some((minor(&name)?, path))).collect()
}

fn libraries_in(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    entries(folder).into_iter().filter(|(name, _)| is_library(name)).map(|(_, path)| path)
}

/// Returns true for the library, whose name in a wheel contains its version, but not for libraries of providers.
fn is_library(name: &str) -> bool {
    let is_ending =
        |rest: &str| if cfg!(target_os = "macos") { rest.ends_with("dylib") } else { rest.starts_with("so") };
    name.strip_prefix("libonnxruntime.").is_some_and(is_ending)
}

/// Lists names and paths in a folder; empty if it cannot be read.
fn entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let named =
        entries.flatten().map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()));
    named.collect()
}

/// The library's name in a wheel of a version.
#[cfg(test)]
pub(super) fn file_name(version: &str) -> String {
    if cfg!(target_os = "macos") {
        format!("libonnxruntime.{version}.dylib")
    } else {
        format!("libonnxruntime.so.{version}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install(prefix: &Path, folder: &str, names: &[&str]) {
        let folder = prefix.join(folder).join(WHEEL_FOLDER);
        fs::create_dir_all(&folder).unwrap();
        for name in names {
            fs::write(folder.join(name), "").unwrap();
        }
    }

    #[test]
    fn the_newest_python_comes_first() {
        let prefix = tempfile::tempdir().unwrap();
        let library = file_name("1.32.0");
        for folder in
            ["lib/python3.9/site-packages", "lib64/python3.14t/site-packages", "lib/python3.11/dist-packages"]
        {
            install(prefix.path(), folder, &[&library]);
        }
        let found = libraries(prefix.path());
        let places: Vec<_> = found.iter().map(|path| path.strip_prefix(prefix.path()).unwrap()).collect();
        assert_eq!(places.len(), 3);
        for (place, start) in places.iter().zip([
            "lib64/python3.14t/site-packages",
            "lib/python3.11/dist-packages",
            "lib/python3.9",
        ]) {
            assert!(place.starts_with(start) && place.ends_with(&library), "{places:?}");
        }
    }

    #[test]
    fn other_files_of_the_wheel_are_not_the_library() {
        let prefix = tempfile::tempdir().unwrap();
        let others = [
            "libonnxruntime_providers_shared.so",
            "onnxruntime_pybind11_state.so",
            "libonnxruntime_providers.dylib",
        ];
        install(prefix.path(), "lib/python3.11/site-packages", &others);
        install(prefix.path(), "lib/python2.7/site-packages", &[&file_name("1.32.0")]);
        assert_eq!(libraries(prefix.path()), [] as [PathBuf; 0]);
    }
}
