//! Models to deploy, and what they answer.

use std::{collections::HashMap, sync::RwLock};

use onnx_gateway::model::Digest;
use serde_json::{Value, json};

use super::server::Server;
use crate::support::repository::{iris, test_model};

/// The model that is shipped, and the same retrained.
pub const BASES: [&str; 2] = ["iris", "iris_retrained"];

/// The bytes of a model by name.
pub fn bytes(name: &str) -> Vec<u8> {
    if name == "iris" { iris() } else { test_model(name) }
}

/// The same model in other bytes, which have to be proven as any others: with one more entry in its metadata.
pub fn fresh(model: &[u8], number: usize) -> Vec<u8> {
    fn text(field: u8, text: &str) -> Vec<u8> {
        let length = u8::try_from(text.len()).unwrap();
        [&[field << 3 | 2, length][..], text.as_bytes()].concat()
    }
    let entry = [text(1, "chaos"), text(2, &number.to_string())].concat();
    // A protocol buffer may be written in parts, one behind the other. 14 is `metadata_props`.
    [model, &[14 << 3 | 2, u8::try_from(entry.len()).unwrap()], &entry].concat()
}

/// The first digits of a file's sha256, as answers show them.
pub fn digest(bytes: &[u8]) -> String {
    Digest::of(bytes).short()
}

/// What the load asks.
pub fn bodies() -> Vec<Value> {
    let rows = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3], [5.9, 2.8, 4.3, 1.3], [6.0, 2.2, 5.0, 1.5]];
    rows.iter().map(|row| json!({"features": row})).chain([json!({"instances": rows})]).collect()
}

/// The answer to each body by the digest of the file that gives it, as far as files were announced.
pub struct Expected {
    by_base: HashMap<String, Vec<Value>>,
    by_digest: RwLock<HashMap<String, String>>,
}

impl Expected {
    /// Asks each of these models by itself, in a gateway to which nothing else happens.
    pub async fn of(bases: &[&str], bodies: &[Value]) -> Self {
        let server = Server::prepare();
        for base in bases {
            server.folder.put(&format!("models/{base}.onnx"), &bytes(base));
        }
        let server = server.start().await;
        let mut by_base = HashMap::new();
        for base in bases {
            let mut answers = Vec::new();
            for body in bodies {
                let answer = server.post(&format!("/models/{base}/predict"), body).await;
                assert_eq!(answer.status, 200, "{answer:?}");
                answers.push(without_names(answer.body));
            }
            by_base.insert((*base).to_owned(), answers);
        }
        if let [one, other] = bases {
            let differ = by_base[*one].iter().zip(&by_base[*other]).filter(|(one, other)| one != other);
            assert_eq!(differ.count(), bodies.len(), "the answers tell the models apart");
        }
        Self { by_base, by_digest: RwLock::default() }
    }

    /// A file with this digest answers as this model; to be said before it is deployed.
    pub fn announce(&self, digest: &str, base: &str) {
        self.by_digest.write().unwrap().insert(digest.to_owned(), base.to_owned());
    }

    /// What is wrong with an answer to the body of this index.
    pub fn check(&self, index: usize, digest: &str, version: &str, body: &Value) -> Result<(), String> {
        let by_digest = self.by_digest.read().unwrap();
        let Some(base) = by_digest.get(digest) else { return Err(format!("nobody deployed {digest}")) };
        if body["version"] != version {
            return Err(format!("version {version} in the header, in the body {body}"));
        }
        let (expected, answer) = (&self.by_base[base][index], without_names(body.clone()));
        if answer == *expected { Ok(()) } else { Err(format!("{digest} is {base}, and answered {answer}")) }
    }
}

/// An answer without what depends on where the file lies.
fn without_names(mut answer: Value) -> Value {
    let fields = answer.as_object_mut().unwrap();
    fields.remove("model");
    fields.remove("version");
    answer
}
