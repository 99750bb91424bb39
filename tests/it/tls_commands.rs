//! The real binary with TLS: it follows the files of its certificates, and its commands reach it.

use std::{net::SocketAddr, process::Output, sync::Arc, time::Instant};

use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::{
    PATIENCE,
    binary::{Process, command, free_port, run, text},
    certificates::{Authority, Files, Issued, client_config},
    repository::Repository,
    table,
    tokens::{SECRET, TokenBuilder},
};

/// A gateway with TLS on its public listener, whose settings are in a folder with the files of the certificate.
struct Gateway {
    process: Process,
    authority: Authority,
    files: Files,
    folder: Repository,
    address: SocketAddr,
}

impl Gateway {
    /// Starts with a certificate and further lines of `[server.tls]`.
    fn start(further: &str) -> Self {
        let authority = Authority::new("authority");
        let files = Files::of(&authority.gateway());
        files.write("ca.crt", &authority.pem);
        let folder = Repository::new();
        folder.put_iris("iris/1/model.onnx");
        let (port, admin) = (free_port(), free_port());
        // Paths are relative to this file.
        let (repository, state) = (folder.path().display(), folder.state());
        let state = state.display();
        let settings = format!(
            "[server]\nlisten = \"127.0.0.1:{port}\"\n[server.tls]\ncertificate_file = \"tls.crt\"\nprivate_key_file = \
             \"tls.key\"\n{further}\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n[grpc]\nlisten = \
             \"127.0.0.1:0\"\n[models]\nrepository = \"{repository}\"\nstate_directory = \
             \"{state}\"\n[auth]\nsigning_secret = \"{SECRET}\"\n"
        );
        files.write("gateway.toml", &settings);
        let mut command = command();
        command.current_dir(folder.path()).arg("--config").arg(files.path("gateway.toml"));
        let process = Process::serve(command);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Self { process, authority, files, folder, address }
    }

    /// Runs a command with the settings of this gateway.
    fn run(&self, arguments: &[&str]) -> Output {
        let settings = self.files.path("gateway.toml");
        let arguments = [&["--config", settings.to_str().unwrap()], arguments].concat();
        run(&arguments, self.folder.path(), &[])
    }

    /// Runs `health`, with these arguments, until it succeeds.
    fn is_ready_in_time(&self, health: &[&str]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let output = self.run(health);
            if output.status.success() {
                assert_eq!(text(&output.stdout), "ready\n");
                return;
            }
            assert!(Instant::now() < deadline, "{output:?}");
        }
    }

    /// The certificate that it shows now.
    async fn shown(&self) -> CertificateDer<'static> {
        let connector = TlsConnector::from(Arc::new(client_config(&self.authority, None)));
        let stream = TcpStream::connect(self.address).await.unwrap();
        let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    }
}

#[tokio::test]
async fn files_that_change_are_followed_and_half_a_pair_is_kept_out() {
    let gateway = Gateway::start("");
    let first = gateway.shown().await;
    let Issued { certificate, key } = gateway.authority.gateway();
    gateway.files.write("tls.crt", &certificate);
    let lines = gateway.process.lines_until("failed to reload the settings");
    let refused = lines.last().unwrap();
    assert!(refused.contains("gateway.toml: server.tls.private_key_file: "), "{refused}");
    assert!(refused.contains("is not the key of the first certificate in "), "{refused}");
    assert_eq!(gateway.shown().await, first);
    gateway.files.write("tls.key", &key);
    let lines = gateway.process.lines_until("reloaded the settings");
    assert!(lines.last().unwrap().contains("server.tls, grpc.tls"), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("failed to reload")), "it is said once: {lines:?}");
    assert_eq!(gateway.shown().await, Issued { certificate, key }.der());
}

#[tokio::test]
async fn certificates_are_followed_while_the_settings_are_refused() {
    let gateway = Gateway::start("");
    let settings = std::fs::read_to_string(gateway.files.path("gateway.toml")).unwrap();
    // Of the second, nothing can be read, so it names no certificate.
    for refused in [format!("{settings}no_such_setting = 1\n"), "[server\n".to_owned()] {
        gateway.files.write("gateway.toml", &refused);
        gateway.process.lines_until("failed to reload the settings");
        let next = gateway.authority.gateway();
        gateway.files.put(&next);
        let lines = gateway.process.lines_until("reloaded the certificates");
        assert!(lines.last().unwrap().contains("server.tls, grpc.tls"), "{lines:?}");
        assert_eq!(gateway.shown().await, next.der());
    }
    gateway.files.write("gateway.toml", &settings);
    gateway.process.lines_until("reloaded the settings");
}

