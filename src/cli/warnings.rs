//! Warnings about settings that are allowed but may surprise.

use crate::{
    config::{AdminSettings, AuthSettings, ClientCertificates, Loaded, Settings, TlsSettings},
    model::ModelName,
    system::sandbox,
};

/// Returns a warning for each scope of an unknown model: it permits nothing until the model is added.
pub(super) fn scopes_without_model(
    auth: &AuthSettings,
    is_known: impl Fn(&ModelName) -> bool,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let clients =
        auth.clients.iter().map(|(id, client)| (format!("auth.clients.{id}.scopes"), &client.scopes));
    let certificates = auth.certificates.iter();
    let certificates =
        certificates.map(|(name, entry)| (format!("auth.certificates.{name}.scopes"), &entry.scopes));
    let api_keys = auth.api_keys.iter();
    let api_keys = api_keys.map(|(name, entry)| (format!("auth.api_keys.{name}.scopes"), &entry.scopes));
    let issuers = auth.issuers.iter().flat_map(|(name, issuer)| {
        issuer
            .scopes
            .iter()
            .map(move |(value, scopes)| (format!("auth.issuers.{name}.scopes.{value}"), &scopes.0))
    });
    for (key, scopes) in clients.chain(certificates).chain(api_keys).chain(issuers).filter(|_| auth.enabled) {
        let unknown = |scope: &&String| {
            let model = scope.split_once(':').and_then(|(_, model)| model.parse().ok());
            model.is_some_and(|model| !is_known(&model))
        };
        warnings.extend(
            scopes
                .iter()
                .filter(unknown)
                .map(|scope| format!("{key}: `{scope}` names a model that is not in models.repository")),
        );
    }
    warnings
}

/// Warns of a gateway that signs tokens of which no client can get one.
pub(super) fn warn_of_no_client(auth: &AuthSettings, signs: bool) {
    if auth.enabled && signs && auth.clients.is_empty() {
        tracing::warn!(
            "there is no client, so POST /token issues no token: set auth.clients.ID.secret_hash, by `onnx-gateway \
             hash-secret`, and auth.clients.ID.scopes, or sign tokens by `onnx-gateway token`"
        );
    }
}

/// Warns of listeners for clients that are reachable from outside without TLS, in one line.
fn warn_of_plain_text(settings: &Settings) {
    let Settings { server, grpc, .. } = settings;
    let rest = (!server.tls.is_on()).then_some(&server.listen);
    let is_grpc_plain = grpc.enabled && !server.tls.is_on() && !grpc.tls.is_on();
    let plain = rest.into_iter().chain(is_grpc_plain.then_some(&grpc.listen));
    let outside: Vec<String> = plain.filter(|listen| !listen.is_local()).map(ToString::to_string).collect();
    if !outside.is_empty() {
        tracing::warn!(
            addresses = outside.join(", "),
            "connections from outside are not encrypted: set server.tls.certificate_file and private_key_file, or let \
             only a proxy that terminates TLS reach these addresses"
        );
    }
}

/// Warns of callers that no connection can identify.
fn warn_of_unasked_certificates(settings: &Settings) {
    let asks = |tls: &TlsSettings| tls.clients() != ClientCertificates::None;
    let is_asked = asks(&settings.server.tls) || asks(&settings.grpc_tls());
    if !settings.auth.certificates.is_empty() && !is_asked {
        tracing::warn!(
            "auth.certificates has no effect: no listener asks for certificates; set server.tls.client_certificates to \
             optional or required"
        );
    }
}

/// Warns of an operators' listener that is less protected than it may seem.
fn warn_of_reachable_operators(admin: &AdminSettings) {
    let address = &admin.listen;
    let is_outside = !address.is_local();
    if is_outside && !admin.tls.is_on() {
        tracing::warn!(
            %address,
            "admin.listen asks for no token and is reachable from outside without TLS: let only operators reach it, or set \
             admin.tls with client_certificates = \"required\""
        );
    } else if is_outside && admin.tls.clients() != ClientCertificates::Required {
        tracing::info!(%address, "the admin listener, which asks for no token, is reachable");
    }
    if admin.tls.clients() == ClientCertificates::Optional {
        tracing::warn!(
            "admin.tls.client_certificates is optional, which protects nothing: clients without a certificate may do the \
             same; set it to required"
        );
    }
}

/// Warns of settings that weaken security.
pub(super) fn warn_of_danger(loaded: &Loaded) {
    let settings = &loaded.settings;
    let development = loaded.is_for_development("auth.signing_secret")
        || settings
            .auth
            .clients
            .keys()
            .any(|id| loaded.is_for_development(&format!("auth.clients.{id}.secret_hash")));
    if !settings.auth.enabled {
        tracing::warn!("auth.enabled is false: every client that can reach the gateway may do anything");
    }
    if settings.auth.enabled {
        for dialect in &settings.dialects.platform_authenticates {
            tracing::warn!(
                %dialect,
                "dialects.platform_authenticates: every client that can reach the gateway may predict in this dialect \
                 without a token; let only the platform reach it"
            );
        }
    }
    if development && !settings.server.listen.is_local() {
        let address = &settings.server.listen;
        tracing::warn!(%address, "the development settings, whose secrets are public, are reachable from outside");
    }
    warn_of_plain_text(settings);
    warn_of_unasked_certificates(settings);
    if !sandbox::IS_SUPPORTED && !settings.admission.require_sandbox {
        tracing::warn!(
            "admission.require_sandbox is false: this system has no sandbox, so a malicious model file can do whatever \
             the gateway can"
        );
    }
    warn_of_reachable_operators(&settings.admin);
}
