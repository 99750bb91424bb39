//! Distinguishes inputs that the model rejects from a model that fails, by the error of a run.

use ort::ErrorCode;

use super::RuntimeError;

/// The most bytes of a reason in a response.
const MOST_REASON_BYTES: usize = 200;

/// The beginning of an error that an operator of the graph raised while it ran.
const RAISED_BY_OPERATOR: &str = "Non-zero status code returned while running ";

/// The words between the name of the operator and its own message.
const BEFORE_STATUS: &str = "Status Message: ";

/// Words, in lower case, of errors that are unrelated to the inputs: memory, devices, and cancelled runs.
const SAYS_NOTHING_OF_INPUTS: [&str; 8] = [
    "bad_alloc",
    "bad allocation",
    "failed to allocate",
    "out of memory",
    "cuda",
    "cudnn",
    "cublas",
    "terminate flag",
];

/// Converts the error of a run of a model that loaded.
///
/// The inputs are to blame in three cases: ONNX Runtime calls an argument invalid, a string is not a number, or an
/// operator rejects them (such as an unknown category). Runs are deterministic, so the same inputs are refused again.
pub(super) fn error_of_run(code: ErrorCode, message: &str) -> RuntimeError {
    let cause = without_folders(message);
    if is_about_inputs(code, message) {
        RuntimeError::Refused { reason: reason_of(&cause), cause }
    } else {
        RuntimeError::Run(cause)
    }
}

fn is_about_inputs(code: ErrorCode, message: &str) -> bool {
    let (is_raised_by_operator, status) = match status_of(message) {
        Some((_, status)) => (true, status),
        None => (false, message),
    };
    let lower = status.to_lowercase();
    if SAYS_NOTHING_OF_INPUTS.iter().any(|words| lower.contains(words)) {
        return false;
    }
    match code {
        ErrorCode::InvalidArgument => true,
        ErrorCode::GenericFailure => is_raised_by_operator,
        // An exception from below ONNX Runtime. Of these, only a string that is not a number is the caller's fault.
        ErrorCode::RuntimeException => is_raised_by_operator && is_of_number_in_text(status),
        _ => false,
    }
}

/// Returns true if it is the whole message of `std::stod` or a similar function.
fn is_of_number_in_text(status: &str) -> bool {
    let function = status.trim().split(':').next().unwrap_or_default();
    matches!(function, "stod" | "stof" | "stoi" | "stol" | "stold" | "stoll" | "stoul" | "stoull")
}

/// Returns the operator that raised the error, and its message; `None` if no operator did.
fn status_of(message: &str) -> Option<(&str, &str)> {
    let raised = message.strip_prefix(RAISED_BY_OPERATOR)?;
    let (operator, rest) = raised.split_once(' ')?;
    let (_, status) = rest.split_once(BEFORE_STATUS)?;
    Some((operator, status))
}

/// Builds the sentence for the caller: one short line, without locations in ONNX Runtime's code.
fn reason_of(cause: &str) -> String {
    let reason = match status_of(cause) {
        Some((operator, status)) if is_of_number_in_text(status) => {
            format!("{operator}: a text is not a number")
        }
        Some((operator, status)) => format!("{operator}: {}", without_code(status)),
        None => cause.to_owned(),
    };
    let mut line = String::with_capacity(reason.len());
    for word in reason.split(|character: char| character.is_whitespace() || character.is_control()) {
        if !word.is_empty() {
            line.extend([if line.is_empty() { "" } else { " " }, word]);
        }
    }
    if line.len() > MOST_REASON_BYTES {
        line.truncate(line.floor_char_boundary(MOST_REASON_BYTES));
        line.push('…');
    }
    line
}

/// Strips the line of code that raised it, as in `gather.cc:12 Status Gather::Compute() size > 0 was false. …`.
fn without_code(status: &str) -> &str {
    let Some((place, rest)) = status.split_once(' ') else { return status };
    let is_place = place.rsplit_once(':').is_some_and(|(file, line)| {
        file.contains('.') && !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit())
    });
    if !is_place {
        return status;
    }
    let after_condition = rest.split_once(" was false. ").map(|(_, said)| said);
    // The name of the function is written with its parameters, or alone.
    let after_function = || {
        let signature = rest.split_once("] ").filter(|(before, _)| before.contains(" [with "));
        let arguments = rest.split_once(") ").filter(|(before, _)| before.contains('('));
        signature.or(arguments).or_else(|| rest.split_once(' ')).map(|(_, said)| said)
    };
    after_condition.or_else(after_function).filter(|said| !said.trim().is_empty()).unwrap_or(rest)
}

