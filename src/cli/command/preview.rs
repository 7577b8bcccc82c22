//! `milepost preview`: the mails one person would get, rendered into files and shown as text.

use clap::Args;

use crate::cli::Context;
use crate::cli::arguments::{Moment, parse_moment};
use crate::cli::failure::Failure;
use crate::cli::output::shown;
use crate::run::{self, Exit};

/// Render the mails one person would get, whatever the ledger says; nothing is recorded.
#[derive(Debug, Args)]
pub(crate) struct Preview {
    /// Only this job.
    job: Option<String>,
    /// The profile, by its id or its address; by default the first one whom a run would mail.
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// The logical now; the machine's clock by default.
    #[arg(long, value_name = "INSTANT", value_parser = parse_moment)]
    as_of: Option<Moment>,
    /// The period of a recap; the latest that is due by default.
    #[arg(long, value_name = "KEY")]
    period: Option<String>,
    /// Let `as_of` be the wall clock too, so that nothing of it is too late.
    #[arg(long, requires = "as_of")]
    replay: bool,
}

impl Preview {
    pub(crate) async fn execute(self, context: &Context<'_>) -> Result<Exit, Failure> {
        let as_of = context.instant(self.as_of);
        let Self { job, profile, period, replay, .. } = self;
        let request = run::PreviewRequest { job, profile, as_of, period, replay };
        let report = run::preview(&context.workspace, &request).await?;
        let text: Vec<_> = report
            .mails
            .iter()
            .map(|mail| {
                let why = mail.not_mailed.as_ref();
                let skipped =
                    why.map(|why| format!("\na run would not mail it now: {}", shown(why))).unwrap_or_default();
                format!(
                    "{} \u{b7} {} \u{b7} {}{skipped}\nSubject: {}\nHTML:    {}\n\n{}\n",
                    mail.job,
                    shown(&mail.profile_id),
                    shown(&mail.occasion),
                    shown(&mail.subject),
                    mail.html_file,
                    mail.text
                )
            })
            .collect();
        context.output.result(&text.join(&format!("{}\n", "-".repeat(72))), &report);
        for remark in &report.remarks {
            context.output.remark(&shown(remark));
        }
        Ok(Exit::Done)
    }
}
