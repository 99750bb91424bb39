//! Dividends of a model that divides integers. The least 32- or 64-bit integer is refused, as its quotient may not fit
//! the type.
//!
//! Inputs are checked as clients send them, not values that the model computes from them.

use super::{InputViolation, Tensor, TensorData, Violations};

/// Checks the inputs of a model that divides.
///
/// # Errors
///
/// Every input that holds the least number of its type.
pub fn check_dividends(inputs: &[(String, Tensor)]) -> Result<(), Violations<InputViolation>> {
    let mut violations = Violations::default();
    for (name, tensor) in inputs {
        let found = match tensor.data() {
            TensorData::I32(elements) => elements.contains(&i32::MIN),
            TensorData::I64(elements) => elements.contains(&i64::MIN),
            _ => false,
        };
        if found {
            let element_type = tensor.data().element_type();
            violations.add(|| InputViolation {
                input: name.clone(),
                path: String::new(),
                code: "does_not_fit",
                message: format!("the least {element_type} is not accepted by a model that divides"),
            });
        }
    }
    violations.into_result(|| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_least_integers_are_refused() {
        let tensor = |data: TensorData| vec![("x".to_owned(), Tensor::new(vec![2], data).unwrap())];
        assert!(check_dividends(&tensor(TensorData::I64(vec![i64::MIN + 1, 1].into()))).is_ok());
        assert!(check_dividends(&tensor(TensorData::F32(vec![f32::MIN, 1.0].into()))).is_ok());
        assert!(check_dividends(&tensor(TensorData::I64(vec![1, i64::MIN].into()))).is_err());
        let violations = check_dividends(&tensor(TensorData::I32(vec![i32::MIN, 1].into()))).unwrap_err();
        assert_eq!((violations.total, violations.listed[0].code), (1, "does_not_fit"));
    }
}
