//! ONNX files: what is read of one is bounded, and the same each time.

use std::io::Cursor;

use onnx_gateway::model::{Graph, OnnxFile};

/// Most external files that are listed.
const MAX_EXTERNAL_FILES: usize = 4096;

/// Reads the bytes as an ONNX file.
pub fn run(data: &[u8]) {
    let read = || (OnnxFile::read(Cursor::new(data)), Graph::read(Cursor::new(data)));
    let (file, graph) = read();
    if let Ok(file) = &file {
        assert!(file.external_files.len() <= MAX_EXTERNAL_FILES);
        // A node takes at least two bytes.
        assert!(file.nodes <= data.len() as u64);
    }
    if let Ok(graph) = &graph {
        assert!(graph.nodes.len() + graph.inner.len() <= data.len());
    }
    let (again, graph_again) = read();
    assert_eq!(file.ok(), again.ok());
    assert_eq!(graph.is_ok(), graph_again.is_ok());
}

/// Returns small models.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![
        include_bytes!("../../tests/models/square_root.onnx").to_vec(),
        include_bytes!("../../tests/models/external/model.onnx").to_vec(),
        include_bytes!("../../tests/models/batching/softmax_in_a_body.onnx").to_vec(),
        include_bytes!("../../tests/models/deep_calls.onnx").to_vec(),
        Vec::new(),
    ]
}