#[test]
fn health_shows_a_certificate_where_every_listener_requires_one() {
    let clients = "client_ca_file = \"ca.crt\"\nclient_certificates = \"required\"\n";
    let files = "certificate_file = \"tls.crt\"\nprivate_key_file = \"tls.key\"\n";
    let gateway = Gateway::start(&format!("{clients}[admin.tls]\n{files}{clients}"));
    let own = gateway.authority.client("probe", "spiffe://example/probe");
    gateway.files.write("own.crt", &own.certificate);
    gateway.files.write("own.key", &own.key);
    let file = |name: &str| gateway.files.path(name).display().to_string();
    let (certificate, key) = (file("own.crt"), file("own.key"));
    let refused = gateway.run(&["health"]);
    let said = text(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("--certificate-file and --private-key-file"),
        "{said}"
    );
    gateway.is_ready_in_time(&["health", "--certificate-file", &certificate, "--private-key-file", &key]);
}

#[test]
fn commands_reach_a_gateway_with_tls() {
    let gateway = Gateway::start("");
    gateway.is_ready_in_time(&["health"]);
    let token = TokenBuilder::new().build();
    gateway.files.write("rows.csv", "sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n");
    let file = |name: &str| gateway.files.path(name).display().to_string();
    let url = format!("https://localhost:{}", gateway.address.port());
    let (rows, scored, authorities) = (file("rows.csv"), file("scored.csv"), file("ca.crt"));
    let score = ["score", "iris", "--input", &rows, "--output", &scored, "--url", &url, "--token", &token];
    let rollback = ["rollback", "iris", "--url", &url, "--token", &token];
    let trusting = ["--ca-file", authorities.as_str()];
    let unknown = "invalid peer certificate";
    let cases = [
        (vec!["rollback", "iris"], 1, "no earlier deployment"),
        ([&rollback[..], &trusting].concat(), 1, "no earlier deployment"),
        (rollback.to_vec(), 1, unknown),
        ([&score[..], &trusting].concat(), 0, "scored 1 rows"),
        (score.to_vec(), 1, unknown),
        (
            [&score[..7], &["http://localhost:1"], &score[8..], &trusting].concat(),
            1,
            "begin the URL with https",
        ),
    ];
    table::each(cases, |(arguments, status, part)| {
        let output = gateway.run(&arguments);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains(part), "{said}");
    });
    // Another key in the settings: the gateway that answers is not the one of the settings.
    // In a folder of their own, as the gateway would follow its files.
    let others = Files::of(&gateway.authority.gateway());
    others.write("gateway.toml", &std::fs::read_to_string(gateway.files.path("gateway.toml")).unwrap());
    let with_others = |arguments: &[&str]| {
        let settings = others.path("gateway.toml");
        run(&[&["--config", settings.to_str().unwrap()], arguments].concat(), gateway.folder.path(), &[])
    };
    let said = text(&with_others(&["rollback", "iris"]).stderr);
    assert!(said.contains(unknown), "{said}");
    assert!(with_others(&["health"]).status.success(), "a certificate may be renewed at any moment");
}

#[test]
fn commands_reach_a_gateway_that_requires_certificates() {
    let gateway = Gateway::start("client_ca_file = \"ca.crt\"\nclient_certificates = \"required\"");
    gateway.is_ready_in_time(&["health"]);
    let token = TokenBuilder::new().build();
    let own = gateway.authority.client("operator", "spiffe://example/operator");
    gateway.files.write("own.crt", &own.certificate);
    gateway.files.write("own.key", &own.key);
    let file = |name: &str| gateway.files.path(name).display().to_string();
    let url = format!("https://localhost:{}", gateway.address.port());
    let (authorities, certificate, key) = (file("ca.crt"), file("own.crt"), file("own.key"));
    let rollback = ["rollback", "iris", "--url", &url, "--token", &token, "--ca-file", authorities.as_str()];
    let shown = ["--certificate-file", certificate.as_str(), "--private-key-file", key.as_str()];
    let cases = [
        ([&rollback[..], &shown].concat(), 1, "no earlier deployment"),
        (rollback.to_vec(), 1, "the request to "),
        (vec!["rollback", "iris"], 1, "name the gateway with --url"),
        (vec!["check"], 0, "ok: the settings are valid"),
    ];
    table::each(cases, |(arguments, status, part)| {
        let output = gateway.run(&arguments);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains(part), "{said}");
    });
}

/// Starts a gateway with these variables, and returns the lines of its log that have this part.
fn warnings(environment: &[(&str, &str)], part: &str) -> Vec<String> {
    let folder = Repository::new();
    folder.put_iris("iris/1/model.onnx");
    let mut command = command();
    command
        .current_dir(folder.path())
        .env("GATEWAY__AUTH__SIGNING_SECRET", SECRET)
        .env("GATEWAY__MODELS__REPOSITORY", folder.path())
        .env("GATEWAY__MODELS__STATE_DIRECTORY", folder.state())
        .env("GATEWAY__ADMIN__LISTEN", "127.0.0.1:0")
        .envs(environment.iter().copied());
    let (_process, lines) = Process::serve_and_log(command);
    lines.into_iter().filter(|line| line.contains(part)).collect()
}

