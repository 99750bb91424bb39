//! The language of doc comments: the first five rules of CONTRIBUTING.md.

use std::path::Path;

use crate::{architecture::source_files, support::table};

/// First words that announce a riddle instead of naming a thing or an action.
const FIRST_WORDS: &[&str] = &[
    "What", "Whether", "Who", "Whom", "Whose", "How", "Its", "It", "Of", "Those", "Nothing", "Nobody",
    "Where", "When", "Which", "Why", "So many", "As many", "The same",
];

/// Words that stand for a number or a name, or for a plainer word.
const WORDS: &[(&str, &str)] = &[
    ("so many", "say the number, or its name"),
    ("whoever", "name the caller or the client"),
    ("nobody", "name the caller or the client"),
    ("those who", "name the callers or the clients"),
    ("nothing if", "say \"`None` if\""),
    ("anew", "say \"again\""),
    ("under way", "say \"in progress\""),
    ("taken back", "say \"rolled back\""),
    ("short way", "say \"fast path\""),
    ("long way", "say \"slow path\""),
];

/// A block of doc lines.
#[derive(Debug)]
struct Block {
    place: String,
    lines: Vec<String>,
    /// The code that follows, up to its body.
    item: String,
}

fn blocks(path: &Path, text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let Some(mark) = ["///", "//!"].into_iter().find(|mark| line.trim_start().starts_with(mark)) else {
            continue;
        };
        let words = |line: &str| line.trim_start().trim_start_matches(mark).trim().to_owned();
        let mut block = Block {
            place: format!("{}:{}", path.display(), number + 1),
            lines: vec![words(line)],
            item: String::new(),
        };
        while let Some((_, line)) = lines.next_if(|(_, line)| line.trim_start().starts_with(mark)) {
            block.lines.push(words(line));
        }
        let rest = text.lines().skip(number + block.lines.len());
        for line in rest.skip_while(|line| line.trim_start().starts_with("#[")) {
            block.item.push_str(line.trim());
            block.item.push(' ');
            let is_open = block.item.matches('(').count() > block.item.matches(')').count();
            if !is_open && line.trim_end().ends_with(['{', ';', ',', '}']) {
                break;
            }
        }
        found.push(block);
    }
    found
}

/// Returns true if the text holds the words, not as parts of longer ones.
fn holds(text: &str, words: &str) -> bool {
    let is_letter = |character: Option<char>| character.is_some_and(char::is_alphabetic);
    text.match_indices(words).any(|(at, _)| {
        !is_letter(text[..at].chars().next_back()) && !is_letter(text[at + words.len()..].chars().next())
    })
}

fn is_function_with_truth(item: &str) -> bool {
    let is_function = item.split('(').next().is_some_and(|head| holds(head, "fn"));
    is_function && item.trim_end().trim_end_matches('{').trim_end().ends_with("-> bool")
}

#[test]
fn doc_lines_are_plain() {
    let files = source_files();
    table::each(
        files.iter().flat_map(|file| blocks(&file.path, &file.text)),
        |Block { place, lines, item }| {
            let first = &lines[0];
            let riddle = FIRST_WORDS.iter().find(|word| {
                first.strip_prefix(**word).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
            });
            assert!(riddle.is_none(), "{place}: begins with `{}`: {first}", riddle.unwrap());
            let text = lines.join(" ");
            let lower = text.to_lowercase();
            for (words, instead) in WORDS {
                assert!(!holds(&lower, words), "{place}: `{words}`: {instead}: {text}");
            }
            let negated = lower.match_indices(" is no ").any(|(at, words)| {
                let rest = &lower[at + words.len()..];
                let compares = ["longer", "more", "less"].iter().any(|word| rest.starts_with(word));
                !compares && !lower[..at].ends_with("there")
            });
            assert!(!negated, "{place}: say \"is not\": {text}");
            let says_truth = ["Returns true", "Returns false"].iter().any(|words| text.contains(words));
            assert!(
                !is_function_with_truth(&item) || says_truth,
                "{place}: say what true means (\"Returns true if\"): {text}"
            );
        },
    );
}

#[test]
fn the_rules_find_what_breaks_them() {
    let of = |text: &str| blocks(Path::new("a.rs"), text).pop().unwrap();
    let block = of("/// Looks.\n#[must_use]\npub fn is_so(\n    &self,\n) -> bool {\n");
    assert!(is_function_with_truth(&block.item), "{block:?}");
    assert!(!is_function_with_truth(&of("/// A function.\nf: impl Fn() -> bool,\n").item));
    assert!(holds("made anew, twice", "anew") && !holds("a new renewal", "anew"));
}
