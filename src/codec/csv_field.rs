//! A field of CSV as a cell of a row.

use crate::model::{Cell, ElementType, number};

/// Reads a field of a column whose elements have this type; a column of unknown type holds texts. An empty field is a
/// missing value, as for pandas, and so is NaN among numbers.
pub(crate) fn csv_cell(text: &str, element_type: Option<ElementType>) -> Cell {
    let as_text = || Cell::Text(text.to_owned());
    match (element_type, text.trim()) {
        (Some(_), "") => Cell::Null,
        (Some(ElementType::Bool), "true" | "True" | "TRUE") => Cell::Bool(true),
        (Some(ElementType::Bool), "false" | "False" | "FALSE") => Cell::Bool(false),
        (None | Some(ElementType::String | ElementType::Bool), _) => as_text(),
        (Some(_), "NaN" | "nan") => Cell::Null,
        (Some(_), digits) => {
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
            let is_number = is_number && digits.parse::<f64>().is_ok();
            if is_number { number(digits) } else { as_text() }
        }
    }
}
