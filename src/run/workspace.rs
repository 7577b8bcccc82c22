//! A project opened for work: loaded, its tables registered, its jobs compiled with their templates.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::storage::TemporaryFolder;
use jiff::tz::TimeZone;

use crate::deliver::ended;
use crate::evaluate::{self, CompiledJob, EvaluateError};
use crate::model::Shape;
use crate::model::diagnostic::{Diagnostic, Severity, add_later};
use crate::project::{self, Job, Project};
use crate::render::Composer;
use crate::settings::{FileRefusal, LocalFiles};
use crate::warehouse::{SCHEMAS_FILE, SavedSchemas, Warehouse, WarehouseOptions};

use super::foreseen::selected;
use super::{RunError, ledger_rows, names};

/// Where the project is and how much its queries may take.
#[derive(Clone, Debug, Default)]
pub struct WorkspaceOptions {
    /// The folder of `milepost.yml`; searched for upwards from `start` when absent.
    pub project: Option<PathBuf>,
    /// Where the search begins.
    pub start: PathBuf,
    /// The environment to merge in.
    pub environment: Option<String>,
    /// Threads of the query engine; the number of cores when absent.
    pub threads: Option<usize>,
    /// Bytes that queries may use before they spill.
    pub memory_limit_bytes: Option<u64>,
    /// How long one query may take; as long as it likes when absent.
    pub query_timeout: Option<Duration>,
}

/// A project without errors of its own, and its warehouse.
pub struct Workspace {
    /// The project.
    pub project: Project,
    /// Its tables and views.
    pub warehouse: Warehouse,
    /// Warnings and notes found on the way.
    pub warnings: Vec<Diagnostic>,
    /// The rows of the ledger that views read; kept for as long as they may be read.
    ledger_rows: Option<TemporaryFolder>,
}

/// A project as its files say, with what is wrong with it.
pub(super) struct Loaded(project::Loaded);

impl Loaded {
    /// Reads the project's files, on a thread that may wait for a file system.
    ///
    /// # Errors
    /// When there is no project.
    pub(super) async fn read(options: &WorkspaceOptions) -> Result<Self, RunError> {
        let (root, environment) = (options.root()?, options.environment.clone());
        let read = tokio::task::spawn_blocking(move || project::load(&root, environment.as_deref()));
        match ended(read.await) {
            Some(loaded) => Ok(Self(loaded)),
            // Only the end of the process takes a thread away from its work.
            None => std::future::pending().await,
        }
    }

    /// The project, where enough of it could be read.
    pub(super) fn project(&self) -> Option<&Project> {
        self.0.project.as_ref()
    }
}

/// A job with its queries and templates compiled.
pub struct PreparedJob<'a> {
    /// The job.
    pub job: &'a Job,
    /// Its queries.
    pub compiled: CompiledJob,
    /// Its templates.
    pub composer: Arc<Composer>,
}

impl WorkspaceOptions {
    /// The project's folder.
    ///
    /// # Errors
    /// When there is no `milepost.yml` there or above.
    pub fn root(&self) -> Result<PathBuf, RunError> {
        let found = match &self.project {
            Some(folder) => folder.join("milepost.yml").is_file().then(|| folder.clone()),
            None => project::find_root(&self.start),
        };
        let start = self.project.as_ref().unwrap_or(&self.start);
        found.ok_or_else(|| RunError::NoProject { start: start.display().to_string() })
    }

    /// The project's zone; UTC where the project cannot be read, which whoever opens it will say.
    #[must_use]
    pub fn timezone(&self) -> TimeZone {
        let project = self.root().ok().and_then(|root| project::load(&root, self.environment.as_deref()).project);
        project.map_or(TimeZone::UTC, |project| project.timezone)
    }

    fn warehouse(&self) -> WarehouseOptions {
        WarehouseOptions {
            memory_limit_bytes: self.memory_limit_bytes,
            threads: self.threads,
            query_timeout: self.query_timeout,
            ..Default::default()
        }
    }
}

impl Workspace {
    /// Loads as much as can be loaded and returns it with every finding about the project and its tables and views.
    ///
    /// # Errors
    /// When there is no project at all.
    pub async fn survey(options: &WorkspaceOptions) -> Result<(Option<Self>, Vec<Diagnostic>), RunError> {
        Self::survey_loaded(Loaded::read(options).await?, options).await
    }

