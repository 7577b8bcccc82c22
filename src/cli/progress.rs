//! A progress bar on a terminal; nothing elsewhere.

use indicatif::{ProgressBar, ProgressStyle};

use crate::run::Progress;

/// One line on standard error that shows how a run goes on.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// A bar that is drawn only when `visible`.
    pub(super) fn new(visible: bool) -> Self {
        let bar = if visible { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        bar.enable_steady_tick(std::time::Duration::from_millis(120));
        Self(bar)
    }

    /// Shows where the run is.
    pub(super) fn show(&self, progress: &Progress) {
        match progress {
            Progress::Evaluating { job, candidates } => {
                self.0.set_style(ProgressStyle::default_spinner());
                self.0.set_message(format!("{job}: {candidates} candidates"));
            }
            Progress::Mailing { job, settled, total } => {
                let style = ProgressStyle::with_template("{msg} {bar:32} {pos}/{len} {per_sec} {eta}");
                self.0.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                self.0.set_length(*total);
                self.0.set_position(*settled);
                self.0.set_message(job.clone());
            }
            Progress::Started { .. } | Progress::JobStarted { .. } | Progress::JobEnded { .. } => {}
        }
    }

    /// Removes the line.
    pub(super) fn clear(&self) {
        self.0.finish_and_clear();
    }
}
