//! Pages of other sites, and methods other than POST.

use reqwest::Method;
use serde_json::json;

use super::{builder, message, post, send};
use crate::support::{Answer, TestGateway, table, tokens::TokenBuilder};

const PAGE: &str = "https://app.example.com";

/// The response to a page of this origin that reached the gateway by this name.
async fn of_page(gateway: &TestGateway, host: &str, origin: &str) -> Answer {
    let body = message("ping", &json!({})).to_string();
    send(post(gateway, "", body).header("host", host).header("origin", origin)).await
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused() {
    let gateway = builder().settings(|settings| settings.cors.allowed_origins = vec![PAGE.to_owned()]);
    let gateway = gateway.start().await;
    let own = gateway.address().to_string();
    let cases = [
        (own.as_str(), format!("http://{own}"), 200),
        (&own, PAGE.to_owned(), 200),
        ("gateway.example", PAGE.to_owned(), 200),
        (&own, "https://evil.example".to_owned(), 403),
        // A name that was pointed to the gateway after the page was loaded.
        ("evil.example", "http://evil.example".to_owned(), 403),
        (&own, "http://127.0.0.1:1".to_owned(), 403),
        (&own, "null".to_owned(), 403),
    ];
    table::each_async(cases, async |(host, origin, status)| {
        let answer = of_page(&gateway, host, &origin).await;
        assert_eq!(answer.status, status, "{answer:?}");
        if status == 403 {
            assert_eq!(answer.body["jsonrpc"], "2.0", "{answer:?}");
            assert!(answer.body["error"]["message"].as_str().unwrap().contains("Origin"), "{answer:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn no_stream_is_offered_and_no_session_ended() {
    let gateway = builder().start().await;
    let token = TokenBuilder::new().scope("").build();
    table::each_async([Method::GET, Method::DELETE, Method::PUT, Method::HEAD], async |method: Method| {
        let request = gateway.client.request(method, gateway.url("/mcp")).bearer_auth(&token);
        let answer = send(request.header("accept", "text/event-stream")).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "POST"), "{answer:?}");
    })
    .await;
    let of_page = gateway.client.get(gateway.url("/mcp")).bearer_auth(&token).header("origin", PAGE);
    assert_eq!(send(of_page).await.status, 403);
    let below = send(gateway.client.post(gateway.url("/mcp/x")).bearer_auth(&token)).await;
    assert_eq!((below.status.as_u16(), &below.body["jsonrpc"]), (404, &json!("2.0")), "{below:?}");
}