    async fn survey_loaded(
        loaded: Loaded,
        options: &WorkspaceOptions,
    ) -> Result<(Option<Self>, Vec<Diagnostic>), RunError> {
        let mut findings = loaded.0.diagnostics;
        let Some(project) = loaded.0.project else { return Ok((None, findings)) };
        let (workspace, more) = Self::with_tables(project, options).await?;
        add_later(&mut findings, more);
        Ok((Some(workspace), findings))
    }

    /// The same with tables as their saved schemas say: no table and no store is contacted.
    ///
    /// # Errors
    /// When there is no project, or no saved schemas that can be read.
    pub async fn survey_offline(options: &WorkspaceOptions) -> Result<(Option<Self>, Vec<Diagnostic>), RunError> {
        let root = options.root()?;
        let loaded = project::load(&root, options.environment.as_deref());
        let mut findings = loaded.diagnostics;
        let saved = saved_schemas(&root)?.ok_or_else(|| RunError::Usage {
            message: format!("there is no {SCHEMAS_FILE} beside milepost.yml"),
            hint: "run `milepost check --save-schemas` where the tables can be reached, and commit the file".to_owned(),
        })?;
        let Some(project) = loaded.project else { return Ok((None, findings)) };
        let opened = Warehouse::open_offline(&project, &options.warehouse(), &saved).await;
        let (warehouse, more) = opened.map_err(EvaluateError::from)?;
        add_later(&mut findings, more);
        Ok((Some(Self { project, warehouse, warnings: Vec::new(), ledger_rows: None }), findings))
    }

    async fn with_tables(project: Project, options: &WorkspaceOptions) -> Result<(Self, Vec<Diagnostic>), RunError> {
        let opened = Warehouse::open(&project, &options.warehouse()).await;
        let (warehouse, findings) = opened.map_err(EvaluateError::from)?;
        Ok((Self { project, warehouse, warnings: Vec::new(), ledger_rows: None }, findings))
    }

    /// Opens the tables of a project that has no errors of its own.
    ///
    /// # Errors
    /// [`RunError::Invalid`] with every finding about tables and views.
    pub(super) async fn of(project: Project, options: &WorkspaceOptions) -> Result<Self, RunError> {
        let (workspace, findings) = Self::with_tables(project, options).await?;
        if has_errors(&findings) {
            return Err(RunError::Invalid { diagnostics: findings });
        }
        Self { warnings: findings, ..workspace }.with_ledger().await
    }

    /// Opens a project that has no errors; views that read `ledger.*` see the ledger as it is now, empty where there is
    /// none yet.
    ///
    /// # Errors
    /// [`RunError::Invalid`] with every finding, no project, or a ledger that views read and that cannot be used.
    pub async fn open(options: &WorkspaceOptions) -> Result<Self, RunError> {
        Self::open_without_ledger(options).await?.with_ledger().await
    }

    async fn with_ledger(mut self) -> Result<Self, RunError> {
        let tables = self.warehouse.ledger_tables_in_use();
        if !tables.is_empty() {
            self.ledger_rows = ledger_rows::read(&self.project, &mut self.warehouse, &tables).await?;
        }
        Ok(self)
    }

    /// Opens a project that has no errors; to its views the ledger is empty.
    ///
    /// # Errors
    /// [`RunError::Invalid`] with every finding, or no project.
    pub async fn open_without_ledger(options: &WorkspaceOptions) -> Result<Self, RunError> {
        Self::of_loaded(Loaded::read(options).await?, options).await
    }

    /// Opens a project that was read; views that read `ledger.*` see the ledger as it is now.
    ///
    /// # Errors
    /// As for [`Workspace::open`].
    pub(super) async fn open_loaded(loaded: Loaded, options: &WorkspaceOptions) -> Result<Self, RunError> {
        Self::of_loaded(loaded, options).await?.with_ledger().await
    }

    async fn of_loaded(loaded: Loaded, options: &WorkspaceOptions) -> Result<Self, RunError> {
        let (workspace, findings) = Self::survey_loaded(loaded, options).await?;
        match workspace {
            Some(workspace) if !has_errors(&findings) => Ok(Self { warnings: findings, ..workspace }),
            _ => Err(RunError::Invalid { diagnostics: findings }),
        }
    }

    /// The named jobs, or all; in the order in which they run: priority, then name.
    ///
    /// # Errors
    /// When a name is not a job's.
    pub fn jobs(&self, wanted: &[String]) -> Result<Vec<&Job>, RunError> {
        for name in wanted {
            names::refuse_unknown_job(&self.project, name)?;
        }
        Ok(selected(&self.project, wanted).collect())
    }

