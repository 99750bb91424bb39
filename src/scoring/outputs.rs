//! Outputs of a run as columns, named after the members of the server's response.

use serde::Serialize;

use super::column::{Column, Texts};
use crate::model::{
    Contract, Dimension, ElementType, Layout, Output, Scalar, Signature, Tensor, TensorData, Value,
    ValueKind, ValueSpec, on_elements,
};

/// The columns of a model's predictions.
#[derive(Clone, Debug)]
pub(super) struct OutputPlan {
    columns: Vec<Planned>,
    contract: Contract,
    /// Names of the outputs.
    names: Vec<String>,
}

/// A column, and the part of an output that it holds.
#[derive(Clone, Debug)]
struct Planned {
    path: OutputPath,
    output: usize,
    part: Part,
    empty: Column,
}

/// The place of a column in the server's response: a member, or a member of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OutputPath {
    pub(super) member: String,
    pub(super) inner: Option<String>,
}

#[derive(Clone, Debug)]
enum Part {
    /// The class or number that is predicted.
    Label,
    /// One of several elements of a row.
    Element { index: usize, width: usize },
    /// All elements of a row.
    List { are_labels: bool },
    /// The value of a map with this key.
    Key(String),
    /// Anything else, as JSON.
    Json,
    /// A value that is the same for all rows, as JSON.
    Constant,
}

impl OutputPath {
    pub(super) fn new(member: &str, inner: Option<&str>) -> Self {
        Self { member: member.to_owned(), inner: inner.map(str::to_owned) }
    }

    /// Returns the name of the column where columns have one name.
    pub(super) fn flat(&self) -> String {
        match &self.inner {
            Some(inner) => format!("{}.{inner}", self.member),
            None => self.member.clone(),
        }
    }
}

impl OutputPlan {
    /// Plans the columns; the signature is that of the proof, with the shapes that it observed.
    pub(super) fn new(signature: &Signature, contract: &Contract, layout: &Layout) -> Self {
        let mut columns = Vec::new();
        let declared = signature.outputs.iter().zip(&layout.outputs).enumerate();
        for (output, (spec, role)) in declared.clone() {
            let planned = |path: OutputPath, part: Part, empty: Column| Planned { path, output, part, empty };
            match role {
                Output::Prediction => columns.push(prediction(spec, contract, planned)),
                Output::Probabilities => columns.extend(probabilities(spec, contract, planned)),
                Output::Other | Output::Constant => {}
            }
        }
        for (output, (spec, role)) in declared {
            let path = OutputPath::new("outputs", Some(&spec.name));
            let planned = |part, empty| Planned { path, output, part, empty };
            match role {
                Output::Other => columns.push(other(spec, planned)),
                Output::Constant => columns.push(planned(Part::Constant, json())),
                Output::Prediction | Output::Probabilities => {}
            }
        }
        let names = signature.outputs.iter().map(|spec| spec.name.clone()).collect();
        Self { columns, contract: contract.clone(), names }
    }

    /// Returns the places of the columns in a response.
    pub(super) fn paths(&self) -> Vec<OutputPath> {
        self.columns.iter().map(|planned| planned.path.clone()).collect()
    }

    /// Returns the columns without rows.
    pub(super) fn empty(&self) -> Vec<Column> {
        self.columns.iter().map(|planned| planned.empty.clone()).collect()
    }

    /// Appends the outputs of a run on this number of rows.
    ///
    /// # Errors
    ///
    /// If an output does not hold what the proof observed.
    pub(super) fn extend(
        &self,
        columns: &mut [Column],
        outputs: &[Value],
        rows: usize,
    ) -> Result<(), String> {
        for (planned, column) in self.columns.iter().zip(columns) {
            let value = outputs.get(planned.output);
            let extended = value.and_then(|value| planned.extend(column, value, rows, &self.contract));
            if extended.is_none() {
                let name = self.names.get(planned.output).map_or("", String::as_str);
                return Err(format!("output `{name}` does not hold {rows} rows as in the model's proof"));
            }
        }
        Ok(())
    }
}

fn json() -> Column {
    Column::Json(Texts::default())
}

