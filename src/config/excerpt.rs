//! Excerpts of settings files, shown below the problems that their lines cause. Values of secrets are left out.

use std::{collections::BTreeMap, fmt, ops::Range};

use toml::de::{DeTable, DeValue};

/// Settings of section `auth` whose values are not secret.
const PUBLIC_IN_AUTH: &[&str] = &[
    "enabled",
    "issuer",
    "audience",
    "leeway_seconds",
    "token_lifetime_seconds",
    "max_token_lifetime_seconds",
    "signing_key",
    "algorithm",
    "scopes",
    "plan",
];

/// Parts of names whose values may be secret in any section.
const SECRET_WORDS: &[&str] =
    &["secret", "hash", "token", "passw", "private", "jwk", "credential", "api_key", "store"];

/// The section of keys and clients.
const AUTH: &str = "auth";

/// The text in place of a value that may be secret.
const HIDDEN: &str = "= …";

/// A line of a settings file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The path of the file.
    pub file: String,
    /// The number of the line, from 1.
    pub line: usize,
    /// The line, without values that may be secret.
    pub text: String,
    /// The hint below the line; `None` if there is none.
    pub hint: Option<String>,
    /// The characters that the problem concerns.
    marked: Range<usize>,
}

impl Excerpt {
    /// Adds a hint below the line.
    pub(super) fn with_hint(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, text, hint, marked } = self;
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        let before = " ".repeat(marked.start);
        let marks = "^".repeat(marked.len().max(1));
        let hint = hint.as_ref().map(|hint| format!(" {hint}")).unwrap_or_default();
        write!(
            formatter,
            " {margin}--> {file}:{line}\n {margin} |\n {number} | {text}\n {margin} | {before}{marks}{hint}"
        )
    }
}

/// The lines of the settings in one file, by key.
#[derive(Clone, Debug)]
pub(super) struct Excerpts {
    file: String,
    by_key: BTreeMap<String, Excerpt>,
}

impl Excerpts {
    /// Finds the line of each key. Without any if the text is not TOML.
    pub(super) fn of(file: &str, text: &str) -> Self {
        let mut found = Self { file: file.to_owned(), by_key: BTreeMap::new() };
        if let Ok(table) = DeTable::parse(text) {
            found.add("", table.get_ref(), text);
        }
        found
    }

    fn add(&mut self, section: &str, table: &DeTable<'_>, text: &str) {
        for (name, value) in table {
            let name_of_key = name.get_ref();
            let key =
                if section.is_empty() { name_of_key.to_string() } else { format!("{section}.{name_of_key}") };
            let may_be_secret = may_be_secret(&key);
            self.by_key.insert(key.clone(), excerpt(&self.file, text, name.span(), may_be_secret));
            if let DeValue::Table(inner) = value.get_ref() {
                self.add(&key, inner, text);
            }
        }
    }

    /// Returns the line that a key has in this file; `None` if the origin is not this file, or does not have it.
    pub(super) fn find(&self, origin: &str, key: &str) -> Option<Excerpt> {
        if origin != self.file {
            return None;
        }
        let key = key.split('[').next().unwrap_or(key);
        let of_file = format!("{}_file", key.trim_end_matches("_base64"));
        self.by_key.get(key).or_else(|| self.by_key.get(&of_file)).cloned()
    }
}

/// Returns the line of a mistake in the syntax, where the section that it belongs to is uncertain.
pub(super) fn of_syntax_error(file: &str, text: &str, span: Range<usize>) -> Excerpt {
    let before = text.get(..span.start).unwrap_or_default();
    let lines = || before.lines().map(str::trim_start);
    let section = lines().rfind(|line| line.starts_with('['));
    let is_auth = |line: &str| line.trim_start_matches(['[', ' ', '"']).starts_with(AUTH);
    // Without a section header, any line before may have begun a secret of several lines.
    let in_auth = section.map_or_else(|| lines().any(is_auth), is_auth);
    let line = text.get(before.rfind('\n').map_or(0, |at| at + 1)..).and_then(|rest| rest.lines().next());
    let may_be_secret = in_auth || line.is_some_and(has_secret_word);
    let found = excerpt(file, text, span, may_be_secret);
    // A line of a key in base64 has a `=`, too. It has digits or capitals, which names of settings have not.
    let is_name = |character: char| character.is_ascii_lowercase() || "_-. ".contains(character);
    match found.text.strip_suffix(HIDDEN) {
        Some(key) if !key.chars().all(is_name) => Excerpt { text: "…".to_owned(), marked: 0..1, ..found },
        _ => found,
    }
}

