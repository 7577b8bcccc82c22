//! The ledger's rows as Parquet files: what SQL reads as `ledger.*`, and what `export` writes, here or in a store.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::clock::Clock;
use crate::evaluate::EvaluateError;
use crate::ledger::{LedgerError, LedgerUpkeep, connect_for_upkeep};
use crate::model::{Cell, LEDGER_TABLES, LedgerTable};
use crate::project::Project;
use crate::storage::TemporaryFolder;
use crate::storage::{SetWriter, partition_folder};
use crate::warehouse::{LedgerRows, Warehouse, WarehouseError};

use super::ledger_access::{load, owner};
use super::tables::absolute;
use super::{RunError, WorkspaceOptions, publish};

/// Rows read and written at once: memory does not grow with the ledger.
const PAGE: u32 = 5_000;

/// What an export wrote.
#[derive(Clone, Debug, Serialize)]
pub struct ExportReport {
    /// The folder or URL.
    pub to: String,
    /// When it was written.
    pub exported_at: String,
    /// The project.
    pub project: String,
    /// The environment.
    pub environment: Option<String>,
    /// Rows by table.
    pub rows: BTreeMap<&'static str, u64>,
}

fn failed(error: WarehouseError) -> RunError {
    RunError::Evaluate(EvaluateError::from(error))
}

fn file_failed(path: &Path, action: &'static str) -> impl Fn(std::io::Error) -> RunError {
    let path = path.display().to_string();
    move |source| RunError::File { path: path.clone(), action, source }
}

/// Hands the rows of these tables to the warehouse; `None` where there is no ledger yet.
pub(super) async fn read(
    project: &Project,
    warehouse: &mut Warehouse,
    tables: &[&'static LedgerTable],
) -> Result<Option<TemporaryFolder>, RunError> {
    let ledger = match connect_for_upkeep(&project.ledger, &owner(project)).await {
        Err(LedgerError::Missing { .. }) => return Ok(None),
        connected => connected?,
    };
    let folder = TemporaryFolder::new().map_err(file_failed(Path::new("the system's temporary folder"), "written"))?;
    for table in tables {
        let path = folder.path().join(table.name);
        let mut file = LedgerRows::create(table, &path).map_err(failed)?;
        let mut pages = Pages::of(ledger.as_ref(), table);
        while let Some(rows) = pages.next().await? {
            file.write(&rows).map_err(failed)?;
        }
        file.finish().map_err(failed)?;
        warehouse.read_ledger_table(table, &path).map_err(failed)?;
    }
    Ok(Some(folder))
}

/// The rows of a table, page by page.
struct Pages<'a> {
    ledger: &'a dyn LedgerUpkeep,
    table: &'static LedgerTable,
    after: Option<Vec<Cell>>,
}

impl<'a> Pages<'a> {
    fn of(ledger: &'a dyn LedgerUpkeep, table: &'static LedgerTable) -> Self {
        Self { ledger, table, after: None }
    }

    async fn next(&mut self) -> Result<Option<Vec<Vec<Cell>>>, RunError> {
        let rows = self.ledger.rows(self.table, self.after.as_deref(), PAGE).await?;
        let Some(last) = rows.last() else { return Ok(None) };
        self.after = Some(last[..self.table.key].to_vec());
        Ok(Some(rows))
    }
}

/// Writes every table of the ledger as a set of files: `TABLE/job=NAME/`, or `TABLE/` where rows are not of one job. The
/// set takes the place of an earlier export as a whole.
///
/// # Errors
/// When there is no ledger, or the place is somebody else's or cannot be written; then it stays as it was.
pub async fn export_ledger(options: &WorkspaceOptions, to: &str) -> Result<ExportReport, RunError> {
    let project = load(options)?;
    let to = absolute(&options.start, to);
    let mut set = SetWriter::begin(&to).await?;
    publish::refuse_strangers(set.earlier(), &about(&project))?;
    let ledger = connect_for_upkeep(&project.ledger, &owner(&project)).await?;
    let mut rows = BTreeMap::new();
    for table in LEDGER_TABLES {
        rows.insert(table.name, export_table(ledger.as_ref(), table, &mut set).await?);
    }
    let exported_at = Clock::System.now().to_string();
    let mut about = about(&project);
    about["written_at"] = exported_at.clone().into();
    set.commit(about).await?;
    Ok(ExportReport { to, exported_at, project: project.name, environment: project.environment, rows })
}

/// Whose set it is: another's is not replaced.
fn about(project: &Project) -> serde_json::Value {
    serde_json::json!({ "holds": "ledger", "project": project.name, "environment": project.environment })
}

/// Writes one table; rows come in the order of their key, which begins with the job where they are of one.
async fn export_table(
    ledger: &dyn LedgerUpkeep,
    table: &'static LedgerTable,
    set: &mut SetWriter,
) -> Result<u64, RunError> {
    let by_job = table.columns[0].name == "job" && table.key > 1;
    let mut pages = Pages::of(ledger, table);
    let mut open: Option<(String, LedgerRows)> = None;
    let mut written = 0;
    while let Some(rows) = pages.next().await? {
        let folder = |row: &Vec<Cell>| if by_job { partition(table.name, &row[0]) } else { table.name.to_owned() };
        for part in rows.chunk_by(|left, right| folder(left) == folder(right)) {
            let name = folder(&part[0]);
            if open.as_ref().is_none_or(|(current, _)| *current != name) {
                let file = begin(table, set, &name)?;
                written += finish(open.replace((name, file)), set).await?;
            }
            if let Some((_, file)) = &mut open {
                file.write(part).map_err(failed)?;
            }
        }
    }
    let last = match open {
        Some(last) => last,
        None => (table.name.to_owned(), begin(table, set, table.name)?),
    };
    Ok(written + finish(Some(last), set).await?)
}

fn begin(table: &'static LedgerTable, set: &SetWriter, partition: &str) -> Result<LedgerRows, RunError> {
    LedgerRows::create(table, &set.file(partition)?).map_err(failed)
}

async fn finish(file: Option<(String, LedgerRows)>, set: &mut SetWriter) -> Result<u64, RunError> {
    let Some((partition, file)) = file else { return Ok(0) };
    let rows = file.finish().map_err(failed)?;
    set.add(&partition, rows).await?;
    Ok(rows)
}

/// `TABLE/job=NAME`.
fn partition(table: &str, job: &Cell) -> String {
    let name = if let Cell::Text(job) = job { job.as_str() } else { "" };
    format!("{table}/{}", partition_folder("job", name))
}
