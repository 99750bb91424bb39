//! A checker of JSON Schema (2020-12), of the keywords that the gateway uses. It fails on any other, so that none is
//! ignored.

use serde_json::Value;

/// The fault of a value under the schema at this pointer of a document; `None` if it is valid.
pub fn fault(document: &Value, pointer: &str, value: &Value) -> Option<String> {
    let schema = document.pointer(pointer).unwrap_or_else(|| panic!("{pointer} leads nowhere"));
    check(document, schema, value).err()
}

fn check(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let keywords = schema.as_object().unwrap_or_else(|| panic!("{schema} is no schema"));
    let wrong = |keyword: &str| Err(format!("{value} is not of {keyword} {}", schema[keyword]));
    for (keyword, argument) in keywords {
        let is_right = match keyword.as_str() {
            // Annotations, and what belongs to another keyword.
            "$schema" | "$defs" | "format" | "title" | "description" | "default" | "example" | "examples"
            | "x-unit" => true,
            "$ref" => {
                let pointer = argument.as_str().and_then(|target| target.strip_prefix('#')).unwrap();
                match fault(document, pointer, value) {
                    None => true,
                    Some(fault) => return Err(fault),
                }
            }
            "anyOf" | "oneOf" => {
                let valid = count(document, argument, value);
                valid == 1 || (keyword == "anyOf" && valid > 1)
            }
            "type" => match argument {
                Value::Array(types) => types.iter().any(|one| is_of(value, one)),
                one => is_of(value, one),
            },
            "const" => value == argument,
            "enum" => argument.as_array().unwrap().contains(value),
            "minimum" => number(value).is_none_or(|number| number >= argument.as_f64().unwrap()),
            "maximum" => number(value).is_none_or(|number| number <= argument.as_f64().unwrap()),
            "exclusiveMinimum" => number(value).is_none_or(|number| number > argument.as_f64().unwrap()),
            "exclusiveMaximum" => number(value).is_none_or(|number| number < argument.as_f64().unwrap()),
            "pattern" => {
                assert_eq!(argument, r"^[^\u0000]*$", "no other pattern is known");
                value.as_str().is_none_or(|text| !text.contains('\0'))
            }
            "minItems" => {
                value.as_array().is_none_or(|items| items.len() as u64 >= argument.as_u64().unwrap())
            }
            "maxItems" => {
                value.as_array().is_none_or(|items| items.len() as u64 <= argument.as_u64().unwrap())
            }
            "items" | "prefixItems" => {
                check_items(document, argument, value)?;
                true
            }
            "properties" => {
                for (name, member) in value.as_object().into_iter().flatten() {
                    if let Some(schema) = argument.get(name) {
                        check(document, schema, member).map_err(|fault| format!("{name}: {fault}"))?;
                    }
                }
                true
            }
            "required" => value.as_object().is_none_or(|members| {
                argument.as_array().unwrap().iter().all(|name| members.contains_key(name.as_str().unwrap()))
            }),
            "additionalProperties" => {
                for (name, member) in value.as_object().into_iter().flatten() {
                    let is_additional =
                        keywords.get("properties").is_none_or(|known| known.get(name).is_none());
                    if is_additional && argument == false {
                        return Err(format!("there is no {name}"));
                    }
                    if is_additional {
                        check(document, argument, member)?;
                    }
                }
                true
            }
            other => panic!("the keyword {other} is not known"),
        };
        if !is_right {
            return wrong(keyword);
        }
    }
    Ok(())
}

fn check_items(document: &Value, argument: &Value, value: &Value) -> Result<(), String> {
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        let schema = match argument {
            Value::Array(prefix) => prefix.get(index),
            all => Some(all),
        };
        if let Some(schema) = schema {
            check(document, schema, item).map_err(|fault| format!("{index}: {fault}"))?;
        }
    }
    Ok(())
}

fn count(document: &Value, forms: &Value, value: &Value) -> usize {
    forms.as_array().unwrap().iter().filter(|form| check(document, form, value).is_ok()).count()
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64()
}

fn is_of(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("there is no type {other}"),
    }
}