/// Returns true if the value of a key may be secret, whether or not the key exists.
fn may_be_secret(key: &str) -> bool {
    let name = key.rsplit('.').next().unwrap_or(key);
    let is_public = PUBLIC_IN_AUTH.contains(&name) || name.ends_with("_file");
    !is_public && (key.split('.').next() == Some(AUTH) || has_secret_word(name))
}

fn has_secret_word(text: &str) -> bool {
    let lower = text.to_lowercase();
    SECRET_WORDS.iter().any(|word| lower.contains(word))
}

fn excerpt(file: &str, text: &str, span: Range<usize>, may_be_secret: bool) -> Excerpt {
    let begin = text.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let line = text.get(begin..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    let number = text.get(..begin).map_or(0, |before| before.matches('\n').count()) + 1;
    let column = |at: usize| line.get(..at.saturating_sub(begin)).unwrap_or(line).chars().count();
    // An inline table may hold a secret beside the key.
    let is_hidden = may_be_secret || (line.contains('{') && has_secret_word(line));
    let shown = match line.split_once('=') {
        Some((key, _)) if is_hidden => format!("{key}{HIDDEN}"),
        None if is_hidden && !line.trim_start().starts_with('[') => "…".to_owned(),
        _ => line.trim_end().to_owned(),
    };
    let length = shown.chars().count();
    let marked = column(span.start).min(length)..column(span.end).min(length);
    Excerpt { file: file.to_owned(), line: number, text: shown, hint: None, marked }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# comment\n[server]\nlisen = \"here\"\n\n[auth]\nissuer = \"me\"\nsigning_secret = \"s3cr3t\"\n\
        signing_secret_file = \"key\"\n[auth.clients.\"a.b\"]\nsecret_hash = \"s3cr3t\"\nscopes = []\nother = \"s3cr3t\"\n\
        [models]\nfiles = [\"a\"]\npassword = \"s3cr3t\"\n";

    #[test]
    fn every_key_has_its_line_and_no_secret_is_shown() {
        let excerpts = Excerpts::of("my.toml", FILE);
        let line = |key: &str| {
            let found = excerpts.find("my.toml", key);
            found.map(|excerpt| format!("{}: {}", excerpt.line, excerpt.text)).unwrap_or_default()
        };
        for (key, expected) in [
            ("server.lisen", "3: lisen = \"here\""),
            ("server", "2: [server]"),
            ("auth.issuer", "6: issuer = \"me\""),
            ("auth.signing_secret", "7: signing_secret = …"),
            ("auth.signing_secret_base64", "8: signing_secret_file = \"key\""),
            ("auth.clients.a.b", "9: [auth.clients.\"a.b\"]"),
            ("auth.clients.a.b.secret_hash", "10: secret_hash = …"),
            ("auth.clients.a.b.scopes", "11: scopes = []"),
            ("auth.clients.a.b.other", "12: other = …"),
            ("models.files[0]", "14: files = [\"a\"]"),
            ("models.password", "15: password = …"),
            ("models.default", ""),
        ] {
            assert_eq!(line(key), expected, "{key}");
        }
        assert_eq!(excerpts.find("other.toml", "server.lisen"), None);
    }

    #[test]
    fn an_excerpt_marks_the_key_and_has_the_hint_below() {
        let excerpt = Excerpts::of("my.toml", FILE).find("my.toml", "server.lisen").unwrap();
        let excerpt = Excerpt { hint: Some("did you mean `listen`?".to_owned()), ..excerpt };
        let expected = "  --> my.toml:3\n   |\n 3 | lisen = \"here\"\n   | ^^^^^ did you mean `listen`?";
        assert_eq!(excerpt.to_string(), expected);
    }

    #[test]
    fn a_mistake_in_the_syntax_of_a_secret_is_shown_without_it() {
        let shown = |text: &str, at: &str| {
            let start = text.find(at).unwrap();
            of_syntax_error("my.toml", text, start..start + 1).text
        };
        assert_eq!(shown("[server]\nlisten = here", "here"), "listen = here");
        assert_eq!(shown("[auth]\nsigning = \"s3cr3t", "s3cr3t"), "signing = …");
        assert_eq!(shown("[auth.keys.a]\npem = \"\"\"\ns3cr3t\n", "s3cr3t"), "…");
        assert_eq!(shown("[auth.keys.a]\npem = \"\"\"\nS3cr3t==\n", "S3cr3t"), "…");
        assert_eq!(shown("auth.keys.a.pem = \"\"\"\ns3cr3t\n", "s3cr3t"), "…");
        assert_eq!(shown("api_secret = s3cr3t", "s3cr3t"), "api_secret = …");
    }
}
