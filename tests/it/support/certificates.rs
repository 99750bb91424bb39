//! Certificates that are made for a test, and clients that trust them.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc};

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use onnx_gateway::config::TlsSettings;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// One that issues certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

/// A certificate and its key, as PEM.
#[derive(Clone, Debug)]
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate of a gateway on this machine.
    pub fn gateway(&self) -> Issued {
        self.gateway_until(4096, 1, 1)
    }

    /// One that ended long ago.
    pub fn expired(&self) -> Issued {
        self.gateway_until(2001, 2, 3)
    }

    fn gateway_until(&self, year: i32, month: u8, day: u8) -> Issued {
        let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_after = rcgen::date_time_ymd(year, month, day);
        self.issue(&params)
    }

    /// A certificate of a client.
    pub fn client(&self, name: &str, uri: &str) -> Issued {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&params)
    }

    fn issue(&self, params: &CertificateParams) -> Issued {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Issued { certificate, key: key.serialize_pem() }
    }
}

impl Issued {
    /// The certificate as a handshake shows it.
    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()
    }
}

/// A folder with the files of a listener.
#[derive(Debug)]
pub struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    pub fn of(issued: &Issued) -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        files.put(issued);
        files
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file that only its owner may read, in one step.
    pub fn write(&self, name: &str, text: &str) {
        let next = self.path("next");
        fs::write(&next, text).unwrap();
        fs::set_permissions(&next, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(next, self.path(name)).unwrap();
    }

    /// Writes a certificate and its key.
    pub fn put(&self, issued: &Issued) {
        self.write("tls.crt", &issued.certificate);
        self.write("tls.key", &issued.key);
    }

    /// Settings with these files.
    pub fn settings(&self) -> TlsSettings {
        TlsSettings {
            certificate_file: Some(self.path("tls.crt")),
            private_key_file: Some(self.path("tls.key")),
            ..TlsSettings::default()
        }
    }
}

/// What a client trusts and shows.
pub fn client_config(trusted: &Authority, own: Option<&Issued>) -> ClientConfig {
    client_config_with(trusted, own, rustls::ALL_VERSIONS)
}

/// The same with some versions only.
pub fn client_config_with(
    trusted: &Authority,
    own: Option<&Issued>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.pem.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_protocol_versions(versions).unwrap().with_root_certificates(roots);
    match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![own.der()], key).unwrap()
        }
    }
}

/// The versions of HTTP that a client offers.
#[derive(Clone, Copy, Debug)]
pub enum Offers {
    Http1,
    Http2,
    Both,
}

pub type Https<B> = Client<HttpsConnector<HttpConnector>, B>;

/// A client over TLS.
pub fn https<B>(config: ClientConfig, offers: Offers) -> Https<B>
where
    B: http_body::Body + Send,
    B::Data: Send,
{
    let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_only();
    let connector = match offers {
        Offers::Http1 => builder.enable_http1().build(),
        Offers::Http2 => builder.enable_http2().build(),
        Offers::Both => builder.enable_all_versions().build(),
    };
    Client::builder(TokioExecutor::new()).http2_only(matches!(offers, Offers::Http2)).build(connector)
}
