//! `milepost compile`: the SQL a job becomes.

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::arguments::parse_instant;
use crate::cli::failure::Failure;
use crate::run::{self, Exit};

/// Show the SQL a job becomes, with its parameters.
#[derive(Debug, Args)]
pub(crate) struct Compile {
    /// The job.
    job: String,
    /// The logical now; the machine's clock by default.
    #[arg(long, value_name = "INSTANT", value_parser = parse_instant)]
    as_of: Option<Timestamp>,
    /// The period of a recap; the latest that is due by default.
    #[arg(long, value_name = "KEY")]
    period: Option<String>,
}

#[derive(Serialize)]
struct QueryJson {
    title: String,
    sql: String,
}

impl Compile {
    pub(crate) async fn execute(self, context: &Context) -> Result<Exit, Failure> {
        let queries = run::queries(&context.workspace, &self.job, self.as_of, self.period).await?;
        let text = queries.iter().map(|query| format!("-- {}\n{}\n", query.title, query.sql.trim_end()));
        let text = text.collect::<Vec<_>>().join("\n");
        let json: Vec<_> =
            queries.iter().map(|query| QueryJson { title: query.title.clone(), sql: query.sql.clone() }).collect();
        context.output.result(&text, &json);
        Ok(Exit::Done)
    }
}
