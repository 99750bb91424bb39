//! Tokens of other issuers: whose keys verify them, what their claims must say, and where the keys come from.

mod fetching;
mod metadata;
mod providers;
mod rotation;
mod rules;
mod sources;

use onnx_gateway::config::IssuerSettings;
use reqwest::StatusCode;

use crate::support::{Answer, Builder, TestGateway, issuer::TestIssuer, setosa};

/// A gateway that accepts tokens of these issuers, besides its own.
fn gateway<'i>(issuers: impl IntoIterator<Item = (&'i str, IssuerSettings)>) -> Builder {
    let issuers: Vec<_> = issuers.into_iter().map(|(name, issuer)| (name.to_owned(), issuer)).collect();
    TestGateway::builder().settings(|settings| settings.auth.issuers.extend(issuers))
}

/// The response to a prediction with this token.
async fn ask(gateway: &TestGateway, token: &str) -> Answer {
    let request = gateway.client.post(gateway.url("/predict")).bearer_auth(token).json(&setosa());
    Answer::of(request.send().await.unwrap()).await
}

async fn status(gateway: &TestGateway, token: &str) -> StatusCode {
    ask(gateway, token).await.status
}

/// A gateway of one issuer, which is called `login`.
async fn started(issuer: &TestIssuer) -> TestGateway {
    gateway([("login", issuer.settings())]).start().await
}
