//! `milepost init`: a project that runs at once.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::failure::Failure;
use crate::run::{self, Exit};

/// Scaffold a project that runs at once: sample events, two jobs, templates.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The folder to write into; it may hold no file of the same name.
    #[arg(default_value = ".")]
    folder: PathBuf,
}

#[derive(Serialize)]
struct InitJson {
    folder: String,
    files: Vec<String>,
}

impl Init {
    pub(crate) fn execute(self, context: &Context<'_>) -> Result<Exit, Failure> {
        let folder = context.workspace.start.join(&self.folder);
        let files = run::scaffold(&folder)?;
        let shown = self.folder.display();
        let at = if self.folder.as_os_str() == "." { String::new() } else { format!(" --project {shown}") };
        let text = format!(
            "wrote {} files to {shown}\n\nnext:\n  milepost check{at}\n  milepost run{at} --as-of {as_of} --replay\n  \
             milepost preview{at} --as-of {as_of}",
            files.len(),
            as_of = run::STARTER_AS_OF,
        );
        context.output.result(&text, &InitJson { folder: folder.display().to_string(), files });
        Ok(Exit::Done)
    }
}
