//! API keys: long-lived secrets of programs that cannot ask for tokens.
//!
//! A key is `ogk_ID_SECRET`: a prefix by which scanners of leaked secrets find it, the name of its setting, and 256
//! random bits as hexadecimal digits. Only its SHA-256 is configured. A slow hash would add nothing, since a secret of
//! 256 random bits cannot be guessed.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, digest},
};

use super::{Caller, PlanName, Scopes, TokenError, generate_secret, last_use::LastUse};
use crate::config::{ApiKeySettings, Secret, SettingsProblem};

/// The beginning of every API key.
pub const API_KEY_PREFIX: &str = "ogk_";

/// The prefix of a configured hash.
const HASH_PREFIX: &str = "sha256:";

/// The issuer of callers with an API key. `auth.issuer` may not be the same, so no token can name one of them.
pub(super) const ISSUER: &str = "onnx-gateway/api-keys";

/// Longest name of a key in bytes.
const MAX_ID_BYTES: usize = 64;

/// Time before the end of a key from which on the operator is warned of it.
const WARNED_BEFORE: Duration = Duration::from_hours(24 * 14);

type Hash = [u8; 32];

/// The API keys that are accepted.
#[derive(Debug, Default)]
pub(super) struct ApiKeys {
    by_id: BTreeMap<String, ApiKey>,
}

#[derive(Debug)]
struct ApiKey {
    hash: Hash,
    scopes: Scopes,
    expires: Option<SystemTime>,
    plan: Option<PlanName>,
    last_use: Arc<LastUse>,
    /// True once the log has said that it has expired.
    is_reported: AtomicBool,
}

/// The state of an API key, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyState<'k> {
    /// The name of the key.
    pub id: &'k str,
    /// The time of its last use, to the second; `None` if it was not used since the start.
    pub last_use: Option<SystemTime>,
    /// The end of its validity; `None` if it does not expire.
    pub expires: Option<SystemTime>,
}

/// A new API key.
pub struct NewApiKey {
    /// The key, which is nowhere else.
    pub key: Secret,
    /// Settings of the key, with the hash.
    pub settings: ApiKeySettings,
}

impl NewApiKey {
    /// Generates a key of this name.
    ///
    /// # Errors
    ///
    /// If the name cannot be part of a key, or the settings would be refused.
    pub fn generate(
        id: &str,
        scopes: Vec<String>,
        expires: Option<String>,
        plan: Option<String>,
    ) -> Result<Self, Vec<SettingsProblem>> {
        let key = format!("{API_KEY_PREFIX}{id}_{}", generate_secret().expose());
        let hash = format!("{HASH_PREFIX}{}", Hexadecimal(&hash_of(&key)));
        let settings = ApiKeySettings { hash: Some(hash), scopes, plan, expires };
        let mut problems = Vec::new();
        ApiKeys::read(&BTreeMap::from([(id.to_owned(), settings.clone())]), &mut problems);
        if problems.is_empty() { Ok(Self { key: Secret::new(key), settings }) } else { Err(problems) }
    }
}

impl ApiKeys {
    /// Reads the keys of the settings.
    pub(super) fn read(
        settings: &BTreeMap<String, ApiKeySettings>,
        problems: &mut Vec<SettingsProblem>,
    ) -> Self {
        let mut by_id = BTreeMap::new();
        for (id, key) in settings {
            let setting = format!("auth.api_keys.{id}");
            if !is_id(id) {
                problems.push(SettingsProblem::at(setting, NOT_AN_ID));
                continue;
            }
            match ApiKey::read(key) {
                Ok(key) => {
                    by_id.insert(id.clone(), key);
                }
                Err((name, message)) => {
                    problems.push(SettingsProblem::at(format!("{setting}.{name}"), message));
                }
            }
        }
        Self { by_id }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Takes over the last uses of the keys that were there before, when the settings change.
    pub(super) fn take_over(&self, old: &Self) {
        for (id, key) in &self.by_id {
            if let Some(same) = old.by_id.get(id).filter(|other| other.hash == key.hash) {
                key.last_use.take_over(&same.last_use);
            }
        }
    }

    /// Returns the state of each key.
    pub(super) fn states(&self) -> impl Iterator<Item = ApiKeyState<'_>> {
        self.by_id.iter().map(|(id, key)| ApiKeyState {
            id,
            last_use: key.last_use.time(),
            expires: key.expires,
        })
    }

