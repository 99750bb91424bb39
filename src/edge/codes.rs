//! Every error code that clients see. `docs/errors.md` explains them; `tests/documents.rs` compares both.
//!
//! A code that is not listed here fails the tests: debug builds check each one that is sent.

use crate::serving::Reason;

/// Codes of problem documents. Those of a refused candidate are in addition the reasons of [`Reason`].
pub const PROBLEM_CODES: &[&str] = &[
    "address_quota_exceeded",
    "already_loaded",
    "bad_request",
    "body_not_decoded",
    "body_timeout",
    "body_too_large",
    "body_unreadable",
    "caller_quota_exceeded",
    "clock_not_set",
    "error",
    "failed_logins_exceeded",
    "failed_tokens_exceeded",
    "inputs_refused",
    "insufficient_scope",
    "internal_error",
    "invalid_body",
    "invalid_request",
    "invalid_token",
    "issuer_keys_unavailable",
    "malformed_json",
    "memory_in_use",
    "method_not_allowed",
    "model_failed",
    "model_not_found",
    "model_unavailable",
    "needs_too_much_memory",
    "no_default_model",
    "no_token",
    "non_finite_input",
    "non_finite_output",
    "not_acceptable",
    "not_found",
    "not_ready",
    "nothing_before",
    "origin_not_allowed",
    "output_not_carried",
    "overloaded",
    "rows_not_supported",
    "served_by_admin",
    "starting",
    "stopping",
    "timeout",
    "tls_required",
    "token_disabled",
    "too_many_revocations",
    "too_many_streams",
    "unimplemented",
    "unknown_parameter",
    "unknown_transfer_coding",
    "unloaded",
    "unsupported_content_encoding",
    "unsupported_media_type",
    "version_not_found",
];

/// Codes in the list `errors` of a problem document.
pub const FIELD_CODES: &[&str] = &[
    "does_not_fit",
    "duplicate",
    "exactly_one_of",
    "inputs_refused",
    "invalid_text",
    "malformed_csv",
    "malformed_json",
    "missing",
    "no_feature_names",
    "no_header",
    "no_rows",
    "not_a_number",
    "not_an_integer",
    "out_of_range",
    "too_large",
    "too_many",
    "unknown_datatype",
    "unknown_feature",
    "unknown_field",
    "unknown_input",
    "unknown_output",
    "unknown_parameter",
    "unknown_signature",
    "unsupported",
    "wrong_bytes",
    "wrong_count",
    "wrong_datatype",
    "wrong_form",
    "wrong_length",
    "wrong_parameter",
    "wrong_shape",
    "wrong_type",
    "wrong_value",
];

/// Codes of `/token` (RFC 6749 section 5.2) and of the form of `/revoke` (RFC 7009 section 2.2.1).
pub const OAUTH_CODES: &[&str] = &[
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "unsupported_grant_type",
    "unsupported_token_type",
];

/// Returns true if this is a code of a problem document.
pub(super) fn is_problem_code(code: &str) -> bool {
    PROBLEM_CODES.contains(&code) || serde_json::from_value::<Reason>(code.into()).is_ok()
}
