//! Tensors by row and by input.
//!
//! The model decides the types, since a request does not state them. For a model with one input, a row is a bare value;
//! for several inputs, it is an object of values by input name. Models that take rows of features also accept objects
//! by feature name.

use serde::{Deserialize, de::DeserializeSeed};
use serde_json::value::RawValue;

use super::{
    entries::{Entries, Glance, Kind, kind},
    objects::{ObjectList, Objects},
    read_part::{read, too_many},
};
use crate::{
    codec::{
        BodyError, ListOfRows, Model,
        elements::{ElementFault, TextForm, elements_of_items, shape_of},
        field_error::escape,
    },
    model::{
        Cell, ElementType, Layout, Row, RowInputs, Rows, RowsReader, Signature, Tensor, TensorData, ValueSpec,
    },
};

/// Maximum length of the text of rows that are read value by value, which takes longer than reading tensors.
pub(in crate::protocols) const MAX_ROWS_BYTES: usize = 4 * 1024 * 1024;

/// The inputs of a run.
#[derive(Debug)]
pub enum PredictInputs {
    /// Tensors by input name.
    Tensors(Vec<(String, Tensor)>),
    /// Rows of features.
    Rows(Rows),
}

/// Inputs that consist of rows.
#[derive(Debug)]
pub struct Instances {
    /// The contents of the rows.
    pub given: PredictInputs,
    /// Number of rows.
    pub count: usize,
}

/// Reads the list of rows at this place.
///
/// # Errors
///
/// If it is not what the model takes, with the place of the first error.
pub fn read_instances(json: &RawValue, place: &str, model: Model<'_>) -> Result<Instances, BodyError> {
    if kind(json) != Kind::List {
        return Err(BodyError::invalid(place, "wrong_form", "expected a list of rows"));
    }
    let Glance { first, count } = read(json, place)?;
    let Some(first) = first else {
        return Err(BodyError::invalid(place, "no_rows", "expected at least one row"));
    };
    let given = match (kind(first), model.signature.inputs.as_slice()) {
        (Kind::Object, _) => read_objects(&ObjectList::read(json, place)?, place, model)?,
        (Kind::List, _) if takes_lists_as_rows(model.layout) => {
            if json.get().len() > MAX_ROWS_BYTES {
                return Err(too_many(place));
            }
            let mut rows = model.rows();
            read_list_of_rows(json, place, &mut rows)?;
            PredictInputs::Rows(rows.finish())
        }
        (_, [spec]) => PredictInputs::Tensors(vec![read_tensor(json, place, spec)?]),
        (_, inputs) => {
            let names: Vec<&str> = inputs.iter().map(|spec| spec.name.as_str()).collect();
            let message = format!(
                "expected an object of values by name: the model has the inputs [{}]",
                names.join(", ")
            );
            return Err(BodyError::invalid(&format!("{place}/0"), "wrong_form", message));
        }
    };
    Ok(Instances { given, count })
}

/// Reads a list of rows, each a list or an object.
pub(in crate::protocols) fn read_list_of_rows(
    json: &RawValue,
    place: &str,
    rows: &mut RowsReader<'_>,
) -> Result<(), BodyError> {
    let mut deserializer = serde_json::Deserializer::from_str(json.get());
    ListOfRows(rows).deserialize(&mut deserializer).or_else(|error| {
        // Reads again, for the place of the error.
        let _: RowForms = read(json, place)?;
        Err(BodyError::invalid(place, "wrong_form", error.to_string()))
    })
}

/// A list of rows that is read without being kept.
struct RowForms;

impl<'de> Deserialize<'de> for RowForms {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ListOfRows(&mut RowsReader::counting()).deserialize(deserializer).map(|()| Self)
    }
}

/// Returns true if a list is a row, for a model that takes one value per row, or one value per input.
fn takes_lists_as_rows(layout: Option<&Layout>) -> bool {
    match layout.map(|layout| &layout.inputs) {
        Some(RowInputs::Matrix { flat, .. }) => *flat,
        Some(RowInputs::Columns(_)) => true,
        None => false,
    }
}

