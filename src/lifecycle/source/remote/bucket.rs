//! Objects of a store below a prefix: listed and downloaded within limits.

use std::{
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, TryStreamExt};
use object_store::{Extensions, GetOptions, ObjectMeta, ObjectStore, path::Path};
use serde::{Deserialize, Serialize};

use super::{
    failure::Failure,
    providers,
    transport::{Connector, ForContent},
};
use crate::{
    config::{StoreKind, StoreSettings, StoreUrl},
    tls::{ClientTls, Trust},
};

/// Deepest folder of a WebDAV server that is listed. A model has two folders, and its data may have more.
const MAX_DEPTH: usize = 8;

/// Slowest transfer of an object.
const MIN_BYTES_PER_SECOND: u64 = 100_000;

/// Time that an object may take beside its bytes, in time limits for a single byte.
const OBJECT_TIMEOUTS: u32 = 6;

/// The objects below a prefix.
#[derive(Debug)]
pub(super) struct Bucket {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// True if the store has folders, each of which is listed by itself.
    has_folders: bool,
    timeout: Duration,
    max_objects: usize,
}

/// An object, as a listing describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Object {
    /// The name, without the prefix.
    pub(super) name: String,
    /// The size in bytes.
    pub(super) size: u64,
    /// The tag that changes with the content. `None` if the store has none.
    pub(super) tag: Option<String>,
    /// The time of the last change, in milliseconds since 1970.
    pub(super) modified_ms: i64,
}

impl Bucket {
    /// Connects to nothing yet: the first request does.
    pub(super) fn new(url: &StoreUrl, settings: &StoreSettings) -> Result<Self, Failure> {
        let trust = settings.ca_file.clone().map_or(Trust::System, Trust::Authorities);
        let tls = ClientTls::new(&trust, None).map_err(|error| Failure::Settings(error.to_string()))?;
        let timeout = Duration::from_millis(settings.timeout_ms);
        let store = providers::store(url, settings, Connector { tls, timeout })
            .map_err(|error| Failure::Settings(error.to_string()))?;
        Ok(Self {
            store,
            prefix: Path::parse(&url.prefix).map_err(|error| Failure::OddName(error.to_string()))?,
            has_folders: url.kind == StoreKind::WebDav,
            timeout,
            max_objects: settings.max_objects,
        })
    }

    /// Lists all objects.
    ///
    /// # Errors
    ///
    /// Everything but a complete listing of at most `max_objects`.
    pub(super) async fn list(&self) -> Result<Vec<Object>, Failure> {
        let listed = if self.has_folders { self.walk().await? } else { self.list_at_once().await? };
        Ok(listed.into_iter().filter_map(|object| self.within(object)).collect())
    }

    async fn list_at_once(&self) -> Result<Vec<ObjectMeta>, Failure> {
        let prefix = (!self.prefix.as_ref().is_empty()).then_some(&self.prefix);
        let mut pages = self.store.list(prefix);
        let mut listed = Vec::new();
        while let Some(object) = pages.try_next().await? {
            self.add(&mut listed, object)?;
        }
        Ok(listed)
    }

    /// Lists folder by folder, as few servers list all of them at once.
    async fn walk(&self) -> Result<Vec<ObjectMeta>, Failure> {
        let (mut listed, mut folders) = (Vec::new(), vec![self.prefix.clone()]);
        let (own_depth, mut seen) = (self.prefix.parts().count(), 1);
        while let Some(folder) = folders.pop() {
            let found = self.store.list_with_delimiter(Some(&folder)).await?;
            for object in found.objects {
                self.add(&mut listed, object)?;
            }
            let is_inner = |inner: &Path| inner.prefix_matches(&folder) && *inner != folder;
            let is_visible = |inner: &Path| inner.filename().is_some_and(|name| !name.starts_with('.'));
            let inner = found.common_prefixes.into_iter().filter(is_inner).filter(is_visible);
            folders.extend(inner.filter(|inner| inner.parts().count() <= own_depth + MAX_DEPTH));
            seen += 1;
            if seen + folders.len() > self.max_objects.saturating_add(1) {
                return Err(Failure::TooMany(self.max_objects));
            }
        }
        Ok(listed)
    }

    fn add(&self, listed: &mut Vec<ObjectMeta>, object: ObjectMeta) -> Result<(), Failure> {
        if listed.len() >= self.max_objects {
            return Err(Failure::TooMany(self.max_objects));
        }
        listed.push(object);
        Ok(())
    }

    /// Describes an object. `None` if it does not lie below the prefix.
    fn within(&self, object: ObjectMeta) -> Option<Object> {
        let ObjectMeta { location, last_modified, size, e_tag, .. } = object;
        let name = match self.prefix.as_ref() {
            "" => location.as_ref(),
            prefix => location.as_ref().strip_prefix(prefix)?.strip_prefix('/')?,
        };
        let modified_ms = last_modified.timestamp_millis();
        Some(Object { name: name.to_owned(), size, tag: e_tag, modified_ms })
    }

    /// Downloads an object, if it still is what the listing described.
    ///
    /// # Errors
    ///
    /// [`Failure::Changing`] if it is not, and everything but the whole content.
    pub(super) async fn download(&self, object: &Object, into: &mut impl Write) -> Result<(), Failure> {
        let begin = Instant::now();
        let most = self.timeout * OBJECT_TIMEOUTS + Duration::from_secs(object.size / MIN_BYTES_PER_SECOND);
        let location = match self.prefix.as_ref() {
            "" => Path::parse(&object.name),
            prefix => Path::parse(format!("{prefix}/{}", object.name)),
        };
        let location = location.map_err(|error| Failure::OddName(error.to_string()))?;
        let mut extensions = Extensions::new();
        extensions.insert(ForContent);
        // A weak tag never matches (RFC 9110 section 13.1.1); it is compared below.
        let if_match = object.tag.clone().filter(|tag| !tag.starts_with("W/"));
        let options = GetOptions { if_match, extensions, ..GetOptions::default() };
        let found = self.store.get_opts(&location, options).await?;
        if found.meta.size != object.size || !is_same_tag(found.meta.e_tag.as_ref(), object.tag.as_ref()) {
            return Err(Failure::Changing);
        }
        let mut content = found.into_stream();
        let mut bytes = 0_u64;
        while let Some(chunk) = content.next().await.transpose()? {
            bytes += chunk.len() as u64;
            if bytes > object.size {
                return Err(Failure::Size(object.name.clone()));
            }
            if begin.elapsed() > most {
                return Err(Failure::Slow(format!("{} was not there within {most:?}", object.name)));
            }
            into.write_all(&chunk)?;
        }
        if bytes == object.size { Ok(()) } else { Err(Failure::Size(object.name.clone())) }
    }
}

/// Returns true if tags are the same, or one is missing: some servers list none. Some list them without quotes.
fn is_same_tag(found: Option<&String>, listed: Option<&String>) -> bool {
    let bare = |tag: &String| tag.trim_start_matches("W/").trim_matches('"').to_owned();
    found.zip(listed).is_none_or(|(found, listed)| bare(found) == bare(listed))
}
