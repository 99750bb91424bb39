//! Rules that connect the plans of callers with the places that name them.

use super::{Settings, SettingsProblem, known_keys::nearest_name};

/// Longest name of a plan in bytes.
const MAX_NAME_BYTES: usize = 64;

/// Returns the problems of plans: bad names, and plans that are named but do not exist.
pub(super) fn problems(settings: &Settings) -> Vec<SettingsProblem> {
    let plans = &settings.rate_limit.plans;
    let bad = plans.keys().filter(|name| !is_name(name)).map(|name| {
        let message = format!("is not a name for a plan: 1 to {MAX_NAME_BYTES} letters, digits, `_` or `-`");
        SettingsProblem::at(format!("rate_limit.plans.{name}"), message)
    });
    let unknown = named(settings).into_iter().filter(|(_, plan)| !plans.contains_key(*plan));
    let unknown = unknown.map(|(key, plan)| {
        let known: Vec<&str> = plans.keys().map(String::as_str).collect();
        let hint = match (nearest_name(plan, known.iter().copied()), known.as_slice()) {
            (Some(nearest), _) => format!("did you mean `{nearest}`?"),
            (None, []) => format!("rate_limit.plans has none: add [rate_limit.plans.{plan}]"),
            (None, known) => format!("rate_limit.plans has {}", known.join(", ")),
        };
        SettingsProblem::at(key, format!("names the plan `{plan}`, which does not exist; {hint}"))
    });
    bad.chain(unknown).collect()
}

/// Returns every setting that names a plan, with the name.
fn named(settings: &Settings) -> Vec<(String, &str)> {
    let auth = &settings.auth;
    let clients = auth.clients.iter().map(|(id, client)| ("auth.clients", id, &client.plan));
    let api_keys = auth.api_keys.iter().map(|(id, key)| ("auth.api_keys", id, &key.plan));
    let certificates = auth.certificates.iter().map(|(id, entry)| ("auth.certificates", id, &entry.plan));
    let of_callers = clients.chain(api_keys).chain(certificates);
    let of_callers =
        of_callers.filter_map(|(section, id, plan)| Some((format!("{section}.{id}.plan"), plan.as_deref()?)));
    let default = settings.rate_limit.default_plan.as_deref();
    default.map(|plan| ("rate_limit.default_plan".to_owned(), plan)).into_iter().chain(of_callers).collect()
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ApiKeySettings, CertificateSettings, ClientSettings, PlanSettings};

    fn said(change: impl FnOnce(&mut Settings)) -> Vec<String> {
        let mut settings = Settings::default();
        let plan = PlanSettings { requests: 5, ..PlanSettings::default() };
        settings.rate_limit.plans.insert("gold".to_owned(), plan);
        change(&mut settings);
        problems(&settings).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_plan_that_is_named_exists() {
        let named = |name: &str| Some(name.to_owned());
        let all = |name: &str| {
            said(|settings| {
                settings.rate_limit.default_plan = named(name);
                let auth = &mut settings.auth;
                let client = ClientSettings { plan: named(name), ..ClientSettings::default() };
                auth.clients.insert("a".to_owned(), client);
                let key = ApiKeySettings { plan: named(name), ..ApiKeySettings::default() };
                auth.api_keys.insert("b".to_owned(), key);
                let entry = CertificateSettings { plan: named(name), ..CertificateSettings::default() };
                auth.certificates.insert("c".to_owned(), entry);
            })
        };
        assert_eq!(all("gold"), [""; 0]);
        let keys = ["rate_limit.default_plan", "auth.clients.a.plan", "auth.api_keys.b.plan"];
        let expected = keys
            .into_iter()
            .chain(["auth.certificates.c.plan"])
            .map(|key| format!("{key}: names the plan `golt`, which does not exist; did you mean `gold`?"));
        assert_eq!(all("golt"), expected.collect::<Vec<_>>());
        assert!(all("unlimited")[0].ends_with("does not exist; rate_limit.plans has gold"));
    }

    #[test]
    fn the_name_of_a_plan_fits_into_fields_and_keys() {
        for bad in ["", "a b", "a.b", "a\"b", "ä", &"x".repeat(65)] {
            let plan = PlanSettings::default();
            let said = said(|settings| {
                settings.rate_limit.plans.insert(bad.to_owned(), plan);
            });
            assert_eq!(said.len(), 1, "{bad}: {said:?}");
        }
    }
}
