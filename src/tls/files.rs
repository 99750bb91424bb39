//! Certificates and keys in files, as PEM. Every error says what the file holds instead and what to do.

use std::{fs, io, path::Path};

use rustls::pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject},
};

use crate::config::describe_read_error;

/// Largest file of certificates; a bundle of all public authorities has a quarter of it.
const MAX_BYTES: u64 = 1024 * 1024;

/// Reads all certificates of a file.
///
/// # Errors
///
/// If the file cannot be read, is not PEM, or has none.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(path)?;
    let shown = path.display();
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if found.is_empty() => {
            let hint = "expected PEM with -----BEGIN CERTIFICATE-----; for DER: openssl x509 -inform der -in FILE -out \
                        FILE.pem";
            Err(format!("{shown} has no certificate{}: {hint}", instead(&pem)))
        }
        Ok(found) => Ok(found),
        Err(error) => Err(format!("{shown} is damaged: {}", described(&error))),
    }
}

/// Reads the first private key of a file.
///
/// # Errors
///
/// If the file cannot be read, is not PEM, or has no key that can be used without a passphrase.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let pem = read(path)?;
    let shown = path.display();
    if is_encrypted(&pem) {
        return Err(format!(
            "{shown} has an encrypted key, and the gateway cannot ask for its passphrase: write it without one by openssl pkey \
             -in FILE -out FILE.key, readable only for the gateway"
        ));
    }
    match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => {
            let hint = "expected PEM with -----BEGIN PRIVATE KEY-----";
            Err(format!("{shown} has no private key{}: {hint}", instead(&pem)))
        }
        Err(error) => Err(format!("{shown} is damaged: {}", described(&error))),
    }
}

/// Returns a warning if other users may read the file of a private key. `None` if only its owner may.
pub(super) fn warning_of_readers(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = fs::metadata(path).ok()?;
    let is_open = metadata.permissions().mode() & 0o077 != 0;
    is_open.then(|| format!("{} holds a secret and other users may read it: chmod 600 it", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let failed =
        |error: io::Error| format!("{} cannot be read: {}", path.display(), describe_read_error(&error));
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.len() > MAX_BYTES {
        return Err(format!(
            "{} is larger than {MAX_BYTES} bytes, too large for certificates",
            path.display()
        ));
    }
    fs::read(path).map_err(failed)
}

fn is_encrypted(pem: &[u8]) -> bool {
    let text = String::from_utf8_lossy(pem);
    text.lines().any(|line| {
        line.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY") || line.starts_with("Proc-Type: 4,ENCRYPTED")
    })
}

/// Returns the kind of the first PEM block, in words that follow on what is missing. Empty if there is none.
fn instead(pem: &[u8]) -> String {
    let text = String::from_utf8_lossy(pem);
    let label = text.lines().find_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----"));
    label.map(|label| format!(" but a {label}")).unwrap_or_default()
}

/// Describes an error without any byte of the file, which may be a key.
fn described(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a block has no -----END line",
        pem::Error::IllegalSectionStart { .. } => "a -----BEGIN line is malformed",
        pem::Error::Base64Decode(_) => "a block is not base64",
        _ => "it is not PEM",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        file
    }

    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";

    #[test]
    fn a_file_without_certificates_is_described_by_what_it_has() {
        for (text, part) in [
            ("", "has no certificate: expected PEM"),
            (KEY, "has no certificate but a PRIVATE KEY: expected PEM"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n", "is damaged: a block has no -----END line"),
            (
                "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n",
                "is damaged: a block is not base64",
            ),
        ] {
            let said = certificates(file(text).path()).unwrap_err();
            assert!(said.contains(part), "{said}");
        }
        let said = certificates(Path::new("/nowhere/at/all")).unwrap_err();
        assert!(said.starts_with("/nowhere/at/all cannot be read: "), "{said}");
    }

    #[test]
    fn a_key_is_read_unless_it_is_encrypted_or_something_else() {
        assert!(private_key(file(KEY).path()).is_ok());
        for (text, part) in [
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "has no private key but a CERTIFICATE",
            ),
            (
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
                "openssl pkey",
            ),
            ("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n", "has an encrypted key"),
        ] {
            let said = private_key(file(text).path()).unwrap_err();
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn a_key_that_others_may_read_is_warned_of() {
        use std::os::unix::fs::PermissionsExt;
        let file = file(KEY);
        for (mode, is_open) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(warning_of_readers(file.path()).is_some(), is_open, "{mode:o}");
        }
    }
}