    /// Computes the audiences of the named jobs, or of all, and the list of the suppressed once for all queries from now on,
    /// where views compute them.
    ///
    /// # Errors
    /// When a name is not a job's.
    pub(super) fn share_audiences(&mut self, wanted: &[String]) -> Result<(), RunError> {
        let audiences = self.jobs(wanted)?.into_iter().map(|job| &job.audience);
        let shared: Vec<String> =
            audiences.chain(&self.project.suppressed).map(|relation| relation.value.clone()).collect();
        self.warehouse.compute_once(shared.iter());
        Ok(())
    }

    /// Compiles a job's queries and templates.
    ///
    /// # Errors
    /// Every finding when one of them is an error.
    pub async fn prepare<'a>(&self, job: &'a Job) -> Result<(PreparedJob<'a>, Vec<Diagnostic>), Vec<Diagnostic>> {
        let (mut prepared, findings) = self.prepare_whole(job).await?;
        prepared.compiled.narrow(&prepared.composer.references());
        Ok((prepared, findings))
    }

    /// The same with everything that templates could refer to, whether they do or not.
    async fn prepare_whole<'a>(&self, job: &'a Job) -> Result<(PreparedJob<'a>, Vec<Diagnostic>), Vec<Diagnostic>> {
        let compiled = match evaluate::compile(&self.project, job, &self.warehouse).await {
            Ok(compiled) => compiled,
            Err(mut findings) => {
                // Without columns nothing is known of the variables, but syntax, filters and files still are.
                let names = ["profile", "milestone", "period", "metrics", "matrix", "rows", "top"];
                let anything = vec![Shape::object(names.map(|name| (name, Shape::Any))); job.messages().len()];
                add_later(&mut findings, Composer::new(&self.project, job, &anything).1);
                return Err(findings);
            }
        };
        let (composer, findings) = Composer::new(&self.project, job, compiled.shapes());
        match composer {
            Some(composer) if !has_errors(&findings) => {
                Ok((PreparedJob { job, compiled, composer: Arc::new(composer) }, findings))
            }
            _ => Err(findings),
        }
    }

    /// Compiles a job that must have no errors.
    ///
    /// # Errors
    /// [`RunError::Invalid`].
    pub async fn prepare_valid<'a>(&self, job: &'a Job) -> Result<PreparedJob<'a>, RunError> {
        match self.prepare(job).await {
            Ok((prepared, _)) => Ok(prepared),
            Err(diagnostics) => Err(RunError::Invalid { diagnostics }),
        }
    }
}

impl Workspace {
    /// Compiles jobs that must have no errors, with everything that templates could refer to.
    ///
    /// # Errors
    /// [`RunError::Invalid`].
    pub(super) async fn prepare_all<'a>(&self, jobs: Vec<&'a Job>) -> Result<Vec<PreparedJob<'a>>, RunError> {
        let mut prepared = Vec::with_capacity(jobs.len());
        for job in jobs {
            match self.prepare_whole(job).await {
                Ok((job, _)) => prepared.push(job),
                Err(diagnostics) => return Err(RunError::Invalid { diagnostics }),
            }
        }
        Ok(prepared)
    }
}

/// No file of schemas is longer, in bytes.
const SCHEMAS_BYTES_MAX: u64 = 16 << 20;

/// The schemas that a project keeps; `None` where it keeps none.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn saved_schemas(root: &Path) -> Result<Option<SavedSchemas>, RunError> {
    let path = root.join(SCHEMAS_FILE);
    let text = match LocalFiles::of_project(root).read_text(&path, SCHEMAS_BYTES_MAX) {
        Ok(text) => text,
        Err(refusal) if refusal.is_absent() => return Ok(None),
        Err(FileRefusal::System { path, source }) => return Err(RunError::File { path, action: "read", source }),
        Err(refusal) => {
            let hint = refusal.help().unwrap_or("write it anew with `milepost check --save-schemas`").to_owned();
            return Err(RunError::Usage { message: refusal.to_string(), hint });
        }
    };
    let saved = SavedSchemas::of_text(&text).map_err(|error| RunError::Usage {
        message: format!("{SCHEMAS_FILE} cannot be read: {error}"),
        hint: "write it anew with `milepost check --save-schemas`".to_owned(),
    })?;
    Ok(Some(saved))
}

/// Whether any finding is an error.
#[must_use]
pub(super) fn has_errors(findings: &[Diagnostic]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}
