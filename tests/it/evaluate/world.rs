//! A project with its warehouse, and what evaluation makes of it as lines of text.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use futures::StreamExt;
use milepost::evaluate::{self, CompiledJob, EvaluateError, FlagColumns, PeriodChoice, Request, Tally};
use milepost::model::diagnostic::{Located, Place};
use milepost::model::{Candidate, Diagnostic, SourceFile};
use milepost::project::{self, GivenRow, GivenTable, Project};
use milepost::warehouse::{TableFile, Warehouse, WarehouseOptions};
use serde_json::{Map, Value};

/// A loaded project with an open warehouse.
pub(crate) struct World {
    pub(crate) project: Project,
    pub(crate) warehouse: Warehouse,
    _folder: Option<tempfile::TempDir>,
}

/// One diagnostic as `place code message | help`.
pub(crate) fn line(finding: &Diagnostic) -> String {
    let place = finding.place.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let help = finding.help.as_ref().map(|help| format!(" | {help}")).unwrap_or_default();
    format!("{place} {} {}{help}", finding.code, finding.message)
}

/// A request for everybody.
pub(crate) fn at(as_of: &str) -> Request {
    Request { as_of: as_of.parse().expect("an instant"), period: PeriodChoice::LatestDue, profiles: None }
}

/// The same for one period.
pub(crate) fn at_period(as_of: &str, key: &str) -> Request {
    Request { period: PeriodChoice::Key(key.to_owned()), ..at(as_of) }
}

impl World {
    /// Opens a project on disk that has no errors.
    pub(crate) async fn open(root: &Path) -> Self {
        let (world, findings) = Self::survey(root).await;
        assert!(findings.is_empty(), "{:#?}", findings.iter().map(line).collect::<Vec<_>>());
        world
    }

    /// Opens a project on disk with everything that is wrong with its tables and views.
    pub(crate) async fn survey(root: &Path) -> (Self, Vec<Diagnostic>) {
        let loaded = project::load(root, None);
        let project = loaded.project.expect("a project");
        let mut findings = loaded.diagnostics;
        let opened = Warehouse::open(&project, &WarehouseOptions { threads: Some(2), ..Default::default() }).await;
        let (warehouse, more) = opened.expect("a reachable warehouse");
        findings.extend(more);
        (Self { project, warehouse, _folder: None }, findings)
    }

    /// A temporary project made of `path: text` pairs.
    pub(crate) async fn of(files: &[(&str, &str)]) -> Self {
        let (world, findings) = Self::survey_of(files).await;
        assert!(findings.is_empty(), "{:#?}", findings.iter().map(line).collect::<Vec<_>>());
        world
    }

    /// The same with everything that is wrong with it.
    pub(crate) async fn survey_of(files: &[(&str, &str)]) -> (Self, Vec<Diagnostic>) {
        let folder = folder_of(files);
        let (world, findings) = Self::survey(folder.path()).await;
        (Self { _folder: Some(folder), ..world }, findings)
    }

    /// Everything that is wrong with a job.
    pub(crate) async fn findings(&self, job: &str) -> Vec<String> {
        let findings = self.try_compile(job).await.err().unwrap_or_default();
        findings.iter().map(line).collect()
    }

    async fn try_compile(&self, job: &str) -> Result<CompiledJob, Vec<Diagnostic>> {
        let job = self.project.jobs.iter().find(|candidate| candidate.name == job).expect("a job of that name");
        evaluate::compile(&self.project, job, &self.warehouse).await
    }

    pub(crate) async fn compile(&self, job: &str) -> CompiledJob {
        self.try_compile(job).await.unwrap_or_else(|findings| {
            panic!("{:#?}", findings.iter().map(line).collect::<Vec<_>>());
        })
    }

    /// The candidates and what was dropped.
    pub(crate) async fn candidates(&self, job: &str, request: &Request) -> (Vec<Candidate>, Tally) {
        let job = self.compile(job).await;
        let mut stream = job.candidates(&self.warehouse, request).await.expect("candidates");
        let mut candidates = Vec::new();
        while let Some(chunk) = stream.next().await {
            candidates.extend(chunk.expect("a chunk"));
        }
        (candidates, stream.tally())
    }

    /// The error that keeps candidates from being found.
    pub(crate) async fn refusal(&self, job: &str, request: &Request) -> EvaluateError {
        let job = self.compile(job).await;
        match job.candidates(&self.warehouse, request).await {
            Err(error) => error,
            Ok(mut stream) => loop {
                match stream.next().await {
                    Some(Err(error)) => return error,
                    Some(Ok(_)) => {}
                    None => panic!("the job was evaluated"),
                }
            },
        }
    }

    /// Flags as lines of CSV, without the header.
    pub(crate) async fn flags(&self, job: &str, request: &Request, columns: FlagColumns) -> Vec<String> {
        let job = self.compile(job).await;
        csv(job.flags(&self.warehouse, request, columns).await.expect("flags")).await
    }

    /// Metrics as lines of CSV, without the header.
    pub(crate) async fn metrics(&self, job: &str, request: &Request) -> Vec<String> {
        let job = self.compile(job).await;
        csv(job.metrics(&self.warehouse, request).await.expect("metrics")).await
    }
}

/// `profile occasion reached_at value` per candidate of a milestone job.
pub(crate) fn short(candidates: &[Candidate]) -> Vec<String> {
    candidates
        .iter()
        .map(|candidate| {
            let key = &candidate.key;
            let value = &fields(candidate)["milestone"]["value"];
            format!("{} {} {} {value}", key.profile_id, key.occasion, candidate.reached_at)
        })
        .collect()
}

async fn csv(table: milepost::warehouse::TableRows) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("table.csv");
    let written = table.write(TableFile::at(&path.to_string_lossy()).expect("a format")).await.expect("a table");
    let lines: Vec<String> = fs::read_to_string(path).expect("the table").lines().skip(1).map(str::to_owned).collect();
    assert_eq!(written.rows, lines.len() as u64);
    lines
}

/// A temporary folder made of `path: text` pairs.
pub(crate) fn folder_of(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    folder
}

/// A row for a table that is given instead of read.
pub(crate) fn row<const N: usize>(cells: [(&str, Value); N]) -> GivenRow {
    GivenRow { cells: cells.into_iter().map(|(name, value)| (located(name.to_owned()), located(value))).collect() }
}

/// A table that holds these rows, for `Warehouse::with_rows`.
pub(crate) fn given(table: &str, rows: impl Iterator<Item = GivenRow>) -> GivenTable {
    GivenTable { table: located(table.to_owned()), rows: rows.collect() }
}

fn located<T>(value: T) -> Located<T> {
    let file = Arc::new(SourceFile { path: "given".to_owned(), text: String::new() });
    Located::new(value, Place::new(&file, 0..0))
}

/// What a candidate's template sees.
pub(super) fn fields(candidate: &Candidate) -> Map<String, Value> {
    candidate.context.fields().expect("what was written reads").into_owned()
}
