//! `milepost diff`: what a change does, as markdown for a pull request.

use std::fmt::Write as _;

use clap::Args;

use crate::cli::Context;
use crate::cli::arguments::{Moment, parse_moment};
use crate::cli::failure::Failure;
use crate::cli::output::shown;
use crate::run::{self, DiffMail, DiffReport, DiffRequest, DiffSource, Exit};

/// What a change of SQL, YAML or templates does: people entering and leaving, and mails that read otherwise. Records nothing.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// Only these jobs.
    jobs: Vec<String>,
    /// A folder with a project, or a revision of git such as origin/main.
    #[arg(long, value_name = "REF|DIR")]
    base: String,
    /// The logical now and the wall clock of both sides; the machine's clock by default.
    #[arg(long, value_name = "INSTANT", value_parser = parse_moment)]
    as_of: Option<Moment>,
    /// Show real profiles and mails instead of those of job tests: never where others can read it.
    #[arg(long)]
    real_samples: bool,
}

impl Diff {
    pub(crate) async fn execute(self, context: &Context<'_>) -> Result<Exit, Failure> {
        let request = DiffRequest {
            base: self.base,
            jobs: self.jobs,
            as_of: context.instant(self.as_of),
            real_samples: self.real_samples,
        };
        let report = run::diff(&context.workspace, &request).await?;
        context.output.result(&in_markdown(&report), &report);
        Ok(Exit::Done)
    }
}

fn in_markdown(report: &DiffReport) -> String {
    let mut text = format!("## Mails compared with `{}`, as of {}\n\n", report.base, report.as_of);
    text += "| job | milestone | before | after | entering | leaving |\n|---|---|---:|---:|---:|---:|\n";
    for part in &report.parts {
        let milestone = part.milestone.as_deref().unwrap_or("recap");
        let numbers = [part.before, part.after, part.entering, part.leaving].map(|number| number.to_string());
        let _ = writeln!(text, "| {} | {milestone} | {} |", part.job, numbers.join(" | "));
    }
    if report.parts.is_empty() {
        text += "\nNobody is mailed on either side.\n";
    }
    let samples: Vec<&String> = report.parts.iter().flat_map(|part| &part.samples).collect();
    if !samples.is_empty() {
        let lines: Vec<String> = samples.iter().map(|sample| format!("{}\n", shown(sample))).collect();
        let _ = write!(text, "\n```diff\n{}```\n", lines.concat());
    }
    if report.mails.is_empty() {
        text += match report.sources.as_slice() {
            [] => "\nNo mail reads otherwise: templates, subjects and labels are the same.\n",
            _ => "\nNo sample shows what changed in the texts below: it stands in a branch that none of them takes.\n",
        };
    }
    report.mails.iter().for_each(|mail| text.push_str(&mail_block(mail)));
    report.sources.iter().for_each(|source| text.push_str(&source_block(source)));
    text
}

fn source_block(source: &DiffSource) -> String {
    let milestone = source.milestone.as_ref().map(|name| format!(" \u{b7} {name}")).unwrap_or_default();
    // A fence longer than any in the text, so that no template can leave it.
    format!("\n### {}{milestone} \u{b7} {} changed\n\n``````diff\n{}``````\n", source.job, source.what, source.text)
}

fn mail_block(mail: &DiffMail) -> String {
    let test = mail.test.as_ref().map(|test| format!(" (test `{test}`)")).unwrap_or_default();
    let mut text = format!("\n### {} \u{b7} {}{test}\n\n", mail.job, shown(&mail.who));
    match &mail.subjects {
        (Some(before), Some(after)) if before == after => {
            let _ = writeln!(text, "Subject: {}", in_code(after));
        }
        (before, after) => {
            let subject = |subject: &Option<String>| subject.as_deref().map_or("no mail".to_owned(), in_code);
            let _ = writeln!(text, "Subject: {} \u{2192} {}", subject(before), subject(after));
        }
    }
    // A fence longer than any in the text, so that no mail can leave it.
    let _ = write!(text, "\n``````diff\n{}``````\n", mail.text);
    text
}

/// Text of a mail as code, whatever it holds.
fn in_code(text: &str) -> String {
    format!("`` {} ``", shown(text).replace('`', "'"))
}
