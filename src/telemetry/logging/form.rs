//! The three forms of a line, with the bytes that `tracing-subscriber` would write.

use std::{io::Write, net::IpAddr};

use super::level::{AccessLevel, access_target};

/// The form of all lines of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Text,
    /// Text for a terminal.
    Coloured,
}

impl Form {
    /// Returns the text before the timestamp of a line.
    pub(super) fn before_time(self) -> &'static str {
        match self {
            Self::Json => "{\"timestamp\":\"",
            Self::Text => "",
            Self::Coloured => "\x1b[2m",
        }
    }

    /// Returns the text between the timestamp and the first field.
    pub(super) fn after_time(self, level: AccessLevel) -> &'static str {
        macro_rules! text {
            ($level:literal) => {
                concat!(" ", $level, " ", access_target!(), ": answered")
            };
        }
        macro_rules! coloured {
            ($level:literal, $colour:literal) => {
                concat!(
                    "\x1b[0m \x1b[",
                    $colour,
                    "m",
                    $level,
                    "\x1b[0m \x1b[2m",
                    access_target!(),
                    "\x1b[0m\x1b[2m:\x1b[0m answered"
                )
            };
        }
        match (self, level) {
            (Self::Json, AccessLevel::Info) => "\",\"level\":\"INFO\",\"message\":\"answered\"",
            (Self::Json, AccessLevel::Debug) => "\",\"level\":\"DEBUG\",\"message\":\"answered\"",
            (Self::Text, AccessLevel::Info) => text!(" INFO"),
            (Self::Text, AccessLevel::Debug) => text!("DEBUG"),
            (Self::Coloured, AccessLevel::Info) => coloured!(" INFO", "32"),
            (Self::Coloured, AccessLevel::Debug) => coloured!("DEBUG", "34"),
        }
    }

    /// Returns the text between the last field and the spans of a line.
    pub(super) fn after_fields(self) -> &'static str {
        match self {
            Self::Json => concat!(",\"target\":\"", access_target!(), "\""),
            Self::Text | Self::Coloured => "",
        }
    }

    /// Returns the end of a line.
    pub(super) fn end(self) -> &'static str {
        match self {
            Self::Json => "}\n",
            Self::Text | Self::Coloured => "\n",
        }
    }
}

/// The name of a field, with the signs around it in each form.
#[derive(Debug)]
pub(super) struct FieldName {
    pub(super) json: &'static str,
    pub(super) text: &'static str,
    pub(super) coloured: &'static str,
}

/// Makes the name of a field.
macro_rules! field_name {
    ($name:literal) => {
        FieldName {
            json: concat!(",\"", $name, "\":"),
            text: concat!(" ", $name, "="),
            coloured: concat!(" \x1b[3m", $name, "\x1b[0m\x1b[2m=\x1b[0m"),
        }
    };
}
pub(super) use field_name;

/// A writer of fields. Writing to memory does not fail.
#[derive(Debug)]
pub(super) struct Fields<'l> {
    pub(super) form: Form,
    pub(super) out: &'l mut Vec<u8>,
}

impl Fields<'_> {
    /// Appends a text in quotes, if there is one. Quotes and control characters in it are escaped, so no text can pretend
    /// to be another field or line.
    pub(super) fn text(&mut self, name: &FieldName, value: Option<&str>) {
        let Some(value) = value else { return };
        self.name(name);
        if is_plain(value) {
            self.out.push(b'"');
            self.out.extend_from_slice(value.as_bytes());
            self.out.push(b'"');
        } else if self.form == Form::Json {
            let _ = serde_json::to_writer(&mut *self.out, value);
        } else {
            let _ = write!(self.out, "{value:?}");
        }
    }

    /// Appends a number.
    pub(super) fn number(&mut self, name: &FieldName, value: impl itoa::Integer) {
        self.name(name);
        self.digits(value);
    }

    /// Appends an address, if there is one. It has quotes in JSON only.
    pub(super) fn address(&mut self, name: &FieldName, value: Option<IpAddr>) {
        let Some(value) = value else { return };
        self.name(name);
        let quote: &[u8] = if self.form == Form::Json { b"\"" } else { b"" };
        self.out.extend_from_slice(quote);
        match value {
            IpAddr::V4(address) => {
                for (place, part) in address.octets().into_iter().enumerate() {
                    if place > 0 {
                        self.out.push(b'.');
                    }
                    self.digits(part);
                }
            }
            IpAddr::V6(address) => {
                let _ = write!(self.out, "{address}");
            }
        }
        self.out.extend_from_slice(quote);
    }

    fn name(&mut self, name: &FieldName) {
        let text = match self.form {
            Form::Json => name.json,
            Form::Text => name.text,
            Form::Coloured => name.coloured,
        };
        self.out.extend_from_slice(text.as_bytes());
    }

    fn digits(&mut self, value: impl itoa::Integer) {
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }
}

/// Returns true if a text stands in quotes as it is, in every form: printable ASCII without quotes and backslashes.
fn is_plain(text: &str) -> bool {
    // Looks at every byte: without an early end, the compiler compares many at once.
    let is_plain = |byte: u8| matches!(byte, b' '..=b'!' | b'#'..=b'[' | b']'..=b'~');
    text.bytes().fold(true, |all, byte| all & is_plain(byte))
}
