//! Large outputs, which stay in the memory of ONNX Runtime: a copy would take as much again.

use std::{marker::PhantomData, ops::Range};

use bytemuck::{AnyBitPattern, NoUninit};
use bytes::Bytes;
use ort::value::{DynValue, PrimitiveTensorElementType, ValueType};

use super::message;
use crate::{
    model::{Buffer, ElementType, Tensor, TensorData, element_types, on_elements},
    runtime::signature::element_type,
};

/// Outputs below this size are copied, so that nothing of a run remains when it is over.
const SHARED_BYTES: usize = 1024 * 1024;

/// An output that holds elements of this type.
struct Output<T> {
    value: DynValue,
    elements: PhantomData<T>,
}

impl<T: PrimitiveTensorElementType + NoUninit> AsRef<[u8]> for Output<T> {
    fn as_ref(&self) -> &[u8] {
        let elements = self.value.try_extract_tensor::<T>();
        elements.map(|(_, elements)| bytemuck::cast_slice(elements)).unwrap_or_default()
    }
}

/// Wraps a large tensor of numbers without a copy; any other value is returned unchanged.
pub(super) fn large(value: DynValue, inputs: &[(&str, &Tensor)]) -> Result<Result<Tensor, String>, DynValue> {
    let ValueType::Tensor { ty, .. } = value.dtype() else { return Err(value) };
    macro_rules! share {
        ($($variant:ident $number:ty),*) => {
            match element_type(*ty) {
                $(Some(ElementType::$variant) => {
                    let number = |bytes: &[u8]| <$number>::from_ne_bytes(bytes.try_into().unwrap_or_default());
                    of_type(value, inputs, number)
                        .map(|read| read.and_then(|(shape, elements)| tensor(shape, TensorData::$variant(elements))))
                })*
                Some(ElementType::Bool | ElementType::String) | None => Err(value),
            }
        };
    }
    element_types!(numbers => share)
}

fn tensor(shape: Vec<usize>, data: TensorData) -> Result<Tensor, String> {
    Tensor::new(shape, data).map_err(|error| error.to_string())
}

type Elements<T> = (Vec<usize>, Buffer<T>);

fn of_type<T>(
    value: DynValue,
    inputs: &[(&str, &Tensor)],
    from_bytes: fn(&[u8]) -> T,
) -> Result<Result<Elements<T>, String>, DynValue>
where
    T: PrimitiveTensorElementType + AnyBitPattern + NoUninit + Send,
{
    let (shape, elements) = match value.try_extract_tensor::<T>() {
        Ok(extracted) => extracted,
        Err(error) => return Ok(Err(message(&error))),
    };
    let given = inputs.iter().map(|(_, tensor)| on_elements!(tensor.data(), elements => place(elements)));
    if size_of_val(elements) < SHARED_BYTES
        || given.into_iter().any(|given| overlap(&given, &place(elements)))
    {
        return Err(value);
    }
    let shape: Vec<usize> = shape.iter().filter_map(|size| usize::try_from(*size).ok()).collect();
    let bytes = Bytes::from_owner(Output::<T> { value, elements: PhantomData });
    let buffer = Buffer::received(bytes, from_bytes).ok_or_else(|| "it holds half an element".to_owned());
    Ok(buffer.map(|buffer| (shape, buffer)))
}

/// Returns the memory range of elements.
fn place<T>(elements: &[T]) -> Range<usize> {
    let start = elements.as_ptr().addr();
    start..start + size_of_val(elements)
}

fn overlap(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.start < other.end && other.start < one.end
}
