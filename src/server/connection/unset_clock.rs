//! HTTP/1.1 while the machine's clock is invalid. The library reads it for each response, and would panic.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time,
};

use super::linger;

const BODY: &str = r#"{"type":"about:blank","title":"Service Unavailable","status":503,"code":"clock_not_set","detail":"the clock of the gateway's machine is before 1970 or after 9999: set it"}"#;

/// Responds 503 to the first request of a connection.
pub(super) async fn refuse(mut stream: impl AsyncRead + AsyncWrite + Unpin, write_timeout: Duration) {
    let length = BODY.len();
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncache-control: no-store\r\n\
         content-type: application/problem+json\r\ncontent-length: {length}\r\n\r\n"
    );
    // Only once a request arrives: before that, there is nothing to respond to.
    let answered = async {
        stream.read_u8().await?;
        stream.write_all(format!("{head}{BODY}").as_bytes()).await?;
        stream.flush().await
    };
    if let Ok(Ok(())) = time::timeout(write_timeout, answered).await {
        linger(stream).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn a_request_is_answered_with_the_reason() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.write_all(b"GET /health/ready HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        client.shutdown().await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        refuse(stream, Duration::from_secs(10)).await;
        let mut response = String::new();
        client.read_to_string(&mut response).await.unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["code"], "clock_not_set");
    }
}