    /// Returns a warning for each key that has expired or soon will.
    pub(super) fn warnings(&self, now: SystemTime) -> impl Iterator<Item = String> {
        let expiring = self.by_id.iter().filter_map(|(id, key)| Some((id, key.expires?)));
        expiring.filter(move |(_, end)| *end <= now + WARNED_BEFORE).map(move |(id, end)| {
            let date = humantime::format_rfc3339_seconds(end);
            if end <= now {
                format!(
                    "auth.api_keys.{id}: the key expired at {date}, and its requests are refused: remove it"
                )
            } else {
                format!(
                    "auth.api_keys.{id}: the key expires at {date}: give its users another, by `onnx-gateway \
                     api-key`, or set a later `expires`"
                )
            }
        })
    }

    /// Logs each key that has expired since it was read, once.
    pub(super) fn report_expired(&self, now: SystemTime) {
        for (id, key) in &self.by_id {
            if key.expires.is_some_and(|end| end <= now) && !key.is_reported.swap(true, Ordering::Relaxed) {
                tracing::warn!(key = %id, "an API key has expired: its requests are refused");
            }
        }
    }

    /// Returns the caller of a key.
    ///
    /// # Errors
    ///
    /// [`TokenError::ApiKey`] or [`TokenError::Expired`].
    pub(super) fn caller(&self, key: &str, now: SystemTime) -> Result<Caller, TokenError> {
        let named = key.strip_prefix(API_KEY_PREFIX).and_then(|rest| rest.rsplit_once('_'));
        let found = named.and_then(|(id, _)| self.by_id.get_key_value(id));
        let (id, known) = found.ok_or(TokenError::ApiKey)?;
        verify_slices_are_equal(&known.hash, &hash_of(key)).map_err(|_| TokenError::ApiKey)?;
        let caller = Caller::new(ISSUER.to_owned(), id.clone(), known.scopes.clone(), known.expires)
            .with_plan(known.plan.clone())
            .with_last_use(Arc::clone(&known.last_use));
        if caller.is_expired(now) { Err(TokenError::Expired) } else { Ok(caller) }
    }
}

impl ApiKey {
    fn read(settings: &ApiKeySettings) -> Result<Self, (&'static str, String)> {
        let hash = settings.hash.as_deref().ok_or_else(|| {
            ("hash", "is missing: `onnx-gateway api-key ID` makes a key and its hash".to_owned())
        })?;
        let hash = read_hash(hash).ok_or_else(|| {
            let message = "is not sha256: and 64 hexadecimal digits, as `onnx-gateway api-key ID` prints it";
            ("hash", message.to_owned())
        })?;
        if settings.scopes.is_empty() {
            return Err(("scopes", "is empty: give the key at least one scope".to_owned()));
        }
        let scopes = Scopes::parse(settings.scopes.iter().map(String::as_str));
        let scopes = scopes.map_err(|error| ("scopes", error.to_string()))?;
        let expires = match &settings.expires {
            None => None,
            Some(text) => Some(read_time(text).ok_or_else(|| {
                let message = format!("`{text}` is not a date such as 2027-12-31 or 2027-12-31T12:00:00Z");
                ("expires", message)
            })?),
        };
        let plan = settings.plan.as_deref().map(PlanName::from);
        // The settings' warnings have said so.
        let is_expired = expires.is_some_and(|end| end <= SystemTime::now());
        let is_reported = AtomicBool::new(is_expired);
        Ok(Self { hash, scopes, expires, plan, last_use: Arc::default(), is_reported })
    }
}

const NOT_AN_ID: &str = "is not a name for an API key: 1 to 64 letters, digits, `.`, `_` or `-`";

fn is_id(id: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(fits)
}

fn hash_of(key: &str) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(digest(&SHA256, key.as_bytes()).as_ref());
    hash
}

fn read_hash(text: &str) -> Option<Hash> {
    let digits = text.strip_prefix(HASH_PREFIX)?;
    if digits.len() != 2 * size_of::<Hash>() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = Hash::default();
    for (byte, place) in hash.iter_mut().zip((0..digits.len()).step_by(2)) {
        *byte = u8::from_str_radix(&digits[place..place + 2], 16).ok()?;
    }
    Some(hash)
}

/// Reads a time (RFC 3339, UTC); a date alone is its end.
fn read_time(text: &str) -> Option<SystemTime> {
    const DATE_BYTES: usize = "2027-12-31".len();
    if text.len() == DATE_BYTES {
        let begin = humantime::parse_rfc3339(&format!("{text}T00:00:00Z")).ok()?;
        return begin.checked_add(Duration::from_hours(24));
    }
    humantime::parse_rfc3339(text).ok()
}

struct Hexadecimal<'b>(&'b [u8]);

