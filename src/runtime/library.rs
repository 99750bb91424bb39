//! Search for the shared library of ONNX Runtime.

mod python_wheel;

use std::path::{Path, PathBuf};

use crate::config::{Environment, RuntimeSettings};

/// File name of the shared library.
const FILE_NAME: &str = if cfg!(target_os = "macos") { "libonnxruntime.dylib" } else { "libonnxruntime.so" };

/// The folder of a package's own libraries, beside the folder of its binary: `/usr/lib/onnx-gateway` for `/usr/bin`.
const PACKAGE_FOLDER: &str = "lib/onnx-gateway";

/// The folder that `tools/setup` fills, at the root of the source tree, above `target/release/onnx-gateway`.
const SETUP_FOLDER: &str = ".onnxruntime";

/// Number of folders above the binary to search: `target/TARGET/release/deps` is the deepest.
const LEVELS: usize = 5;

/// No shared library was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "ONNX Runtime ({FILE_NAME}) was not found: run tools/setup in a clone, install the wheel onnxruntime beside \
     onnx-gateway, or name the file in ORT_DYLIB_PATH or runtime.library{}",
    named.as_ref().map(|path| format!(" ({} is not there)", path.display())).unwrap_or_default()
)]
pub struct LibraryNotFound {
    /// The configured path; `None` if none was configured.
    named: Option<PathBuf>,
}

/// Finds the shared library: as the environment says, as the settings say, beside the binary, where a package or a wheel
/// of the same prefix puts it, or where `tools/setup` does. A configured path that does not exist is an error; no other
/// is tried in its place.
pub(super) fn find(
    settings: &RuntimeSettings,
    environment: &Environment,
) -> Result<PathBuf, LibraryNotFound> {
    if let Some(named) = environment.library_path.as_ref().or(settings.library.as_ref()) {
        let path = environment.working_directory.join(named);
        return if path.is_file() { Ok(path) } else { Err(LibraryNotFound { named: Some(path) }) };
    }
    candidates(&environment.binary_directories)
        .find(|path| path.is_file())
        .ok_or(LibraryNotFound { named: None })
}

fn candidates(binary_directories: &[PathBuf]) -> impl Iterator<Item = PathBuf> {
    let beside = binary_directories.first().map(|directory| directory.join(FILE_NAME));
    let prefix = binary_directories.get(1);
    let of_package = prefix.map(|prefix| prefix.join(PACKAGE_FOLDER).join(FILE_NAME));
    let of_wheel = prefix.into_iter().flat_map(|prefix| python_wheel::libraries(prefix));
    let from_setup = |directory: &PathBuf| directory.join(Path::new(SETUP_FOLDER)).join(FILE_NAME);
    let from_setup = binary_directories.iter().take(LEVELS).map(from_setup);
    beside.into_iter().chain(of_package).chain(of_wheel).chain(from_setup)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(binary: &Path) -> Environment {
        Environment {
            binary_directories: binary.ancestors().map(PathBuf::from).collect(),
            ..Environment::default()
        }
    }

    #[test]
    fn the_nearest_library_is_found() {
        let root = tempfile::tempdir().unwrap();
        let binary = root.path().join("bin");
        let environment = environment(&binary);
        let settings = RuntimeSettings::default();

        let error = find(&settings, &environment).unwrap_err();
        assert!(error.to_string().contains("run tools/setup"), "{error}");

        // Each one is nearer than those before it.
        for path in [
            format!("{SETUP_FOLDER}/{FILE_NAME}"),
            format!("lib/python3.11/site-packages/onnxruntime/capi/{}", python_wheel::file_name("1.32.0")),
            format!("{PACKAGE_FOLDER}/{FILE_NAME}"),
            format!("bin/{FILE_NAME}"),
        ] {
            let library = root.path().join(path);
            std::fs::create_dir_all(library.parent().unwrap()).unwrap();
            std::fs::write(&library, "").unwrap();
            assert_eq!(find(&settings, &environment).unwrap(), library);
        }
    }

    #[test]
    fn a_build_finds_the_library_of_its_source_tree() {
        let root = tempfile::tempdir().unwrap();
        let library = root.path().join(SETUP_FOLDER).join(FILE_NAME);
        std::fs::create_dir_all(library.parent().unwrap()).unwrap();
        std::fs::write(&library, "").unwrap();
        let environment = environment(&root.path().join("target/release"));
        assert_eq!(find(&RuntimeSettings::default(), &environment).unwrap(), library);
    }

    #[test]
    fn a_library_that_is_named_is_not_replaced_by_another() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join(FILE_NAME), "").unwrap();
        let environment = environment(root.path());
        let settings =
            RuntimeSettings { library: Some("/nowhere/libgpu.so".into()), ..RuntimeSettings::default() };
        let error = find(&settings, &environment).unwrap_err();
        assert!(error.to_string().contains("/nowhere/libgpu.so is not there"), "{error}");
    }
}
