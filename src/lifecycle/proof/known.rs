//! Knowledge of the columns of rows: limits of the contract, categories and ids of the graph.

use super::Inputs;
use crate::model::{ColumnFacts, Contract, ElementType, Elements, Feature, Layout, RowInputs};

/// Knowledge of the elements of one row, by input and position within it.
pub(super) struct Known<'c> {
    contract: &'c Contract,
    /// The input whose elements are the features of the contract, one each.
    matrix: Option<String>,
}

impl<'c> Known<'c> {
    /// Collects the knowledge about rows of this form.
    pub(super) fn of(contract: &'c Contract, row: &Inputs) -> Self {
        let matrix = match row.as_slice() {
            [(name, tensor)] if contract.features.len() == tensor.data().len() => Some(name.clone()),
            _ => None,
        };
        Self { contract, matrix }
    }

    /// Collects the knowledge about rows of this layout.
    pub(super) fn of_layout(contract: &'c Contract, layout: Option<&Layout>) -> Self {
        let matrix = match layout.map(|layout| &layout.inputs) {
            Some(RowInputs::Matrix { input, .. }) => Some(input.clone()),
            _ => None,
        };
        Self { contract, matrix }
    }

    fn feature(&self, input: &str, index: usize) -> Option<&'c Feature> {
        let of_matrix = self.matrix.as_deref() == Some(input);
        let column = if of_matrix { Some(index) } else { self.contract.column(input) };
        self.contract.features.get(column?)
    }

    fn facts(&self, input: &str, index: usize) -> Option<&'c ColumnFacts> {
        self.contract.graph.columns.get(input, index)
    }

    fn categories(&self, input: &str, index: usize) -> Option<&'c Elements> {
        self.facts(input, index)?.categories.as_ref().filter(|list| !list.is_empty())
    }

    /// Returns the text category at a place from 0 to below 1. `None` if no texts are listed.
    pub(super) fn text(&self, input: &str, index: usize, place: f64) -> Option<&'c str> {
        let texts = self.categories(input, index)?.texts()?;
        texts.get(position(place, texts.len())).map(String::as_str)
    }

    /// Returns the number category at a place from 0 to below 1. `None` if no numbers are listed.
    pub(super) fn number(&self, input: &str, index: usize, place: f64) -> Option<f64> {
        match self.categories(input, index)? {
            Elements::Numbers(numbers) => numbers.get(position(place, numbers.len())).copied(),
            #[expect(clippy::cast_precision_loss, reason = "categories are small numbers")]
            Elements::Integers(numbers) => {
                numbers.get(position(place, numbers.len())).map(|number| *number as f64)
            }
            Elements::Texts(_) => None,
        }
    }

    /// Returns the integer category or id at a place from 0 to below 1. `None` if no integers are known.
    pub(super) fn integer(&self, input: &str, index: usize, place: f64) -> Option<i64> {
        if let Some(categories) = self.categories(input, index).and_then(Elements::integers) {
            return categories.get(position(place, categories.len())).copied();
        }
        // Negative positions count from the end and name the same entries again, so they are left out.
        let (least, most) = self.range(input, index)?;
        let count = usize::try_from(most - least).ok()?.checked_add(1)?;
        Some(least + i64::try_from(position(place, count)).ok()?)
    }

    /// Returns the range of ids that the graph looks up and the contract allows.
    pub(super) fn range(&self, input: &str, index: usize) -> Option<(i64, i64)> {
        let (_, most) = self.facts(input, index)?.range?;
        let (minimum, maximum) = self.limits(input, index);
        #[expect(clippy::cast_possible_truncation, reason = "a bound beyond every id is none")]
        let whole = |bound: Option<f64>| bound.map(|bound| bound as i64);
        let least = whole(minimum.map(f64::ceil)).unwrap_or(0).max(0);
        let most = whole(maximum).unwrap_or(i64::MAX).min(most);
        (least <= most).then_some((least, most))
    }

    /// Returns the least and the greatest value that the contract allows.
    pub(super) fn limits(&self, input: &str, index: usize) -> (Option<f64>, Option<f64>) {
        let feature = self.feature(input, index);
        (feature.and_then(|feature| feature.minimum), feature.and_then(|feature| feature.maximum))
    }

    /// Returns true if the graph handles missing values of the column.
    pub(super) fn may_be_missing(&self, input: &str, index: usize) -> bool {
        self.facts(input, index).is_some_and(|facts| facts.missing)
    }

    /// Returns true if the values of an element are unknown: from the contract, from the graph, and from its type.
    pub(super) fn is_guess(&self, input: &str, index: usize, element_type: ElementType) -> bool {
        if self.categories(input, index).is_some() {
            return false;
        }
        match element_type {
            ElementType::String => true,
            ElementType::Bool => false,
            float if float.is_float() => false,
            _ => {
                let (minimum, maximum) = self.limits(input, index);
                self.range(input, index).is_none() && (minimum.is_none() || maximum.is_none())
            }
        }
    }
}

/// Converts a place from 0 to below 1 into a position in a list.
fn position(place: f64, count: usize) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a small number that is not negative"
    )]
    let position = (place * count as f64) as usize;
    position.min(count.saturating_sub(1))
}
