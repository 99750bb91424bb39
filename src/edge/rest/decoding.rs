//! Decompression of request bodies (`Content-Encoding`, RFC 9110 section 8.4), part by part as they are read.
//!
//! A body is read to its end or refused. It is every member of a gzip body (RFC 1952 section 2.2), or one deflate
//! stream, with no bytes after them.

use std::{
    error::Error,
    io,
    task::{Context, Poll},
};

use async_compression::tokio::bufread::{GzipDecoder, ZlibDecoder};
use axum::{
    BoxError,
    body::{Body, Bytes, HttpBody},
    http::{HeaderMap, Request, header},
    response::Response,
};
use futures_util::{
    TryStreamExt,
    future::ready,
    stream::{BoxStream, once, try_unfold},
};
use http_body_util::{BodyDataStream, Limited};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt};
use tokio_util::{bytes::BytesMut, io::StreamReader};
use tower::{Layer, Service};

/// Bytes that are decompressed at a time.
const PART_BYTES: usize = 16 * 1024;

/// Maximum number of characters of a header that an error repeats.
const SHOWN_CHARACTERS: usize = 40;

/// A supported compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    /// The zlib format (RFC 1950), as RFC 9110 defines `deflate`.
    Deflate,
}

/// The error of a body that does not match its `Content-Encoding` from beginning to end.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the body is not {0} from beginning to end: it is truncated, altered, or followed by other bytes")]
pub(crate) struct NotDecoded(pub(crate) &'static str);

/// The error of an unsupported `Content-Encoding`, shortened to what an error repeats.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the Content-Encoding `{0}` is not supported")]
pub(crate) struct UnknownCoding(pub(crate) String);

/// The error of a body that announces more bytes than the limit.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the body is too large")]
pub(crate) struct TooLong;

/// Layer that decompresses request bodies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DecodingLayer {
    /// Maximum size of a decompressed body.
    pub(crate) max_bytes: usize,
}

impl<S> Layer<S> for DecodingLayer {
    type Service = Decoding<S>;

    fn layer(&self, inner: S) -> Decoding<S> {
        Decoding { inner, max_bytes: self.max_bytes }
    }
}

/// The service of [`DecodingLayer`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decoding<S> {
    inner: S,
    max_bytes: usize,
}

impl<S, B> Service<Request<B>> for Decoding<S>
where
    S: Service<Request<Body>, Response = Response>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut request = request.map(Body::new);
        // A request without a body needs no decompression, whatever its headers say.
        if !request.headers().contains_key(header::CONTENT_ENCODING) || request.body().is_end_stream() {
            return self.inner.call(request);
        }
        let coding = coding_of(request.headers());
        request.headers_mut().remove(header::CONTENT_ENCODING);
        match coding {
            Ok(None) => {}
            Ok(Some(coding)) => {
                request.headers_mut().remove(header::CONTENT_LENGTH);
                request = request.map(|body| decoded(body, coding, self.max_bytes));
            }
            Err(error) => request = request.map(|_| refused(error)),
        }
        self.inner.call(request)
    }
}

/// Returns the one coding that the headers name. Names are case-insensitive (RFC 9110 section 8.4.1).
fn coding_of(headers: &HeaderMap) -> Result<Option<Coding>, UnknownCoding> {
    let values: Vec<String> = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect();
    let named = values.join(", ");
    let mut codings =
        named.split(',').map(str::trim).filter(|name| !name.is_empty() && !is(name, "identity"));
    let coding = match (codings.next(), codings.next()) {
        (None, _) => return Ok(None),
        (Some(name), None) if is(name, "gzip") || is(name, "x-gzip") => Some(Coding::Gzip),
        (Some(name), None) if is(name, "deflate") => Some(Coding::Deflate),
        _ => None,
    };
    let shown = || named.chars().filter(|character| !character.is_control()).take(SHOWN_CHARACTERS).collect();
    coding.map(Some).ok_or_else(|| UnknownCoding(shown()))
}

