//! Tensors of the Open Inference Protocol: every tensor that is read has as many elements as its shape says.

use bytes::Bytes;
use onnx_gateway::protocols::open_inference::read_infer_request;
use serde_json::{Value, json};

/// Reads the bytes as a body. The first two say how many of the others are JSON; without them, all are.
pub fn run(data: &[u8]) {
    let Some((length, body)) = data.split_first_chunk::<2>() else { return };
    let body = Bytes::copy_from_slice(body);
    let json_bytes = usize::from(u16::from_le_bytes(*length));
    for json_bytes in [Some(json_bytes), None] {
        let Ok(request) = read_infer_request(&body, json_bytes) else { continue };
        for (name, tensor) in &request.inputs {
            let count = tensor.shape().iter().try_fold(1_usize, |count, size| count.checked_mul(*size));
            assert_eq!(Some(tensor.data().len()), count, "{name} of {}", String::from_utf8_lossy(&body));
            // Each element takes at least a byte of the body, or its tensor has none.
            assert!(tensor.data().len() <= body.len(), "{name} is larger than its body");
        }
    }
}

fn with_bytes(document: &Value, binary: &[u8]) -> Vec<u8> {
    let json = document.to_string();
    let length = u16::try_from(json.len()).unwrap_or(u16::MAX);
    [&length.to_le_bytes(), json.as_bytes(), binary].concat()
}

/// Returns bodies with tensors as JSON and as bytes, good and bad.
pub fn seeds() -> Vec<Vec<u8>> {
    let input = |datatype: &str, shape: Value, more: (&str, Value)| {
        let mut tensor = json!({"name": "x", "datatype": datatype, "shape": shape});
        tensor[more.0] = more.1;
        json!({"id": "one", "inputs": [tensor], "parameters": {"binary_data_output": true}})
    };
    let size = |bytes: u64| ("parameters", json!({"binary_data_size": bytes}));
    vec![
        with_bytes(&input("FP32", json!([1, 2]), size(8)), &[0; 8]),
        with_bytes(&input("BOOL", json!([3]), size(3)), &[1, 0, 1]),
        with_bytes(&input("BYTES", json!([1]), size(7)), b"\x03\0\0\0abc"),
        with_bytes(&input("FP32", json!([1_000_000, 1_000_000, 1_000_000, 1_000_000]), size(8)), &[0; 8]),
        with_bytes(&input("INT64", json!([-1, 2]), size(16)), &[0; 16]),
        with_bytes(&input("FP32", json!([0]), size(0)), &[]),
        with_bytes(&input("FP32", json!([2, 2]), ("data", json!([[1, 2.5], [3e0, -4]]))), &[]),
        with_bytes(&input("BYTES", json!([2]), ("data", json!(["a", "\u{e9}"]))), &[]),
        with_bytes(&input("UINT8", json!([1]), ("data", json!([256]))), &[]),
        with_bytes(&json!({"inputs": []}), b"left over"),
    ]
}