/// Returns a column without rows for elements of this type.
fn of_type(element_type: ElementType) -> Column {
    match element_type {
        ElementType::String => Column::Texts(Texts::default()),
        ElementType::Bool => Column::Bools(Vec::new()),
        ElementType::F64 => Column::Doubles(Vec::new()),
        ElementType::F16 | ElementType::Bf16 | ElementType::F32 => Column::Singles(Vec::new()),
        ElementType::U64 => Column::Unsigned(Vec::new()),
        ElementType::I8
        | ElementType::I16
        | ElementType::I32
        | ElementType::I64
        | ElementType::U8
        | ElementType::U16
        | ElementType::U32 => Column::Integers(Vec::new()),
    }
}

/// Returns the number of elements of a row; `None` if it varies.
fn width(shape: &[Dimension]) -> Option<usize> {
    let size = |dimension: &Dimension| match dimension {
        Dimension::Fixed(size) => Some(*size),
        Dimension::Dynamic(_) => None,
    };
    shape
        .split_first()?
        .1
        .iter()
        .try_fold(1_usize, |product, dimension| product.checked_mul(size(dimension)?))
}

fn list(items: Column) -> Column {
    Column::Lists(Box::new(items), Vec::new())
}

fn prediction(
    spec: &ValueSpec,
    contract: &Contract,
    planned: impl Fn(OutputPath, Part, Column) -> Planned,
) -> Planned {
    let path = OutputPath::new("prediction", None);
    let Some((element_type, shape)) = spec.as_tensor() else { return planned(path, Part::Json, json()) };
    let are_labels = !contract.classes.is_empty();
    let items = if are_labels { Column::Texts(Texts::default()) } else { of_type(element_type) };
    match width(shape) {
        Some(1) => planned(path, Part::Label, items),
        _ => planned(path, Part::List { are_labels }, list(items)),
    }
}

fn probabilities(
    spec: &ValueSpec,
    contract: &Contract,
    planned: impl Fn(OutputPath, Part, Column) -> Planned,
) -> Vec<Planned> {
    let path = |class: Option<&str>| OutputPath::new("probabilities", class);
    if let Some((element_type, shape)) = spec.as_tensor() {
        let names = width(shape).and_then(|width| contract.class_names(width));
        let Some(names) = names else {
            return vec![other(spec, |part, empty| planned(path(None), part, empty))];
        };
        let width = names.len();
        let column = |(index, name): (usize, &String)| {
            planned(path(Some(name)), Part::Element { index, width }, of_type(element_type))
        };
        return names.iter().enumerate().map(column).collect();
    }
    let value = match &spec.kind {
        ValueKind::Sequence(items) => match &**items {
            ValueKind::Map { value, .. } => Some(*value),
            _ => None,
        },
        _ => None,
    };
    match (value, contract.column_names()) {
        (Some(value), names) if !names.is_empty() => names
            .into_iter()
            .map(|name| planned(path(Some(&name)), Part::Key(name.clone()), of_type(value)))
            .collect(),
        _ => vec![planned(path(None), Part::Json, json())],
    }
}

fn other(spec: &ValueSpec, planned: impl FnOnce(Part, Column) -> Planned) -> Planned {
    match spec.as_tensor() {
        Some((element_type, shape)) if width(shape) == Some(1) => {
            planned(Part::Element { index: 0, width: 1 }, of_type(element_type))
        }
        Some((element_type, _)) => planned(Part::List { are_labels: false }, list(of_type(element_type))),
        None => planned(Part::Json, json()),
    }
}