fn is(name: &str, other: &str) -> bool {
    name.eq_ignore_ascii_case(other)
}

/// Limits a body to `max_bytes`. A body that announces more is not read at all.
pub(crate) fn limited<B>(body: B, max_bytes: usize) -> Body
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let hint = body.size_hint();
    let fits = |bytes: u64| usize::try_from(bytes).is_ok_and(|bytes| bytes <= max_bytes);
    if !fits(hint.lower()) {
        return refused(TooLong);
    }
    // No more bytes come than were announced, so a counter is not needed.
    if hint.exact().is_some_and(fits) { Body::new(body) } else { Body::new(Limited::new(body, max_bytes)) }
}

/// Returns a body that ends in this error, so that handlers see it only after authentication and the permission check.
fn refused(error: impl Error + Send + Sync + 'static) -> Body {
    Body::from_stream(once(ready(Err::<Bytes, _>(error))))
}

/// The compressed parts of a body as a reader.
type Source = StreamReader<BoxStream<'static, io::Result<Bytes>>, Bytes>;

/// An error of the body itself on its way through the decompressor.
#[derive(Debug, thiserror::Error)]
#[error("the body cannot be read")]
struct Unread(BoxError);

/// Decompresses a body part by part while it is read, with at most `max_bytes` in total.
fn decoded(body: Body, coding: Coding, max_bytes: usize) -> Body {
    let parts = BodyDataStream::new(body).map_err(|error| io::Error::other(Unread(error.into())));
    let source: Source = StreamReader::new(Box::pin(parts));
    let body = match coding {
        Coding::Gzip => {
            let mut decoder = GzipDecoder::new(source);
            decoder.multiple_members(true);
            read_by(decoder, GzipDecoder::get_mut, "gzip")
        }
        Coding::Deflate => read_by(ZlibDecoder::new(source), ZlibDecoder::get_mut, "deflate"),
    };
    Body::new(Limited::new(body, max_bytes))
}

