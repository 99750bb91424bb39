//! The methods: the handshake, discovery, the list of tools and calls.

use std::sync::Arc;

use axum::{
    http::{StatusCode, request::Parts},
    response::Response,
};
use rmcp::model::{
    CacheScope, CallToolResult, ContentBlock, DiscoverResult, ErrorData, Implementation, InitializeResult,
    MetaObject, ProtocolVersion, RequestId, ResultType, ServerCapabilities, ToolsCapability,
};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{json, value::RawValue};

use super::{
    call::{Called, call},
    message::Message,
    reply::{Refused, RpcError, json, written},
    revision::{self, Revision, SUPPORTED},
    tools::{Page, Tools},
};
use crate::{
    auth::Caller,
    edge::{ApiError, EdgeState, Permit, rest::response::answer},
    model::ModelName,
    serving::ServingError,
};

/// Guidance for agents.
const INSTRUCTIONS: &str = "Each tool is a machine learning model. A call predicts from its arguments and changes \
                            nothing. If a call is refused, `errors` in its text says which argument is wrong and what \
                            is allowed.";

/// Time for which a client may keep the description of the gateway. It changes with settings only.
const DISCOVERY_FRESH_MS: u64 = 60_000;

/// Time for which a client may keep the list of tools: a model can be swapped at any time.
const TOOLS_FRESH_MS: u64 = 0;

/// Responds to a request.
pub(super) async fn respond(
    state: &EdgeState,
    tools: &Arc<Tools>,
    caller: &Caller,
    parts: &Parts,
    message: Message,
) -> Response {
    let id = message.id.clone();
    let result = match revision::of(&parts.headers, &message) {
        Ok(revision) => Request { state, caller, parts, revision }.respond(tools, message).await,
        Err(error) => Err(error),
    };
    result.unwrap_or_else(|error| error.respond(Some(id)))
}

/// The parameters of a handshake, as far as they are read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Begin {
    protocol_version: ProtocolVersion,
    #[serde(rename = "capabilities")]
    _capabilities: IgnoredAny,
    #[serde(rename = "clientInfo")]
    _client_info: IgnoredAny,
}

/// The circumstances of a request.
struct Request<'r> {
    state: &'r EdgeState,
    caller: &'r Caller,
    parts: &'r Parts,
    revision: Revision,
}

