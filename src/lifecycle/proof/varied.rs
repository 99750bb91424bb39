//! Rows that differ, made of rows that are known to run.

use half::{bf16, f16};

use crate::model::{Buffer, Contract, Feature, Tensor, TensorData};

/// Numbers are drawn from around those of a row that runs: this far, in the unit or the number itself, whichever is more.
/// Further away, a model may do something else altogether, or take longer.
const SPREAD: f64 = 10.0;

/// Texts that are tried where none is known but one that was made up.
const TEXTS: [&str; 3] = ["1", "0", "a"];

/// Inputs by name.
pub(in crate::lifecycle) type Inputs = Vec<(String, Tensor)>;

/// Draws rows, the same ones each time: a proof that differs from run to run is none.
pub(in crate::lifecycle) struct Varied<'c> {
    contract: &'c Contract,
    /// Whether texts are varied too, which a model may not take.
    vary_texts: bool,
    state: u32,
}

impl<'c> Varied<'c> {
    pub(in crate::lifecycle) fn new(contract: &'c Contract, vary_texts: bool) -> Self {
        Self { contract, vary_texts, state: 1 }
    }

    /// So many rows: the given ones, then such as are drawn from around them.
    pub(in crate::lifecycle) fn rows(&mut self, bases: &[Inputs], count: usize) -> Option<Inputs> {
        let rows: Vec<Inputs> = (0..count)
            .zip(bases.iter().cycle())
            .map(|(index, base)| if index < bases.len() { Some(base.clone()) } else { self.around(base) })
            .collect::<Option<_>>()?;
        joined(&rows)
    }

    fn around(&mut self, base: &Inputs) -> Option<Inputs> {
        let is_alone = base.len() == 1;
        let vary = |(name, tensor): &(String, Tensor)| {
            let feature = |index: usize| {
                let features = &self.contract.features;
                let of_matrix = is_alone && features.len() == tensor.data().len();
                let column = if of_matrix { Some(index) } else { self.contract.column(name) };
                column.and_then(|column| features.get(column))
            };
            let data = vary(tensor.data(), &feature, self.vary_texts, &mut self.state);
            Some((name.clone(), Tensor::new(tensor.shape().to_vec(), data).ok()?))
        };
        base.iter().map(vary).collect()
    }
}

/// The rows that inputs hold, if all hold as many.
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

/// Rows, one after the other.
pub(super) fn joined(rows: &[Inputs]) -> Option<Inputs> {
    let of_input = |(name, _): &(String, Tensor)| {
        let find = |row: &'_ Inputs| row.iter().position(|(other, _)| other == name);
        let parts = rows.iter().map(|row| Some(&row.get(find(row)?)?.1)).collect::<Option<Vec<_>>>()?;
        Some((name.clone(), Tensor::joined(&parts)?))
    };
    rows.first()?.iter().map(of_input).collect()
}

/// The elements with each number drawn anew.
fn vary<'f>(
    data: &TensorData,
    feature: &dyn Fn(usize) -> Option<&'f Feature>,
    vary_texts: bool,
    state: &mut u32,
) -> TensorData {
    fn each<T: Copy>(elements: &[T], mut drawn: impl FnMut(usize, T) -> T) -> Buffer<T> {
        elements.iter().enumerate().map(|(index, element)| drawn(index, *element)).collect()
    }
    macro_rules! float {
        ($variant:ident, $elements:expr, $to:expr, $from:expr) => {
            TensorData::$variant(each($elements, |index, element| {
                $from(float($to(element), feature(index), state))
            }))
        };
    }
    macro_rules! integer {
        ($variant:ident, $type:ty, $elements:expr) => {
            TensorData::$variant(each($elements, |index, element| {
                // What does not fit the type is not drawn.
                i64::try_from(element)
                    .ok()
                    .and_then(|base| <$type>::try_from(integer(base, feature(index), state)).ok())
                    .unwrap_or(element)
            }))
        };
    }
    match data {
        TensorData::F16(elements) => float!(F16, elements, f64::from, f16::from_f64),
        TensorData::Bf16(elements) => float!(Bf16, elements, f64::from, bf16::from_f64),
        #[expect(clippy::cast_possible_truncation, reason = "rounding to the model's precision is meant")]
        TensorData::F32(elements) => float!(F32, elements, f64::from, |wide: f64| wide as f32),
        TensorData::F64(elements) => float!(F64, elements, f64::from, f64::from),
        TensorData::I8(elements) => integer!(I8, i8, elements),
        TensorData::I16(elements) => integer!(I16, i16, elements),
        TensorData::I32(elements) => integer!(I32, i32, elements),
        TensorData::I64(elements) => integer!(I64, i64, elements),
        TensorData::U8(elements) => integer!(U8, u8, elements),
        TensorData::U16(elements) => integer!(U16, u16, elements),
        TensorData::U32(elements) => integer!(U32, u32, elements),
        TensorData::U64(elements) => integer!(U64, u64, elements),
        TensorData::Bool(elements) => TensorData::Bool(elements.iter().map(|_| next(state) < 0.5).collect()),
        TensorData::String(elements) if vary_texts => {
            let text = |_: &String| {
                TEXTS.get(whole(next(state) * 3.0)).map_or_else(String::new, |text| (*text).to_owned())
            };
            TensorData::String(elements.iter().map(text).collect())
        }
        TensorData::String(elements) => TensorData::String(elements.clone()),
    }
}

