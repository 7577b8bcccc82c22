//! `milepost schema`: JSON Schema for editors.

use clap::{Args, ValueEnum};

use crate::cli::Context;
use crate::run::{self, Exit, SchemaKind};

/// Show the JSON Schema of milepost.yml, jobs or job tests, for editors.
#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// Which file.
    #[arg(value_enum, default_value_t = Kind::Job)]
    kind: Kind,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// `milepost.yml`.
    Project,
    /// A file of `jobs/`.
    Job,
    /// A file of `jobs/tests/`.
    Test,
}

impl Schema {
    pub(crate) fn execute(self, context: &Context<'_>) -> Exit {
        let kind = match self.kind {
            Kind::Project => SchemaKind::Project,
            Kind::Job => SchemaKind::Job,
            Kind::Test => SchemaKind::Test,
        };
        context.output.json(&run::schema_text(kind));
        Exit::Done
    }
}
