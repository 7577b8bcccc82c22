//! `milepost functions`: the SQL functions that milepost adds, with examples.

use clap::Args;

use crate::cli::Context;
use crate::run::{self, Exit};

/// Show the SQL functions that milepost adds to those of the query engine.
#[derive(Debug, Args)]
pub(crate) struct Functions {}

impl Functions {
    pub(crate) fn execute(self, context: &Context<'_>) -> Exit {
        let Self {} = self;
        let docs = run::function_docs();
        let text: Vec<String> = docs
            .iter()
            .map(|doc| {
                let (call, gives, about) = (doc.call, doc.gives, doc.about);
                format!("{call} -> {gives}\n    {about}\n    {}\n    = {}\n", doc.example, doc.output)
            })
            .collect();
        context.output.result(&text.join("\n"), &docs);
        Exit::Done
    }
}