/// Reads objects of values by name, one per row.
pub(in crate::protocols) fn read_objects<'b>(
    objects: &dyn Objects<'b>,
    place: &str,
    model: Model<'_>,
) -> Result<PredictInputs, BodyError> {
    let Model { signature, layout, .. } = model;
    if are_rows(objects, signature, layout)? {
        return read_rows(objects, place, model.rows()).map(PredictInputs::Rows);
    }
    let mut is_given: Vec<bool> = signature.inputs.iter().map(|spec| !spec.is_optional()).collect();
    objects.each(&mut |index, object| {
        if let Some(name) = object.0.keys().find(|name| signature.input(name).is_none()) {
            return Err(unknown_input(&format!("{place}/{index}"), name, signature));
        }
        for (is_given, spec) in is_given.iter_mut().zip(&signature.inputs) {
            *is_given |= object.0.get(&spec.name).is_some_and(|value| value.get() != "null");
        }
        Ok(())
    })?;
    let given = signature.inputs.iter().zip(is_given).filter(|(_, is_given)| *is_given);
    let mut given: Vec<Stacked<'_, 'b>> =
        given.map(|(spec, _)| Stacked::new(spec, objects.count())).collect();
    objects.each(&mut |index, object| {
        for input in &mut given {
            input.add(index, object);
        }
        Ok(())
    })?;
    given.into_iter().map(|input| input.read(place)).collect::<Result<_, _>>().map(PredictInputs::Tensors)
}

/// Returns true if objects are rows of features, and not of the model's inputs.
fn are_rows(
    objects: &dyn Objects<'_>,
    signature: &Signature,
    layout: Option<&Layout>,
) -> Result<bool, BodyError> {
    let Some(layout) = layout else { return Ok(false) };
    let (mut are_values, mut are_empty, mut are_inputs) = (true, true, true);
    let is_matrix = matches!(layout.inputs, RowInputs::Matrix { .. });
    objects.each(&mut |_, object| {
        are_values = are_values && object.0.values().all(|value| kind(value) == Kind::Value);
        are_empty = are_empty && object.0.is_empty();
        are_inputs = are_inputs && is_matrix && object.0.keys().all(|name| signature.input(name).is_some());
        Ok(())
    })?;
    Ok(match &layout.inputs {
        RowInputs::Columns(_) => are_values,
        // In a matrix with one column, a bare value is a row of features, but not a row of the input.
        RowInputs::Matrix { columns, flat, .. } => {
            are_values && ((*columns == 1 && !flat) || are_empty || !are_inputs)
        }
    })
}

/// The values of one input over all rows.
struct Stacked<'s, 'b> {
    spec: &'s ValueSpec,
    values: Vec<&'b str>,
    /// The first row without a value.
    missing: Option<usize>,
}

impl<'s, 'b> Stacked<'s, 'b> {
    fn new(spec: &'s ValueSpec, rows: usize) -> Self {
        Self { spec, values: Vec::with_capacity(rows), missing: None }
    }

    fn add(&mut self, index: usize, object: &Entries<'b>) {
        match object.0.get(&self.spec.name) {
            Some(value) => self.values.push(value.get()),
            None => self.missing = self.missing.or(Some(index)),
        }
    }

    fn read(self, place: &str) -> Result<(String, Tensor), BodyError> {
        let Self { spec, values, missing } = self;
        let at = |index: usize| format!("{place}/{index}/{}", escape(&spec.name));
        if let Some(index) = missing {
            return Err(BodyError::invalid(&at(index), "missing", format!("`{}` is required", spec.name)));
        }
        let element_type = element_type(spec, &at(0))?;
        let first = values.first().copied().unwrap_or_default();
        let mut shape = shape_of(first).map_err(|fault| in_place(&at(0), fault))?;
        let size = elements(&shape).ok_or_else(|| too_many(&at(0)))?;
        let data = elements_of_items(&values, element_type, &shape, size, TextForm::PlainOrBase64);
        let data = data.map_err(|(index, fault)| in_place(&at(index), fault))?;
        shape.insert(0, values.len());
        Ok((spec.name.clone(), tensor(shape, data, place)?))
    }
}

