//! Detection of other file formats by their first bytes, so that a refusal can name the format and a remedy.

use std::io::{Read, Seek};

use super::file_error::OnnxFileError::{self, NotOnnx};

/// Bytes read from the start of a file.
const START_BYTES: u64 = 8192;

/// Replaces the error by the name of the file's format, if it is a known one.
pub(super) fn named(error: OnnxFileError, file: &mut (impl Read + Seek)) -> OnnxFileError {
    let mut start = Vec::new();
    let is_read = file.rewind().and_then(|()| file.take(START_BYTES).read_to_end(&mut start)).is_ok();
    match error {
        OnnxFileError::Io(_) => error,
        _ if !is_read => error,
        _ => format_of(&start).map_or(error, NotOnnx),
    }
}

/// Formats recognized by bytes at a fixed offset.
const MAGIC: [(usize, &[u8], &str); 29] = [
    (
        4,
        b"ORTM",
        "it is in ONNX Runtime's own format (ORT), which is for one version and machine: give the .onnx it was made of",
    ),
    (4, b"TFL3", "it is a TensorFlow Lite model: convert it to ONNX, for example with tf2onnx"),
    (
        0,
        b"\x89HDF\r\n\x1a\n",
        "it is an HDF5 file, as Keras writes it: convert the model to ONNX, for example with tf2onnx",
    ),
    (0, b"\x80\x02", PICKLE),
    (0, b"\x80\x03", PICKLE),
    (0, b"\x80\x04", PICKLE),
    (0, b"\x80\x05", PICKLE),
    (0, b"\x1f\x8b", COMPRESSED),
    (0, b"BZh", COMPRESSED),
    (0, b"\xfd7zXZ\0", COMPRESSED),
    (0, b"\x28\xb5\x2f\xfd", COMPRESSED),
    (0, b"\x04\x22\x4d\x18", COMPRESSED),
    (0, b"\x78\x01", COMPRESSED),
    (0, b"\x78\x5e", COMPRESSED),
    (0, b"\x78\x9c", COMPRESSED),
    (0, b"\x78\xda", COMPRESSED),
    (0, b"7z\xbc\xaf\x27\x1c", COMPRESSED),
    (257, b"ustar", "it is a tar archive: unpack it"),
    (0, b"\x93NUMPY", "it is a NumPy array, and not a model"),
    (0, b"CBM1", "it is in CatBoost's own format: save the model with format=\"onnx\""),
    (0, b"tree\nversion=", "it is in LightGBM's own format: convert the model with onnxmltools"),
    (0, b"{L\0\0\0\0\0\0", "it is in XGBoost's own format: convert the model with onnxmltools"),
    (0, b"version https://git-lfs", "it is a Git LFS pointer in place of the file: run `git lfs pull`"),
    (0, b"GGUF", "it is in the format GGUF of llama.cpp: export the model to ONNX"),
    (0, b"PAR1", "it is a Parquet file, and not a model"),
    (0, b"\x7fELF", "it is a program or a library, and not a model"),
    (0, b"%PDF", "it is a PDF document, and not a model"),
    (0, b"\xff\xfe", TEXT),
    (0, b"\xfe\xff", TEXT),
];

const PICKLE: &str = "it is a Python pickle (.pkl, .joblib, or an old .pt): convert the model to ONNX, for example with \
                      skl2onnx or torch.onnx.export";

const COMPRESSED: &str =
    "it is compressed: unpack it; if it is a model that joblib wrote, convert that to ONNX";

const TEXT: &str = "it is a text, as rows of data, a script or the message of a failed download: look at its first lines, and \
                    give the .onnx file that the export or the download should have written";

fn format_of(start: &[u8]) -> Option<&'static str> {
    let has = |at: usize, magic: &[u8]| start.get(at..).is_some_and(|rest| rest.starts_with(magic));
    let known = MAGIC.iter().find(|(at, magic, _)| has(*at, magic));
    known.map(|(_, _, format)| *format).or_else(|| archive(start)).or_else(|| text(start)).or_else(|| {
        is_safetensors(start)
            .then_some(
                "it is a safetensors file, which holds weights and not a graph: export the model to ONNX",
            )
            .or_else(|| tensorflow(start))
    })
}

/// Distinguishes Zip archives by the names of their first files.
fn archive(start: &[u8]) -> Option<&'static str> {
    start.starts_with(b"PK\x03\x04").then(|| {
        if contains(start, b"data.pkl")
            || contains(start, b"/byteorder")
            || contains(start, b"/constants.pkl")
        {
            "it is a PyTorch file (.pt, .pth): export the model with torch.onnx.export"
        } else if contains(start, b"metadata.json") && contains(start, b"config.json") {
            "it is a Keras model (.keras): convert it to ONNX, for example with tf2onnx"
        } else if contains(start, b".npy") {
            "it is an archive of NumPy arrays (.npz), and not a model"
        } else {
            "it is a zip archive (.zip, .pt, .keras, .mar): unpack it, or export the model to ONNX"
        }
    })
}