impl Planned {
    /// Appends the part of an output that the column holds; `None` if it is not as planned.
    fn extend(&self, column: &mut Column, value: &Value, rows: usize, contract: &Contract) -> Option<()> {
        match (&self.part, value) {
            (Part::Label, Value::Tensor(tensor)) => {
                let elements = strided(tensor, rows, 0, 1)?;
                elements.try_for_each(|element| column.push(contract.label(element)))
            }
            (Part::Element { index, width }, Value::Tensor(tensor)) => {
                if let (Column::Singles(list), TensorData::F32(elements)) = (&mut *column, tensor.data()) {
                    (tensor.row_width(rows)? == *width).then_some(())?;
                    list.extend(elements.iter().skip(*index).step_by(*width).copied());
                    return Some(());
                }
                strided(tensor, rows, *index, *width)?.try_for_each(|element| column.push(element))
            }
            (Part::List { are_labels }, Value::Tensor(tensor)) => {
                let width = tensor.row_width(rows)?;
                let Column::Lists(items, ends) = column else { return None };
                for row in 0..rows {
                    for index in row * width..(row + 1) * width {
                        let element = tensor.data().get(index)?;
                        items.push(if *are_labels { contract.label(element) } else { element })?;
                    }
                    ends.push(items.len());
                }
                Some(())
            }
            (Part::Key(name), Value::Sequence(maps)) if maps.len() == rows => {
                maps.iter().try_for_each(|map| column.push(by_key(map, name, contract)?))
            }
            (Part::Constant, value) => {
                let Column::Json(texts) = column else { return None };
                let mut text = Vec::new();
                write_whole(&mut text, value);
                (0..rows).for_each(|_| texts.push(&text));
                Some(())
            }
            (Part::Json, value) => {
                let Column::Json(texts) = column else { return None };
                value.holds_rows(rows).then_some(())?;
                (0..rows).for_each(|row| texts.push_with(|out| write_row(out, value, row, rows)));
                Some(())
            }
            _ => None,
        }
    }
}

/// Iterates over one element of each row; `None` if the tensor does not hold rows of this width.
fn strided(tensor: &Tensor, rows: usize, index: usize, width: usize) -> Option<Elements<'_>> {
    (tensor.row_width(rows)? == width).then_some(Elements { data: tensor.data(), next: index, step: width })
}

/// Every `step`th element of a tensor.
struct Elements<'t> {
    data: &'t TensorData,
    next: usize,
    step: usize,
}

impl<'t> Elements<'t> {
    fn try_for_each(self, mut push: impl FnMut(Scalar<'t>) -> Option<()>) -> Option<()> {
        on_elements!(self.data, elements => {
            elements.iter().skip(self.next).step_by(self.step.max(1)).try_for_each(|element| push(Scalar::from(element)))
        })
    }
}

/// Returns the value of a map by the name of a class.
fn by_key<'v>(map: &'v Value, name: &str, contract: &Contract) -> Option<Scalar<'v>> {
    let Value::Map { keys, values } = map else { return None };
    let is_named = |index: &usize| keys.get(*index).is_some_and(|key| contract.key(key).to_string() == name);
    values.get((0..keys.len()).find(is_named)?)
}

/// Writes the part of a value for one row.
fn write_row(out: &mut Vec<u8>, value: &Value, row: usize, rows: usize) {
    match value {
        Value::Tensor(tensor) => {
            let width = tensor.row_width(rows).unwrap_or_default();
            let elements: Vec<Scalar<'_>> =
                (row * width..(row + 1) * width).filter_map(|index| tensor.data().get(index)).collect();
            match elements.as_slice() {
                [only] => write(out, only),
                several => write(out, &several),
            }
        }
        Value::Sequence(items) => match items.get(row) {
            Some(map @ Value::Map { .. }) => write_whole(out, map),
            _ => write_list(out, items, |out, item| write_row(out, item, row, rows)),
        },
        Value::Map { .. } | Value::Absent => write(out, &()),
    }
}

/// Writes a whole value: tensors as nested lists, maps as objects.
fn write_whole(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Tensor(tensor) => write_nested(out, tensor, tensor.shape(), 0),
        Value::Sequence(items) => write_list(out, items, write_whole),
        Value::Map { keys, values } => {
            let entry = |index| Some((keys.get(index)?.to_string(), values.get(index)?));
            let entries = (0..keys.len()).filter_map(entry);
            // Writing to memory cannot fail.
            let _ = serde::Serializer::collect_map(&mut serde_json::Serializer::new(out), entries);
        }
        Value::Absent => write(out, &()),
    }
}

fn write_nested(out: &mut Vec<u8>, tensor: &Tensor, shape: &[usize], offset: usize) {
    match shape.split_first() {
        None => write(out, &tensor.data().get(offset)),
        Some((&size, inner)) => {
            let width: usize = inner.iter().product();
            let offsets: Vec<usize> = (0..size).map(|index| offset + index * width).collect();
            write_list(out, &offsets, |out, offset| write_nested(out, tensor, inner, *offset));
        }
    }
}

fn write_list<T>(out: &mut Vec<u8>, items: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

fn write(out: &mut Vec<u8>, value: &impl Serialize) {
    // Writing to memory cannot fail.
    let _ = serde_json::to_writer(out, value);
}
