//! The times in which the certificates of a listener are valid, and warnings of those that are not.

use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use x509_cert::{
    Certificate,
    der::{self, Decode},
};

/// The time in which a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
}

impl Validity {
    /// Reads the validity of a certificate.
    ///
    /// # Errors
    ///
    /// If the certificate does not follow RFC 5280.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Result<Self, der::Error> {
        Ok(Named::of(certificate)?.validity)
    }
}

/// The validity of a certificate with this subject.
#[derive(Debug)]
struct Named {
    subject: String,
    validity: Validity,
}

impl Named {
    fn of(certificate: &CertificateDer<'_>) -> Result<Self, der::Error> {
        let certificate = Certificate::from_der(certificate)?;
        let content = certificate.tbs_certificate();
        let (not_before, not_after) = (content.validity().not_before, content.validity().not_after);
        let validity =
            Validity { not_before: not_before.to_system_time(), not_after: not_after.to_system_time() };
        Ok(Self { subject: content.subject().to_string(), validity })
    }
}

/// The validity of all certificates of a section.
#[derive(Debug)]
pub(super) struct Validities {
    /// The server's own certificate.
    pub(super) own: Validity,
    /// The certificates after it in its file.
    chain: Vec<Named>,
    /// The authorities of clients.
    authorities: Vec<Named>,
}

impl Validities {
    /// Reads those that can be read of the certificates beside the server's own.
    pub(super) fn new(
        own: Validity,
        chain: &[CertificateDer<'_>],
        authorities: &[CertificateDer<'_>],
    ) -> Self {
        let read = |list: &[CertificateDer<'_>]| list.iter().filter_map(|one| Named::of(one).ok()).collect();
        Self { own, chain: read(chain.get(1..).unwrap_or_default()), authorities: read(authorities) }
    }

    /// Returns the setting and a warning for each certificate that is not valid at this time or ends too early.
    pub(super) fn warnings(&self, now: SystemTime) -> Vec<(&'static str, String)> {
        let own = self.warning_of_own(now).map(|warning| ("certificate_file", warning));
        let chain = self.chain.iter().filter_map(|one| self.warning_of_chain(one, now));
        let chain = chain.map(|warning| ("certificate_file", warning));
        let authorities = self.authorities.iter().filter_map(|one| warning_of_authority(one, now));
        let authorities = authorities.map(|warning| ("client_ca_file", warning));
        own.into_iter().chain(chain).chain(authorities).collect()
    }

    fn warning_of_own(&self, now: SystemTime) -> Option<String> {
        let Validity { not_before, not_after } = self.own;
        if now > not_after {
            let date = date(not_after);
            Some(format!("the certificate expired at {date}: clients refuse it until it is renewed"))
        } else if now < not_before {
            let date = date(not_before);
            Some(format!(
                "the certificate is valid from {date} on: check the clock, clients refuse it until then"
            ))
        } else {
            None
        }
    }

    fn warning_of_chain(&self, one: &Named, now: SystemTime) -> Option<String> {
        let Named { subject, validity: Validity { not_after, .. } } = one;
        let end = date(*not_after);
        if now > *not_after {
            Some(format!(
                "the certificate `{subject}` after the server's own expired at {end}: clients that need it refuse \
                 both; get the current one from the authority"
            ))
        } else if *not_after < self.own.not_after {
            Some(format!(
                "the certificate `{subject}` after the server's own expires at {end}, before the server's own: renew \
                 both by then"
            ))
        } else {
            None
        }
    }
}

/// Returns the warning of an authority that has expired. The end of an authority is not part of the verification (RFC
/// 5280 section 6.1), so its certificates are still accepted.
fn warning_of_authority(one: &Named, now: SystemTime) -> Option<String> {
    let Named { subject, validity: Validity { not_after, .. } } = one;
    (now > *not_after).then(|| {
        format!(
            "the authority `{subject}` expired at {}, and certificates that it issued are accepted all the same: \
             remove it once clients have others",
            date(*not_after)
        )
    })
}

fn date(time: SystemTime) -> humantime::Rfc3339Timestamp {
    humantime::format_rfc3339_seconds(time)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn until(name: &str, year: i32) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn certificates_that_are_not_valid_or_end_too_early_are_warned_of() {
        let year = |year: u32| humantime::parse_rfc3339(&format!("{year}-06-01T00:00:00Z")).unwrap();
        let chain = [until("own", 2030), until("between", 2029), until("root", 2040)];
        let authorities = [until("old clients", 2025), until("clients", 2040)];
        let validities = Validities::new(Validity::of(&chain[0]).unwrap(), &chain, &authorities);
        let warnings = |now| {
            let found = validities.warnings(year(now)).into_iter();
            found.map(|(setting, warning)| format!("{setting}: {warning}")).collect::<Vec<_>>()
        };
        let early =
            "certificate_file: the certificate `CN=between` after the server's own expires at 2029-01-01";
        let cases: [(u32, &[&str]); 5] = [
            (2024, &[early]),
            (2026, &[early, "client_ca_file: the authority `CN=old clients` expired at 2025-01-01"]),
            (
                2029,
                &["certificate_file: the certificate `CN=between` after the server's own expired", "client"],
            ),
            (2030, &["certificate_file: the certificate expired at 2030", "certificate_file", "client"]),
            (2019, &["certificate_file: the certificate is valid from 2020-01-01", early]),
        ];
        for (now, expected) in cases {
            let found = warnings(now);
            let fits = |(found, begin): (&String, &&str)| found.starts_with(begin);
            let all = found.len() == expected.len() && found.iter().zip(expected).all(fits);
            assert!(all, "{now}: {found:#?}");
        }
    }
}