fn text(start: &[u8]) -> Option<&'static str> {
    let text = start.trim_ascii_start();
    let begins = |word: &[u8]| text.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
    if begins(b"<!DOCTYPE html") || begins(b"<html") {
        Some("it is an HTML page: the download was answered by a page, as one for signing in")
    } else if begins(b"<?xml") {
        Some("it is an XML file (PMML, OpenVINO): export the model to ONNX")
    } else if begins(b"{\"") || begins(b"[{") {
        Some("it is a JSON text, as of XGBoost or of an error: export the model to ONNX")
    } else {
        is_text(start).then_some(TEXT)
    }
}

/// Returns true if there are only characters that texts have. An ONNX file begins with a control character.
fn is_text(start: &[u8]) -> bool {
    // The last character may be cut.
    let text = match str::from_utf8(start) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            start.get(..error.valid_up_to()).and_then(|whole| str::from_utf8(whole).ok()).unwrap_or_default()
        }
        Err(_) => return false,
    };
    let is_of_text =
        |character: char| !character.is_control() || matches!(character, '\t' | '\r' | '\n' | '\u{c}');
    !text.is_empty() && text.chars().all(is_of_text)
}

/// Returns true if a JSON object follows its length in eight bytes.
fn is_safetensors(start: &[u8]) -> bool {
    let length = start.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes));
    length.is_some_and(|length| (2..=100_000_000).contains(&length)) && start.get(8..10) == Some(b"{\"")
}

/// Detects TensorFlow's protocol buffers. `SavedModel` begins with its version and a graph with its information;
/// `GraphDef` begins with a node.
fn tensorflow(start: &[u8]) -> Option<&'static str> {
    // A model of ONNX's first version begins in the same way, with a name in place of the information.
    let graph = start.strip_prefix(b"\x08\x01\x12").unwrap_or_default();
    let length_end = graph.iter().position(|byte| *byte < 0x80);
    let is_saved_model = length_end.is_some_and(|end| graph.get(end + 1) == Some(&0x0a));
    let operators: [&[u8]; 3] = [b"\x12\x0bPlaceholder", b"\x12\x05Const", b"\x12\x04NoOp"];
    let is_graph = start.starts_with(b"\x0a") && operators.iter().any(|operator| contains(start, operator));
    (is_saved_model || is_graph).then_some(
        "it is a TensorFlow model (SavedModel or .pb): convert it to ONNX, for example with tf2onnx",
    )
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use crate::model::OnnxFile;
    use std::io::Cursor;

    fn said(bytes: &[u8]) -> String {
        OnnxFile::read(Cursor::new(bytes)).unwrap_err().to_string()
    }

    #[test]
    fn files_of_other_formats_are_named_with_what_to_do() {
        let padded = |start: &[u8]| [start, &[0; 64]].concat();
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        let safetensors = [&32_u64.to_le_bytes()[..], b"{\"weight\":{\"dtype\":\"F32\"}}"].concat();
        for (bytes, part) in [
            (padded(b"\x1c\0\0\0ORTM"), "ONNX Runtime's own format (ORT)"),
            (padded(b"\x1c\0\0\0TFL3"), "TensorFlow Lite"),
            (padded(b"\x80\x04\x95"), "Python pickle"),
            (padded(b"\x89HDF\r\n\x1a\n"), "HDF5"),
            (padded(b"PK\x03\x04................model/data.pkl"), "torch.onnx.export"),
            (padded(b"PK\x03\x04................metadata.json....config.json"), ".keras"),
            (padded(b"PK\x03\x04"), "zip archive"),
            (padded(b"\x1f\x8b\x08"), "compressed"),
            (padded(b"\x08\x01\x12\xc3\x01\x0a\x40"), "TensorFlow model"),
            (padded(b"\x0a\x1a\x0a\x01x\x12\x0bPlaceholder"), "TensorFlow model"),
            (tar, "tar archive"),
            (safetensors, "safetensors"),
            (padded(b"version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
            (padded(b"<!doctype HTML><title>Sign in</title>"), "HTML page"),
            (padded(b"{\"error\": 404}"), "JSON text"),
            (padded(b"tree\nversion=v4\n"), "LightGBM"),
            (padded(b"\x78\x5e\xec\xbd"), "if it is a model that joblib wrote"),
            (b"\xff\xfea\0,\0b\0\n\0".to_vec(), "it is a text"),
            (b"age,city\n41,Z\xc3\xbcrich\n".repeat(2000), "it is a text, as rows of data"),
            ("é".repeat(8000).into_bytes(), "first lines"),
            (b"404: Not Found".to_vec(), "the message of a failed download"),
        ] {
            let said = said(&bytes);
            assert!(
                said.starts_with("the file is not an ONNX model: it is") && said.contains(part),
                "{part}: {said}"
            );
        }
        assert!(said(b"").contains("ends too early"), "an empty file may still be written");
    }
}
