//! The elements of a tensor in the typed field for them. Several types share a field that is wider than they are.

use super::proto::InferTensorContents;
use crate::{
    codec::FieldError,
    model::{ElementType, TensorData},
    protocols::open_inference::wire::{Place, TensorForm},
};

/// Returns the field for elements of a type; `None` for 16-bit floats, which have none.
fn field_of(element_type: ElementType) -> Option<&'static str> {
    match element_type {
        ElementType::Bool => Some("bool_contents"),
        ElementType::I8 | ElementType::I16 | ElementType::I32 => Some("int_contents"),
        ElementType::I64 => Some("int64_contents"),
        ElementType::U8 | ElementType::U16 | ElementType::U32 => Some("uint_contents"),
        ElementType::U64 => Some("uint64_contents"),
        ElementType::F32 => Some("fp32_contents"),
        ElementType::F64 => Some("fp64_contents"),
        ElementType::String => Some("bytes_contents"),
        ElementType::F16 | ElementType::Bf16 => None,
    }
}

/// Reads the elements of a tensor, as many as its form requires.
///
/// # Errors
///
/// If they are in another field, too many, too few, or do not fit their type.
pub(super) fn elements(
    place: Place,
    form: &TensorForm,
    contents: InferTensorContents,
) -> Result<TensorData, FieldError> {
    let TensorForm { element_type, ref shape, count } = *form;
    let field = field_of(element_type).ok_or_else(|| {
        let message = format!("elements of {element_type} have no contents field: send raw_input_contents");
        FieldError::new(format!("{place}/contents"), "wrong_form", message)
    })?;
    let place = || format!("{place}/contents/{field}");
    for (other, given) in counts(&contents) {
        if other == field && given != count {
            let message = format!("the shape {shape:?} holds {count} elements, not {given}");
            return Err(FieldError::new(place(), "wrong_count", message));
        }
        if other != field && given > 0 {
            let message = format!("elements of {element_type} belong here, not in {other}");
            return Err(FieldError::new(place(), "wrong_form", message));
        }
    }
    Ok(match element_type {
        ElementType::Bool => TensorData::Bool(contents.bool_contents),
        ElementType::I8 => TensorData::I8(narrowed(&place, element_type, contents.int_contents)?.into()),
        ElementType::I16 => TensorData::I16(narrowed(&place, element_type, contents.int_contents)?.into()),
        ElementType::I32 => TensorData::I32(contents.int_contents.into()),
        ElementType::I64 => TensorData::I64(contents.int64_contents.into()),
        ElementType::U8 => TensorData::U8(narrowed(&place, element_type, contents.uint_contents)?.into()),
        ElementType::U16 => TensorData::U16(narrowed(&place, element_type, contents.uint_contents)?.into()),
        ElementType::U32 => TensorData::U32(contents.uint_contents.into()),
        ElementType::U64 => TensorData::U64(contents.uint64_contents.into()),
        ElementType::F32 => TensorData::F32(contents.fp32_contents.into()),
        ElementType::F64 => TensorData::F64(contents.fp64_contents.into()),
        ElementType::String | ElementType::F16 | ElementType::Bf16 => {
            let text = |(index, bytes): (usize, &bytes::Bytes)| {
                str::from_utf8(bytes).map(str::to_owned).map_err(|_| {
                    FieldError::new(format!("{}/{index}", place()), "wrong_bytes", "this is not UTF-8")
                })
            };
            let texts = contents.bytes_contents.iter().enumerate().map(text);
            TensorData::String(texts.collect::<Result<_, _>>()?)
        }
    })
}

