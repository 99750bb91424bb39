//! Places in a request.

use std::fmt;

/// A place in a request. As a text it is a JSON pointer (RFC 6901), which is written only for an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The whole request.
    Request,
    /// One of its inputs.
    Input(usize),
    /// One of the outputs that it asks for.
    Output(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request => Ok(()),
            Self::Input(index) => write!(formatter, "/inputs/{index}"),
            Self::Output(index) => write!(formatter, "/outputs/{index}"),
        }
    }
}
