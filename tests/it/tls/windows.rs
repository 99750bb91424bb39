//! The receive windows of HTTP/2, which bound how much a client may send before it is read.

use super::*;

/// Kinds of frames, and the setting of streams' windows (RFC 9113 sections 6.5, 6.9 and 6.5.2).
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const INITIAL_WINDOW_SIZE: u16 = 4;

/// Window of a connection before its first update (RFC 9113 section 6.9.2).
const FIRST_WINDOW: u32 = 65_535;

/// Reads the next frame: its kind, stream and payload.
async fn frame(stream: &mut TlsStream<TcpStream>) -> (u8, u32, Vec<u8>) {
    let mut head = [0; 9];
    timeout(PATIENCE, stream.read_exact(&mut head)).await.expect("a frame").unwrap();
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    timeout(PATIENCE, stream.read_exact(&mut payload)).await.expect("a payload").unwrap();
    (head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload)
}

/// The windows of a request and of the connection, of listeners that grant more to the connection than it begins with.
async fn granted(authority: &Authority, address: SocketAddr) -> (u32, u32) {
    let mut config = client_config(authority, None);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = timeout(PATIENCE, connector.connect(name, stream)).await.expect("a handshake").unwrap();
    // With an empty frame of settings.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut of_request = FIRST_WINDOW;
    loop {
        match frame(&mut stream).await {
            (SETTINGS, 0, payload) => {
                for setting in payload.chunks_exact(6) {
                    if u16::from_be_bytes([setting[0], setting[1]]) == INITIAL_WINDOW_SIZE {
                        of_request = u32::from_be_bytes(setting[2..].try_into().unwrap());
                    }
                }
            }
            // The settings are the first frame (section 3.4).
            (WINDOW_UPDATE, 0, payload) => {
                return (of_request, FIRST_WINDOW + u32::from_be_bytes(payload.try_into().unwrap()));
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn an_upload_of_rest_has_a_large_window_but_one_client_of_a_proxy_has_not() {
    const KIB: u32 = 1024;
    let authority = Authority::new("authority");
    let gateway = gateway_with(&Files::of(&authority.gateway())).start().await;
    assert_eq!(granted(&authority, gateway.address()).await, (512 * KIB, 1024 * KIB));
    let proxied = gateway_with(&Files::of(&authority.gateway()))
        .settings(|settings| settings.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()])
        .start()
        .await;
    // One client of a proxy must not use up the window of all.
    assert_eq!(granted(&authority, proxied.address()).await, (64 * KIB, 1024 * KIB));
    assert_eq!(granted(&authority, proxied.grpc_address()).await, (64 * KIB, 1024 * KIB));
}
