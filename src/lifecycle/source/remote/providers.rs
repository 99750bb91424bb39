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

/// An option of a store that a variable may set.
trait StoreOption: FromStr {
    /// Returns true for the URL of the store's API.
    fn is_endpoint(&self) -> bool;

    /// Returns true for an option of the library's HTTP client, in whose place is another one.
    fn is_of_client(&self) -> bool;
}

impl StoreOption for AmazonS3ConfigKey {
    fn is_endpoint(&self) -> bool {
        matches!(self, Self::Endpoint | Self::S3Endpoint)
    }

    fn is_of_client(&self) -> bool {
        matches!(self, Self::Client(_))
    }
}

impl StoreOption for GoogleConfigKey {
    fn is_endpoint(&self) -> bool {
        matches!(self, Self::BaseUrl)
    }

    fn is_of_client(&self) -> bool {
        matches!(self, Self::Client(_))
    }
}

impl StoreOption for AzureConfigKey {
    fn is_endpoint(&self) -> bool {
        matches!(self, Self::Endpoint)
    }

    fn is_of_client(&self) -> bool {
        // The command line of Azure would be another program.
        matches!(self, Self::Client(_) | Self::UseAzureCli)
    }
}

/// The options that variables set.
struct Variables<K> {
    options: Vec<(K, String)>,
    /// True if the store is reached without encryption.
    is_plain: bool,
}

/// Reads the options that variables with a prefix set, as far as they are of the store. Settings win.
///
/// # Errors
///
/// If a variable names an endpoint that the settings do not allow.
fn variables<K: StoreOption>(prefix: &str, settings: &StoreSettings) -> object_store::Result<Variables<K>> {
    let mut read = Variables { options: Vec::new(), is_plain: false };
    for (name, value) in environment::variables_of(prefix) {
        let Ok(key) = name.to_ascii_lowercase().parse::<K>() else { continue };
        if key.is_of_client() || (key.is_endpoint() && settings.endpoint.is_some()) {
            continue;
        }
        if key.is_endpoint() {
            if let Some(objection) = settings.objection(&value) {
                let source = format!("the variable {name} {objection}").into();
                return Err(object_store::Error::Generic { store: "environment", source });
            }
            read.is_plain |= is_plain(&value);
        }
        read.options.push((key, value));
    }
    Ok(read)
}

fn is_plain(url: &str) -> bool {
    url.starts_with("http://")
}

/// Makes the store of a URL. Settings override the environment. Nothing connects yet.
///
/// # Errors
///
/// If an option cannot be used, or a variable names an endpoint that the settings do not allow.
pub(super) fn store(
    url: &StoreUrl,
    settings: &StoreSettings,
    connector: Connector,
) -> object_store::Result<Arc<dyn ObjectStore>> {
    let StoreSettings { endpoint, region, anonymous, .. } = settings;
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
            let Variables { options, is_plain } = variables::<Key>("AWS_", settings)?;
            let own = [
                endpoint.clone().map(|endpoint| (Key::Endpoint, endpoint)),
                region.clone().map(|region| (Key::Region, region)),
                anonymous.then(|| (Key::SkipSignature, TRUE.to_owned())),
                (is_http || is_plain).then(|| (Key::Client(allow_http), TRUE.to_owned())),
            ];
            let builder = AmazonS3Builder::new().with_bucket_name(&url.place).with_retry(retry);
            let options = options.into_iter().chain(own.into_iter().flatten());
            let builder = options.fold(builder, |builder, (key, value)| builder.with_config(key, value));
            Arc::new(builder.with_http_connector(connector).build()?)
        }
        StoreKind::Gcs => {
            use GoogleConfigKey as Key;
            let Variables { options, is_plain } = variables::<Key>("GOOGLE_", settings)?;
            let own = [
                endpoint.clone().map(|endpoint| (Key::BaseUrl, endpoint)),
                anonymous.then(|| (Key::SkipSignature, TRUE.to_owned())),
                (is_http || is_plain).then(|| (Key::Client(allow_http), TRUE.to_owned())),
            ];
            let builder = GoogleCloudStorageBuilder::new().with_bucket_name(&url.place).with_retry(retry);
            let options = options.into_iter().chain(own.into_iter().flatten());
            let builder = options.fold(builder, |builder, (key, value)| builder.with_config(key, value));
            Arc::new(builder.with_http_connector(connector).build()?)
        }
        StoreKind::Azure => {
            use AzureConfigKey as Key;
            let Variables { options, is_plain } = variables::<Key>("AZURE_", settings)?;
            let own = [
                endpoint.clone().map(|endpoint| (Key::Endpoint, endpoint)),
                anonymous.then(|| (Key::SkipSignature, TRUE.to_owned())),
                (is_http || is_plain).then(|| (Key::Client(allow_http), TRUE.to_owned())),
            ];
            let builder = MicrosoftAzureBuilder::new().with_container_name(&url.place).with_retry(retry);
            let options = options.into_iter().chain(own.into_iter().flatten());
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
