//! Reasons why a store could not be read.

use std::{error::Error, io};

use object_store::path;

use super::transport::RefusedStatus;
use crate::outbound::SendError;

/// Most characters of a server's own words.
const MAX_DETAIL: usize = 200;

/// A reason why a store could not be read, or its objects not be kept. Nothing changes then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The settings or the credentials cannot be used.
    #[error("the store cannot be set up: {0}")]
    Settings(String),
    /// No connection, or a certificate that is not accepted.
    #[error("the store cannot be reached: {0}")]
    Unreachable(String),
    /// No response in time.
    #[error("the store is too slow: {0}")]
    Slow(String),
    /// The credentials are missing, wrong, or lack a permission.
    #[error("the store refuses access: check the credentials, and that they may list and read")]
    Denied,
    /// The bucket, the container or the object does not exist.
    #[error("the store has no such bucket, container, folder or object")]
    Missing,
    /// Another status, or a response that cannot be read.
    #[error("the store responds with an error: {0}")]
    Response(String),
    /// A name that no file can have.
    #[error("the store lists a name that no file can have: {0}")]
    OddName(String),
    /// More objects than allowed.
    #[error(
        "the store lists more than {0} objects (models.store.max_objects): give the models a prefix of their own"
    )]
    TooMany(usize),
    /// More bytes than allowed.
    #[error("the objects have {0} bytes in total, more than models.store.max_bytes ({1})")]
    TooLarge(u64, u64),
    /// No object, where there were some.
    #[error(
        "the store lists no objects any more; the models are kept: restore the objects, or unload the models"
    )]
    Emptied,
    /// An object changed while it was read. The next poll reads it again.
    #[error("the objects changed while they were read")]
    Changing,
    /// Another gateway writes the mirror, and has not made it like the store yet.
    #[error("another gateway, which writes the mirror, has not made it like the store yet")]
    Waiting,
    /// An object has another size than its listing says.
    #[error("`{0}` does not have the size that the store lists: upload it again")]
    Size(String),
    /// The mirror cannot be written.
    #[error("the mirror of the store cannot be written: {0}")]
    Mirror(String),
}

impl Failure {
    /// Returns true if the next poll is expected to find something else.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Changing | Self::Waiting)
    }

    /// Returns the word for metrics and logs.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Settings(_) => "settings",
            Self::Unreachable(_) => "unreachable",
            Self::Slow(_) => "slow",
            Self::Denied => "denied",
            Self::Missing => "missing",
            Self::Response(_) => "response",
            Self::OddName(_) => "odd_name",
            Self::TooMany(_) => "too_many",
            Self::TooLarge(..) => "too_large",
            Self::Emptied => "emptied",
            Self::Changing => "changing",
            Self::Waiting => "waiting",
            Self::Size(_) => "size",
            Self::Mirror(_) => "mirror",
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Mirror(error.kind().to_string())
    }
}

impl From<object_store::Error> for Failure {
    fn from(error: object_store::Error) -> Self {
        use object_store::Error as Store;
        if let Some(sent) = cause::<SendError>(&error) {
            return Self::of_transport(sent);
        }
        if let Some(odd) = cause::<path::Error>(&error) {
            return Self::OddName(short(&odd.to_string()));
        }
        match cause::<RefusedStatus>(&error) {
            Some(RefusedStatus(404)) => return Self::Missing,
            Some(_) => return Self::Denied,
            None => {}
        }
        match &error {
            Store::PermissionDenied { .. } | Store::Unauthenticated { .. } => Self::Denied,
            Store::NotFound { .. } => Self::Missing,
            Store::Precondition { .. } => Self::Changing,
            _ => Self::Response(last_words(&error)),
        }
    }
}

impl Failure {
    fn of_transport(error: &SendError) -> Self {
        let text = short(&error.to_string());
        match error {
            SendError::Connect(..) | SendError::Plain | SendError::Address => Self::Unreachable(text),
            SendError::ConnectTimeout(..) | SendError::ReadTimeout(_) => Self::Slow(text),
            SendError::Broken(_) | SendError::TooLarge(_) => Self::Response(text),
        }
    }
}

/// Finds the error of a type among the causes of another.
fn cause<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    std::iter::successors(Some(error), |error| (*error).source()).find_map(|error| error.downcast_ref())
}

/// Returns the text of the innermost cause, which has no URL.
fn last_words(error: &(dyn Error + 'static)) -> String {
    let last = std::iter::successors(Some(error), |error| (*error).source()).last();
    short(&last.map(ToString::to_string).unwrap_or_default())
}

/// Shortens a text of a server, and escapes it for logs and terminals.
fn short(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let escaped: String = words.chars().take(MAX_DETAIL).collect();
    escaped.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use object_store::client::{HttpError, HttpErrorKind};

    use super::*;

    #[test]
    fn every_error_has_one_reason() {
        let generic =
            |source: Box<dyn Error + Send + Sync>| object_store::Error::Generic { store: "S3", source };
        let slow = SendError::ReadTimeout(Duration::from_secs(1));
        let sent = HttpError::new(HttpErrorKind::Timeout, slow);
        let odd = object_store::path::Path::parse("a//b").unwrap_err();
        let path = "x".to_owned();
        let of = |text: &str| -> Box<dyn Error + Send + Sync> { text.to_owned().into() };
        for (error, expected) in [
            (generic(Box::new(sent)), "slow"),
            (object_store::Error::from(odd), "odd_name"),
            (object_store::Error::PermissionDenied { path: path.clone(), source: of("403") }, "denied"),
            (object_store::Error::NotFound { path: path.clone(), source: of("404") }, "missing"),
            (object_store::Error::Precondition { path, source: of("412") }, "changing"),
            (generic(Box::new(HttpError::new(HttpErrorKind::Unknown, RefusedStatus(403)))), "denied"),
            (generic(Box::new(HttpError::new(HttpErrorKind::Unknown, RefusedStatus(404)))), "missing"),
            (generic(of("<Error>\n  500</Error>")), "response"),
        ] {
            assert_eq!(Failure::from(error).label(), expected);
        }
        let shown = Failure::from(generic(of(&"long\n".repeat(1000)))).to_string();
        assert!(shown.len() < 300 && !shown.contains('\n'), "{shown}");
    }
}
