//! The templates that people copy: every variable in them is misspelt once, and every slip is found at its line.

use std::fs;
use std::path::{Path, PathBuf};

use milepost::evaluate;
use milepost::model::{Diagnostic, Severity};
use milepost::project;
use milepost::render::Composer;
use milepost::warehouse::{Warehouse, WarehouseOptions};

use crate::cli::copy_tree;

/// Objects whose fields the shapes of a job name.
const OBJECTS: [&str; 9] = ["profile.", "milestone.", "period.", "metrics.", "vars.", "row.", "top.", "habit.", "one."];

/// Where the paths of variables inside liquid segments end.
fn path_ends(template: &str) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut inside = false;
    let part = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == '.';
    for (at, _) in template.char_indices() {
        let rest = &template[at..];
        if rest.starts_with("{{") || rest.starts_with("{%") {
            inside = true;
        } else if rest.starts_with("}}") || rest.starts_with("%}") {
            inside = false;
        }
        let begins = !template[..at].ends_with(part) && !template[..at].ends_with(['\'', '"']);
        if inside && begins && OBJECTS.iter().any(|object| rest.starts_with(object)) {
            ends.push(at + rest.find(|character| !part(character)).unwrap_or(rest.len()));
        }
    }
    ends
}

fn names(finding: &Diagnostic, file: &Path, line: usize) -> bool {
    let Some(place) = &finding.place else { return false };
    finding.severity == Severity::Error && file.ends_with(&place.file.path) && place.line_and_column().0 == line
}

/// Misspells each variable of a job's templates and returns how many slips there were, and those that were not found.
async fn misspell_all(root: &Path) -> (usize, Vec<String>) {
    let loaded = project::load(root, None);
    let project = loaded.project.expect("a project");
    let (warehouse, _) = Warehouse::open(&project, &WarehouseOptions::default()).await.expect("readable tables");
    let (mut slips, mut missed) = (0, Vec::new());
    for job in &project.jobs {
        let compiled = evaluate::compile(&project, job, &warehouse).await.expect("a sound job");
        let mut files: Vec<PathBuf> = job.messages().iter().map(|message| message.template.value.clone()).collect();
        files.dedup();
        for file in files {
            let sound = fs::read_to_string(&file).expect("a template");
            for end in path_ends(&sound) {
                fs::write(&file, format!("{}x{}", &sound[..end], &sound[end..])).expect("writable");
                let line = sound[..end].matches('\n').count() + 1;
                let (_, findings) = Composer::new(&project, job, compiled.shapes());
                slips += 1;
                if !findings.iter().any(|finding| names(finding, &file, line)) {
                    missed.push(format!("{}:{line}: {:?}", file.display(), &sound[end.saturating_sub(30)..end]));
                }
            }
            fs::write(&file, sound).expect("writable");
        }
    }
    (slips, missed)
}

#[tokio::test]
async fn every_misspelt_variable_is_found_at_its_line() {
    let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut slips = 0;
    for project in
        ["", "examples/starter", "examples/cdnow", "examples/writing-app", "examples/collaboration", "examples/fitness"]
    {
        let folder = tempfile::tempdir().expect("a folder");
        for part in ["milepost.yml", "jobs", "sql", "data"] {
            copy_tree(&repository.join(project).join(part), &folder.path().join(part));
        }
        let (more, missed) = misspell_all(folder.path()).await;
        assert!(missed.is_empty(), "not found:\n{}", missed.join("\n"));
        slips += more;
    }
    assert!(slips >= 350, "only {slips} variables were misspelt");
}
