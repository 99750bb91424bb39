//! Rows that differ, drawn from rows known to run and from knowledge of their columns.

use half::{bf16, f16};

use super::{Inputs, known::Known};
use crate::model::{Buffer, Contract, Scalar, Tensor, TensorData, element_types};

/// Numbers are drawn this far around those of a row that runs, as a multiple of the number, or of 1 if that is more.
/// Further away, a model may behave differently or take longer.
const SPREAD: f64 = 10.0;

/// Texts that are tried if only a synthetic one is known.
const TEXTS: [&str; 3] = ["1", "0", "a"];

/// Greatest integer that is tried for an unknown column.
const MAX_UNKNOWN_INTEGER: f64 = 1000.0;

/// The range that values are drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::lifecycle) enum Draw {
    /// Around a row that runs, and anywhere among known values.
    Near,
    /// The ends of ranges, the first and last category, and missing values if the model handles them.
    Edges,
    /// About this far from zero, beyond the contract's limits; known ids and categories as at the edges.
    Far(f64),
}

/// A generator of rows. It draws the same rows each time, because a proof has to be reproducible.
pub(in crate::lifecycle) struct RowSampler<'c> {
    contract: &'c Contract,
    /// True to vary texts even if none is known, which a model may not accept.
    vary_texts: bool,
    state: u32,
}

impl<'c> RowSampler<'c> {
    pub(in crate::lifecycle) fn new(contract: &'c Contract, vary_texts: bool) -> Self {
        Self { contract, vary_texts, state: 1 }
    }

    /// Makes `count` rows: the given ones, then rows drawn around them.
    pub(in crate::lifecycle) fn rows(&mut self, bases: &[Inputs], count: usize) -> Option<Inputs> {
        let rows: Vec<Inputs> = (0..count)
            .zip(bases.iter().cycle())
            .map(
                |(index, base)| {
                    if index < bases.len() { Some(base.clone()) } else { self.row(base, bases, Draw::Near) }
                },
            )
            .collect::<Option<_>>()?;
        joined(&rows)
    }

    /// Makes rows at the edges of the known ranges, missing values included.
    pub(in crate::lifecycle) fn edges(&mut self, base: &Inputs, count: usize) -> Option<Inputs> {
        let rows: Vec<Inputs> =
            (0..count).map(|_| self.row(base, &[], Draw::Edges)).collect::<Option<_>>()?;
        joined(&rows)
    }

    /// Draws a row around one that runs. Unknown texts may be taken from another row.
    pub(in crate::lifecycle) fn row(
        &mut self,
        base: &Inputs,
        others: &[Inputs],
        draw: Draw,
    ) -> Option<Inputs> {
        let known = Known::of(self.contract, base);
        let vary = |(input, (name, tensor)): (usize, &(String, Tensor))| {
            let at = usize::try_from(self.state >> 8).unwrap_or(0) % others.len().max(1);
            let other = others.get(at).and_then(|row| row.get(input)).map(|(_, tensor)| tensor.data());
            let other = other.filter(|other| other.len() == tensor.data().len());
            let source = Source { known: &known, input: name, draw, other, vary_texts: self.vary_texts };
            let data = source.vary(tensor.data(), &mut self.state);
            Some((name.clone(), Tensor::new(tensor.shape().to_vec(), data).ok()?))
        };
        base.iter().enumerate().map(vary).collect()
    }
}

/// Splits inputs into rows. `None` if their numbers of rows differ.
pub(super) fn split(inputs: &[(String, Tensor)]) -> Option<Vec<Inputs>> {
    let count = *inputs.first()?.1.shape().first()?;
    let row = |index| {
        let of_input = |(name, tensor): &(String, Tensor)| {
            tensor.row_width(count)?;
            Some((name.clone(), tensor.rows(index..index + 1)?))
        };
        inputs.iter().map(of_input).collect()
    };
    (0..count).map(row).collect()
}

/// Joins rows into inputs. `None` if their shapes or types differ.
pub(super) fn joined(rows: &[Inputs]) -> Option<Inputs> {
    let of_input = |(name, _): &(String, Tensor)| {
        let find = |row: &'_ Inputs| row.iter().position(|(other, _)| other == name);
        let parts = rows.iter().map(|row| Some(&row.get(find(row)?)?.1)).collect::<Option<Vec<_>>>()?;
        Some((name.clone(), Tensor::joined(&parts)?))
    };
    rows.first()?.iter().map(of_input).collect()
}