fn read_rows(objects: &dyn Objects<'_>, place: &str, mut rows: RowsReader<'_>) -> Result<Rows, BodyError> {
    objects.each(&mut |index, object| {
        let cell = |(name, value): (&String, &&RawValue)| {
            let at = || format!("{place}/{index}/{}", escape(name));
            Ok((name.clone(), cell(value, at)?))
        };
        rows.push(Row::Named(object.0.iter().map(cell).collect::<Result<_, BodyError>>()?));
        Ok(())
    })?;
    Ok(rows.finish())
}

/// Reads a value of a row; `{"b64": "…"}` is read as the text that it stands for.
fn cell(json: &RawValue, place: impl Fn() -> String) -> Result<Cell, BodyError> {
    if json.get().trim_ascii_start().starts_with('{') {
        let texts = elements_of_items(&[json.get()], ElementType::String, &[], 1, TextForm::PlainOrBase64);
        return match texts.map_err(|(_, fault)| in_place(&place(), fault))? {
            TensorData::String(mut texts) => Ok(texts.pop().map_or(Cell::Null, Cell::Text)),
            _ => Ok(Cell::Null),
        };
    }
    match serde_json::from_str(json.get()) {
        Ok(cell) => Ok(cell),
        Err(_) => read(json, &place()),
    }
}

/// Reads whole tensors: an object of tensors by input name, or a bare one if the model has one input.
///
/// # Errors
///
/// If they are not what the model takes, with the place of the first error.
pub fn read_columns(json: &RawValue, signature: &Signature) -> Result<PredictInputs, BodyError> {
    const PLACE: &str = "/inputs";
    if kind(json) != Kind::Object {
        let [spec] = signature.inputs.as_slice() else {
            let message = format!(
                "expected an object of tensors by name: the model has {} inputs",
                signature.inputs.len()
            );
            return Err(BodyError::invalid(PLACE, "wrong_form", message));
        };
        return Ok(PredictInputs::Tensors(vec![read_tensor(json, PLACE, spec)?]));
    }
    let Entries(entries) = read(json, PLACE)?;
    let mut tensors = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        let spec = signature.input(&name).ok_or_else(|| unknown_input(PLACE, &name, signature))?;
        if spec.is_optional() && value.get() == "null" {
            continue;
        }
        tensors.push(read_tensor(value, &format!("{PLACE}/{}", escape(&name)), spec)?);
    }
    Ok(PredictInputs::Tensors(tensors))
}

fn read_tensor(json: &RawValue, place: &str, spec: &ValueSpec) -> Result<(String, Tensor), BodyError> {
    let element_type = element_type(spec, place)?;
    let shape = shape_of(json.get()).map_err(|fault| in_place(place, fault))?;
    let size = elements(&shape).ok_or_else(|| too_many(place))?;
    let data = elements_of_items(&[json.get()], element_type, &shape, size, TextForm::PlainOrBase64);
    let data = data.map_err(|(_, fault)| in_place(place, fault))?;
    Ok((spec.name.clone(), tensor(shape, data, place)?))
}

fn tensor(shape: Vec<usize>, data: TensorData, place: &str) -> Result<Tensor, BodyError> {
    Tensor::new(shape, data).map_err(|error| BodyError::invalid(place, "wrong_shape", error.to_string()))
}

fn element_type(spec: &ValueSpec, place: &str) -> Result<ElementType, BodyError> {
    let no_tensor = || {
        let message = format!("input `{}` is a {}, which this protocol cannot carry", spec.name, spec.kind);
        BodyError::invalid(place, "unsupported", message)
    };
    spec.as_tensor().map(|(element_type, _)| element_type).ok_or_else(no_tensor)
}

fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size))
}

fn in_place(place: &str, fault: ElementFault) -> BodyError {
    let ElementFault { path, code, message } = fault;
    BodyError::invalid(&format!("{place}{path}"), code, message)
}

fn unknown_input(place: &str, name: &str, signature: &Signature) -> BodyError {
    let names: Vec<&str> = signature.inputs.iter().map(|spec| spec.name.as_str()).collect();
    let message = format!("the model has no input of this name; it has [{}]", names.join(", "));
    BodyError::invalid(&format!("{place}/{}", escape(name)), "unknown_input", message)
}
