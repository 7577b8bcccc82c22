//! `ledger:` made whole: a file of the project or a URL, one per environment.
//!
//! A reference (`env:`, `file:`) that cannot be read is no finding, since `check` must work without credentials: it
//! becomes [`LedgerLocation::Unresolved`], whose finding whoever opens the ledger reports.

use std::path::{Path, PathBuf};

use crate::model::SourceFile;
use crate::model::diagnostic::{Diagnostic, Located, Place};
use crate::project::files::unplaced;
use crate::project::overlay::Chosen;
use crate::project::project::LedgerLocation;
use crate::project::read::Findings;
use crate::project::secrets::{LedgerText, is_reference};
use crate::settings::{LocalFiles, Secret, SecretError};

const DEFAULT_LEDGER: &str = ".milepost/ledger.db";
const SHAPE_HELP: &str = "write `sqlite:PATH`, `postgres://HOST/DATABASE`, `env:NAME` or `file:PATH`";

/// Finds where the ledger is.
pub(super) fn build(
    root: &Path,
    written: Option<&Located<LedgerText>>,
    chosen: Option<&Chosen>,
    findings: &mut Findings,
) -> LedgerLocation {
    let borrowed_by = chosen.filter(|chosen| !chosen.own_ledger);
    let Some(written) = written else {
        let path = sqlite_path(root, DEFAULT_LEDGER, borrowed_by);
        // A link that was committed may stand where the folder is to be.
        let Err(refusal) = LocalFiles::of_project(root).admit_path(&path) else { return LedgerLocation::Sqlite(path) };
        let finding = unplaced("path-outside", format!("the ledger: {refusal}"));
        let finding = finding.with_optional_help(refusal.help().map(str::to_owned));
        findings.push(finding.clone());
        return LedgerLocation::Unresolved(Box::new(finding));
    };
    let place = &written.place;
    let text = written.value.0.as_str();
    let reference = is_reference(text);
    let resolved = match reference.then(|| Secret::resolve(text, root)) {
        None => text.to_owned(),
        Some(Ok(secret)) => secret.expose().trim().to_owned(),
        Some(Err(error)) => {
            return LedgerLocation::Unresolved(Box::new(unset(&error, place)));
        }
    };
    let located = locate(root, &resolved, borrowed_by, place).and_then(|location| {
        // A variable was set where the run starts; what stands in files of the project may lead anywhere.
        let LedgerLocation::Sqlite(path) = &location else { return Ok(location) };
        let is_trusted = text.starts_with("env:");
        let admitted = if is_trusted { Ok(()) } else { LocalFiles::of_project(root).admit_path(path) };
        match admitted {
            Ok(()) => Ok(location),
            Err(refusal) => {
                let finding = Diagnostic::error("path-outside", refusal.to_string(), place);
                Err(Box::new(finding.with_optional_help(refusal.help().map(str::to_owned))))
            }
        }
    });
    match located {
        Ok(location) => location,
        Err(finding) => {
            if !reference {
                findings.push((*finding).clone());
            }
            LedgerLocation::Unresolved(finding)
        }
    }
}

fn unset(error: &SecretError, place: &Place) -> Diagnostic {
    let finding = Diagnostic::error("unset-secret", format!("the ledger is unknown: {error}"), place);
    finding.with_help("set it where the run starts")
}

/// A ledger that somebody names on the command line.
pub(in crate::project) fn of_argument(root: &Path, text: &str) -> LedgerLocation {
    let source = std::sync::Arc::new(SourceFile { path: "the command line".to_owned(), text: text.to_owned() });
    let place = Place::new(&source, 0..text.len());
    // Whoever types a path may write there.
    let resolved = if is_reference(text) {
        Secret::resolve(text, root).map(|secret| secret.expose().trim().to_owned())
    } else {
        Ok(text.to_owned())
    };
    match resolved {
        Ok(resolved) => locate(root, &resolved, None, &place).unwrap_or_else(LedgerLocation::Unresolved),
        Err(error) => LedgerLocation::Unresolved(Box::new(unset(&error, &place))),
    }
}

fn locate(
    root: &Path,
    text: &str,
    borrowed_by: Option<&Chosen>,
    place: &Place,
) -> Result<LedgerLocation, Box<Diagnostic>> {
    if let Some(path) = text.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() || path.starts_with(':') || path.ends_with('/') || path.contains('?') {
            let message = "the ledger must be a file: it remembers who was mailed";
            return Err(Box::new(Diagnostic::error("bad-ledger", message, place).with_help(SHAPE_HELP)));
        }
        return Ok(LedgerLocation::Sqlite(sqlite_path(root, path, borrowed_by)));
    }
    if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
        // The text is not repeated: it may have come from a secret.
        let finding = Diagnostic::error("bad-ledger", "this names no ledger", place).with_help(SHAPE_HELP);
        return Err(Box::new(finding));
    }
    if let Some(chosen) = borrowed_by {
        let message = format!("the environment `{}` must name its own PostgreSQL ledger", chosen.name.value);
        let finding = Diagnostic::error("shared-ledger", message, &chosen.name.place);
        return Err(Box::new(
            finding.with_help(format!("the one at {place} belongs to the project without environment")),
        ));
    }
    Ok(LedgerLocation::Postgres(Secret::new(text.to_owned())))
}

/// The file, with the environment's name in it where the environment names no ledger of its own.
fn sqlite_path(root: &Path, path: &str, borrowed_by: Option<&Chosen>) -> PathBuf {
    let path = root.join(path);
    let Some(chosen) = borrowed_by else { return path };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let name = match path.extension() {
        Some(extension) => format!("{stem}.{}.{}", chosen.name.value, extension.to_string_lossy()),
        None => format!("{stem}.{}", chosen.name.value),
    };
    path.with_file_name(name)
}
