//! Tensors as plain Rust values, independent of how they are run.

mod data;
mod scalar;

use std::ops::Range;

pub use data::TensorData;
pub(crate) use data::on_elements;
pub use scalar::Scalar;

/// A tensor: elements and their shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: TensorData,
}

/// A shape that does not fit its elements.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the shape {shape:?} does not hold {elements} elements")]
pub struct TensorError {
    /// The invalid shape.
    pub shape: Vec<usize>,
    /// The number of elements.
    pub elements: usize,
}

impl Tensor {
    /// Creates a tensor of this shape.
    ///
    /// # Errors
    ///
    /// When the product of the dimensions (1 for no dimensions) is not the number of elements, or overflows.
    pub fn new(shape: Vec<usize>, data: TensorData) -> Result<Self, TensorError> {
        let product = shape.iter().try_fold(1_usize, |product, &dimension| product.checked_mul(dimension));
        if product == Some(data.len()) {
            Ok(Self { shape, data })
        } else {
            Err(TensorError { shape, elements: data.len() })
        }
    }

    /// Returns the size of each dimension, outermost first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the elements, row-major.
    #[must_use]
    pub fn data(&self) -> &TensorData {
        &self.data
    }

    /// Repeats the first row `rows` times; `None` for a tensor without rows.
    #[must_use]
    pub fn first_row_repeated(&self, rows: usize) -> Option<Self> {
        let (&outermost, inner) = self.shape.split_first()?;
        let width: usize = inner.iter().product();
        let data = self.data.repeated(0..(outermost > 0).then_some(width)?, rows);
        let shape = std::iter::once(rows).chain(inner.iter().copied()).collect();
        Self::new(shape, data).ok()
    }

    /// Copies the tensor, as received elements may keep a whole body in memory.
    #[must_use]
    pub fn detached(&self) -> Option<Self> {
        let data = TensorData::concatenated(std::iter::once(&self.data))?;
        Some(Self { shape: self.shape.clone(), data })
    }

    /// Returns some of its rows; `None` if it does not have them.
    #[must_use]
    pub fn rows(&self, rows: Range<usize>) -> Option<Self> {
        let (&outermost, inner) = self.shape.split_first()?;
        let width: usize = inner.iter().product();
        (rows.start <= rows.end && rows.end <= outermost).then_some(())?;
        let data = self.data.part(rows.start * width..rows.end * width)?;
        let shape = std::iter::once(rows.len()).chain(inner.iter().copied()).collect();
        Some(Self { shape, data })
    }

    /// Returns true if JSON can carry every element of these rows: no NaN, no infinity.
    #[must_use]
    pub fn rows_are_finite(&self, rows: Range<usize>) -> bool {
        let width: usize = self.shape.iter().skip(1).product();
        self.data.part_is_finite(rows.start.saturating_mul(width)..rows.end.saturating_mul(width))
    }

    /// Concatenates the rows of several tensors. `None` if there are none, or if their rows differ in shape or type.
    #[must_use]
    pub fn joined(parts: &[&Self]) -> Option<Self> {
        let (_, inner) = parts.first()?.shape.split_first()?;
        let mut rows = 0_usize;
        for part in parts {
            let (outermost, others) = part.shape.split_first()?;
            rows = (others == inner).then(|| rows.checked_add(*outermost))??;
        }
        let data = TensorData::concatenated(parts.iter().map(|part| &part.data))?;
        let shape = std::iter::once(rows).chain(inner.iter().copied()).collect();
        Self::new(shape, data).ok()
    }

    /// Appends the rows of another tensor. Returns true if they have its shape and type.
    #[must_use]
    pub fn append(&mut self, other: Self) -> bool {
        let (Some((rows, inner)), Some((more, others))) =
            (self.shape.split_first_mut(), other.shape.split_first())
        else {
            return false;
        };
        let Some(all) = rows.checked_add(*more).filter(|_| *inner == *others) else { return false };
        *rows = all;
        self.data.append(other.data)
    }

    /// Returns the number of elements in each of `rows` rows; `None` if its outermost dimension has another size.
    #[must_use]
    pub fn row_width(&self, rows: usize) -> Option<usize> {
        let (&outermost, inner) = self.shape.split_first()?;
        (outermost == rows).then(|| inner.iter().product())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_must_hold_the_elements() {
        let data = || TensorData::F32(vec![1.0; 6].into());
        assert!(Tensor::new(vec![2, 3], data()).is_ok());
        assert!(Tensor::new(vec![2, 4], data()).is_err());
        assert!(Tensor::new(vec![], data()).is_err());
        assert!(Tensor::new(vec![], TensorData::I64(vec![1].into())).is_ok(), "a scalar has one element");
        assert!(Tensor::new(vec![0, 4], TensorData::F32(vec![].into())).is_ok());
        assert!(
            Tensor::new(vec![usize::MAX, 2], TensorData::F32(vec![].into())).is_err(),
            "no wrapped product"
        );
        let half_of_64_bits = 1 << (usize::BITS / 2);
        assert!(Tensor::new(vec![half_of_64_bits; 2], TensorData::F32(vec![].into())).is_err());
    }

    #[test]
    fn only_rows_of_the_same_shape_and_type_are_appended() {
        let tensor = |shape: &[usize], numbers: Vec<f32>| {
            Tensor::new(shape.to_vec(), TensorData::F32(numbers.into())).unwrap()
        };
        let mut all = tensor(&[1, 2], vec![1.0, 2.0]);
        assert!(all.append(tensor(&[2, 2], vec![3.0, 4.0, 5.0, 6.0])));
        assert_eq!(all, tensor(&[3, 2], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        assert!(!all.append(tensor(&[1, 3], vec![0.0; 3])) && !all.append(tensor(&[], vec![0.0])));
        assert!(!all.append(Tensor::new(vec![1, 2], TensorData::F64(vec![0.0; 2].into())).unwrap()));
    }

    #[test]
    fn a_row_is_what_the_outermost_dimension_counts() {
        let tensor = Tensor::new(vec![2, 3], TensorData::I32(vec![0; 6].into())).unwrap();
        assert_eq!(tensor.row_width(2), Some(3));
        assert_eq!(tensor.row_width(3), None);
    }
}
