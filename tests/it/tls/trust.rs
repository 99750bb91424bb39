//! The trust in certificates of clients, which ends when their authorities or the mode change.

use rustls::HandshakeKind;

use super::*;

/// A gateway that asks for certificates, and identifies one caller by them.
async fn asking_gateway(files: &Files) -> TestGateway {
    gateway_with(files)
        .settings(|settings| {
            settings.server.tls.client_ca_file = Some(files.path("clients.crt"));
            settings.server.tls.client_certificates = Some(ClientCertificates::Optional);
            let scopes = vec!["predict:iris".to_owned(), "read".to_owned()];
            let shop =
                CertificateSettings { subject: Some("CN=shop".to_owned()), san: None, scopes, plan: None };
            settings.auth.certificates.insert("shop".to_owned(), shop);
        })
        .start()
        .await
}

/// Requests a prediction without a token; `None` if the gateway does not let the client in.
async fn predicts(client: &Https<Full<Bytes>>, gateway: &TestGateway) -> Option<StatusCode> {
    let read = ask_with(client, gateway.address(), &[], "/predict", Some(&setosa())).await;
    read.map(|read| read.status)
}

#[tokio::test]
async fn a_certificate_of_former_authorities_identifies_nobody_also_on_an_open_connection() {
    let (authority, another) = (Authority::new("authority"), Authority::new("another"));
    let (former, new) = (Authority::new("former"), Authority::new("new"));
    let (old_shop, new_shop) = (former.client("shop", "spiffe://shop"), new.client("shop", "spiffe://shop"));
    for offers in [Offers::Http1, Offers::Http2] {
        let files = Files::of(&authority.gateway());
        files.write("clients.crt", &former.pem);
        let gateway = asking_gateway(&files).await;
        let old = https(client_config(&authority, Some(&old_shop)), offers);
        assert_eq!(predicts(&old, &gateway).await, Some(StatusCode::OK), "{offers:?}");
        // A client that connected again would not trust this certificate.
        files.put(&another.gateway());
        gateway.reload(|_| {});
        assert_eq!(
            predicts(&old, &gateway).await,
            Some(StatusCode::OK),
            "{offers:?}: clients are trusted as before"
        );
        files.write("clients.crt", &new.pem);
        gateway.reload(|_| {});
        assert_eq!(predicts(&old, &gateway).await, Some(StatusCode::UNAUTHORIZED), "{offers:?}");
        let reconnected = https(client_config(&another, Some(&old_shop)), offers);
        assert_eq!(predicts(&reconnected, &gateway).await, None, "{offers:?}");
        let client = https(client_config(&another, Some(&new_shop)), offers);
        assert_eq!(predicts(&client, &gateway).await, Some(StatusCode::OK), "{offers:?}");
    }
}

#[tokio::test]
async fn a_client_that_is_refused_for_its_former_certificate_has_to_connect_again() {
    let (authority, of_clients) = (Authority::new("authority"), Authority::new("authority of clients"));
    let shop = of_clients.client("shop", "spiffe://shop");
    for offers in [Offers::Http1, Offers::Http2] {
        let files = Files::of(&authority.gateway());
        files.write("clients.crt", &of_clients.pem);
        let gateway = asking_gateway(&files).await;
        let client = https(client_config(&authority, Some(&shop)), offers);
        assert_eq!(predicts(&client, &gateway).await, Some(StatusCode::OK), "{offers:?}");
        files.write("clients.crt", &format!("{}{}", of_clients.pem, authority.pem));
        gateway.reload(|_| {});
        assert_eq!(predicts(&client, &gateway).await, Some(StatusCode::UNAUTHORIZED), "{offers:?}");
        // The connection of whoever asks for the metrics is the only one.
        gateway.metrics_until(|metrics| metrics.contains("gateway_connections 1\n")).await;
        assert_eq!(
            predicts(&client, &gateway).await,
            Some(StatusCode::OK),
            "{offers:?}: by another connection"
        );
    }
}

