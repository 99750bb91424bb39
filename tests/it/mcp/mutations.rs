//! Messages that are almost right: whatever is sent, the response is a message, and the fault that of its sender.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{builder, message, post, row, send};
use crate::support::{TestGateway, table};

/// One gateway for all cases: that it survives each is part of what is tested.
static GATEWAY: LazyLock<(Runtime, TestGateway)> = LazyLock::new(|| {
    let runtime = Runtime::new().unwrap();
    let builder = builder().model("sum.onnx", "wide_sum").model("texts.onnx", "kinds/texts");
    let gateway = runtime.block_on(builder.start());
    (runtime, gateway)
});

/// Messages that are right.
fn messages() -> Vec<String> {
    let begin = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let texts = json!({"x": [["a"], ["b"]]});
    [
        ("initialize", begin),
        ("tools/list", json!({"_meta": {"progressToken": 1}})),
        ("tools/call", json!({"name": "iris", "arguments": row()})),
        ("tools/call", json!({"name": "texts", "arguments": {"inputs": texts}})),
    ]
    .map(|(method, params)| message(method, &params).to_string())
    .into()
}

/// One change of a text.
fn mutated(mut body: Vec<u8>, at: usize, how: u8, piece: &[u8]) -> Vec<u8> {
    let at = at % body.len().max(1);
    let end = match how % 4 {
        0 => body.len(),
        1 => at,
        2 => (at + piece.len()).min(body.len()),
        _ => (at + 1 + usize::from(how) / 8).min(body.len()),
    };
    let piece = if how.is_multiple_of(4) { &[] } else { piece };
    body.splice(at.min(end)..end, piece.iter().copied()).for_each(drop);
    body
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let pieces =
        ["[", "]", "{", "}", "null", "1e999", "-1", "\"\"", ",", ":", "NaN", "\"", "\\ud800", "{}", "9e99"];
    prop_oneof![
        prop::sample::select(pieces.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 1..4),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_mutation_of_a_message_is_the_servers_fault(
        which in 0..messages().len(),
        changes in prop::collection::vec((any::<usize>(), any::<u8>(), piece()), 1..4),
    ) {
        let body = messages().swap_remove(which).into_bytes();
        let change = |body: Vec<u8>, (at, how, piece): &(usize, u8, Vec<u8>)| mutated(body, *at, *how, piece);
        let body = changes.iter().fold(body, change);
        let shown = String::from_utf8_lossy(&body).into_owned();
        let (runtime, gateway) = &*GATEWAY;
        let answer = runtime.block_on(send(post(gateway, "read predict", body)));
        let status = answer.status.as_u16();
        prop_assert!([200, 202, 400].contains(&status), "{shown}: {answer:?}");
        if status != 202 {
            prop_assert_eq!(&answer.body["jsonrpc"], "2.0", "{}: {:?}", shown, answer);
            let (result, error) = (&answer.body["result"], &answer.body["error"]);
            prop_assert!(result.is_object() != error.is_object(), "{shown}: {answer:?}");
            if result["isError"] == true {
                let text = result["content"][0]["text"].as_str().unwrap_or_default();
                let document: Value = serde_json::from_str(text).unwrap_or_default();
                prop_assert!(document["code"].is_string(), "{shown}: {answer:?}");
            }
        }
    }
}

#[test]
fn what_is_mutated_was_right() {
    let (runtime, gateway) = &*GATEWAY;
    table::each(messages(), |body| {
        let answer = runtime.block_on(send(post(gateway, "read predict", body)));
        assert!(answer.body["result"].is_object() && answer.body["result"]["isError"] != true, "{answer:?}");
    });
}
