//! The way from a folder to a [`Project`]: reads every file, reports every finding, and builds what can be built.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::build::{self, JobSource};
use super::files::{self, PROJECT_FILE};
use super::names::is_identifier;
use super::node::Node;
use super::overlay::{Chosen, choose};
use super::project::{Project, View};
use super::read::{Findings, Read};
use super::schema::{JobFields, ProjectFields};
use crate::model::diagnostic::{Diagnostic, Located, Place, Severity, SourceFile, arrange};

/// What loading found.
#[derive(Debug)]
pub struct Loaded {
    /// The project as far as it could be read, so that SQL and templates can be checked beside the findings here.
    /// `None` when `milepost.yml` is missing or no YAML. With an error among the findings it must not be run.
    pub project: Option<Project>,
    /// Every finding, by file and line.
    pub diagnostics: Vec<Diagnostic>,
}

impl Loaded {
    /// Whether a finding forbids to run the project.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// `milepost.yml` as it was read, with its environment.
pub(super) struct RootSource {
    /// The text.
    pub(super) file: Arc<SourceFile>,
    /// The fields, the environment merged in.
    pub(super) fields: ProjectFields,
    /// The environment.
    pub(super) chosen: Option<Chosen>,
}

/// Loads the project in the folder `root` with the named environment merged in. Reads no data and no secret but the
/// ledger's, and needs neither to be there.
#[must_use]
pub fn load(root: &Path, environment: Option<&str>) -> Loaded {
    let mut findings = Findings::new();
    let root = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
    let source = read_root(&root, environment, &mut findings);
    let views = read_views(&root, &mut findings);
    let jobs = read_jobs(&root, &mut findings);
    if source.is_none() {
        // Without defaults nothing can be said about what is missing, only about what is written.
        for job in &jobs {
            JobFields::read(&job.node, &mut findings);
        }
    }
    let project = source.map(|source| build::project(&root, source, views, jobs, &mut findings));
    Loaded { project, diagnostics: arrange(findings) }
}

fn read_root(root: &Path, environment: Option<&str>, findings: &mut Findings) -> Option<RootSource> {
    if !root.join(PROJECT_FILE).exists() {
        let message = format!("there is no {PROJECT_FILE} in {}", root.display());
        let help = "run it inside a project or name the folder with --project; `milepost init` makes a new one";
        findings.push(files::unplaced("no-project", message).with_help(help));
        return None;
    }
    let file = files::read_source(root, PROJECT_FILE, findings)?;
    let node = Node::parse(&file, findings)?;
    let (merged, chosen) = choose(&node, environment, findings);
    let fields = ProjectFields::read(&merged, findings)?;
    Some(RootSource { file, fields, chosen })
}

fn read_views(root: &Path, findings: &mut Findings) -> BTreeMap<String, View> {
    let mut views = BTreeMap::new();
    for path in files::list(root, "sql", findings) {
        if !files::has_extension(&path, "sql") {
            continue;
        }
        let Some(file) = files::read_source(root, &path, findings) else { continue };
        let place = Place::new(&file, 0..file.text.len());
        let name = Located::new(files::stem(&path).to_owned(), Place::start_of(&file));
        if is_identifier("view", &name, findings) {
            let sql = Located::new(file.text.clone(), place);
            views.insert(name.value.clone(), View { name: name.value, sql });
        }
    }
    views
}

fn read_jobs(root: &Path, findings: &mut Findings) -> Vec<JobSource> {
    let mut jobs = Vec::new();
    for path in files::list(root, "jobs", findings) {
        if files::has_extension(&path, "yaml") {
            let file = Arc::new(SourceFile { path: path.clone(), text: String::new() });
            let finding = Diagnostic::error(
                "job-extension",
                "jobs end in `.yml`, so this file is not read",
                &Place::start_of(&file),
            );
            findings.push(finding.with_help("rename it, or move it out of jobs/"));
        }
        if !files::has_extension(&path, "yml") {
            continue;
        }
        let Some(file) = files::read_source(root, &path, findings) else { continue };
        if let Some(node) = Node::parse(&file, findings) {
            jobs.push(JobSource { file, node });
        }
    }
    jobs
}