#[tokio::test]
async fn streams_of_events_end_when_the_trust_in_clients_does() {
    let (authority, of_clients) = (Authority::new("authority"), Authority::new("authority of clients"));
    let shop = of_clients.client("shop", "spiffe://shop");
    let files = Files::of(&authority.gateway());
    files.write("clients.crt", &of_clients.pem);
    let gateway = asking_gateway(&files).await;
    let client = https::<Full<Bytes>>(client_config(&authority, Some(&shop)), Offers::Http2);
    let uri = format!("https://localhost:{}/events", gateway.address().port());
    let request = Request::builder().uri(uri).header("accept", "text/event-stream");
    let response = client.request(request.body(Full::default()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    gateway.reload(|settings| settings.server.tls.client_certificates = Some(ClientCertificates::Required));
    let all = timeout(PATIENCE, response.into_body().collect()).await.expect("an end").unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&all).contains("authentication_changed"), "{all:?}");
}

#[tokio::test]
async fn grpc_with_a_certificate_of_its_own_asks_clients_as_rest_does_unless_it_is_told_not_to() {
    let (authority, of_clients) = (Authority::new("authority"), Authority::new("authority of clients"));
    let (of_rest, of_grpc) = (Files::of(&authority.gateway()), Files::of(&authority.gateway()));
    of_rest.write("clients.crt", &of_clients.pem);
    let shop = of_clients.client("shop", "spiffe://shop");
    for (own, clients, none_is_let_in) in [
        (true, None, false),
        (true, Some(ClientCertificates::None), true),
        (false, None, false),
        (false, Some(ClientCertificates::None), true),
    ] {
        let own_certificate = if own { of_grpc.settings() } else { Settings::default().grpc.tls };
        let gateway = gateway_with(&of_rest)
            .settings(|settings| {
                settings.server.tls.client_ca_file = Some(of_rest.path("clients.crt"));
                settings.server.tls.client_certificates = Some(ClientCertificates::Required);
                settings.grpc.tls = own_certificate;
                settings.grpc.tls.client_certificates = clients;
            })
            .start()
            .await;
        for (shown, is_let_in) in [(None, none_is_let_in), (Some(&shop), true)] {
            let client = https(client_config(&authority, shown), Offers::Http2);
            let read = ask(&client, gateway.grpc_address(), "/health/live", None).await;
            assert_eq!(read.is_some(), is_let_in, "{own} {clients:?}");
            let read = ask(&client, gateway.address(), "/health/live", None).await;
            assert_eq!(read.is_some(), shown.is_some(), "REST: {own} {clients:?}");
        }
    }
}

#[tokio::test]
async fn sessions_are_resumed_only_where_clients_show_no_certificate() {
    let (authority, of_clients) = (Authority::new("authority"), Authority::new("authority of clients"));
    let shop = of_clients.client("shop", "spiffe://shop");
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for (asks, expected) in [(false, HandshakeKind::Resumed), (true, HandshakeKind::Full)] {
            let files = Files::of(&authority.gateway());
            files.write("clients.crt", &of_clients.pem);
            let gateway =
                if asks { asking_gateway(&files).await } else { gateway_with(&files).start().await };
            let config = Arc::new(client_config_with(&authority, asks.then_some(&shop), &[version]));
            let mut kinds = Vec::new();
            for _ in 0..2 {
                let connector = TlsConnector::from(Arc::clone(&config));
                let stream = TcpStream::connect(gateway.address()).await.unwrap();
                let name = ServerName::try_from("localhost").unwrap();
                let mut stream =
                    timeout(PATIENCE, connector.connect(name, stream)).await.expect("a handshake").unwrap();
                // TLS 1.3 sends tickets with the first bytes after the handshake.
                is_alive(&mut stream, "close").await;
                kinds.push(stream.get_ref().1.handshake_kind().unwrap());
            }
            assert_eq!(kinds, [HandshakeKind::Full, expected], "{version:?} {asks}");
        }
    }
}
