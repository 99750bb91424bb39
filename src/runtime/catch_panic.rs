//! Catches panics in calls of `ort`: each becomes an error of that one call, so that the model continues to serve.
//! Their traces stay off standard error, as no operator can act on them.

use std::{
    any::Any,
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

use super::RuntimeError;

thread_local! {
    /// True while a panic of this thread is turned into an error.
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

/// Runs `work` and turns a panic in it into an error.
pub(super) fn catch_panic<T>(work: impl FnOnce() -> Result<T, RuntimeError>) -> Result<T, RuntimeError> {
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if CONTAINED.get() {
                tracing::debug!(%panic, "ort panicked");
            } else {
                usual(panic);
            }
        }));
    });
    let before = CONTAINED.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    CONTAINED.set(before);
    done.unwrap_or_else(|panic| Err(RuntimeError::Panicked(message_of(&*panic))))
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text =
        panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    without_address(text.unwrap_or("no message")).to_owned()
}

/// Returns the message of the error that was unwrapped, or else the whole text: the rest is addresses in this process.
fn without_address(text: &str) -> &str {
    let quoted = text.split_once(r#"message: ""#).and_then(|(_, rest)| rest.split_once(r#"", ptr:"#));
    quoted.map_or(text, |(message, _)| message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_message() {
        let failed = catch_panic::<()>(|| panic!("infallible: {}", "no value"));
        assert_eq!(failed, Err(RuntimeError::Panicked("infallible: no value".to_owned())));
    }

    #[test]
    fn after_a_panic_the_thread_goes_on_and_other_panics_are_not_contained() {
        assert!(catch_panic::<()>(|| panic!("first")).is_err());
        assert_eq!(catch_panic(|| Ok(7)), Ok(7));
        let nested = catch_panic(|| {
            assert!(catch_panic::<()>(|| panic!("within")).is_err());
            Ok(CONTAINED.get())
        });
        assert_eq!(nested, Ok(true), "the outer call still is contained");
        assert!(!CONTAINED.get(), "what panics outside says so as usual");
    }

    #[test]
    fn messages_hold_no_address() {
        let text = r#"infallible: Error { code: InvalidArgument, message: "no `value`", ptr: 0x7f2e }"#;
        assert_eq!(without_address(text), "no `value`");
    }
}
