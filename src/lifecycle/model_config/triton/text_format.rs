//! Protobuf's text format, without a schema: fields by name, in their order
//! (<https://protobuf.dev/reference/protobuf/textformat-spec/>).

/// Deepest nesting of messages.
const MAX_DEPTH: usize = 32;

/// The fields of a message. A repeated field is there several times.
pub(super) type Fields = Vec<(String, Value)>;

/// A value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A number or a name, as written.
    Word(String),
    /// A text.
    Text(String),
    Message(Fields),
}

impl Value {
    /// Returns a number or a name; `None` for anything else.
    pub(super) fn word(&self) -> Option<&str> {
        if let Self::Word(word) = self { Some(word) } else { None }
    }

    /// Returns a text; `None` for anything else.
    pub(super) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// Returns the fields of a message; `None` for anything else.
    pub(super) fn message(&self) -> Option<&Fields> {
        if let Self::Message(fields) = self { Some(fields) } else { None }
    }
}

/// Reads the fields of a document.
///
/// # Errors
///
/// A sentence with the line, if it is malformed.
pub(super) fn read(document: &str) -> Result<Fields, String> {
    // Some editors begin a file with a mark.
    let document = document.strip_prefix('\u{feff}').unwrap_or(document);
    let mut reader = Reader { document, at: 0 };
    let fields = reader.fields(None, 0)?;
    Ok(fields)
}

struct Reader<'d> {
    document: &'d str,
    /// The position of the next byte.
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.document[self.at..]
    }

    fn wrong(&self, expected: &str) -> String {
        let line = self.document[..self.at].matches('\n').count() + 1;
        let found = self.rest().chars().next();
        let found = found.map_or_else(|| "the end".to_owned(), |letter| format!("{letter:?}"));
        format!("line {line}: expected {expected}, found {found}")
    }

    /// Skips white space and comments.
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start().len();
            let comment = rest[blank..].starts_with('#');
            self.at += blank;
            if !comment {
                return;
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    /// Returns true if a sign is next, which is then taken.
    fn takes(&mut self, sign: char) -> bool {
        self.skip();
        let is_next = self.rest().starts_with(sign);
        if is_next {
            self.at += sign.len_utf8();
        }
        is_next
    }

    /// Reads fields up to the sign that ends them, or up to the end of the document.
    fn fields(&mut self, end: Option<char>, depth: usize) -> Result<Fields, String> {
        if depth > MAX_DEPTH {
            return Err(self.wrong(&format!("at most {MAX_DEPTH} messages in each other")));
        }
        let mut fields = Fields::new();
        loop {
            self.skip();
            match end {
                Some(end) if self.takes(end) => return Ok(fields),
                None if self.rest().is_empty() => return Ok(fields),
                _ => {}
            }
            let name = self.word("the name of a field")?;
            let has_colon = self.takes(':');
            if self.takes('[') {
                self.list(&name, &mut fields, depth)?;
            } else {
                let value = self.value(has_colon, depth)?;
                fields.push((name, value));
            }
            let _ = self.takes(',') || self.takes(';');
        }
    }

    /// Reads the values of a list, each as one of the field.
    fn list(&mut self, name: &str, fields: &mut Fields, depth: usize) -> Result<(), String> {
        if self.takes(']') {
            return Ok(());
        }
        loop {
            let value = self.value(true, depth)?;
            fields.push((name.to_owned(), value));
            if self.takes(']') {
                return Ok(());
            }
            if !self.takes(',') {
                return Err(self.wrong("`,` or `]`"));
            }
        }
    }

    fn value(&mut self, has_colon: bool, depth: usize) -> Result<Value, String> {
        for (begin, end) in [('{', '}'), ('<', '>')] {
            if self.takes(begin) {
                return Ok(Value::Message(self.fields(Some(end), depth + 1)?));
            }
        }
        if !has_colon {
            return Err(self.wrong("`:` or `{`"));
        }
        if self.rest().starts_with(['"', '\'']) {
            return Ok(Value::Text(self.text()?));
        }
        self.word("a value").map(Value::Word)
    }

    fn word(&mut self, expected: &str) -> Result<String, String> {
        self.skip();
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || "_-+.".contains(letter);
        let length = self.rest().find(|letter| !is_part(letter)).unwrap_or(self.rest().len());
        if length == 0 {
            return Err(self.wrong(expected));
        }
        let word = self.rest()[..length].to_owned();
        self.at += length;
        Ok(word)
    }

    /// Reads texts that follow each other, which are one.
    fn text(&mut self) -> Result<String, String> {
        let mut text = String::new();
        loop {
            self.skip();
            let Some(quote) = self.rest().chars().next().filter(|letter| matches!(letter, '"' | '\'')) else {
                return Ok(text);
            };
            self.at += 1;
            loop {
                let mut letters = self.rest().chars();
                match letters.next() {
                    Some(letter) if letter == quote => {
                        self.at += 1;
                        break;
                    }
                    Some('\\') => {
                        let (letter, length) = escaped(letters.as_str())
                            .ok_or_else(|| self.wrong("an escape such as \\n, \\\" or \\x41"))?;
                        text.push(letter);
                        self.at += 1 + length;
                    }
                    Some('\n') | None => return Err(self.wrong("the end of the text")),
                    Some(letter) => {
                        text.push(letter);
                        self.at += letter.len_utf8();
                    }
                }
            }
        }
    }
}

