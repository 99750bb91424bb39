//! The request head, as far as the fast path accepts it.

use axum::http::{HeaderName, HeaderValue, Method, Request, Version, header};

use crate::{
    model::ModelName,
    transport::{REQUEST_ID, is_sound_request_id},
};

/// The head of a request that qualifies for the fast path.
pub(super) struct Head<'r> {
    /// The model of the path; `None` for the default model.
    pub(super) model: Option<ModelName>,
    /// The index of its route.
    pub(super) route: usize,
    pub(super) token: Option<&'r str>,
    /// The caller's own request id.
    pub(super) id: Option<&'r HeaderValue>,
    pub(super) length: usize,
}

/// Headers that change the meaning of a request or of its body.
const UNUSUAL: [HeaderName; 5] =
    [header::TRANSFER_ENCODING, header::CONTENT_ENCODING, header::EXPECT, header::UPGRADE, header::TE];

impl<'r> Head<'r> {
    /// Reads the head; `None` if anything in it is unusual: a significant header that is repeated, or a value that is
    /// hard to read.
    pub(super) fn of<B>(request: &'r Request<B>) -> Option<Self> {
        let uri = request.uri();
        let is_usual = request.method() == Method::POST
            && request.version() == Version::HTTP_11
            && uri.query().is_none()
            && uri.authority().is_none();
        if !is_usual {
            return None;
        }
        let (model, route) = match uri.path() {
            "/predict" => (None, 0),
            path => {
                let name = path.strip_prefix("/models/")?.strip_suffix("/predict")?;
                (Some(name.parse::<ModelName>().ok()?), 1)
            }
        };
        let (mut host, mut kind, mut length, mut token, mut id) = (None, None, None, None, None);
        let set = |place: &mut Option<&'r HeaderValue>, value| place.replace(value).is_none();
        for (name, value) in request.headers() {
            let is_first = match *name {
                header::HOST => set(&mut host, value),
                header::CONTENT_TYPE => set(&mut kind, value),
                header::CONTENT_LENGTH => set(&mut length, value),
                header::AUTHORIZATION => set(&mut token, value),
                _ if *name == REQUEST_ID => is_sound_request_id(value) && set(&mut id, value),
                _ => !UNUSUAL.contains(name),
            };
            if !is_first {
                return None;
            }
        }
        host?;
        if kind?.as_bytes() != b"application/json" {
            return None;
        }
        let token = match token {
            Some(token) => {
                Some(token.to_str().ok()?.strip_prefix("Bearer ").filter(|token| !token.starts_with(' '))?)
            }
            None => None,
        };
        Some(Self { model, route, token, id, length: length?.to_str().ok()?.parse().ok()? })
    }
}
