//! The progress bar, which only terminals show.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::scoring::Progress;

/// The bar with the share that is done, the rate and the time left.
const WITH_TOTAL: &str = "{bar:30} {percent:>3} %  {msg}  {eta} left";

/// The bar for an input of unknown size.
const WITHOUT_TOTAL: &str = "{spinner} {msg}  {elapsed}";

/// A progress bar on standard error.
pub(super) struct Bar(Option<ProgressBar>);

impl Bar {
    /// Creates a bar; it shows nothing unless standard error is a terminal.
    pub(super) fn new() -> Self {
        let is_shown = io::stderr().is_terminal();
        Self(is_shown.then(|| ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())))
    }

    /// Shows the state of the scoring.
    pub(super) fn show(&mut self, progress: Progress) {
        let Some(bar) = &self.0 else { return };
        let Progress { rows, rejected, done, total } = progress;
        if bar.length() != total || done == 0 {
            bar.set_style(style(total.is_some()));
            if let Some(total) = total {
                bar.set_length(total);
            }
        }
        let seconds = bar.elapsed().as_secs().max(1);
        let rate = (rows + rejected) / seconds;
        let bad = if rejected > 0 { format!(", {rejected} rejected") } else { String::new() };
        bar.set_message(format!("{rows} rows{bad}, {rate} rows/s"));
        bar.set_position(done);
    }

    /// Removes the bar.
    pub(super) fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

fn style(has_total: bool) -> ProgressStyle {
    let template = if has_total { WITH_TOTAL } else { WITHOUT_TOTAL };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
