//! Stores of the library, set up by the environment and the settings.

use std::{str::FromStr, sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, ClientConfigKey, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
    http::HttpBuilder,
};

use super::transport::Connector;
use crate::config::{StoreKind, StoreSettings, StoreUrl, environment};

/// Attempts of a request after the first. Polls repeat what fails, so there are few.
const MAX_RETRIES: usize = 2;

/// Pauses before the second and the last attempt.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(1);

const TRUE: &str = "true";

/// Returns the options that variables with a prefix set, as far as the library knows them.
fn variables<K: FromStr>(prefix: &str) -> impl Iterator<Item = (K, String)> {
    let variables = environment::variables_of(prefix).into_iter();
    variables.filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value)))
}

/// Makes the store of a URL. Settings override the environment. Nothing connects yet.
pub(super) fn store(
    url: &StoreUrl,
    settings: &StoreSettings,
    connector: Connector,
) -> object_store::Result<Arc<dyn ObjectStore>> {
    let StoreSettings { endpoint, region, anonymous, .. } = settings;
    let is_plain = |url: &str| url.starts_with("http://");
    // The settings refuse addresses that may not be reached like this.
    let is_http = url.is_plain() || endpoint.as_deref().is_some_and(is_plain);
    let allow_http = ClientConfigKey::AllowHttp;
    let retry = RetryConfig {
        max_retries: MAX_RETRIES,
        retry_timeout: connector.timeout,
        backoff: BackoffConfig { init_backoff: FIRST_BACKOFF, max_backoff: MAX_BACKOFF, base: 2.0 },
    };
    Ok(match url.kind {
        StoreKind::S3 => {
            use AmazonS3ConfigKey as Key;
            let own = [
                endpoint.clone().map(|endpoint| (Key::Endpoint, endpoint)),
                region.clone().map(|region| (Key::Region, region)),
                anonymous.then(|| (Key::SkipSignature, TRUE.to_owned())),
                is_http.then(|| (Key::Client(allow_http), TRUE.to_owned())),
            ];
            let builder = AmazonS3Builder::new().with_bucket_name(&url.place).with_retry(retry);
            let options = variables("AWS_").chain(own.into_iter().flatten());
            let builder = options.fold(builder, |builder, (key, value)| builder.with_config(key, value));
            Arc::new(builder.with_http_connector(connector).build()?)
        }
        StoreKind::Gcs => {
            use GoogleConfigKey as Key;
            let own = [
                endpoint.clone().map(|endpoint| (Key::BaseUrl, endpoint)),
                anonymous.then(|| (Key::SkipSignature, TRUE.to_owned())),
                is_http.then(|| (Key::Client(allow_http), TRUE.to_owned())),
            ];
            let builder = GoogleCloudStorageBuilder::new().with_bucket_name(&url.place).with_retry(retry);
            let options = variables("GOOGLE_").chain(own.into_iter().flatten());
            let builder = options.fold(builder, |builder, (key, value)| builder.with_config(key, value));
            Arc::new(builder.with_http_connector(connector).build()?)
        }
        StoreKind::Azure => {
            use AzureConfigKey as Key;
            let own = [
                endpoint.clone().map(|endpoint| (Key::Endpoint, endpoint)),
                anonymous.then(|| (Key::SkipSignature, TRUE.to_owned())),
                is_http.then(|| (Key::Client(allow_http), TRUE.to_owned())),
            ];
            let builder = MicrosoftAzureBuilder::new().with_container_name(&url.place).with_retry(retry);
            // The command line of Azure would be another program.
            let variables = variables("AZURE_").filter(|(key, _)| *key != Key::UseAzureCli);
            let options = variables.chain(own.into_iter().flatten());
            let builder = options.fold(builder, |builder, (key, value)| builder.with_config(key, value));
            Arc::new(builder.with_http_connector(connector).build()?)
        }
        StoreKind::WebDav => {
            let builder = HttpBuilder::new().with_url(&url.place).with_retry(retry);
            let builder = builder.with_config(allow_http, is_http.to_string());
            Arc::new(builder.with_http_connector(connector).build()?)
        }
    })
}