impl fmt::Display for Hexadecimal<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generate(expires: Option<&str>) -> (String, ApiKeys) {
        let scopes = vec!["predict:iris".to_owned()];
        let NewApiKey { key, settings } =
            NewApiKey::generate("a_shop", scopes, expires.map(str::to_owned), None).unwrap();
        (key.expose().to_owned(), read(settings).unwrap())
    }

    fn read(settings: ApiKeySettings) -> Result<ApiKeys, String> {
        let mut problems = Vec::new();
        let keys = ApiKeys::read(&BTreeMap::from([("a_shop".to_owned(), settings)]), &mut problems);
        problems.into_iter().next().map_or(Ok(keys), |problem| Err(problem.key))
    }

    #[test]
    fn a_key_is_its_callers_until_it_expires() {
        let (key, keys) = generate(Some("2027-12-31"));
        let end = humantime::parse_rfc3339("2028-01-01T00:00:00Z").unwrap();
        let caller = keys.caller(&key, end - Duration::from_secs(1)).unwrap();
        assert_eq!((caller.subject.as_str(), caller.valid_until), ("a_shop", Some(end)));
        assert_eq!(caller.scopes, Scopes::of_claim("predict:iris"));
        assert_eq!(keys.caller(&key, end), Err(TokenError::Expired));
    }

    #[test]
    fn keys_that_end_soon_or_have_ended_are_warned_of() {
        let (_, keys) = generate(Some("2027-12-31"));
        let end = humantime::parse_rfc3339("2028-01-01T00:00:00Z").unwrap();
        let warning = |now: SystemTime| keys.warnings(now).collect::<Vec<_>>().join("\n");
        assert_eq!(warning(end - WARNED_BEFORE - Duration::from_secs(1)), "");
        assert!(warning(end - WARNED_BEFORE).contains("auth.api_keys.a_shop: the key expires at 2028-01-01"));
        assert!(warning(end).contains("auth.api_keys.a_shop: the key expired at 2028-01-01T00:00:00Z"));
        assert_eq!(generate(None).1.warnings(end).count(), 0);
    }

    #[test]
    fn a_last_use_stays_with_its_key_when_the_settings_change() {
        let ((key, old), now) = (generate(None), SystemTime::UNIX_EPOCH + Duration::from_secs(7));
        let last_use = |keys: &ApiKeys| keys.states().next().unwrap().last_use;
        assert_eq!(last_use(&old), None);
        old.caller(&key, now).unwrap().note_use(now);
        assert_eq!(last_use(&old), Some(now));
        let hash = format!("{HASH_PREFIX}{}", Hexadecimal(&hash_of(&key)));
        let scopes = vec!["predict".to_owned()];
        let settings = ApiKeySettings { hash: Some(hash), scopes, plan: None, expires: None };
        let same = read(settings).unwrap();
        same.take_over(&old);
        assert_eq!(last_use(&same), Some(now));
        let other = generate(None).1;
        other.take_over(&old);
        assert_eq!(last_use(&other), None, "another key of the same name");
    }

    #[test]
    fn any_other_key_is_unknown() {
        let ((key, keys), now) = (generate(None), SystemTime::now());
        assert!(keys.caller(&key, now).is_ok());
        let (other, upper) = (generate(None).0, key.to_ascii_uppercase());
        for wrong in [&other, &key[..key.len() - 1], &upper, "ogk_", "ogk_a_shop", "ogk_a_shop_", ""] {
            assert_eq!(keys.caller(wrong, now), Err(TokenError::ApiKey), "{wrong}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_setting_is_said() {
        let NewApiKey { settings, .. } =
            NewApiKey::generate("x", vec!["predict".to_owned()], None, None).unwrap();
        let hash = settings.hash.clone().unwrap();
        let with = |change: &dyn Fn(&mut ApiKeySettings)| {
            let mut settings = settings.clone();
            change(&mut settings);
            read(settings).err().unwrap_or_default()
        };
        for bad in [String::new(), hash[..hash.len() - 1].to_owned(), hash.replace("sha256", "sha1")] {
            let said = with(&|settings| settings.hash = Some(bad.clone()));
            assert_eq!(said, "auth.api_keys.a_shop.hash", "{bad}");
        }
        assert_eq!(with(&|settings| settings.hash = None), "auth.api_keys.a_shop.hash");
        assert_eq!(with(&|settings| settings.scopes.clear()), "auth.api_keys.a_shop.scopes");
        assert_eq!(with(&|settings| settings.scopes = vec!["fly".to_owned()]), "auth.api_keys.a_shop.scopes");
        for bad in ["", "soon", "2027-13-01", "31.12.2027", "2027-12-31T12:00:00"] {
            let said = with(&|settings| settings.expires = Some(bad.to_owned()));
            assert_eq!(said, "auth.api_keys.a_shop.expires", "{bad}");
        }
        for bad in ["", "a b", "a\"b", "ä", &"x".repeat(65)] {
            assert!(NewApiKey::generate(bad, vec!["read".to_owned()], None, None).is_err(), "{bad}");
        }
    }
}
