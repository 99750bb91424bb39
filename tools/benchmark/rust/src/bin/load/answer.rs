//! Where an answer ends, and whether it is a good one.

use std::io;

const MOST_HEADERS: usize = 64;
const OK: u16 = 200;

/// An answer that is there as a whole.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub ok: bool,
    /// Head and body together.
    pub bytes: usize,
}

/// The answer at the start of these bytes, once all of it is there.
///
/// Only bodies that come with their length are understood.
pub fn parse(received: &[u8]) -> io::Result<Option<Answer>> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head_bytes) = head.parse(received).map_err(io::Error::other)? else {
        return Ok(None);
    };
    let ok = head.code == Some(OK);
    let length = head
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| std::str::from_utf8(header.value).ok()?.parse::<usize>().ok())
        .ok_or_else(|| io::Error::other("an answer without a length"))?;
    let bytes = head_bytes + length;
    Ok((received.len() >= bytes).then_some(Answer { ok, bytes }))
}

#[cfg(test)]
mod tests {
    use super::{Answer, parse};

    #[test]
    fn an_answer_ends_where_its_body_does() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(parse(whole).unwrap(), Some(Answer { ok: true, bytes: whole.len() }));
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]).unwrap(), None);
        }
    }

    #[test]
    fn another_status_is_not_ok() {
        let refused = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(parse(refused).unwrap(), Some(Answer { ok: false, bytes: refused.len() }));
    }

    #[test]
    fn an_answer_without_a_length_is_an_error() {
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
