//! The head of a request, as far as it has to be usual.

use axum::http::{HeaderName, HeaderValue, Method, Request, Version, header};

use crate::{
    model::ModelName,
    transport::{REQUEST_ID, is_sound_request_id},
};

/// What the head of a usual request says.
pub(super) struct Head<'r> {
    /// The model of the path; nothing for the default one.
    pub(super) model: Option<ModelName>,
    /// The number of its route.
    pub(super) route: usize,
    pub(super) token: Option<&'r str>,
    /// The caller's own id for it.
    pub(super) id: Option<&'r HeaderValue>,
    pub(super) length: usize,
}

/// Headers that make a request another one than it seems, or its body.
const UNUSUAL: [HeaderName; 5] =
    [header::TRANSFER_ENCODING, header::CONTENT_ENCODING, header::EXPECT, header::UPGRADE, header::TE];

impl<'r> Head<'r> {
    /// What it says; nothing if anything about it is unusual: what is there twice, where that means something, or cannot
    /// be read at first sight.
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
