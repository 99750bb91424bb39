//! Writer of the response to rows, straight from the outputs of a run, with the parts that were prepared when the
//! version was loaded.

mod row_value;

use std::ops::Range;

use self::row_value::{write_prediction, write_probabilities, write_value, write_whole};
use crate::{
    codec::json_element::JsonElement,
    model::{Contract, Labels, Output, Scalar, Value},
    serving::{ResponseParts, RowsWriter},
};

/// Bytes reserved for a number.
const NUMBER_BYTES: usize = 12;

/// The parts that all responses of a version to rows share.
#[derive(Clone, Debug)]
pub struct ResponseTemplate {
    /// From the first brace up to the outputs.
    head: Vec<u8>,
    /// Members of the response itself, in the order of the signature.
    members: Vec<Member>,
    /// Members of its `outputs`, in the order of the signature.
    others: Vec<Member>,
    classes: Classes,
}

/// A member of a response.
#[derive(Clone, Debug)]
struct Member {
    /// The name, with a comma before and a colon after it.
    key: Vec<u8>,
    /// The index of the output.
    output: usize,
    role: Output,
}

/// The names of the classes.
#[derive(Clone, Debug)]
struct Classes {
    /// Labels of the graph, in the order of the names; `None` if they are 0, 1, 2 ….
    order: Option<Labels>,
    /// Labels that are keys of scores, in the same order.
    key_order: Option<Labels>,
    /// The names as JSON texts; empty if labels are written as they are.
    labels: Vec<Vec<u8>>,
    /// The names as members, with a colon after each and a comma before all but the first.
    keys: Vec<Vec<u8>>,
}