#[test]
fn public_addresses_without_tls_are_warned_of_in_one_line() {
    let authority = Authority::new("authority");
    let files = Files::of(&authority.gateway());
    let lines = |environment: &[(&str, &str)]| warnings(environment, "not encrypted");
    let outside = [("GATEWAY__SERVER__LISTEN", "0.0.0.0:0"), ("GATEWAY__GRPC__LISTEN", "0.0.0.0:0")];
    let said = lines(&outside);
    assert!(
        said.len() == 1 && said[0].contains("WARN") && said[0].contains("0.0.0.0:0, 0.0.0.0:0"),
        "{said:?}"
    );
    let (certificate, key) = (files.path("tls.crt"), files.path("tls.key"));
    let encrypted = [
        ("GATEWAY__SERVER__TLS__CERTIFICATE_FILE", certificate.to_str().unwrap()),
        ("GATEWAY__SERVER__TLS__PRIVATE_KEY_FILE", key.to_str().unwrap()),
    ];
    assert_eq!(lines(&[&outside[..], &encrypted].concat()), [""; 0]);
    let local = [("GATEWAY__SERVER__LISTEN", "127.0.0.1:0"), ("GATEWAY__GRPC__LISTEN", "127.0.0.1:0")];
    assert_eq!(lines(&local), [""; 0]);
}

#[test]
fn an_operators_listener_that_is_not_protected_is_warned_of() {
    let authority = Authority::new("authority");
    let files = Files::of(&authority.gateway());
    files.write("ca.crt", &authority.pem);
    let local = [("GATEWAY__SERVER__LISTEN", "127.0.0.1:0"), ("GATEWAY__GRPC__LISTEN", "127.0.0.1:0")];
    let outside = ("GATEWAY__ADMIN__LISTEN", "0.0.0.0:0");
    let plain = warnings(&[&local[..], &[outside]].concat(), "admin.listen");
    assert!(plain.len() == 1 && plain[0].contains("WARN") && plain[0].contains("without TLS"), "{plain:?}");
    let (certificate, key, authorities) =
        (files.path("tls.crt"), files.path("tls.key"), files.path("ca.crt"));
    for (clients, expected) in [("optional", 1), ("required", 0)] {
        let encrypted = [
            outside,
            ("GATEWAY__ADMIN__TLS__CERTIFICATE_FILE", certificate.to_str().unwrap()),
            ("GATEWAY__ADMIN__TLS__PRIVATE_KEY_FILE", key.to_str().unwrap()),
            ("GATEWAY__ADMIN__TLS__CLIENT_CA_FILE", authorities.to_str().unwrap()),
            ("GATEWAY__ADMIN__TLS__CLIENT_CERTIFICATES", clients),
        ];
        let said = warnings(&[&local[..], &encrypted].concat(), "WARN");
        assert!(!said.iter().any(|line| line.contains("without TLS")), "{said:?}");
        let of_clients =
            said.iter().filter(|line| line.contains("admin.tls.client_certificates is optional"));
        assert_eq!(of_clients.count(), expected, "{clients}: {said:?}");
    }
}

#[test]
fn half_a_section_is_an_error_of_every_command() {
    let authority = Authority::new("authority");
    let files = Files::of(&authority.gateway());
    let settings = files.path("gateway.toml");
    let port = free_port();
    let cases = [
        ("private_key_file = \"tls.key\"", "certificate_file"),
        ("certificate_file = \"tls.crt\"", "private_key_file"),
    ];
    for (line, missing) in cases {
        let text_of = format!(
            "[auth]\nsigning_secret = \"{SECRET}\"\n[server]\nlisten = \"127.0.0.1:{port}\"\n[server.tls]\n{line}\n"
        );
        files.write("gateway.toml", &text_of);
        let part = format!("server.tls.{missing}: is not set");
        let commands: [&[&str]; 6] = [
            &["rollback", "iris"],
            &["rollback", "iris", "--token", "x"],
            &["health"],
            &["check"],
            &["token", "--subject", "a", "--scope", "read"],
            &["openapi"],
        ];
        table::each(commands, |arguments| {
            let with_settings = [&["--config", settings.to_str().unwrap()], arguments].concat();
            let output = run(&with_settings, settings.parent().unwrap(), &[]);
            let said = text(&output.stdout) + &text(&output.stderr);
            assert!(!output.status.success() && said.contains(&part), "{said}");
        });
    }
}