/// Shortens each path in a message to its last name. ONNX Runtime quotes the path of the private copy and other files
/// of this machine, which clients must not see.
pub(super) fn without_folders(message: &str) -> String {
    let ends_path = |character: char| character.is_whitespace() || "\"'`,;()[]".contains(character);
    // The one word with a slash that is not a path.
    let message = message.replace("function/op", "function or operator");
    let mut cleaned = String::with_capacity(message.len());
    for word in message.split_inclusive(ends_path) {
        match (word.find('/'), word.rfind('/')) {
            (Some(first), Some(last)) => cleaned.extend([&word[..first], &word[last + 1..]]),
            _ => cleaned.push_str(word),
        }
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raised(operator: &str, status: &str) -> String {
        format!("{RAISED_BY_OPERATOR}{operator} node. Name:'n' {BEFORE_STATUS}{status}")
    }

    fn reason(code: ErrorCode, message: &str) -> Option<String> {
        match error_of_run(code, message) {
            RuntimeError::Refused { reason, .. } => Some(reason),
            _ => None,
        }
    }

    #[test]
    fn what_an_operator_refuses_is_told_without_the_code_that_refused_it() {
        for (code, operator, status, told) in [
            (
                ErrorCode::InvalidArgument,
                "Gather",
                "indices element out of data bounds, idx=7 must be within the inclusive range [-5,4]",
                "Gather: indices element out of data bounds, idx=7 must be within the inclusive range [-5,4]",
            ),
            (
                ErrorCode::GenericFailure,
                "OneHotEncoder",
                "Unknown Category and zeros = 0.",
                "OneHotEncoder: Unknown Category and zeros = 0.",
            ),
            (
                ErrorCode::GenericFailure,
                "Add",
                "/src/core/element_wise_ops.h:583 void onnxruntime::Append(ptrdiff_t) axis == 1 was false. \
                 Attempting to broadcast an axis by a dimension other than 1. 2 by 3\n",
                "Add: Attempting to broadcast an axis by a dimension other than 1. 2 by 3",
            ),
            (
                ErrorCode::GenericFailure,
                "GatherElements",
                "/src/gather_elements.cc:150 void core_impl(const Tensor*, int64_t) [with Tin = long int] \
                 GatherElements op: Out of range value in index tensor",
                "GatherElements: GatherElements op: Out of range value in index tensor",
            ),
            (
                ErrorCode::GenericFailure,
                "MatMul",
                "matmul_helper.h:59 Compute MatMul dimension mismatch",
                "MatMul: MatMul dimension mismatch",
            ),
            (ErrorCode::RuntimeException, "Cast", "stod", "Cast: a text is not a number"),
        ] {
            assert_eq!(reason(code, &raised(operator, status)).as_deref(), Some(told));
        }
        let invalid = "Got invalid dimensions for input: x\n index: 1 Got: 3 Expected: 2";
        let told = "Got invalid dimensions for input: x index: 1 Got: 3 Expected: 2";
        assert_eq!(reason(ErrorCode::InvalidArgument, invalid).as_deref(), Some(told));
    }

    #[test]
    fn what_says_nothing_of_the_inputs_stays_a_failure() {
        for (code, message) in [
            (ErrorCode::GenericFailure, raised("MatMul", "Failed to allocate memory for requested buffer")),
            (ErrorCode::RuntimeException, raised("MatMul", "std::bad_alloc")),
            (ErrorCode::InvalidArgument, raised("Conv", "CUDA error: out of memory")),
            (ErrorCode::GenericFailure, raised("Loop", "Exiting due to terminate flag being set to true.")),
            (ErrorCode::RuntimeException, raised("Cast", "vector::_M_range_check")),
            (ErrorCode::RuntimeException, "stod".to_owned()),
            (ErrorCode::GenericFailure, "the session has no output".to_owned()),
            (ErrorCode::EngineError, raised("Gather", "no engine")),
            (ErrorCode::NotImplemented, raised("Gather", "not there")),
        ] {
            assert_eq!(error_of_run(code, &message), RuntimeError::Run(message));
        }
    }

    #[test]
    fn reasons_are_short_and_have_no_path() {
        let long = raised("Gather", &format!("in /srv/models/secret/a.onnx: {}", "ß\n".repeat(500)));
        let told = reason(ErrorCode::InvalidArgument, &long).unwrap();
        assert!(told.starts_with("Gather: in a.onnx: ß ß"), "{told}");
        assert!(told.len() <= MOST_REASON_BYTES + '…'.len_utf8(), "{told}");
    }

    #[test]
    fn messages_name_files_without_their_folders() {
        for (message, cleaned) in [
            (
                "Load model from /tmp/x-1/a.onnx failed:File is empty",
                "Load model from a.onnx failed:File is empty",
            ),
            (
                r#"allowed directory: "/tmp/x-1", got "/srv/w.bin""#,
                r#"allowed directory: "x-1", got "w.bin""#,
            ),
            ("/onnxruntime_src/core/graph.cc:42 no such operator", "graph.cc:42 no such operator"),
            ("nothing to hide", "nothing to hide"),
            ("a:B(-1) is not a registered function/op", "a:B(-1) is not a registered function or operator"),
        ] {
            assert_eq!(without_folders(message), cleaned);
        }
    }
}
