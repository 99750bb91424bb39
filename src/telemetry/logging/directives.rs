//! Validation of `log.level`. The filter's parser accepts any word as the name of a module, which would silence the
//! log.

/// Words that are levels, in any case; the numbers 0 to 5 are levels, too.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The target of the gateway's own lines, and the prefix of its modules' targets.
const OWN_TARGET: &str = "onnx_gateway";

/// Returns true if every directive has a level, and one of them applies to the gateway's own lines.
///
/// A word alone is a level, or the name of a part of the gateway, which is then logged at every level.
pub(super) fn are_meant(text: &str) -> bool {
    let directives: Vec<&str> = split(text).collect();
    directives.iter().all(|directive| is_meant(directive))
        && directives.iter().any(|directive| concerns_gateway(directive))
}

fn is_meant(directive: &str) -> bool {
    match level_of(directive) {
        Some(level) => is_level(level),
        None => is_level(directive) || is_own(directive),
    }
}

/// Returns true if the directive is for the gateway's lines: for all lines, or for those of one of its parts or spans.
fn concerns_gateway(directive: &str) -> bool {
    is_level(directive) || is_own(directive) || directive.starts_with('[')
}

fn is_level(word: &str) -> bool {
    let is_number = matches!(word.as_bytes(), [b'0'..=b'5']);
    is_number || LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word))
}

fn is_own(directive: &str) -> bool {
    let target = directive.split(['[', '=']).next().unwrap_or_default();
    target.strip_prefix(OWN_TARGET).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Returns the level in a directive for a target or a span: the text after the last `=` outside brackets.
fn level_of(directive: &str) -> Option<&str> {
    let behind_spans = directive.rfind(']').map_or(0, |end| end + 1);
    let equals = directive[behind_spans..].rfind('=')? + behind_spans;
    Some(&directive[equals + 1..])
}

/// Splits the directives at commas, except in brackets and braces, where commas separate the fields of spans.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    let separates = move |character: char| {
        match character {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    };
    text.split(separates).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_alone_is_a_level_or_a_part_of_the_gateway() {
        for good in [
            "error",
            "WARN",
            "Info",
            "debug",
            "trace",
            "off",
            "3",
            "onnx_gateway",
            "onnx_gateway::lifecycle",
            "info,onnx_gateway=debug",
            "info, hyper=off",
            "onnx_gateway=TRACE",
            "warn,onnx_gateway::access=off",
            "[request{id=1,path=x}]=debug",
            "onnx_gateway[request{id=1}]=debug",
            "onnx_gateway[request]",
        ] {
            assert!(are_meant(good), "{good}");
        }
        for bad in [
            "",
            " ",
            "warning",
            "verbose",
            "information",
            "critical",
            "6",
            "info,warning",
            "info,hyper",
            "info,",
            ",",
            "info,,debug",
            "onnx_gateway=",
            "onnx_gateway=warning",
            "info,hyper=verbose",
            "onnx_gatewayx",
            "onnx-gateway",
            "hyper=info",
            "onnx_gatway=debug",
            "info,[request]",
        ] {
            assert!(!are_meant(bad), "{bad}");
        }
    }
}
