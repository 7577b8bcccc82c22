//! `postgres:` and `sqlite:` of a table made whole. What opens doors is named, never written: `env:NAME` or `file:PATH`.

use std::path::Path;

use crate::model::diagnostic::{Diagnostic, Located, Place};
use crate::project::project::{ColumnKind, TableSource};
use crate::project::read::{Findings, report_missing};
use crate::project::schema::{PostgresFields, SqliteFields, TableFields};
use crate::project::secrets::is_reference;

/// The databases that a table names, each with its place.
pub(super) fn sources(root: &Path, fields: &TableFields, findings: &mut Findings) -> Vec<(Place, TableSource)> {
    let mut sources = Vec::new();
    if let Some(written) = &fields.postgres {
        let source = postgres(root, written, findings);
        sources.extend(source.map(|source| (written.place.clone(), source)));
    }
    if let Some(written) = &fields.sqlite {
        let source = sqlite(root, written, findings);
        sources.extend(source.map(|source| (written.place.clone(), source)));
    }
    sources
}

fn postgres(root: &Path, written: &Located<PostgresFields>, findings: &mut Findings) -> Option<TableSource> {
    let Located { value: fields, place } = written;
    let url_help = "name where it stands: `url: \"env:MILEPOST_CRM_URL\"`";
    report_missing(&fields.given, "url", url_help, place, findings);
    report_missing(&fields.given, "table", "name the table: `table: public.customers`", place, findings);
    let (mut url, table) = (fields.url.clone()?, fields.table.clone()?);
    if !is_reference(&url.value) {
        let message = "the URL of a database is written in plain text";
        let help = "write `env:NAME` or `file:PATH`; if it held a password, change that: it has been seen";
        findings.push(Diagnostic::error("plain-secret", message, &url.place).with_help(help));
        return None;
    }
    if let Some(path) = url.value.strip_prefix("file:") {
        url.value = format!("file:{}", root.join(path).display());
    }
    if table.value.split('.').count() > 2 || table.value.split('.').any(str::is_empty) {
        let message = format!("`{}` is neither a table nor a schema and its table", table.value);
        let finding = Diagnostic::error("bad-table", message, &table.place);
        findings.push(finding.with_help("write `customers` or `public.customers`; the database is part of the URL"));
        return None;
    }
    Some(TableSource::Postgres { url, table })
}

fn sqlite(root: &Path, written: &Located<SqliteFields>, findings: &mut Findings) -> Option<TableSource> {
    let Located { value: fields, place } = written;
    report_missing(&fields.given, "file", "name the file: `file: crm.db`", place, findings);
    report_missing(&fields.given, "table", "name the table: `table: customers`", place, findings);
    let (mut file, table) = (fields.file.clone()?, fields.table.clone()?);
    if file.value.contains("://") {
        let finding = Diagnostic::error("bad-location", "a SQLite file is a file of this machine", &file.place);
        findings.push(finding.with_help("write its path, such as `file: crm.db`"));
        return None;
    }
    file.value = root.join(file.value.trim()).to_string_lossy().into_owned();
    Some(TableSource::Sqlite { file, table })
}

/// What only files have is no part of a table of a database.
pub(super) fn refuse_keys_of_files(source: &TableSource, fields: &TableFields, findings: &mut Findings) {
    if matches!(source, TableSource::Files { .. } | TableSource::Segment { .. }) {
        return;
    }
    let partitions = fields.partitions.as_ref().map(|partitions| ("partitions", &partitions.place));
    let dates = fields.path_dates.as_ref().map(|dates| ("path_dates", &dates.place));
    let columns = fields.columns.iter().flat_map(|columns| &columns.value.0);
    let other = columns.filter(|(_, kind)| !matches!(kind.value, ColumnKind::Timestamp | ColumnKind::Epoch(_)));
    for (name, kind) in other {
        let message = format!("the type of `{}` is what its database says", name.value);
        let finding = Diagnostic::error("not-for-databases", message, &kind.place);
        findings.push(finding.with_help(
            "take it out, or cast it in a view of sql/: only `timestamp` and timestamp(s), (ms), (us), (ns) of text and numbers are \
             for databases",
        ));
    }
    for (key, place) in partitions.into_iter().chain(dates) {
        let message = format!("`{key}` is for files, and the table lies in a database");
        let finding = Diagnostic::error("not-for-databases", message, place);
        findings.push(finding.with_help("take it out: the database finds rows and says what its columns are"));
    }
}
