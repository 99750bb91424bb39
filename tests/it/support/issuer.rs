//! An issuer of tokens in this process: its discovery document, its keys, and every way of not handing them out.

use std::{
    future::pending,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{Response, StatusCode, header},
    routing::get,
};
use futures_util::stream;
use jsonwebtoken::{
    DecodingKey,
    jwk::{Jwk, KeyAlgorithm},
};
use onnx_gateway::config::IssuerSettings;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::tokens::{SigningKey, TokenBuilder};

/// The audience of its tokens.
pub const AUDIENCE: &str = "https://models.example.com";

/// What the issuer responds with where its keys should be.
#[derive(Clone, Debug)]
pub enum Behavior {
    /// The keys.
    Keys,
    /// This status, without keys.
    Status(u16),
    /// This text in the place of the keys.
    Text(String),
    /// Spaces for ever.
    Endless,
    /// Nothing.
    Silent,
}

/// An issuer that listens.
pub struct TestIssuer {
    address: SocketAddr,
    state: Arc<IssuerState>,
}

struct IssuerState {
    keys: Mutex<Vec<Value>>,
    behavior: Mutex<Behavior>,
    discovery: Mutex<Value>,
    fetches: AtomicUsize,
}

impl TestIssuer {
    /// Starts an issuer that publishes these keys under these ids.
    pub async fn start(keys: &[(&str, &SigningKey)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let issuer = format!("http://{address}");
        let discovery =
            json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys"), "token_endpoint": "x"});
        let state = Arc::new(IssuerState {
            keys: Mutex::default(),
            behavior: Mutex::new(Behavior::Keys),
            discovery: Mutex::new(discovery),
            fetches: AtomicUsize::new(0),
        });
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(discover))
            .route("/keys", get(hand_out))
            .with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        let issuer = Self { address, state };
        issuer.publish(keys);
        issuer
    }

    /// Its identifier.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Publishes these keys in the place of others.
    pub fn publish(&self, keys: &[(&str, &SigningKey)]) {
        self.publish_jwks(keys.iter().map(|(kid, key)| jwk(kid, key)).collect());
    }

    /// Publishes these JWKs in the place of others.
    pub fn publish_jwks(&self, keys: Vec<Value>) {
        *self.state.keys.lock().unwrap() = keys;
    }

    pub fn behave(&self, behavior: Behavior) {
        *self.state.behavior.lock().unwrap() = behavior;
    }

    /// Changes the discovery document.
    pub fn discovery(&self, name: &str, value: Value) {
        self.state.discovery.lock().unwrap()[name] = value;
    }

    /// How often its keys were asked for.
    pub fn fetches(&self) -> usize {
        self.state.fetches.load(Ordering::SeqCst)
    }

    /// Settings of a gateway that accepts its tokens.
    pub fn settings(&self) -> IssuerSettings {
        IssuerSettings {
            issuer: Some(self.url()),
            audience: vec![AUDIENCE.to_owned()],
            discovery: Some("true".to_owned()),
            ..IssuerSettings::default()
        }
    }

    /// A token of this issuer that may do everything, not signed yet.
    pub fn token(&self, kid: &str, key: &SigningKey) -> TokenBuilder {
        let token = TokenBuilder::new().header("kid", json!(kid)).header("alg", json!(key.name));
        token.claim("iss", json!(self.url())).claim("aud", json!(AUDIENCE))
    }

    /// The same, signed.
    pub fn signed(&self, kid: &str, key: &SigningKey) -> String {
        self.token(kid, key).build_with(key)
    }
}

/// The public half of a key as a JWK.
pub fn jwk(kid: &str, key: &SigningKey) -> Value {
    let pem = key.public_pem.as_bytes();
    let public = match key.name {
        "ES256" | "ES384" => DecodingKey::from_ec_pem(pem),
        "EdDSA" => DecodingKey::from_ed_pem(pem),
        _ => DecodingKey::from_rsa_pem(pem),
    };
    let mut jwk = Jwk::from_decoding_key(&public.unwrap(), Some(key.algorithm)).unwrap();
    jwk.common.key_id = Some(kid.to_owned());
    jwk.common.key_algorithm = Some(KeyAlgorithm::from(key.algorithm));
    serde_json::to_value(jwk).unwrap()
}

async fn discover(State(state): State<Arc<IssuerState>>) -> String {
    state.discovery.lock().unwrap().to_string()
}

async fn hand_out(State(state): State<Arc<IssuerState>>) -> Response<Body> {
    state.fetches.fetch_add(1, Ordering::SeqCst);
    let behavior = state.behavior.lock().unwrap().clone();
    match behavior {
        Behavior::Keys => {
            let keys = json!({"keys": *state.keys.lock().unwrap()}).to_string();
            let response = Response::builder().header(header::CACHE_CONTROL, "public, max-age=300");
            response.body(keys.into()).unwrap()
        }
        Behavior::Status(status) => {
            let response = Response::builder().status(StatusCode::from_u16(status).unwrap());
            response
                .header(header::LOCATION, "/.well-known/openid-configuration")
                .body(Body::empty())
                .unwrap()
        }
        Behavior::Text(text) => Response::new(text.into()),
        Behavior::Endless => {
            let blanks = Bytes::from(vec![b' '; 64 * 1024]);
            let endless = stream::repeat_with(move || Ok::<_, std::io::Error>(blanks.clone()));
            Response::new(Body::from_stream(endless))
        }
        Behavior::Silent => pending().await,
    }
}
