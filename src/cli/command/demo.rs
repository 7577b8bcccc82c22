//! `milepost demo`: init into a temporary folder, run, show the mails.

use clap::Args;

use super::run::Run;
use crate::cli::Context;
use crate::cli::failure::Failure;
use crate::run::{self, Exit, WorkspaceOptions};

/// Run a scaffolded project in a temporary folder and show its mails: no account, no network, no server.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Do not open the gallery in a browser.
    #[arg(long)]
    no_open: bool,
}

impl Demo {
    pub(crate) async fn execute(self, context: &Context<'_>) -> Result<Exit, Failure> {
        let folder = run::demo_folder()?;
        run::scaffold(&folder)?;
        context.output.remark(&format!("a project with sample events: {}\n", folder.display()));
        let workspace =
            WorkspaceOptions { project: Some(folder.clone()), environment: None, ..context.workspace.clone() };
        let demo = Context { output: context.output, workspace, signals: context.signals };
        let (exit, open) = Run::replaying(run::STARTER_AS_OF)?.carry_out(&demo).await?;
        if let (false, true, Some(page)) = (self.no_open, context.output.shows_progress(), open.first()) {
            open_in_browser(page);
        }
        Ok(exit)
    }
}

/// Best effort: the path was printed, so a machine without a browser loses nothing.
fn open_in_browser(page: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let quiet = std::process::Stdio::null;
    let _ = std::process::Command::new(opener).arg(page).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn();
}