/// Reads what follows a backslash: a letter, and its length as written. `None` for bytes beyond ASCII.
fn escaped(text: &str) -> Option<(char, usize)> {
    let first = text.chars().next()?;
    let is_of = |radix| move |letter: &char| letter.is_digit(radix);
    let letter =
        |digits: &str, radix| u8::from_str_radix(digits, radix).ok().filter(u8::is_ascii).map(char::from);
    Some(match first {
        'n' => ('\n', 1),
        't' => ('\t', 1),
        'r' => ('\r', 1),
        'a' => ('\x07', 1),
        'b' => ('\x08', 1),
        'f' => ('\x0c', 1),
        'v' => ('\x0b', 1),
        '\\' | '"' | '\'' | '?' => (first, 1),
        'x' | 'X' => {
            let length = text.chars().skip(1).take(2).take_while(is_of(16)).count();
            (letter(&text[1..=length], 16)?, 1 + length)
        }
        '0'..='7' => {
            let length = text.chars().take(3).take_while(is_of(8)).count();
            (letter(&text[..length], 8)?, length)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::proptest;

    use super::*;

    fn word(text: &str) -> Value {
        Value::Word(text.to_owned())
    }

    #[test]
    fn reads_messages_lists_texts_and_comments() {
        let document = "# a model\nname: \"iris\" ' forest'  max_batch_size: 8;\nversion_policy { specific { versions: [1, 2] } },\n\
                        instance_group [ { count: 2 kind: KIND_CPU }, <count: -1> ]\nempty: []\nescaped: \"a\\n\\\"b\\x41\\101\"";
        let fields = read(document).unwrap();
        let message = |fields: &[(&str, Value)]| {
            Value::Message(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
        };
        let expected = [
            ("name", Value::Text("iris forest".to_owned())),
            ("max_batch_size", word("8")),
            (
                "version_policy",
                message(&[("specific", message(&[("versions", word("1")), ("versions", word("2"))]))]),
            ),
            ("instance_group", message(&[("count", word("2")), ("kind", word("KIND_CPU"))])),
            ("instance_group", message(&[("count", word("-1"))])),
            ("escaped", Value::Text("a\n\"bAA".to_owned())),
        ];
        assert_eq!(Value::Message(fields), message(&expected));
        assert_eq!(read("  # nothing").unwrap(), []);
    }

    #[test]
    fn says_where_it_is_malformed() {
        for (document, part) in [
            ("name \"iris\"", "line 1: expected `:` or `{`, found '\"'"),
            ("a: 1\nname: \"iris", "line 2: expected the end of the text, found the end"),
            ("a {\n b: 1", "line 2: expected the name of a field, found the end"),
            ("a: [1 2]", "line 1: expected `,` or `]`, found '2'"),
            ("a: }", "line 1: expected a value, found '}'"),
            ("a: \"\\x\"", "an escape"),
            (&"a {".repeat(100), "at most 32 messages"),
        ] {
            let error = read(document).unwrap_err();
            assert!(error.contains(part), "{document}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_document_is_read_or_refused(document: String) {
            let _ = read(&document);
        }
    }
}
