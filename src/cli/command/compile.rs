//! `milepost compile`: the SQL a job becomes.

use clap::Args;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::arguments::{Moment, parse_moment};
use crate::cli::failure::Failure;
use crate::cli::report_text::size_in_words;
use crate::evaluate::Query;
use crate::run::{self, Exit};
use crate::warehouse::TableReading;

/// Show the SQL a job becomes, with its parameters.
#[derive(Debug, Args)]
pub(crate) struct Compile {
    /// The job.
    job: String,
    /// The logical now; the machine's clock by default.
    #[arg(long, value_name = "INSTANT", value_parser = parse_moment)]
    as_of: Option<Moment>,
    /// The period of a recap; the latest that is due by default.
    #[arg(long, value_name = "KEY")]
    period: Option<String>,
    /// Also what is read of each table: files, bytes and row groups, and by what others are left out.
    #[arg(long)]
    explain: bool,
}

#[derive(Serialize)]
struct QueryJson {
    title: String,
    sql: String,
    /// What is read of each table, with `--explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    tables: Option<Vec<TableReading>>,
}

impl Compile {
    pub(crate) async fn execute(self, context: &Context<'_>) -> Result<Exit, Failure> {
        let as_of = context.instant(self.as_of);
        let queries: Vec<QueryJson> = if self.explain {
            let explained = run::explained_queries(&context.workspace, &self.job, as_of, self.period).await?;
            let queries = explained.into_iter();
            queries.map(|(Query { title, sql }, tables)| QueryJson { title, sql, tables: Some(tables) }).collect()
        } else {
            let queries = run::queries(&context.workspace, &self.job, as_of, self.period).await?;
            queries.into_iter().map(|Query { title, sql }| QueryJson { title, sql, tables: None }).collect()
        };
        let text: Vec<String> = queries.iter().map(QueryJson::text).collect();
        context.output.result(&text.join("\n"), &queries);
        Ok(Exit::Done)
    }
}

impl QueryJson {
    fn text(&self) -> String {
        let tables = self.tables.iter().flatten().map(|table| format!("-- reads {}\n", in_words(table)));
        format!("-- {}\n{}{}\n", self.title, tables.collect::<String>(), self.sql.trim_end())
    }
}

/// Such as `events: 3 of 730 files, 1.2 of 310 MB by the folders of day; 4 of 9 row groups by event; 0.2 MB of columns`, or,
/// of very many files in a store, `events: 340 files, 466.5 kB, in 5 of 730 folders by day; ...`.
fn in_words(read: &TableReading) -> String {
    let by = |what: &str, names: &[String]| match names {
        [] => String::new(),
        names => format!(" by {what}{}", names.join(", ")),
    };
    let (files, bytes) = (read.files, size_in_words(read.bytes));
    let mut words = match (read.files_of, read.bytes_of, read.folders.zip(read.folders_of)) {
        (Some(files_of), Some(bytes_of), _) => {
            let folders = by("the folders of ", &read.pruned_by_folders);
            format!("{}: {files} of {files_of} files, {bytes} of {}{folders}", read.table, size_in_words(bytes_of))
        }
        (.., Some((folders, folders_of))) => {
            let folders_of = format!("{folders} of {folders_of} folders{}", by("", &read.pruned_by_folders));
            format!("{}: {files} files, {bytes}, in {folders_of}", read.table)
        }
        _ => format!("{}: {files} files, {bytes}", read.table),
    };
    if let (Some(groups), Some(of)) = (read.row_groups, read.row_groups_of) {
        words.push_str(&format!("; {groups} of {of} row groups{}", by("", &read.pruned_by_columns)));
    }
    if let Some(bytes) = read.column_bytes {
        words.push_str(&format!("; {} of columns", size_in_words(bytes)));
    }
    words
}
