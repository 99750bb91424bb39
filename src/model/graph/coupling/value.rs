//! Knowledge of one value of a graph.

use std::rc::Rc;

use super::super::{Constant, Elements};

/// Longest list of whole numbers that is followed element by element.
pub(super) const MAX_NUMBERS: usize = 256;

/// Size of a dimension, or a number in a list of such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// This number; a negative one stands for itself.
    Known(i64),
    /// A number that is the same for all rows of a run.
    Other,
    /// The number of rows or a multiple of it: each row has the same number of adjacent places.
    Rows,
    /// A number that depends on the rows in another way.
    Mixed,
}

/// Sizes of the dimensions, outermost first.
pub(super) type Shape = Vec<Size>;

/// A value that holds rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rows {
    /// The dimension that counts rows; the places of one row are adjacent.
    pub(super) axis: usize,
    /// Sizes of the dimensions; `None` if their number is unknown.
    pub(super) shape: Option<Shape>,
}

/// Knowledge of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A value that does not depend on the rows.
    Fixed(Option<Shape>),
    /// A short list of whole numbers, most often a shape.
    Numbers {
        /// The numbers, some of which may count rows.
        elements: Vec<Size>,
        /// True if it is one number without a dimension.
        is_scalar: bool,
    },
    /// A value that holds rows, each of which depends on the same row of the inputs only.
    Rows(Rows),
    /// A value whose rows depend on other rows, or may.
    Lost(Rc<Lost>),
}

/// An operator that ends the analysis, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    /// Name of the operator.
    pub(super) operator: String,
    /// Reason.
    pub(super) stop: Stop,
}

/// Reason for which an operator ends the analysis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The operator computes with several rows.
    Coupled(String),
    /// The operator is not understood.
    Unknown(String),
}

impl Lost {
    pub(super) fn is_coupled(&self) -> bool {
        matches!(self.stop, Stop::Coupled(_))
    }
}

impl Rows {
    /// Returns the number of dimensions.
    pub(super) fn rank(&self) -> Result<usize, Stop> {
        let unknown = || Stop::Unknown("takes a value of unknown rank".to_owned());
        self.shape.as_ref().map(Vec::len).ok_or_else(unknown)
    }

    /// Resolves a dimension counted from either end.
    pub(super) fn dimension(&self, axis: i64) -> Result<usize, Stop> {
        if let Ok(axis) = usize::try_from(axis) {
            return Ok(axis);
        }
        from_either_end(axis, self.rank()?)
    }

    /// Returns true if only dimensions of size 1 lie outside that of the rows.
    pub(super) fn is_outermost(&self) -> bool {
        let ones = |shape: &Shape| shape.iter().take(self.axis).all(|size| *size == Size::Known(1));
        self.axis == 0 || self.shape.as_ref().is_some_and(ones)
    }
}

/// Resolves a dimension counted from either end of `rank`.
pub(super) fn from_either_end(axis: i64, rank: usize) -> Result<usize, Stop> {
    let wide = i64::try_from(rank).unwrap_or(i64::MAX);
    let axis = if axis < 0 { axis + wide } else { axis };
    usize::try_from(axis)
        .ok()
        .filter(|axis| *axis < rank)
        .ok_or_else(|| Stop::Unknown("works along a dimension that does not exist".to_owned()))
}

impl Value {
    /// Creates a value with the rows along a dimension.
    pub(super) fn rows(axis: usize, shape: Option<Shape>) -> Self {
        Self::Rows(Rows { axis, shape })
    }

    /// Creates a value behind an operator that ends the analysis.
    pub(super) fn lost(stop: Stop, operator: &str) -> Self {
        Self::Lost(Rc::new(Lost { operator: operator.to_owned(), stop }))
    }

    /// Creates the value of a constant in the file.
    pub(super) fn of_constant(constant: &Constant) -> Self {
        let numbers = match &constant.elements {
            Some(Elements::Integers(numbers))
                if numbers.len() <= MAX_NUMBERS && constant.shape.len() <= 1 =>
            {
                numbers.iter().map(|number| Size::Known(*number)).collect()
            }
            _ => {
                let size = |size: &u64| Size::Known(i64::try_from(*size).unwrap_or(i64::MAX));
                return Self::Fixed(Some(constant.shape.iter().map(size).collect()));
            }
        };
        Self::Numbers { elements: numbers, is_scalar: constant.shape.is_empty() }
    }

    pub(super) fn as_lost(&self) -> Option<&Rc<Lost>> {
        match self {
            Self::Lost(lost) => Some(lost),
            _ => None,
        }
    }

    /// Returns true if it holds rows or a number that depends on the number of rows.
    pub(super) fn has_rows(&self) -> bool {
        match self {
            Self::Rows(_) => true,
            Self::Numbers { elements, .. } => {
                elements.iter().any(|size| matches!(size, Size::Rows | Size::Mixed))
            }
            Self::Fixed(_) | Self::Lost(_) => false,
        }
    }

    /// Returns true if rows are padded to the longest of a run.
    pub(super) fn is_padded(&self) -> bool {
        matches!(self, Self::Rows(Rows { shape: Some(shape), .. }) if shape.contains(&Size::Mixed))
    }

    /// Returns the shape of a value that is the same for all rows; `None` if it is unknown.
    pub(super) fn fixed_shape(&self) -> Option<Shape> {
        match self {
            Self::Fixed(shape) => shape.clone(),
            Self::Numbers { is_scalar: true, .. } => Some(Vec::new()),
            Self::Numbers { elements, .. } => {
                Some(vec![Size::Known(i64::try_from(elements.len()).unwrap_or(i64::MAX))])
            }
            Self::Rows(_) | Self::Lost(_) => None,
        }
    }

    /// Returns the reason for which an output does not hold one result for each row in its outermost dimension.
    pub(super) fn not_by_row(&self, name: &str) -> Option<Rc<Lost>> {
        let coupled = |reason: String| {
            Some(Rc::new(Lost { operator: format!("Output {name}"), stop: Stop::Coupled(reason) }))
        };
        match self {
            Self::Lost(lost) => Some(Rc::clone(lost)),
            value if value.is_padded() => coupled("is padded to the longest row".to_owned()),
            Self::Rows(Rows { axis: 0, .. }) | Self::Fixed(_) => None,
            Self::Rows(Rows { axis, .. }) => coupled(format!("has the rows in dimension {axis}")),
            value if value.has_rows() => coupled("counts the rows".to_owned()),
            Self::Numbers { .. } => None,
        }
    }
}
