//! Inference over a stream. Each request gets its response before the next is read, so a stream runs no more at a time
//! than a call does. Each is charged and authorized like a call: a stream does not bypass quotas, scopes or the end of
//! a token.

use std::{mem, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::http::HeaderMap;
use futures_util::{FutureExt, stream};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::{Request, Status, Streaming, codegen::tokio_stream::Stream};

use super::{
    infer::{Charges, infer},
    proto::{ModelInferRequest, ModelInferResponse, ModelStreamInferResponse},
    request::caller,
};
use crate::{
    auth::{Caller, TokenError},
    edge::{
        AddressLimit, ApiError, Audited, EdgeState, Ending, Forwarded, MayPredict, Peer, Permit,
        RequestRecord, charge_message,
        grpc::{deadline::Deadline, render::unreadable, status::status_of},
        panicked, request_charge,
    },
    limits::{AddressKey, RequestCharge},
    system::byte_budget::ByteCharge,
};

/// The method.
pub(super) const STREAM_INFER: &str = "/inference.GRPCInferenceService/ModelStreamInfer";

/// Time limit of one response if no layer sets another.
const LONGEST_ANSWER: Duration = Duration::from_secs(30);

/// Interval at which an idle stream checks whether its token has expired or was revoked: that clock is not the runtime's.
const TOKEN_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// A stream in progress.
pub(super) struct Session {
    messages: Streaming<ModelInferRequest>,
    state: EdgeState,
    caller: Arc<Caller>,
    peer: Option<Peer>,
    /// The headers of the call.
    headers: HeaderMap,
    address: Option<(AddressLimit, AddressKey)>,
    deadline: Deadline,
    ending: Ending,
    charge: Option<ByteCharge>,
    /// The charge of the first message, by the layers when the stream was opened.
    first: Option<Arc<RequestCharge>>,
    /// True if the layers have charged the first message.
    is_charged: bool,
}

impl Session {
    /// Opens a session.
    ///
    /// # Errors
    ///
    /// If the caller may not predict with any model.
    pub(super) fn new(
        state: &EdgeState,
        address: Option<&AddressLimit>,
        request: Request<Streaming<ModelInferRequest>>,
    ) -> Result<Self, ApiError> {
        let caller = caller(&request)?;
        Permit::<MayPredict>::check_any(&caller)?;
        let (metadata, extensions, messages) = request.into_parts();
        let headers = metadata.into_headers();
        Ok(Self {
            messages,
            state: state.clone(),
            caller,
            peer: extensions.get().copied(),
            address: address.map(|limit| (limit.clone(), limit.client(&extensions, &headers))),
            deadline: extensions.get().copied().unwrap_or(Deadline { call: None, answer: LONGEST_ANSWER }),
            ending: Ending::of(&extensions),
            charge: extensions.get().cloned(),
            first: extensions.get().cloned(),
            is_charged: true,
            headers,
        })
    }

    /// Returns the responses, one per message, until the client has sent its last or has to stop.
    pub(super) fn answers(self) -> impl Stream<Item = Result<ModelStreamInferResponse, Status>> + Send {
        stream::unfold(Some(self), |session| async {
            let mut session = session?;
            match session.next().await {
                Ok(Some(response)) => Some((Ok(response), Some(session))),
                Ok(None) => None,
                Err(status) => Some((Err(status), None)),
            }
        })
    }

    /// Returns the next response, `None` after the last, or the reason for an early end.
    async fn next(&mut self) -> Result<Option<ModelStreamInferResponse>, Status> {
        let call = self.deadline.call;
        tokio::select! {
            response = self.next_in_time() => response,
            () = passed(call) => Err(status_of(ApiError::Timeout)),
        }
    }

    async fn next_in_time(&mut self) -> Result<Option<ModelStreamInferResponse>, Status> {
        if let Some(charge) = &self.charge {
            // The previous request has its response, which is on its way.
            charge.begin_again();
        }
        let message = tokio::select! {
            biased;
            // A message that arrived before the end still gets its response.
            message = self.messages.message() => message.map_err(unreadable)?,
            () = self.ending.begun() => {
                return Err(Status::unavailable("the gateway is shutting down: open another stream"));
            }
            () = expired(&self.caller, &self.state) => None,
        };
        if self.state.authentication.has_revoked(&self.caller) {
            return Err(status_of(ApiError::BadToken(TokenError::Revoked)));
        }
        if self.caller.is_expired(self.state.clock.now()) {
            return Err(status_of(ApiError::BadToken(TokenError::Expired)));
        }
        let Some(message) = message else { return Ok(None) };
        let refused = ModelInferResponse {
            model_name: message.model_name.clone(),
            model_version: message.model_version.clone(),
            id: message.id.clone(),
            ..ModelInferResponse::default()
        };
        Ok(Some(match self.answer(message).await {
            Ok(answer) => {
                ModelStreamInferResponse { error_message: String::new(), infer_response: Some(answer) }
            }
            Err(status) => {
                self.audit(&status);
                ModelStreamInferResponse {
                    error_message: status.message().to_owned(),
                    infer_response: Some(refused),
                }
            }
        }))
    }

    /// Records the refusal of a message, whose status is in no header.
    fn audit(&self, status: &Status) {
        if let Some(audited) = Audited::of_status(status) {
            let request = RequestRecord {
                id: None,
                peer: self.peer.as_ref(),
                method: "POST",
                path: STREAM_INFER,
                caller: Some(&self.caller),
                forwarded: Forwarded::In(&self.headers),
            };
            audited.record(&self.state, &request, STREAM_INFER);
        }
    }

    async fn answer(&mut self, message: ModelInferRequest) -> Result<ModelInferResponse, Status> {
        let quota = if mem::take(&mut self.is_charged) {
            self.first.take()
        } else {
            let address = self.address.as_ref().map(|(limit, client)| (limit, *client));
            let standing = charge_message(address, &self.state, &self.caller).await.map_err(status_of)?;
            request_charge(&self.state, &self.caller, standing)
        };
        let charges = Charges { bytes: self.charge.as_ref(), rows: quota.as_ref(), timeline: None };
        let run = AssertUnwindSafe(infer(&self.state, &self.caller, charges, message)).catch_unwind();
        match timeout(self.deadline.answer, run).await {
            Ok(Ok(answered)) => answered.map(|(_, answer)| answer).map_err(status_of),
            Ok(Err(panic)) => Err(status_of(panicked(panic))),
            Err(_) => Err(status_of(ApiError::TakesTooLong)),
        }
    }
}

async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn expired(caller: &Caller, state: &EdgeState) {
    while !caller.is_expired(state.clock.now()) && !state.authentication.has_revoked(caller) {
        sleep(TOKEN_CHECK_INTERVAL).await;
    }
}