/// Source of the elements of one input.
struct Source<'s> {
    known: &'s Known<'s>,
    input: &'s str,
    draw: Draw,
    /// Elements of the input in another row that runs.
    other: Option<&'s TensorData>,
    vary_texts: bool,
}

impl Source<'_> {
    /// Draws each element again.
    fn vary(&self, data: &TensorData, state: &mut u32) -> TensorData {
        fn each<T: Copy>(elements: &[T], mut drawn: impl FnMut(usize, T) -> T) -> Buffer<T> {
            elements.iter().enumerate().map(|(index, element)| drawn(index, *element)).collect()
        }
        macro_rules! float {
            ($variant:ident, $elements:expr, $to:expr, $from:expr) => {
                TensorData::$variant(each($elements, |index, element| {
                    $from(self.float($to(element), index, state))
                }))
            };
        }
        macro_rules! integer {
            ($variant:ident, $type:ty, $elements:expr) => {
                TensorData::$variant(each($elements, |index, element| {
                    // A number that does not fit the type is not drawn.
                    i64::try_from(element)
                        .ok()
                        .and_then(|base| <$type>::try_from(self.integer(base, index, state)).ok())
                        .unwrap_or(element)
                }))
            };
        }
        let half = |wide: f64| f16::from_f64(wide.clamp(f16::MIN.into(), f16::MAX.into()));
        macro_rules! by_type {
            ($($variant:ident $type:ty),*) => {
                match data {
                    TensorData::F16(elements) => float!(F16, elements, f64::from, half),
                    TensorData::Bf16(elements) => float!(Bf16, elements, f64::from, bf16::from_f64),
                    #[expect(clippy::cast_possible_truncation, reason = "rounding to the model's precision is meant")]
                    TensorData::F32(elements) => float!(F32, elements, f64::from, |wide: f64| wide as f32),
                    TensorData::F64(elements) => float!(F64, elements, f64::from, f64::from),
                    $(TensorData::$variant(elements) => integer!($variant, $type, elements),)*
                    TensorData::Bool(elements) => {
                        TensorData::Bool(elements.iter().map(|_| next(state) < 0.5).collect())
                    }
                    TensorData::String(elements) => {
                        let text = |(index, base): (usize, &String)| self.text(base, index, state);
                        TensorData::String(elements.iter().enumerate().map(text).collect())
                    }
                }
            };
        }
        element_types!(integers => by_type)
    }

    /// Draws a text: one that the graph lists, else one of a row that runs, else a synthetic one.
    fn text(&self, base: &str, index: usize, state: &mut u32) -> String {
        let place = self.place(state);
        if let Some(text) = self.known.text(self.input, index, place) {
            return text.to_owned();
        }
        match self.other {
            _ if self.vary_texts => {
                TEXTS.get(whole(next(state) * 3.0)).map_or_else(String::new, |text| (*text).to_owned())
            }
            Some(TensorData::String(texts)) => texts.get(index).cloned().unwrap_or_default(),
            _ => base.to_owned(),
        }
    }

    /// Draws a place in a list of known values, from 0 to 1.
    fn place(&self, state: &mut u32) -> f64 {
        let place = next(state);
        match self.draw {
            Draw::Near => place,
            Draw::Edges | Draw::Far(_) => f64::from(u8::from(place >= 0.5)),
        }
    }

    /// Draws a number around this one within the contract's limits, or a far one that may exceed them.
    fn float(&self, base: f64, index: usize, state: &mut u32) -> f64 {
        let place = self.place(state);
        if let Some(number) = self.known.number(self.input, index, place) {
            return number;
        }
        if !base.is_finite() {
            return base;
        }
        let (minimum, maximum) = self.known.limits(self.input, index);
        match self.draw {
            Draw::Edges if self.known.may_be_missing(self.input, index) && next(state) < 0.25 => f64::NAN,
            Draw::Edges => match (place < 0.5, minimum, maximum) {
                (true, Some(minimum), _) => minimum,
                (false, _, Some(maximum)) => maximum,
                _ if next(state) < 0.5 => 0.0,
                _ => base,
            },
            Draw::Far(size) => size * (0.5 + next(state)) * if place < 0.5 { 1.0 } else { -1.0 },
            Draw::Near => {
                let spread = SPREAD * base.abs().max(1.0);
                let minimum = minimum.unwrap_or(f64::NEG_INFINITY);
                let maximum = maximum.unwrap_or(f64::INFINITY);
                let (least, most) = ((base - spread).max(minimum), (base + spread).min(maximum));
                if least < most { least + (most - least) * next(state) } else { base }
            }
        }
    }

    /// Draws an integer that the contract or the graph allows. For an unknown column, it lies between zero and the
    /// number that runs. Most integers are positions in a table that is no longer than it must be.
    fn integer(&self, base: i64, index: usize, state: &mut u32) -> i64 {
        let place = self.place(state);
        if let Some(number) = self.known.integer(self.input, index, place) {
            return number;
        }
        let (minimum, maximum) = self.known.limits(self.input, index);
        if let Draw::Far(size) = self.draw {
            let far = (size * (0.25 + next(state))).min(MAX_UNKNOWN_INTEGER);
            return truncated(if minimum.is_none() && place < 0.25 { -far } else { far });
        }
        #[expect(clippy::cast_precision_loss, reason = "a number that is near enough will do")]
        let wide = base as f64;
        let spread = if self.draw == Draw::Near { SPREAD * wide.abs().max(1.0) } else { f64::INFINITY };
        let least = minimum.unwrap_or(wide.min(0.0)).max(wide - spread).ceil();
        let most = maximum.unwrap_or(wide.max(0.0)).min(wide + spread).floor();
        match self.other.and_then(|other| other.get(index)) {
            // Values of another row are known to run.
            Some(Scalar::Integer(other)) if other != base && next(state) < 0.5 => other,
            _ if least >= most => base,
            _ => truncated((least + ((most - least + 1.0) * place).floor()).min(most)),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it saturates, and what does not fit is not drawn")]
fn truncated(number: f64) -> i64 {
    number as i64
}

/// Draws a number from 0 to below 1 from a fixed sequence (Numerical Recipes' linear congruential generator).
fn next(state: &mut u32) -> f64 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    f64::from(*state) / (f64::from(u32::MAX) + 1.0)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small number that is not negative"
)]
fn whole(number: f64) -> usize {
    number as usize
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::model::Feature;

    fn inputs(name: &str, shape: Vec<usize>, data: TensorData) -> Inputs {
        vec![(name.to_owned(), Tensor::new(shape, data).unwrap())]
    }

    #[test]
    fn numbers_stay_near_a_row_that_runs_and_within_the_contract() {
        let feature = Feature { minimum: Some(0.5), maximum: Some(1e12), ..Feature::new("a") };
        let contract = Contract::new(vec![feature, Feature::new("b")], Vec::new());
        let base = inputs("x", vec![1, 2], TensorData::F64(vec![1.0, 100.0].into()));
        let rows = RowSampler::new(&contract, false).rows(&[base], 32).unwrap();
        let (_, tensor) = &rows[0];
        assert_eq!(tensor.shape(), [32, 2]);
        let TensorData::F64(elements) = tensor.data() else { panic!("{rows:?}") };
        assert_eq!(elements[..2], [1.0, 100.0], "what is known comes first");
        let within = |column: usize, least: f64, most: f64| {
            elements.iter().skip(column).step_by(2).all(|element| (least..=most).contains(element))
        };
        assert!(within(0, 0.5, 11.0) && within(1, -900.0, 1100.0), "{elements:?}");
        assert!(elements.windows(3).any(|three| (three[0] - three[2]).abs() > 1.0), "{elements:?}");
    }

    #[test]
    fn unknown_whole_numbers_lie_between_zero_and_one_that_runs() {
        let contract = Contract::empty();
        let base = inputs("ids", vec![1, 3], TensorData::I64(vec![7, 0, -3].into()));
        let rows = RowSampler::new(&contract, false).rows(&[base], 64).unwrap();
        let TensorData::I64(elements) = rows[0].1.data() else { panic!("{rows:?}") };
        let column = |column: usize| elements.iter().copied().skip(column).step_by(3);
        let range = |index| (column(index).min().unwrap(), column(index).max().unwrap());
        assert_eq!((range(0), range(1), range(2)), ((0, 7), (0, 0), (-3, 0)));
    }

    /// Makes a contract whose graph states these facts of the columns of `x`, by position.
    fn known(columns: &serde_json::Value) -> Contract {
        let mut contract = Contract::empty();
        contract.graph =
            serde_json::from_value(serde_json::json!({"columns": {"x": {"each": columns}}})).unwrap();
        contract
    }

    fn drawn(contract: &Contract, base: &Inputs, draw: Draw) -> Vec<TensorData> {
        let mut varied = RowSampler::new(contract, true);
        (0..64).map(|_| varied.row(base, &[], draw).unwrap().remove(0).1.data().clone()).collect()
    }

    #[test]
    fn texts_and_numbers_are_those_that_the_graph_lists() {
        let contract = known(&serde_json::json!({"0": {"categories": {"texts": ["Bern", "Zug", "Basel"]}}}));
        let base = inputs("x", vec![1, 1], TensorData::String(vec!["1".to_owned()]));
        let texts: HashSet<String> = drawn(&contract, &base, Draw::Near)
            .into_iter()
            .map(|data| match data {
                TensorData::String(texts) => texts[0].clone(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(texts, ["Bern", "Zug", "Basel"].map(str::to_owned).into());
        let synthetic_inputs = drawn(&Contract::empty(), &base, Draw::Near);
        assert!(synthetic_inputs.contains(&TensorData::String(vec!["a".to_owned()])), "{synthetic_inputs:?}");
    }

    #[test]
    fn ids_lie_anywhere_in_the_table_and_at_its_ends() {
        let contract = known(&serde_json::json!({"0": {"range": [-50, 49]}}));
        let base = inputs("x", vec![1, 1], TensorData::I64(vec![1].into()));
        let ids = |draw| {
            let id = |data: TensorData| match data {
                TensorData::I64(ids) => ids[0],
                other => panic!("{other:?}"),
            };
            drawn(&contract, &base, draw).into_iter().map(id).collect::<HashSet<i64>>()
        };
        let near = ids(Draw::Near);
        assert!(near.len() > 20 && near.iter().all(|id| (0..50).contains(id)), "{near:?}");
        assert_eq!((ids(Draw::Edges), ids(Draw::Far(1e6))), ([0, 49].into(), [0, 49].into()));
    }

    #[test]
    fn edges_are_those_of_the_contract_and_missing_values_of_the_graph() {
        let limits = Feature { minimum: Some(-2.0), maximum: Some(7.0), ..Feature::new("a") };
        let mut contract = Contract::new(vec![limits, Feature::new("b")], Vec::new());
        contract.graph = known(&serde_json::json!({"1": {"missing": true}})).graph;
        let base = inputs("x", vec![1, 2], TensorData::F64(vec![1.0, 3.0].into()));
        let rows: Vec<[f64; 2]> = drawn(&contract, &base, Draw::Edges)
            .into_iter()
            .map(|data| match data {
                TensorData::F64(row) => [row[0], row[1]],
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(rows.iter().all(|row| [-2.0, 7.0].contains(&row[0])), "{rows:?}");
        assert!(
            rows.iter().any(|row| row[1].is_nan()) && rows.iter().any(|row| row[1].abs() < 1e-9),
            "{rows:?}"
        );
        let far = drawn(&contract, &base, Draw::Far(1e6));
        let is_far = |data: &TensorData| matches!(data, TensorData::F64(row) if row[0].abs() >= 5e5);
        assert!(far.iter().all(is_far), "{far:?}");
    }

    #[test]
    fn rows_are_split_and_joined() {
        let both = inputs("x", vec![2, 1], TensorData::I32(vec![4, 5].into()));
        let rows = split(&both).unwrap();
        assert_eq!(rows[1], inputs("x", vec![1, 1], TensorData::I32(vec![5].into())));
        assert_eq!(joined(&rows).unwrap(), both);
        let uneven = [both, inputs("y", vec![3], TensorData::I32(vec![0; 3].into()))].concat();
        assert!(split(&uneven).is_none(), "two rows or three");
    }
}
