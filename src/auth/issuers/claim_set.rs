//! All claims of a token, and paths to them.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// The claims of a token. A claim that is there twice is refused, at any depth: readers on the way could choose
/// different ones (RFC 8725 section 2.4, RFC 7519 section 4).
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ClaimSet(Map<String, Value>);

impl<'de> Deserialize<'de> for ClaimSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Unique.deserialize(deserializer)? {
            Value::Object(claims) => Ok(Self(claims)),
            _ => Err(D::Error::custom("the claims are not an object")),
        }
    }
}

impl ClaimSet {
    /// Returns the claim of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Returns the claim at a path; `None` if there is none.
    pub(super) fn at(&self, path: &ClaimPath) -> Option<&Value> {
        find(&self.0, &path.0)
    }
}

/// The path of a claim: names joined by dots, as in `realm_access.roles`. A name may have dots itself, as the URL of a
/// namespaced claim does: the longest name that is there counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClaimPath(String);

impl ClaimPath {
    pub(super) fn new(path: &str) -> Self {
        Self(path.to_owned())
    }
}

fn find<'c>(object: &'c Map<String, Value>, path: &str) -> Option<&'c Value> {
    if let Some(value) = object.get(path) {
        return Some(value);
    }
    let mut end = path.len();
    while let Some(dot) = path[..end].rfind('.') {
        if let Some(Value::Object(inner)) = object.get(&path[..dot])
            && let Some(value) = find(inner, &path[dot + 1..])
        {
            return Some(value);
        }
        end = dot;
    }
    None
}

/// A reader of JSON that refuses duplicate names.
#[derive(Clone, Copy)]
struct Unique;

impl<'de> DeserializeSeed<'de> for Unique {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON without duplicate names")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(self)?;
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a claim is there twice"));
            }
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Any JSON without duplicate names.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            let list = prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from);
            let object = prop::collection::btree_map(".*", inner, 0..8);
            prop_oneof![list, object.prop_map(|entries| Value::Object(entries.into_iter().collect()))]
        })
    }

    proptest! {
        #[test]
        fn claims_are_read_as_the_library_reads_json(json in any_json()) {
            let text = json.to_string();
            let read = claims(&text).ok().map(|claims| Value::Object(claims.0));
            let expected = serde_json::from_str::<Value>(&text).unwrap();
            prop_assert_eq!(read, expected.is_object().then_some(expected));
        }

        #[test]
        fn no_path_panics(json in any_json(), path in "[a.]{0,12}|.*") {
            if let Ok(claims) = claims(&json.to_string()) {
                let found = claims.at(&ClaimPath::new(&path));
                prop_assert!(found.is_none() || !path.is_empty() || claims.get("").is_some());
            }
        }
    }

    fn claims(text: &str) -> Result<ClaimSet, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_duplicate_is_refused_at_any_depth() {
        for text in
            [r#"{"a":1,"a":1}"#, r#"{"a":{"b":1,"b":2}}"#, r#"{"a":[{"b":1,"b":2}]}"#, "[]", "1", "null"]
        {
            assert!(claims(text).is_err(), "{text}");
        }
        let all = json!({"a": {"a": [1, -1, 1.5, true, null, "x"]}, "b": {}});
        assert_eq!(Value::Object(claims(&all.to_string()).unwrap().0), all);
    }

    #[test]
    fn a_path_finds_names_with_and_without_dots() {
        let claims = claims(
            &json!({
                "scope": "a",
                "realm_access": {"roles": ["b"]},
                "resource_access": {"my.client": {"roles": ["c"]}, "my": {"client": 1}},
                "https://example.com/roles": ["d"],
                "x.y": 1,
                "x": {"y": 2, "z": 3},
            })
            .to_string(),
        )
        .unwrap();
        for (path, expected) in [
            ("scope", json!("a")),
            ("realm_access.roles", json!(["b"])),
            ("resource_access.my.client.roles", json!(["c"])),
            ("https://example.com/roles", json!(["d"])),
            ("x.y", json!(1)),
            ("x.z", json!(3)),
        ] {
            assert_eq!(claims.at(&ClaimPath::new(path)), Some(&expected), "{path}");
        }
        for path in
            ["", ".", "x.", ".x", "x..y", "scope.a", "realm_access.roles.0", "resource_access.my.roles"]
        {
            assert_eq!(claims.at(&ClaimPath::new(path)), None, "{path}");
        }
    }
}
