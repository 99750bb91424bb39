//! The shape of a tensor that is given only by its nested lists.

use super::{ElementFault, wrong_form};
use crate::model::{Token, Tokens};

/// Maximum depth of nested lists.
const MAX_DEPTH: usize = 128;

/// Returns the shape of nested lists, as the first list at each depth has it. Differences in the other lists are found
/// when their elements are read.
pub(crate) fn shape_of(json: &str) -> Result<Vec<usize>, ElementFault> {
    let mut shape: Vec<usize> = Vec::new();
    // Number of open lists, and of those that are the first of their depth.
    let (mut open, mut first) = (0, 0);
    let mut descends = true;
    for token in Tokens::new(json) {
        match token {
            Token::Begin => {
                open += 1;
                if descends && open > MAX_DEPTH {
                    return Err(wrong_form(String::new(), "the lists are deeper than those of any tensor"));
                }
                if descends {
                    shape.push(0);
                    first = open;
                }
                continue;
            }
            Token::End => open = usize::saturating_sub(open, 1),
            _ => {}
        }
        descends = false;
        first = first.min(open);
        if let Some(size) = shape.get_mut(open.wrapping_sub(1)).filter(|_| open <= first) {
            *size += 1;
        }
    }
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_items_tell_the_shape() {
        for (json, shape) in [
            ("7", &[][..]),
            ("[]", &[0]),
            ("[[], []]", &[2, 0]),
            ("[[1, 2, 3], [4]]", &[2, 3]),
            (r#"[{"b64": "eA=="}]"#, &[1]),
            ("[[[1, 2]], [[1], [2], [3]], [4]]", &[3, 1, 2]),
            ("[1e400, [2, 3]]", &[2]),
        ] {
            assert_eq!(shape_of(json).unwrap(), shape, "{json}");
        }
    }

    #[test]
    fn lists_deeper_than_any_tensor_are_refused() {
        let lists = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(shape_of(&lists(128)).unwrap().len(), 128);
        assert_eq!(shape_of(&lists(129)).unwrap_err().code, "wrong_form");
    }
}
