//! The ledger's rows as Parquet files: what SQL reads as `ledger.*`, and what `export` writes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::clock::Clock;
use crate::evaluate::EvaluateError;
use crate::ledger::{LedgerError, LedgerUpkeep, connect_for_upkeep};
use crate::model::{Cell, LEDGER_TABLES, LedgerTable};
use crate::project::Project;
use crate::warehouse::{LedgerRows, Warehouse, WarehouseError};

use super::ledger_access::{load, owner};
use super::{RunError, WorkspaceOptions};

/// Rows read and written at once: memory does not grow with the ledger.
const PAGE: u32 = 5_000;
/// What tells an earlier export from somebody's folder.
const MARKER: &str = "export.json";

/// What an export wrote.
#[derive(Clone, Debug, Serialize)]
pub struct ExportReport {
    /// The folder.
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
) -> Result<Option<tempfile::TempDir>, RunError> {
    let ledger = match connect_for_upkeep(&project.ledger, &owner(project)).await {
        Err(LedgerError::Missing { .. }) => return Ok(None),
        connected => connected?,
    };
    let folder = tempfile::tempdir().map_err(file_failed(Path::new("the system's temporary folder"), "written"))?;
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

/// Writes every table of the ledger into a folder: `TABLE/job=NAME/rows.parquet`, or `TABLE/rows.parquet` where rows are
/// not of one job. The folder appears, or takes the place of an earlier export, as a whole.
///
/// # Errors
/// When there is no ledger, or the folder is somebody else's or cannot be written; then it stays as it was.
pub async fn export_ledger(options: &WorkspaceOptions, to: &str) -> Result<ExportReport, RunError> {
    let project = load(options)?;
    let target = target_folder(to)?;
    let ledger = connect_for_upkeep(&project.ledger, &owner(&project)).await?;
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(file_failed(parent, "written"))?;
    let unfinished =
        tempfile::Builder::new().prefix(".export-").tempdir_in(parent).map_err(file_failed(parent, "written"))?;
    let mut rows = BTreeMap::new();
    for table in LEDGER_TABLES {
        rows.insert(table.name, export_table(ledger.as_ref(), table, &unfinished.path().join(table.name)).await?);
    }
    let report = ExportReport {
        to: target.display().to_string(),
        exported_at: Clock::System.now().to_string(),
        project: project.name,
        environment: project.environment,
        rows,
    };
    let marker = unfinished.path().join(MARKER);
    let text = serde_json::to_string_pretty(&report).expect("text and numbers are always JSON");
    std::fs::write(&marker, text + "\n").map_err(file_failed(&marker, "written"))?;
    replace(unfinished, &target)?;
    Ok(report)
}

/// The folder, when nobody else's files are in it.
fn target_folder(to: &str) -> Result<PathBuf, RunError> {
    if to.contains("://") {
        return Err(RunError::Usage {
            message: format!("`{to}` is no folder of this machine, and exports go to one"),
            hint: "export to a folder, then copy it with the store's own tool".to_owned(),
        });
    }
    let target = PathBuf::from(to);
    let is_ours = target.join(MARKER).is_file();
    let is_empty =
        !target.exists() || std::fs::read_dir(&target).map_err(file_failed(&target, "read"))?.next().is_none();
    if is_ours || is_empty {
        return Ok(target);
    }
    Err(RunError::Usage {
        message: format!("`{to}` holds files that are no export, and they are left alone"),
        hint: "name a folder that is empty or not there yet".to_owned(),
    })
}

/// Writes one table; rows come in the order of their key, which begins with the job where they are of one.
async fn export_table(ledger: &dyn LedgerUpkeep, table: &'static LedgerTable, folder: &Path) -> Result<u64, RunError> {
    let by_job = table.columns[0].name == "job" && table.key > 1;
    let mut pages = Pages::of(ledger, table);
    let mut open: Option<(String, LedgerRows)> = None;
    let mut written = 0;
    while let Some(rows) = pages.next().await? {
        let job = |row: &Vec<Cell>| if by_job { partition(&row[0]) } else { String::new() };
        for part in rows.chunk_by(|left, right| job(left) == job(right)) {
            let name = job(&part[0]);
            if open.as_ref().is_none_or(|(current, _)| *current != name)
                && let Some((_, finished)) = open.replace((name.clone(), begin(table, &folder.join(&name))?))
            {
                written += finished.finish().map_err(failed)?;
            }
            if let Some((_, file)) = &mut open {
                file.write(part).map_err(failed)?;
            }
        }
    }
    let last = match open {
        Some((_, file)) => file,
        None => begin(table, folder)?,
    };
    Ok(written + last.finish().map_err(failed)?)
}

fn begin(table: &'static LedgerTable, folder: &Path) -> Result<LedgerRows, RunError> {
    std::fs::create_dir_all(folder).map_err(file_failed(folder, "written"))?;
    LedgerRows::create(table, &folder.join("rows.parquet")).map_err(failed)
}

/// `job=NAME`; a character that no path should hold is written as in a URL.
fn partition(job: &Cell) -> String {
    let Cell::Text(job) = job else { return "job=".to_owned() };
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let bytes = job.as_bytes().iter();
    let name = bytes.map(|byte| if plain(byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") });
    format!("job={}", name.collect::<String>())
}

/// Puts a finished folder in its place; a reader sees the old one or the new one.
fn replace(unfinished: tempfile::TempDir, target: &Path) -> Result<(), RunError> {
    let moved =
        |source: std::io::Error| RunError::File { path: target.display().to_string(), action: "written", source };
    let finished = unfinished.keep();
    let earlier = target.exists().then(|| finished.with_extension("earlier"));
    if let Some(earlier) = &earlier {
        std::fs::rename(target, earlier).map_err(moved)?;
    }
    if let Err(error) = std::fs::rename(&finished, target) {
        if let Some(earlier) = &earlier {
            std::fs::rename(earlier, target).map_err(moved)?;
        }
        return Err(moved(error));
    }
    match earlier {
        Some(earlier) => std::fs::remove_dir_all(&earlier).map_err(file_failed(&earlier, "removed")),
        None => Ok(()),
    }
}
