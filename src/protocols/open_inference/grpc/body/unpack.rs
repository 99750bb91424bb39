//! Compressed messages ("gRPC over HTTP2", Compression), decompressed in parts while each part is charged.

use std::{collections::VecDeque, io::Cursor};

use async_compression::tokio::bufread::{GzipDecoder, ZlibDecoder, ZstdDecoder};
use axum::body::{Body, Bytes};
use futures_util::stream::try_unfold;
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    task::yield_now,
};
use tokio_util::bytes::{Buf, BufMut, BytesMut};
use tonic::{Status, codegen::http::HeaderValue};

use super::{PREFIX_BYTES, cost::MessageCost};
use crate::{
    edge::{ApiError, grpc::status::status_of},
    system::byte_budget::{ByteCharge, OverBudget, count},
};

/// Bytes that are decompressed at a time.
const PART_BYTES: usize = 64 * 1024;

/// A compression of messages.
#[derive(Clone, Copy, Debug)]
pub(super) enum Packing {
    Gzip,
    Deflate,
    Zstd,
}

impl Packing {
    /// Returns the compression in `grpc-encoding`; `None` for others, which the library refuses.
    pub(super) fn of(name: &HeaderValue) -> Option<Self> {
        match name.as_bytes() {
            b"gzip" => Some(Self::Gzip),
            b"deflate" => Some(Self::Deflate),
            b"zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
        }
    }

    fn decoder(self, packed: Bytes) -> Box<dyn AsyncRead + Send + Unpin> {
        let packed = Cursor::new(packed);
        match self {
            Self::Gzip => {
                let mut decoder = GzipDecoder::new(packed);
                decoder.multiple_members(true);
                Box::new(decoder)
            }
            Self::Deflate => Box::new(ZlibDecoder::new(packed)),
            Self::Zstd => Box::new(ZstdDecoder::new(packed)),
        }
    }
}

/// Returns a body with each of its messages decompressed.
pub(super) fn unpacked(body: Body, packing: Packing, max_bytes: u64, charge: ByteCharge) -> Body {
    let messages = Messages {
        body,
        packing,
        max_bytes,
        charge,
        cost: MessageCost::default(),
        received: BytesMut::new(),
        passing: 0,
        ready: VecDeque::new(),
    };
    let parts = try_unfold(messages, |mut messages| async move {
        messages.next().await.map(|part| part.map(|part| (part, messages)))
    });
    Body::from_stream(parts)
}

struct Messages {
    body: Body,
    packing: Packing,
    max_bytes: u64,
    charge: ByteCharge,
    cost: MessageCost,
    received: BytesMut,
    /// The remaining bytes of a message that is not compressed.
    passing: u64,
    /// Decompressed parts.
    ready: VecDeque<Bytes>,
}

impl Messages {
    async fn next(&mut self) -> Result<Option<Bytes>, axum::BoxError> {
        loop {
            if let Some(part) = self.ready.pop_front() {
                return Ok(Some(part));
            }
            if self.passing > 0 && !self.received.is_empty() {
                let length = usize::try_from(self.passing).unwrap_or(usize::MAX).min(self.received.len());
                self.passing -= count(length);
                let part = self.received.split_to(length).freeze();
                let decoded = self.cost.of(&part);
                self.charge.grow(decoded).await.map_err(over_budget)?;
                return Ok(Some(part));
            }
            if self.passing == 0 && self.received.len() >= PREFIX_BYTES && self.begin().await? {
                continue;
            }
            match self.body.frame().await.transpose()?.map(http_body::Frame::into_data) {
                Some(Ok(data)) => self.received.put(data),
                Some(Err(_)) => {}
                // The decoder refuses a truncated message.
                None if self.received.is_empty() => return Ok(None),
                None => return Ok(Some(self.received.split().freeze())),
            }
        }
    }

    /// Begins a message whose prefix has arrived. Returns true if enough of it has.
    async fn begin(&mut self) -> Result<bool, axum::BoxError> {
        let mut prefix = self.received.get(..PREFIX_BYTES).unwrap_or_default();
        let is_packed = prefix.get_u8() == 1;
        let length = prefix.get_u32();
        if !is_packed {
            self.passing = u64::from(length) + count(PREFIX_BYTES);
            return Ok(true);
        }
        if u64::from(length) > self.max_bytes {
            return Err(Box::new(status_of(ApiError::BodyTooLarge)));
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if self.received.len() - PREFIX_BYTES < length {
            return Ok(false);
        }
        self.received.advance(PREFIX_BYTES);
        let packed = self.received.split_to(length).freeze();
        self.unpack(packed).await?;
        Ok(true)
    }

    async fn unpack(&mut self, packed: Bytes) -> Result<(), axum::BoxError> {
        let mut decoder = self.packing.decoder(packed);
        let mut length = 0_u64;
        // The prefix is written once the length is known.
        let mut parts = VecDeque::new();
        loop {
            let mut part = BytesMut::with_capacity(PART_BYTES);
            while part.len() < PART_BYTES {
                let read = decoder.read_buf(&mut part).await.map_err(|_| self.broken())?;
                if read == 0 {
                    break;
                }
            }
            if part.is_empty() {
                break;
            }
            length += count(part.len());
            if length > self.max_bytes {
                return Err(Box::new(status_of(ApiError::BodyTooLarge)));
            }
            let part = part.freeze();
            self.charge.grow(count(part.len())).await.map_err(over_budget)?;
            parts.push_back(part);
            // Yield to other tasks: a large message takes long.
            yield_now().await;
        }
        let mut prefix = BytesMut::with_capacity(PREFIX_BYTES);
        prefix.put_u8(0);
        prefix.put_u32(u32::try_from(length).map_err(|_| status_of(ApiError::BodyTooLarge))?);
        let mut decoded = self.cost.of(&prefix);
        for part in &parts {
            decoded = decoded.saturating_add(self.cost.of(part));
        }
        self.charge.grow(decoded).await.map_err(over_budget)?;
        parts.push_front(prefix.freeze());
        self.ready = parts;
        Ok(())
    }

    fn broken(&self) -> axum::BoxError {
        let name = self.packing.name();
        Box::new(Status::invalid_argument(format!("the message is not {name}, though grpc-encoding says so")))
    }
}

fn over_budget(refused: OverBudget) -> axum::BoxError {
    Box::new(status_of(ApiError::OverBudget(refused)))
}