fn read_by<D>(decoder: D, source: fn(&mut D) -> &mut Source, coding: &'static str) -> Body
where
    D: AsyncRead + Unpin + Send + 'static,
{
    let part = move |(mut decoder, begun): (D, bool)| async move {
        // An empty body is valid in every coding: some clients skip compression when there is no content.
        if !begun && source(&mut decoder).fill_buf().await?.is_empty() {
            return Ok(None);
        }
        let mut part = BytesMut::with_capacity(PART_BYTES);
        if decoder.read_buf(&mut part).await? > 0 {
            return Ok(Some((part.freeze(), (decoder, true))));
        }
        if source(&mut decoder).fill_buf().await?.is_empty() {
            Ok(None)
        } else {
            Err(io::Error::other("other bytes follow the end"))
        }
    };
    let parts = try_unfold((decoder, false), part);
    Body::from_stream(parts.map_err(move |error| cause(error, coding)))
}

/// Unwraps the body's own error, so that a slow or large body is not reported as badly compressed.
fn cause(error: io::Error, coding: &'static str) -> BoxError {
    match error.downcast::<Unread>() {
        Ok(Unread(error)) => error,
        Err(_) => Box::new(NotDecoded(coding)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use axum::http::HeaderValue;
    use flate2::{Compression, write::GzEncoder, write::ZlibEncoder};
    use futures_util::stream;
    use http_body_util::{BodyExt, LengthLimitError};

    use super::*;
    use crate::edge::cause_of;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Sends a body in parts of this length and returns it decompressed.
    async fn read(body: &[u8], coding: Coding, part: usize) -> Result<Bytes, axum::Error> {
        let parts: Vec<Result<Bytes, io::Error>> =
            body.chunks(part).map(|part| Ok(Bytes::copy_from_slice(part))).collect();
        let body = Body::from_stream(stream::iter(parts));
        decoded(body, coding, 100_000).collect().await.map(http_body_util::Collected::to_bytes)
    }

    #[tokio::test]
    async fn every_member_is_read_however_the_body_is_cut_into_parts() {
        let long = vec![b'x'; 50_000];
        let members = [gzip(b""), gzip(b"one, "), gzip(b""), gzip(&long), gzip(b", two"), gzip(b"")].concat();
        let expected = [b"one, ".as_slice(), &long, b", two"].concat();
        for part in [1, 7, 20, 100_000] {
            assert_eq!(read(&members, Coding::Gzip, part).await.unwrap(), expected, "{part}");
            assert_eq!(read(&zlib(&expected), Coding::Deflate, part).await.unwrap(), expected, "{part}");
            assert_eq!(read(b"", Coding::Gzip, part).await.unwrap(), "", "{part}");
        }
    }

    #[tokio::test]
    async fn whatever_is_cut_short_altered_or_followed_by_something_is_refused() {
        let (one, two) = (gzip(b"one"), gzip(b"two"));
        let mut altered = one.clone();
        let checksum = altered.len() - 6;
        altered[checksum] ^= 1;
        let flat = zlib(b"one");
        for (body, coding) in [
            (one[..one.len() - 1].to_vec(), Coding::Gzip),
            (one[..5].to_vec(), Coding::Gzip),
            (altered.clone(), Coding::Gzip),
            ([one.as_slice(), &two[..two.len() - 3]].concat(), Coding::Gzip),
            ([one.as_slice(), &altered].concat(), Coding::Gzip),
            ([one.as_slice(), b"two"].concat(), Coding::Gzip),
            ([one.as_slice(), &[0; 512]].concat(), Coding::Gzip),
            (b"plain".to_vec(), Coding::Gzip),
            (flat.clone(), Coding::Gzip),
            (flat[..flat.len() - 1].to_vec(), Coding::Deflate),
            ([flat.as_slice(), b"x"].concat(), Coding::Deflate),
            ([flat.as_slice(), &flat].concat(), Coding::Deflate),
            (one.clone(), Coding::Deflate),
        ] {
            for part in [1, 1000] {
                let error = read(&body, coding, part).await.unwrap_err();
                assert!(cause_of::<NotDecoded>(&error).is_some(), "{body:?}: {error:?}");
            }
        }
    }

    #[tokio::test]
    async fn the_limit_holds_over_all_members_together() {
        let members = gzip(&vec![b'x'; 40_000]).repeat(3);
        let error = read(&members, Coding::Gzip, 1000).await.unwrap_err();
        assert!(cause_of::<LengthLimitError>(&error).is_some(), "{error:?}");
        assert_eq!(read(&members[..members.len() / 3 * 2], Coding::Gzip, 1000).await.unwrap().len(), 80_000);
    }

    #[tokio::test]
    async fn an_error_of_the_body_itself_stays_one() {
        let body = Limited::new(Body::from(gzip(b"one")), 5);
        let error = decoded(Body::new(body), Coding::Gzip, 100).collect().await.unwrap_err();
        assert!(cause_of::<LengthLimitError>(&error).is_some(), "{error:?}");
    }

    #[test]
    fn names_are_read_in_any_case_and_one_coding_is_undone() {
        let coding = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CONTENT_ENCODING, HeaderValue::from_static(value));
            }
            coding_of(&headers).map_err(|error| error.to_string())
        };
        for (values, expected) in [
            (&["GZip"][..], Some(Coding::Gzip)),
            (&["x-GZIP"], Some(Coding::Gzip)),
            (&["identity, deflate"], Some(Coding::Deflate)),
            (&["identity", "gzip"], Some(Coding::Gzip)),
            (&["Identity"], None),
            (&[""], None),
        ] {
            assert_eq!(coding(values), Ok(expected), "{values:?}");
        }
        for values in [&["br"][..], &["gzip, gzip"], &["gzip", "deflate"], &["zstd"], &["gzip;q=1"]] {
            assert!(coding(values).unwrap_err().contains(values[0]), "{values:?}");
        }
    }
}
