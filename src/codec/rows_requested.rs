//! Detection of requests by row in the protocols of other servers.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::body::without_mark;

/// Members of a body that hold a list of rows: of TensorFlow Serving, KServe and Vertex AI, and of MLflow.
const MEMBERS: [&str; 4] = ["instances", "examples", "dataframe_split", "dataframe_records"];

/// Returns true if a body is a JSON object with a list of rows, even if the rows are not valid.
#[must_use]
pub fn asks_by_row(body: &[u8]) -> bool {
    let members = serde_json::from_slice::<BTreeMap<String, &RawValue>>(without_mark(body));
    members.is_ok_and(|members| MEMBERS.iter().any(|member| members.contains_key(*member)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_rows_are_told_from_tensors() {
        for (body, expected) in [
            (r#"{"instances":[[1]]}"#, true),
            (r#"{"signature_name":"","examples":[{"a":1}]}"#, true),
            (r#"{"dataframe_split":{"columns":["a"],"data":[[1]]}}"#, true),
            ("\u{feff}{\"instances\":[[1]]}", true),
            (r#"{"inputs":{"instances":[1]}}"#, false),
            ("[1]", false),
            ("{", false),
        ] {
            assert_eq!(asks_by_row(body.as_bytes()), expected, "{body}");
        }
    }
}
