//! What is allowed but should not be met by surprise.

use crate::config::Loaded;

/// Says aloud what the settings open.
pub(super) fn warn_of_danger(loaded: &Loaded) {
    let settings = &loaded.settings;
    let development = loaded.is_for_development("auth.signing_secret")
        || settings
            .auth
            .clients
            .keys()
            .any(|id| loaded.is_for_development(&format!("auth.clients.{id}.secret_hash")));
    if !settings.auth.enabled {
        tracing::warn!("auth.enabled is false: everyone who can reach the gateway may do everything");
    }
    if settings.auth.enabled {
        for dialect in &settings.dialects.platform_authenticates {
            tracing::warn!(
                %dialect,
                "dialects.platform_authenticates: everyone who can reach the gateway may ask its models in this dialect \
                 without a token; only the platform should be able to"
            );
        }
    }
    if development && !settings.server.listen.ip().is_loopback() {
        let address = settings.server.listen;
        tracing::warn!(%address, "the development settings, whose secrets everyone knows, are reachable from outside");
    }
    if !settings.admin.listen.ip().is_loopback() {
        tracing::info!(address = %settings.admin.listen, "the admin listener, which asks for no token, is reachable");
    }
}
