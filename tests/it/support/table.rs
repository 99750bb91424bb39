//! Tables of cases: each case is checked, whatever became of the ones before, and all that failed are reported together.

use std::{
    any::Any,
    fmt::{self, Debug, Write},
    panic::{AssertUnwindSafe, catch_unwind},
};

use futures_util::FutureExt;

/// Bytes of a case that a report shows.
const MAX_SHOWN_BYTES: usize = 160;

/// Checks each case.
///
/// # Panics
///
/// When a case fails, after all of them were checked, and when there is none.
pub fn each<C: Debug>(cases: impl IntoIterator<Item = C>, mut check: impl FnMut(C)) {
    let mut report = Report::default();
    for case in cases {
        let shown = shown(&case);
        report.add(&shown, catch_unwind(AssertUnwindSafe(|| check(case))));
    }
    report.finish();
}

/// Checks each case, one after the other.
///
/// # Panics
///
/// As [`each`].
pub async fn each_async<C: Debug>(cases: impl IntoIterator<Item = C>, mut check: impl AsyncFnMut(C)) {
    let mut report = Report::default();
    for case in cases {
        let shown = shown(&case);
        report.add(&shown, AssertUnwindSafe(check(case)).catch_unwind().await);
    }
    report.finish();
}

#[derive(Default)]
struct Report {
    checked: usize,
    failed: Vec<String>,
}

impl Report {
    fn add(&mut self, shown: &str, outcome: Result<(), Box<dyn Any + Send>>) {
        self.checked += 1;
        if let Err(panic) = outcome {
            let message = panic.downcast_ref::<String>().map(String::as_str);
            let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
            self.failed.push(format!("{shown}\n    {message}"));
        }
    }

    fn finish(self) {
        let Self { checked, failed } = self;
        assert!(checked > 0, "there is no case");
        assert!(failed.is_empty(), "{} of {checked} cases failed:\n{}", failed.len(), failed.join("\n"));
    }
}

/// The beginning of a case as `{:?}` writes it, without writing the rest.
fn shown(case: &impl Debug) -> String {
    struct Beginning(String);
    impl Write for Beginning {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let room = MAX_SHOWN_BYTES - self.0.len();
            let end = text.floor_char_boundary(room);
            self.0.push_str(&text[..end]);
            if end < text.len() { Err(fmt::Error) } else { Ok(()) }
        }
    }
    let mut beginning = Beginning(String::new());
    if write!(beginning, "{case:?}").is_err() {
        beginning.0.push('…');
    }
    beginning.0
}

#[test]
fn every_case_is_checked_and_all_that_fail_are_reported() {
    let mut checked = Vec::new();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        each(1..=4, |number: i32| {
            checked.push(number);
            assert_eq!(number % 2, 0, "{number} is odd");
        });
    }));
    let panic = panic.unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert_eq!(checked, [1, 2, 3, 4]);
    assert!(message.starts_with("2 of 4 cases failed:\n1\n"), "{message}");
    assert!(message.contains("1 is odd") && message.contains("3 is odd"), "{message}");
    assert!(catch_unwind(|| each([(); 0], |()| ())).is_err(), "a table without a case checks nothing");
}

#[tokio::test]
async fn a_long_case_is_shown_by_its_beginning() {
    let long = "ä".repeat(1000);
    let failing = each_async([long.as_str()], async |_| panic!("it fails"));
    let panic = AssertUnwindSafe(failing).catch_unwind().await.unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.len() < 250 && message.ends_with("…\n    it fails"), "{message}");
}
