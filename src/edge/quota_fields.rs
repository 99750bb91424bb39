//! The fields by which every response to a limited request tells its quotas (draft-ietf-httpapi-ratelimit-headers-11):
//! `RateLimit-Policy` and `RateLimit`.
//!
//! The policies are the same for all callers with one plan, so their texts are written once. A response only gets the
//! numbers.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    config::QuotaSettings,
    limits::{Left, RequestQuotas, Standing, replenish_interval, retry_after_seconds},
};

/// The field with the policies.
pub(super) const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// The field with what is left of them.
pub(super) const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The header with the rest of the address's quota, by the layer that charges it; it never leaves the gateway.
pub(super) const LEFT_OF_ADDRESS: HeaderName = HeaderName::from_static("x-ratelimit-remaining");

/// Longest value of [`LIMIT`] in bytes: three items with numbers of ten digits.
const MAX_BYTES: usize = 128;

/// The prepared texts of the fields.
#[derive(Clone, Debug, Default)]
pub struct QuotaFields {
    address: Option<Policy>,
    /// The policies of callers, by the places of their quotas.
    callers: Vec<CallerFields>,
    /// The field for the address alone.
    of_address: Option<HeaderValue>,
}

/// The policy of callers with one plan, and the fields with it.
#[derive(Clone, Debug)]
struct CallerFields {
    policy: Policy,
    alone: HeaderValue,
    /// The field that has the address's policy too.
    with_address: HeaderValue,
}

/// The texts of one quota.
#[derive(Clone, Debug)]
struct Policy {
    /// The item of [`POLICY`].
    item: String,
    /// The item of [`LIMIT`] up to the number that is left, and after it.
    begin: String,
    end: String,
}

impl Policy {
    fn new(name: &str, quota: &QuotaSettings) -> Self {
        let QuotaSettings { requests, period_seconds } = quota;
        // More of the quota becomes available no later than that.
        let window = retry_after_seconds(replenish_interval(quota), 0);
        Self {
            item: format!(r#""{name}";q={requests};w={period_seconds}"#),
            begin: format!(r#""{name}";r="#),
            end: format!(";t={window}"),
        }
    }
}

impl QuotaFields {
    /// Prepares the fields for these quotas.
    #[must_use]
    pub fn new(address: Option<&QuotaSettings>, quotas: Option<&RequestQuotas>) -> Self {
        let address = address.map(|quota| Policy::new("address", quota));
        let before = address.as_ref().map(|policy| format!("{}, ", policy.item)).unwrap_or_default();
        let of_caller = |policy: crate::limits::CallerPolicy<'_>| {
            let (caller, concurrent) = (Policy::new("caller", policy.quota), policy.concurrent);
            let concurrent = concurrent.map(|most| format!(", {}", concurrency_policy(most.get())));
            let field = format!("{}{}", caller.item, concurrent.unwrap_or_default());
            Some(CallerFields {
                policy: caller,
                alone: HeaderValue::from_str(&field).ok()?,
                with_address: HeaderValue::from_str(&format!("{before}{field}")).ok()?,
            })
        };
        let callers = quotas.into_iter().flat_map(RequestQuotas::caller_policies).filter_map(of_caller);
        let callers = callers.collect();
        let of_address = address.as_ref().and_then(|policy| HeaderValue::from_str(&policy.item).ok());
        Self { address, callers, of_address }
    }

    /// Adds the fields to a response, unless it has those of a quota that is used up.
    pub(crate) fn add(&self, headers: &mut HeaderMap, charged: &Charged, quotas: Option<&RequestQuotas>) {
        if !headers.contains_key(&LIMIT) {
            self.add_to_success(headers, charged, quotas);
        }
    }

    /// Adds the fields to a response that does not have them yet, since it is not a refusal.
    pub(crate) fn add_to_success(
        &self,
        headers: &mut HeaderMap,
        charged: &Charged,
        quotas: Option<&RequestQuotas>,
    ) {
        let Charged { address, standing: Standing { caller, model } } = charged;
        let caller = caller.and_then(|Left { place, units }| Some((self.callers.get(place)?, units)));
        let policy = match (caller, address) {
            (Some((fields, _)), Some(_)) => Some(&fields.with_address),
            (Some((fields, _)), None) => Some(&fields.alone),
            (None, _) => self.of_address.as_ref(),
        };
        let mut line = Line::default();
        if let (Some(policy), Some(left)) = (&self.address, address) {
            line.push(policy, *left);
        }
        if let Some((fields, left)) = caller {
            line.push(&fields.policy, left);
        }
        let policy = match model.and_then(|left| Some((quotas?.model_policy(left.place)?, left.units))) {
            None => policy.cloned(),
            Some((quota, left)) => {
                let model = Policy::new("model", quota);
                line.push(&model, left);
                let before = policy.and_then(|field| field.to_str().ok());
                let before = before.map(|before| format!("{before}, ")).unwrap_or_default();
                HeaderValue::from_str(&format!("{before}{}", model.item)).ok()
            }
        };
        if let (Some(policy), Some(line)) = (policy, line.value()) {
            headers.insert(POLICY, policy);
            headers.insert(LIMIT, line);
        }
    }
}

/// Returns the policy of a limit of requests in progress.
pub(super) fn concurrency_policy(most: u32) -> String {
    format!(r#""concurrent";q={most};qu="concurrent-requests""#)
}

/// A value in progress, on the stack.
struct Line {
    bytes: [u8; MAX_BYTES],
    length: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self { bytes: [0; MAX_BYTES], length: 0 }
    }
}

impl Line {
    fn push(&mut self, policy: &Policy, left: u32) {
        if self.length > 0 {
            self.push_text(", ");
        }
        self.push_text(&policy.begin);
        self.push_text(itoa::Buffer::new().format(left));
        self.push_text(&policy.end);
    }