impl Request<'_> {
    async fn respond(&self, tools: &Arc<Tools>, message: Message) -> Result<Response, RpcError> {
        use Revision::{Handshake, Stateless};
        match (message.method.as_str(), self.revision) {
            ("initialize", Handshake) => {
                let Begin { protocol_version, .. } = message.params()?;
                success(message.id, initialized(protocol_version)).await
            }
            ("ping", Handshake) => success(message.id, json!({})).await,
            ("server/discover", Stateless) => success(message.id, discovered()).await,
            ("tools/list", _) => self.list(tools, message).await,
            ("tools/call", _) => self.call(message).await,
            (_, Handshake) => Err(RpcError::no_method(StatusCode::OK)),
            (_, Stateless) => Err(RpcError::no_method(StatusCode::NOT_FOUND)),
        }
    }

    async fn list(&self, tools: &Arc<Tools>, message: Message) -> Result<Response, RpcError> {
        #[derive(Deserialize)]
        struct Params {
            cursor: Option<String>,
        }
        let Params { cursor } = message.params()?;
        let after = cursor.map(|cursor| cursor.parse()).transpose().map_err(|_| {
            let message = "`params.cursor` is not the `nextCursor` of a list";
            RpcError::of_message(ErrorData::invalid_params(message, None))
        })?;
        let page = match tools.page(self.state, self.caller, after).await {
            Ok(page) => page,
            Err(error) => return Err(Refused::of(error).await.into()),
        };
        let Page { tools, next } = page;
        let is_stateless = self.revision == Revision::Stateless;
        let result = ListResult {
            result_type: self.result_type(),
            tools: tools.iter().map(|tool| &**tool).collect(),
            next_cursor: next.as_ref().map(ModelName::as_str),
            ttl_ms: is_stateless.then_some(TOOLS_FRESH_MS),
            cache_scope: is_stateless.then_some(CacheScope::Private),
            meta: self.meta(),
        };
        success(message.id, result).await
    }

    async fn call(&self, message: Message) -> Result<Response, RpcError> {
        let (name, arguments) = message.call()?;
        let id = message.id.clone();
        // The arguments alone are kept until they are read.
        drop(message);
        match self.called(&name, arguments.unwrap_or_default(), &id).await {
            Ok(response) => Ok(response),
            Err(ApiError::NoSuchName | ApiError::Serving(ServingError::ModelNotFound { .. })) => {
                let message = "there is no such tool: `tools/list` has their names";
                Err(RpcError::of_message(ErrorData::invalid_params(message, None)))
            }
            Err(error) => {
                let document = Refused::of(error).await.of_content()?;
                let mut result = CallToolResult::error(vec![ContentBlock::text(document)]);
                result.result_type = self.result_type();
                success(id, result.with_meta(self.meta())).await
            }
        }
    }

    async fn called(
        &self,
        name: &str,
        arguments: axum::body::Bytes,
        id: &RequestId,
    ) -> Result<Response, ApiError> {
        let permit = Permit::check(self.state, self.caller, Some(name), None)?;
        let permit = permit.charged_to(&self.parts.extensions);
        let Called { servable, output } = call(self.state, permit, arguments).await?;
        let text = std::str::from_utf8(&output).map_err(|_| ApiError::ResponseNotWritten)?;
        let result = CallResult {
            result_type: self.result_type(),
            content: [TextBlock { kind: "text", text }],
            structured_content: serde_json::from_str(text).map_err(|_| ApiError::ResponseNotWritten)?,
            is_error: false,
            meta: self.meta(),
        };
        let body = written(id.clone(), result)?;
        drop(output);
        Ok(answer(&servable, body))
    }

    fn result_type(&self) -> Option<ResultType> {
        (self.revision == Revision::Stateless).then_some(ResultType::COMPLETE)
    }

    /// Returns the identity of the gateway, which results have in place of a handshake.
    fn meta(&self) -> Option<MetaObject> {
        (self.revision == Revision::Stateless).then(|| {
            let server = serde_json::to_value(implementation()).unwrap_or_default();
            MetaObject([("io.modelcontextprotocol/serverInfo".to_owned(), server)].into_iter().collect())
        })
    }
}

/// A page of the list of tools. The library's type would need each tool as a value.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListResult<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    result_type: Option<ResultType>,
    tools: Vec<&'r RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_scope: Option<CacheScope>,
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    meta: Option<MetaObject>,
}

/// The result of a call. The library's type would need the outputs as a value, which takes many times their memory.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallResult<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    result_type: Option<ResultType>,
    content: [TextBlock<'r>; 1],
    structured_content: &'r RawValue,
    is_error: bool,
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    meta: Option<MetaObject>,
}

#[derive(Serialize)]
struct TextBlock<'r> {
    #[serde(rename = "type")]
    kind: &'static str,
    text: &'r str,
}

async fn success(id: RequestId, result: impl Serialize) -> Result<Response, RpcError> {
    match written(id, result) {
        Ok(body) => Ok(json(body)),
        Err(error) => Err(Refused::of(error).await.into()),
    }
}

/// Returns the result of a handshake: the client's revision if it is served and has one, else the latest that has one.
fn initialized(wanted: ProtocolVersion) -> InitializeResult {
    let is_served = SUPPORTED.contains(&wanted) && wanted.has_initialize();
    let mut result = InitializeResult::new(capabilities()).with_instructions(INSTRUCTIONS);
    result.protocol_version = if is_served { wanted } else { ProtocolVersion::LATEST_WITH_INITIALIZE };
    result.server_info = implementation();
    result
}

fn discovered() -> DiscoverResult {
    let mut result =
        DiscoverResult::new(SUPPORTED.to_vec(), capabilities()).with_server_info(implementation());
    result.instructions = Some(INSTRUCTIONS.to_owned());
    result.ttl_ms = DISCOVERY_FRESH_MS;
    result
}

fn capabilities() -> ServerCapabilities {
    let mut capabilities = ServerCapabilities::default();
    capabilities.tools = Some(ToolsCapability::default());
    capabilities
}

fn implementation() -> Implementation {
    Implementation::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
}
