//! Tokenizer for JSON whose numbers must keep every digit. It reads only text that was already validated as JSON.

use std::borrow::Cow;

use super::Cell;

/// A part of a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'t> {
    /// Begin of a list.
    Begin,
    /// End of the innermost list.
    End,
    /// A number, as it is written.
    Number(&'t str),
    /// A string, as it is written: with its quotes.
    Text(&'t str),
    /// True or false.
    Truth(bool),
    /// Null.
    Null,
    /// A whole object, as it is written.
    Object(&'t str),
}

impl Token<'_> {
    /// Converts it to a value of a row.
    pub(crate) fn cell(self) -> Cell {
        match self {
            Self::Begin | Self::End => Cell::Misplaced("a list"),
            Self::Object(_) => Cell::Misplaced("an object"),
            Self::Number(text) => number(text),
            Self::Text(text) => unquoted(text).map_or(NOT_UNICODE, |text| Cell::Text(text.into_owned())),
            Self::Truth(truth) => Cell::Bool(truth),
            Self::Null => Cell::Null,
        }
    }
}

/// A string that holds half of a surrogate pair.
const NOT_UNICODE: Cell = Cell::Misplaced("a text that is not Unicode");

/// Returns the contents of a quoted string; `None` if it is not Unicode.
pub(crate) fn unquoted(text: &str) -> Option<Cow<'_, str>> {
    if text.contains('\\') {
        return serde_json::from_str(text).ok().map(Cow::Owned);
    }
    text.get(1..text.len().checked_sub(1)?).map(Cow::Borrowed)
}

/// Parses a number: with every digit if it is whole, however it is written, or else as the nearest float.
pub(crate) fn number(text: &str) -> Cell {
    whole(text).map_or_else(|| Cell::Float(text.parse().unwrap_or(f64::NAN)), Cell::Integer)
}

/// Parses a decimal that is a whole number: `5`, `5.0`, `50e-1`. `None` if it has a fraction, does not fit, or is a
/// negative zero, which only a float can represent.
fn whole(text: &str) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (is_negative, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (integer, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let (mut value, mut zeros) = (0_i128, 0_u32);
    for digit in integer.bytes().chain(fraction.bytes()) {
        match digit {
            b'0' => zeros = zeros.checked_add(1)?,
            b'1'..=b'9' => {
                let power = if value == 0 { 1 } else { 10_i128.checked_pow(zeros.checked_add(1)?)? };
                value = value.checked_mul(power)?.checked_add(i128::from(digit - b'0'))?;
                zeros = 0;
            }
            _ => return None,
        }
    }
    if value == 0 {
        return (!is_negative && zeros > 0).then_some(0);
    }
    let shift = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(zeros.into())?;
    let value = value.checked_mul(10_i128.checked_pow(u32::try_from(shift).ok()?)?)?;
    Some(if is_negative { -value } else { value })
}

/// The tokens of a JSON value.
#[derive(Clone, Debug)]
pub(crate) struct Tokens<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Tokens<'t> {
    /// Creates the tokens of this text, which must be valid JSON.
    pub(crate) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    fn bytes(&self) -> &'t [u8] {
        self.text.as_bytes()
    }

    /// Returns the text from `begin` to the position of the reader.
    fn since(&self, begin: usize) -> &'t str {
        self.text.get(begin..self.at).unwrap_or_default()
    }

    /// Moves past the string that begins here.
    fn skip_text(&mut self) {
        self.at += 1;
        while let Some(byte) = self.bytes().get(self.at) {
            match byte {
                b'\\' => self.at += 2,
                b'"' => break,
                _ => self.at += 1,
            }
        }
        self.at = self.text.len().min(self.at + 1);
    }

    /// Moves past the object that begins here.
    fn skip_object(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.bytes().get(self.at) {
            match byte {
                b'"' => {
                    self.skip_text();
                    continue;
                }
                b'{' => depth += 1,
                b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }

    /// Moves past the number or word that begins here.
    fn skip_plain(&mut self) {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        let rest = self.bytes().get(self.at..).unwrap_or_default();
        // An invalid byte is passed too, so that the loop always ends.
        self.at += rest.iter().take_while(|byte| is_plain(byte)).count().max(1);
    }
}

impl<'t> Iterator for Tokens<'t> {
    type Item = Token<'t>;

    fn next(&mut self) -> Option<Token<'t>> {
        loop {
            let begin = self.at;
            match self.bytes().get(begin)? {
                b' ' | b'\n' | b'\r' | b'\t' | b',' => self.at += 1,
                b'[' => {
                    self.at += 1;
                    return Some(Token::Begin);
                }
                b']' => {
                    self.at += 1;
                    return Some(Token::End);
                }
                b'"' => {
                    self.skip_text();
                    return Some(Token::Text(self.since(begin)));
                }
                b'{' => {
                    self.skip_object();
                    return Some(Token::Object(self.since(begin)));
                }
                _ => {
                    self.skip_plain();
                    return Some(match self.since(begin) {
                        "true" => Token::Truth(true),
                        "false" => Token::Truth(false),
                        "null" => Token::Null,
                        number => Token::Number(number),
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_keeps_every_digit_however_it_is_written() {
        for (text, expected) in [
            ("5", Some(5)),
            ("5.0", Some(5)),
            ("5e0", Some(5)),
            ("-50.00e-1", Some(-5)),
            ("1E+2", Some(100)),
            ("0.0", Some(0)),
            ("0e-400", Some(0)),
            ("9007199254740993.0", Some(9_007_199_254_740_993)),
            ("9.007199254740993e15", Some(9_007_199_254_740_993)),
            ("18446744073709551616", Some(1 << 64)),
            ("1e38", Some(10_i128.pow(38))),
            ("1000000000000000000000000000000000000000000e-42", Some(1)),
            ("5.5", None),
            ("5.0000000000000000001", None),
            ("1e-400", None),
            ("1e39", None),
            ("1e9999999999999999999", None),
            ("-0", None),
            ("-0.0", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(whole(text), expected, "{text}");
        }
        assert_eq!(number("-0.0"), Cell::Float(-0.0));
        assert_eq!(number("1e400"), Cell::Float(f64::INFINITY));
    }

    #[test]
    fn json_is_read_token_by_token() {
        use Token::{Begin, End, Null, Number, Object, Text, Truth};
        let text = r#" [ 1.50, [-2e3], "a\"],b", true,false , null,{"a":{"b":"}"}} ,[]] "#;
        let expected = [
            Begin,
            Number("1.50"),
            Begin,
            Number("-2e3"),
            End,
            Text(r#""a\"],b""#),
            Truth(true),
            Truth(false),
            Null,
            Object(r#"{"a":{"b":"}"}}"#),
            Begin,
            End,
            End,
        ];
        assert_eq!(Tokens::new(text).collect::<Vec<_>>(), expected);
        assert_eq!(Text(r#""\u00e4\n""#).cell(), Cell::Text("ä\n".to_owned()));
        assert_eq!(Text(r#""\ud800""#).cell(), NOT_UNICODE);
        for broken in ["{", "\"", "\"\\", "[1,", "}", "?"] {
            assert!(Tokens::new(broken).count() <= 2, "{broken}");
        }
    }
}