    fn push_text(&mut self, text: &str) {
        if let Some(place) = self.bytes.get_mut(self.length..self.length + text.len()) {
            place.copy_from_slice(text.as_bytes());
            self.length += text.len();
        }
    }

    /// Returns the value; `None` if it is empty.
    fn value(&self) -> Option<HeaderValue> {
        let bytes = self.bytes.get(..self.length).filter(|bytes| !bytes.is_empty())?;
        let mut value = HeaderValue::from_bytes(bytes).ok()?;
        // HTTP/2 would remember each as if it came again (RFC 7541 section 6.2.3).
        value.set_sensitive(true);
        Some(value)
    }
}

/// The rest of the quotas that a request was charged to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Charged {
    /// Requests that its address has left; `None` if addresses have no quota.
    pub(crate) address: Option<u32>,
    /// The rest of the quotas of its caller and its model.
    pub(crate) standing: Standing,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{PlanSettings, RateLimitSettings};

    fn fields(charged: &Charged, change: impl FnOnce(&mut RateLimitSettings)) -> Vec<(String, String)> {
        let mut settings = RateLimitSettings::default();
        change(&mut settings);
        let quotas = RequestQuotas::new(&settings, None);
        let fields = QuotaFields::new(Some(&settings.per_address), Some(&quotas));
        let mut headers = HeaderMap::new();
        fields.add(&mut headers, charged, Some(&quotas));
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
    }

    fn expected(policy: &str, limit: &str) -> Vec<(String, String)> {
        [("ratelimit-policy", policy), ("ratelimit", limit)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    }

    #[test]
    fn the_fields_name_each_quota_that_was_charged() {
        let left = |units| Some(Left { place: 0, units });
        let none = Standing::default();
        let address = Charged { address: Some(59), standing: none };
        assert_eq!(fields(&address, |_| {}), expected(r#""address";q=60;w=60"#, r#""address";r=59;t=1"#));
        let caller = Charged { address: Some(0), standing: Standing { caller: left(99_999), ..none } };
        assert_eq!(
            fields(&caller, |_| {}),
            expected(
                r#""address";q=60;w=60, "caller";q=100000;w=60"#,
                r#""address";r=0;t=1, "caller";r=99999;t=1"#
            )
        );
        assert_eq!(fields(&Charged { address: None, standing: none }, |_| {}), []);
    }

    #[test]
    fn the_longest_fields_are_whole() {
        let quota = QuotaSettings { requests: 1_000_000_000, period_seconds: 86_400 };
        let left = Some(Left { place: 0, units: 1_000_000_000 });
        let charged =
            Charged { address: Some(1_000_000_000), standing: Standing { caller: left, model: left } };
        let change = |settings: &mut RateLimitSettings| {
            settings.per_address = quota.clone();
            settings.per_caller = QuotaSettings { requests: 1, ..quota.clone() };
            settings.per_model.insert("wine".parse().unwrap(), quota.clone());
        };
        let of = |name: &str| format!(r#""{name}";r=1000000000"#);
        let limit = format!("{};t=1, {};t=86400, {};t=1", of("address"), of("caller"), of("model"));
        assert_eq!(fields(&charged, change)[1].1, limit);
    }

    #[test]
    fn a_plan_tells_how_many_requests_may_be_in_progress() {
        let charged = Charged {
            address: None,
            standing: Standing { caller: Some(Left { place: 1, units: 4 }), model: None },
        };
        let plan = PlanSettings { requests: 5, period_seconds: 60, concurrent: 2 };
        let told = fields(&charged, |settings| {
            settings.plans.insert("gold".to_owned(), plan.clone());
        });
        let policy = r#""caller";q=5;w=60, "concurrent";q=2;qu="concurrent-requests""#;
        assert_eq!(told, expected(policy, r#""caller";r=4;t=12"#));
    }
}