fn counts(contents: &InferTensorContents) -> [(&'static str, usize); 8] {
    [
        ("bool_contents", contents.bool_contents.len()),
        ("int_contents", contents.int_contents.len()),
        ("int64_contents", contents.int64_contents.len()),
        ("uint_contents", contents.uint_contents.len()),
        ("uint64_contents", contents.uint64_contents.len()),
        ("fp32_contents", contents.fp32_contents.len()),
        ("fp64_contents", contents.fp64_contents.len()),
        ("bytes_contents", contents.bytes_contents.len()),
    ]
}

fn narrowed<W: Copy + std::fmt::Display, N: TryFrom<W>>(
    place: &impl Fn() -> String,
    element_type: ElementType,
    wide: Vec<W>,
) -> Result<Vec<N>, FieldError> {
    let narrow = |(index, number): (usize, W)| {
        N::try_from(number).map_err(|_| {
            let message = format!("{number} does not fit {element_type}");
            FieldError::new(format!("{}/{index}", place()), "does_not_fit", message)
        })
    };
    wide.into_iter().enumerate().map(narrow).collect()
}

/// Returns the elements in the field for their type; `None` if there is no such field.
pub(super) fn contents(data: &TensorData) -> Option<InferTensorContents> {
    fn widened<N: Copy, W: From<N>>(narrow: &[N]) -> Vec<W> {
        narrow.iter().copied().map(W::from).collect()
    }
    let mut contents = InferTensorContents::default();
    match data {
        TensorData::F16(_) | TensorData::Bf16(_) => return None,
        TensorData::Bool(elements) => contents.bool_contents.clone_from(elements),
        TensorData::I8(elements) => contents.int_contents = widened(elements),
        TensorData::I16(elements) => contents.int_contents = widened(elements),
        TensorData::I32(elements) => contents.int_contents = elements.to_vec(),
        TensorData::I64(elements) => contents.int64_contents = elements.to_vec(),
        TensorData::U8(elements) => contents.uint_contents = widened(elements),
        TensorData::U16(elements) => contents.uint_contents = widened(elements),
        TensorData::U32(elements) => contents.uint_contents = elements.to_vec(),
        TensorData::U64(elements) => contents.uint64_contents = elements.to_vec(),
        TensorData::F32(elements) => contents.fp32_contents = elements.to_vec(),
        TensorData::F64(elements) => contents.fp64_contents = elements.to_vec(),
        TensorData::String(elements) => {
            contents.bytes_contents = elements.iter().map(|text| text.clone().into_bytes().into()).collect();
        }
    }
    Some(contents)
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;

    fn form(element_type: ElementType, count: usize) -> TensorForm {
        TensorForm { element_type, shape: vec![count], count }
    }

    #[test]
    fn every_type_that_has_a_field_comes_back_as_it_went() {
        for data in [
            TensorData::F32(vec![0.1, f32::INFINITY].into()),
            TensorData::F64(vec![f64::MIN_POSITIVE, -0.0].into()),
            TensorData::I8(vec![-128, 127].into()),
            TensorData::I16(vec![i16::MIN, i16::MAX].into()),
            TensorData::I32(vec![i32::MIN, i32::MAX].into()),
            TensorData::I64(vec![i64::MIN, i64::MAX].into()),
            TensorData::U8(vec![0, 255].into()),
            TensorData::U16(vec![0, u16::MAX].into()),
            TensorData::U32(vec![0, u32::MAX].into()),
            TensorData::U64(vec![0, u64::MAX].into()),
            TensorData::Bool(vec![true, false]),
            TensorData::String(vec![String::new(), "größer".to_owned()]),
        ] {
            let written = contents(&data).unwrap();
            assert_eq!(elements(Place::Input(0), &form(data.element_type(), 2), written), Ok(data));
        }
        assert!(contents(&TensorData::F16(vec![f16::ONE].into())).is_none());
    }

    #[test]
    fn elements_that_are_something_else_are_refused_with_their_place() {
        let read = |element_type, count, contents| {
            let FieldError { pointer, code, .. } =
                elements(Place::Input(0), &form(element_type, count), contents).unwrap_err();
            (pointer, code.into_owned())
        };
        let int_contents = |numbers: &[i32]| InferTensorContents {
            int_contents: numbers.to_vec(),
            ..InferTensorContents::default()
        };
        let error = |pointer: &str, code: &str| (pointer.to_owned(), code.to_owned());
        let read_int = |element_type, numbers: &[i32]| read(element_type, 2, int_contents(numbers));
        assert_eq!(
            read_int(ElementType::I8, &[0, 128]),
            error("/inputs/0/contents/int_contents/1", "does_not_fit")
        );
        assert_eq!(read_int(ElementType::I16, &[0]), error("/inputs/0/contents/int_contents", "wrong_count"));
        assert_eq!(
            read_int(ElementType::I64, &[0, 0]),
            error("/inputs/0/contents/int64_contents", "wrong_form")
        );
        assert_eq!(read_int(ElementType::F16, &[0, 0]), error("/inputs/0/contents", "wrong_form"));
        let unsigned = InferTensorContents { uint_contents: vec![300], ..InferTensorContents::default() };
        assert_eq!(
            read(ElementType::U8, 1, unsigned.clone()),
            error("/inputs/0/contents/uint_contents/0", "does_not_fit")
        );
        let both = InferTensorContents { int_contents: vec![1], ..unsigned };
        assert_eq!(read(ElementType::U8, 1, both), error("/inputs/0/contents/uint_contents", "wrong_form"));
        let no_text = InferTensorContents {
            bytes_contents: vec![bytes::Bytes::from_static(b"\xff")],
            ..InferTensorContents::default()
        };
        assert_eq!(
            read(ElementType::String, 1, no_text),
            error("/inputs/0/contents/bytes_contents/0", "wrong_bytes")
        );
    }
}
