//! The console: one page for browsers at `/`, with its scripts and styles. All of it is in the binary.
//!
//! The page and its files are open, as they hold no data. The scripts call the same routes as any other client, with a
//! token that the person signs in for.

use std::sync::LazyLock;

use axum::{
    Json,
    body::Body,
    extract::Path,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};

use crate::{
    config::Settings,
    edge::{ApiError, RouteSet, rest::entity_tag::EntityTag},
    model::Hasher,
};

/// Policy of the page: its own files and routes, and nothing inline.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                                       img-src 'self' data:; base-uri 'none'; form-action 'none'; \
                                       frame-ancestors 'none'";

/// Keeps other windows of the browser from reaching the page, which holds a token.
const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// The page itself may change with the gateway or its settings, so a browser asks each time.
const ASK_AGAIN: &str = "no-cache";

/// A file's address has the digest of all files, so it never changes (RFC 8246).
const NEVER_CHANGES: &str = "public, max-age=31536000, immutable";

const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// The page. `{{assets}}` stands for the address of its files, `{{authentication}}` for `on` or `off`, and `{{clients}}`
/// for `some` or `none`, which strangers also learn from the status of `/token`. `{{management}}` stands for `public` or
/// `admin`.
const PAGE: &str = include_str!("console/assets/index.html");

/// A file of the page.
struct Asset {
    name: &'static str,
    media_type: &'static str,
    content: &'static [u8],
}

macro_rules! assets {
    ($($name:literal: $media_type:expr),+ $(,)?) => {
        &[$(Asset { name: $name, media_type: $media_type, content: include_bytes!(concat!("console/assets/", $name)) }),+]
    };
}

/// Every file but the page.
const ASSETS: &[Asset] = assets![
    "console.css": CSS,
    "icon.svg": SVG,
    "console.js": JAVASCRIPT,
    "actions.js": JAVASCRIPT,
    "api.js": JAVASCRIPT,
    "charts.js": JAVASCRIPT,
    "dom.js": JAVASCRIPT,
    "form.js": JAVASCRIPT,
    "history.js": JAVASCRIPT,
    "live.js": JAVASCRIPT,
    "models.js": JAVASCRIPT,
    "result.js": JAVASCRIPT,
    "session.js": JAVASCRIPT,
];

/// The digest of all files, which is part of their addresses.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = Hasher::default();
    for asset in ASSETS {
        hasher.update(asset.name);
        hasher.update(asset.content);
    }
    hasher.finish().short()
});

/// Returns the routes of the console. While it is off, `/` leads browsers to the API description.
pub(super) fn router(settings: &Settings) -> RouteSet {
    if !settings.console.enabled {
        return RouteSet::new().route("GET", "/", get(root_without_console));
    }
    let authentication = if settings.auth.enabled { "on" } else { "off" };
    let page = PAGE
        .replace("{{assets}}", &format!("console/{}", *VERSION))
        .replace("{{authentication}}", authentication)
        .replace("{{clients}}", if settings.auth.clients.is_empty() { "none" } else { "some" })
        .replace("{{management}}", if settings.management_is_public() { "public" } else { "admin" });
    let tag = EntityTag::of(page.as_bytes());
    RouteSet::new()
        .route("GET", "/", get(move |headers: HeaderMap| async move { root(&headers, page, &tag) }))
        .route("GET", "/console/{version}/{file}", get(asset))
}

/// Returns the page to a browser. Other clients get a liveness response, since KServe's V1 protocol checks liveness at
/// this path.
fn root(headers: &HeaderMap, page: String, tag: &EntityTag) -> Response {
    if !accepts_html(headers) {
        return alive();
    }
    let mut response = if tag.is_known_to(headers) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))], page).into_response()
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, ASK_AGAIN),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::ETAG, tag.header());
    negotiated(response)
}

async fn root_without_console(headers: HeaderMap) -> Response {
    if accepts_html(&headers) { negotiated(Redirect::temporary("docs").into_response()) } else { alive() }
}

fn alive() -> Response {
    negotiated(Json(serde_json::json!({"status": "alive"})).into_response())
}

/// Tells caches that the response depends on `Accept`.
fn negotiated(mut response: Response) -> Response {
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

/// Returns true if a client accepts pages explicitly, as browsers do and programs do not.
fn accepts_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_html = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"));
        // A weight of zero means "not acceptable" (RFC 9110 section 12.4.2).
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
        is_html && weight.is_none_or(|weight| weight > 0.0)
    })
}

/// Returns a file of the page.
async fn asset(
    Path((version, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let known = ASSETS.iter().find(|asset| asset.name == file).filter(|_| version == *VERSION);
    // Files of another version do not go together with these.
    let asset = known.ok_or(ApiError::NoSuchPath)?;
    let tag = EntityTag::of(asset.content);
    let mut response = if tag.is_known_to(&headers) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let media_type = HeaderValue::from_static(asset.media_type);
        ([(header::CONTENT_TYPE, media_type)], Body::from(asset.content)).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(NEVER_CHANGES));
    headers.insert(header::ETAG, tag.header());
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(accept: &'static str) -> bool {
        accepts_html(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]))
    }

    #[test]
    fn only_clients_that_name_pages_get_one() {
        for browser in ["text/html", "text/html,application/xhtml+xml,*/*;q=0.8", "a/b, Text/HTML;q=0.1"] {
            assert!(accepts(browser), "{browser}");
        }
        for program in ["*/*", "", "application/json", "text/*", "text/htmlx", "text/html;q=0, */*"] {
            assert!(!accepts(program), "{program}");
        }
        assert!(!accepts_html(&HeaderMap::new()));
    }

    #[test]
    fn the_page_names_only_files_that_exist() {
        let named = PAGE.split("{{assets}}/").skip(1).map(|rest| rest.split('"').next().unwrap_or_default());
        let named: Vec<&str> = named.collect();
        assert!(named.len() >= 3, "{named:?}");
        for name in named {
            assert!(ASSETS.iter().any(|asset| asset.name == name), "{name}");
        }
    }

    #[test]
    fn every_file_of_the_folder_is_served_and_every_script_imports_files() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/protocols/console/assets");
        let mut found: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "index.html")
            .collect();
        found.sort();
        let mut served: Vec<&str> = ASSETS.iter().map(|asset| asset.name).collect();
        served.sort_unstable();
        assert_eq!(found, served);
        for asset in ASSETS.iter().filter(|asset| asset.media_type == JAVASCRIPT) {
            let text = std::str::from_utf8(asset.content).unwrap();
            for import in text.split(" from './").skip(1) {
                let name = import.split('\'').next().unwrap();
                assert!(served.contains(&name), "{} imports {name}", asset.name);
            }
        }
    }
}