/// A number that the contract allows, around this one.
fn float(base: f64, feature: Option<&Feature>, state: &mut u32) -> f64 {
    if !base.is_finite() {
        return base;
    }
    let spread = SPREAD * base.abs().max(1.0);
    let minimum = feature.and_then(|feature| feature.minimum).unwrap_or(f64::NEG_INFINITY);
    let maximum = feature.and_then(|feature| feature.maximum).unwrap_or(f64::INFINITY);
    let (least, most) = ((base - spread).max(minimum), (base + spread).min(maximum));
    if least < most { least + (most - least) * next(state) } else { base }
}

/// A whole number that the contract allows, around this one; where it says nothing, between this one and zero: it may be the
/// position in a list, of which nothing is known but that this one is in it.
fn integer(base: i64, feature: Option<&Feature>, state: &mut u32) -> i64 {
    #[expect(clippy::cast_precision_loss, reason = "what is drawn need not be exact")]
    let wide = base as f64;
    let spread = SPREAD * wide.abs().max(1.0);
    let minimum = feature.and_then(|feature| feature.minimum).unwrap_or(wide.min(0.0));
    let maximum = feature.and_then(|feature| feature.maximum).unwrap_or(wide.max(0.0));
    let (least, most) = ((wide - spread).max(minimum).ceil(), (wide + spread).min(maximum).floor());
    if least >= most {
        return base;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it lies between two that fit, give or take a rounding"
    )]
    let drawn = (least + ((most - least + 1.0) * next(state)).floor()).min(most) as i64;
    drawn
}

/// A number from 0 up to 1: a fixed sequence (Numerical Recipes' linear congruential generator).
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
    use super::*;

    fn inputs(name: &str, shape: Vec<usize>, data: TensorData) -> Inputs {
        vec![(name.to_owned(), Tensor::new(shape, data).unwrap())]
    }

    #[test]
    fn numbers_stay_near_a_row_that_runs_and_within_the_contract() {
        let feature = Feature { minimum: Some(0.5), maximum: Some(1e12), ..Feature::new("a") };
        let contract = Contract::new(vec![feature, Feature::new("b")], Vec::new());
        let base = inputs("x", vec![1, 2], TensorData::F64(vec![1.0, 100.0].into()));
        let rows = Varied::new(&contract, false).rows(&[base], 32).unwrap();
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
    fn whole_numbers_of_which_nothing_is_known_lie_between_zero_and_one_that_runs() {
        let contract = Contract::empty();
        let base = inputs("ids", vec![1, 3], TensorData::I64(vec![7, 0, -3].into()));
        let rows = Varied::new(&contract, false).rows(&[base], 64).unwrap();
        let TensorData::I64(elements) = rows[0].1.data() else { panic!("{rows:?}") };
        let column = |column: usize| elements.iter().copied().skip(column).step_by(3);
        let range = |index| (column(index).min().unwrap(), column(index).max().unwrap());
        assert_eq!((range(0), range(1), range(2)), ((0, 7), (0, 0), (-3, 0)));
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
