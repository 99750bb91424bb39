//! Formats of rows.

use std::{fmt, path::Path, str::FromStr};

/// A format of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values (RFC 4180).
    Csv,
    /// One JSON value a line.
    JsonLines,
    /// Apache Parquet.
    Parquet,
}

impl Format {
    /// Returns the format that a file's extension names; `None` if it names none.
    #[must_use]
    pub fn of_file(file: &Path) -> Option<Self> {
        let extension = file.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "csv" | "tsv" => Some(Self::Csv),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            "parquet" | "pq" => Some(Self::Parquet),
            _ => None,
        }
    }

    /// Returns the name that selects the format.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::JsonLines => "jsonl",
            Self::Parquet => "parquet",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Csv, Self::JsonLines, Self::Parquet]
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or_else(|| "expected csv, jsonl or parquet".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_names_the_format() {
        for (file, expected) in [
            ("a.csv", Some(Format::Csv)),
            ("a.b/a.TSV", Some(Format::Csv)),
            ("a.jsonl", Some(Format::JsonLines)),
            ("a.ndjson", Some(Format::JsonLines)),
            ("a.parquet", Some(Format::Parquet)),
            ("a.json", None),
            ("csv", None),
        ] {
            assert_eq!(Format::of_file(Path::new(file)), expected, "{file}");
        }
    }
}