impl RowsWriter for ResponseTemplate {
    fn write(
        &self,
        out: &mut Vec<u8>,
        outputs: &[Value],
        rows: Range<usize>,
        total: usize,
        many: bool,
    ) -> bool {
        if !self.can_write(outputs, &rows, total) {
            return false;
        }
        let count = if many { rows.len() } else { 1 };
        out.reserve(self.head.len() + 20 + count.saturating_mul(self.row_bytes(outputs, total)));
        out.extend_from_slice(&self.head);
        if many {
            out.extend_from_slice(br#","predictions":["#);
            for row in rows {
                self.write_object(out, outputs, row, total);
                out.push(b',');
            }
            // The comma after the last row.
            out.pop();
            out.push(b']');
        } else {
            self.write_row(out, outputs, rows.start, total);
        }
        out.push(b'}');
        true
    }

    fn can_write(&self, outputs: &[Value], rows: &Range<usize>, total: usize) -> bool {
        let is_whole = outputs.len() == self.members.len() + self.others.len();
        let has_rows = rows.start < rows.end && rows.end <= total;
        is_whole && has_rows && self.hold_rows(outputs, total)
    }
}

/// Prepares the writer of a version's responses.
#[must_use]
pub fn prepare_rows(parts: ResponseParts<'_>) -> Box<dyn RowsWriter> {
    Box::new(ResponseTemplate::new(parts))
}

impl ResponseTemplate {
    /// Prepares the parts that all responses of this version share.
    #[must_use]
    pub fn new(parts: ResponseParts<'_>) -> Self {
        let ResponseParts { name, version, signature, contract, layout } = parts;
        let [model, version] = [name, &version.to_string()].map(written);
        let head = [br#"{"model":"#, model.as_slice(), br#","version":"#, &version].concat();
        let mut members = Vec::new();
        let mut others = Vec::new();
        for (output, (spec, &role)) in signature.outputs.iter().zip(&layout.outputs).enumerate() {
            let (place, name) = match role {
                Output::Prediction => (&mut members, "prediction"),
                Output::Probabilities => (&mut members, "probabilities"),
                Output::Other | Output::Constant => (&mut others, spec.name.as_str()),
            };
            place.push(Member { key: [b",", written(name).as_slice(), b":"].concat(), output, role });
        }
        Self { head, members, others, classes: Classes::new(contract) }
    }

    /// Returns true if every output that varies by row holds `total` rows.
    fn hold_rows(&self, outputs: &[Value], total: usize) -> bool {
        let holds = |member: &Member| {
            member.role == Output::Constant
                || outputs.get(member.output).is_some_and(|value| value.holds_rows(total))
        };
        self.members.iter().chain(&self.others).all(holds)
    }

    /// Estimates the length of the response to one row.
    fn row_bytes(&self, outputs: &[Value], total: usize) -> usize {
        let bytes = |member: &Member| {
            let elements = match outputs.get(member.output) {
                Some(value) if member.role == Output::Constant => value.elements(),
                Some(Value::Tensor(tensor)) => tensor.data().len() / total.max(1),
                _ => self.classes.keys.len(),
            };
            let names = match member.role {
                Output::Probabilities => self.classes.keys.iter().map(Vec::len).sum(),
                Output::Prediction => self.classes.labels.first().map_or(0, Vec::len),
                Output::Other | Output::Constant => 0,
            };
            member.key.len() + names + elements * NUMBER_BYTES + 2
        };
        4 + self.members.iter().chain(&self.others).map(bytes).sum::<usize>()
    }

    fn write_object(&self, out: &mut Vec<u8>, outputs: &[Value], row: usize, total: usize) {
        let begin = out.len();
        self.write_row(out, outputs, row, total);
        open_object(out, begin);
        out.push(b'}');
    }

    /// Writes the members of a row, each with a comma before it.
    fn write_row(&self, out: &mut Vec<u8>, outputs: &[Value], row: usize, total: usize) {
        for member in &self.members {
            let Some(value) = outputs.get(member.output) else { continue };
            out.extend_from_slice(&member.key);
            match member.role {
                Output::Prediction => write_prediction(out, value, row, total, &self.classes),
                Output::Probabilities => write_probabilities(out, value, row, total, &self.classes),
                Output::Other => write_value(out, value, row, total),
                Output::Constant => write_whole(out, value),
            }
        }
        if self.others.is_empty() {
            return;
        }
        out.extend_from_slice(br#","outputs":"#);
        let begin = out.len();
        for member in &self.others {
            let Some(value) = outputs.get(member.output) else { continue };
            out.extend_from_slice(&member.key);
            if member.role == Output::Constant {
                write_whole(out, value);
            } else {
                write_value(out, value, row, total);
            }
        }
        open_object(out, begin);
        out.push(b'}');
    }
}

impl Classes {
    fn new(contract: &Contract) -> Self {
        let (classes, order) = (&contract.classes, contract.graph.labels.clone());
        let key_order = contract.graph.score_labels().cloned();
        let names = contract.column_names();
        let key = |(index, class): (usize, &String)| {
            let comma: &[u8] = if index == 0 { b"" } else { b"," };
            [comma, written(class).as_slice(), b":"].concat()
        };
        Self {
            order,
            key_order,
            labels: classes.iter().map(|class| written(class)).collect(),
            keys: names.iter().enumerate().map(key).collect(),
        }
    }

    /// Returns the written name of a predicted label; `None` if it has no name.
    fn label(&self, label: Option<Scalar<'_>>) -> Option<&[u8]> {
        self.named(self.order.as_ref(), label?)
    }

    /// Returns the written name of the class whose score has this key; `None` if it has no name.
    fn key(&self, key: Scalar<'_>) -> Option<&[u8]> {
        self.named(self.key_order.as_ref(), key)
    }

    fn named(&self, order: Option<&Labels>, label: Scalar<'_>) -> Option<&[u8]> {
        let class = match (order, label) {
            _ if self.labels.is_empty() => None,
            (Some(labels), label) => labels.position(label),
            (None, Scalar::Integer(number)) => usize::try_from(number).ok(),
            (None, _) => None,
        };
        self.labels.get(class?).map(Vec::as_slice)
    }
}

/// Turns the comma before the first member from `begin` on into a brace; adds a brace if there are no members.
fn open_object(out: &mut Vec<u8>, begin: usize) {
    match out.get_mut(begin) {
        Some(comma) => *comma = b'{',
        None => out.push(b'{'),
    }
}

fn written(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    text.write(&mut out);
    out
}
