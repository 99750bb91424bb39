//! The claims of a token and the rules for them (RFC 7519 section 4.1).

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::Deserialize;

use super::{Caller, PlanName, Scopes, TokenError};
use crate::config::{AuthSettings, ClientSettings};

/// Longest subject in bytes: it is a key of rate limits and a field of the log.
const MAX_SUBJECT_BYTES: usize = 256;

/// The claims that are judged here; the library compares the audience. Named fields make `serde` refuse a duplicate
/// claim.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    pub(super) iss: String,
    pub(super) sub: String,
    pub(super) exp: f64,
    #[serde(default)]
    pub(super) nbf: Option<f64>,
    #[serde(default)]
    pub(super) iat: Option<f64>,
    #[serde(default)]
    pub(super) jti: Option<String>,
    #[serde(default)]
    pub(super) scope: String,
}

/// Limits that claims are judged by.
#[derive(Clone, Debug)]
pub(super) struct ClaimsPolicy {
    leeway: f64,
    max_lifetime: f64,
    /// The plans of clients, which are the subjects of the gateway's own tokens.
    plans: BTreeMap<String, PlanName>,
}

impl ClaimsPolicy {
    pub(super) fn new(settings: &AuthSettings) -> Self {
        let plan = |client: &ClientSettings| client.plan.as_deref().map(PlanName::from);
        let plans = settings.clients.iter().filter_map(|(id, client)| Some((id.clone(), plan(client)?)));
        let seconds = |seconds| Duration::from_secs(seconds).as_secs_f64();
        Self {
            leeway: seconds(settings.leeway_seconds),
            max_lifetime: seconds(settings.max_token_lifetime_seconds),
            plans: plans.collect(),
        }
    }

    /// Creates the limits for tokens of another issuer, with its own leeway if it has one. Its subjects are not clients
    /// of the gateway.
    pub(super) fn of_issuer(settings: &AuthSettings, leeway_seconds: Option<u64>) -> Self {
        let own = Self::new(settings);
        let leeway = leeway_seconds.map(|seconds| Duration::from_secs(seconds).as_secs_f64());
        Self { leeway: leeway.unwrap_or(own.leeway), plans: BTreeMap::new(), ..own }
    }

    /// Judges the times and the form of the subject. The signature's verification has compared issuer and audience.
    pub(super) fn judge(
        &self,
        claims: Claims,
        scopes: Scopes,
        now: SystemTime,
    ) -> Result<Caller, TokenError> {
        // A clock before 1970 makes every token too long-lived and thus refused, which is the safe side.
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let Claims { exp, nbf, iat, .. } = claims;
        if [Some(exp), nbf, iat].into_iter().flatten().any(|time| !time.is_finite() || time < 0.0) {
            return Err(TokenError::Claim("exp, nbf or iat"));
        }
        if now >= exp + self.leeway {
            return Err(TokenError::Expired);
        }
        if [nbf, iat].into_iter().flatten().any(|time| time > now + self.leeway) {
            return Err(TokenError::NotYetValid);
        }
        let issued = iat.unwrap_or(now);
        if exp - issued > self.max_lifetime + self.leeway {
            return Err(TokenError::LivesTooLong);
        }
        let sub = &claims.sub;
        if sub.is_empty() || sub.len() > MAX_SUBJECT_BYTES || sub.chars().any(char::is_control) {
            return Err(TokenError::Claim("sub"));
        }
        let lifetime = Duration::try_from_secs_f64(exp + self.leeway).ok();
        let valid_until = lifetime.and_then(|lifetime| SystemTime::UNIX_EPOCH.checked_add(lifetime));
        let plan = self.plans.get(sub).cloned();
        let caller = Caller::new(claims.iss, claims.sub, scopes, valid_until).with_plan(plan);
        let issued = iat.and_then(|iat| Duration::try_from_secs_f64(iat).ok()).map(|since| since.as_secs());
        Ok(caller.of_token(claims.jti.map(Arc::from), issued))
    }

    /// Returns the longest time for which a token may still be accepted after it was issued.
    pub(super) fn longest_validity(&self) -> Duration {
        Duration::try_from_secs_f64(self.max_lifetime + 2.0 * self.leeway).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn judge(change: impl FnOnce(&mut Claims)) -> Result<Caller, TokenError> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        let mut claims = Claims {
            iss: "issuer".to_owned(),
            sub: "someone".to_owned(),
            exp: at(600),
            nbf: None,
            iat: None,
            jti: None,
            scope: "predict".to_owned(),
        };
        change(&mut claims);
        let scopes = Scopes::of_claim(&claims.scope);
        ClaimsPolicy::new(&AuthSettings::default()).judge(claims, scopes, now)
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit 52 bits")]
    fn at(offset: i64) -> f64 {
        (NOW.cast_signed() + offset) as f64
    }

    #[test]
    fn clocks_may_differ_by_thirty_seconds() {
        assert!(judge(|claims| claims.exp = at(-29)).is_ok());
        assert_eq!(judge(|claims| claims.exp = at(-30)), Err(TokenError::Expired));
        let until = judge(|claims| claims.exp = at(10)).unwrap().valid_until;
        assert_eq!(until, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + 40)));
        assert!(judge(|claims| claims.nbf = Some(at(30))).is_ok());
        assert_eq!(judge(|claims| claims.nbf = Some(at(31))), Err(TokenError::NotYetValid));
        assert_eq!(judge(|claims| claims.iat = Some(at(31))), Err(TokenError::NotYetValid));
    }

    #[test]
    fn a_token_must_not_live_for_ever() {
        assert!(judge(|claims| claims.exp = at(86_400)).is_ok());
        assert_eq!(judge(|claims| claims.exp = at(90_000)), Err(TokenError::LivesTooLong));
        assert_eq!(judge(|claims| claims.exp = 1e300), Err(TokenError::LivesTooLong));
        assert_eq!(judge(|claims| claims.iat = Some(0.0)), Err(TokenError::LivesTooLong));
    }

    #[test]
    fn times_and_subjects_that_make_no_sense_are_refused() {
        for nonsense in [f64::NAN, f64::INFINITY, -1.0] {
            assert!(judge(|claims| claims.exp = nonsense).is_err());
            assert!(judge(|claims| claims.iat = Some(nonsense)).is_err());
        }
        for subject in ["", "a\nb", &"x".repeat(257)] {
            assert_eq!(judge(|claims| subject.clone_into(&mut claims.sub)), Err(TokenError::Claim("sub")));
        }
    }
}
