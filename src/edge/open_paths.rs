//! All paths that need no token; every other path needs one.

/// Ends an entry that stands for every path below it.
const BELOW: &str = "*";

/// The paths that need no token, from the lists of all protocols.
#[derive(Clone, Debug, Default)]
pub struct OpenPaths {
    exact: Vec<&'static str>,
    /// Folders, each with a slash at the end.
    folders: Vec<&'static str>,
}

impl OpenPaths {
    /// Returns true if a path needs no token.
    #[must_use]
    pub fn contain(&self, path: &str) -> bool {
        self.exact.contains(&path) || self.folders.iter().any(|folder| path.starts_with(folder))
    }
}

impl FromIterator<&'static str> for OpenPaths {
    fn from_iter<I: IntoIterator<Item = &'static str>>(paths: I) -> Self {
        let mut open = Self::default();
        for path in paths {
            match path.strip_suffix(BELOW) {
                Some(folder) => open.folders.push(folder),
                None => open.exact.push(path),
            }
        }
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_not_listed_is_closed() {
        let paths: OpenPaths = ["/", "/health", "/docs", "/docs/*"].into_iter().collect();
        for open in ["/", "/health", "/docs", "/docs/swagger-ui.css"] {
            assert!(paths.contain(open), "{open}");
        }
        for closed in ["", "/predict", "/health/", "/healthz", "/docsx", "//", "/docs*"] {
            assert!(!paths.contain(closed), "{closed}");
        }
    }
}
