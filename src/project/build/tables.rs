//! `tables:` made whole: one format and one location each, partitions that prune by columns the table names.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::{databases, health, segment};
use crate::model::diagnostic::{Diagnostic, Located, Place, did_you_mean};
use crate::project::names::is_identifier;
use crate::project::project::{FileFormat, Partition, PartitionKind, PartitionOf, PathDates, Table, TableSource};
use crate::project::read::{Findings, Named, quoted, report_missing};
use crate::project::schema::{PartitionFields, TableFields};

/// The schemes of locations outside this machine.
const SCHEMES: [&str; 3] = ["s3", "gs", "az"];
const DEFAULT_LOOKBACK: SignedDuration = SignedDuration::from_hours(3 * 24);

/// Builds every table that has a name and a location.
pub(super) fn build(
    root: &Path,
    declared: Named<Located<TableFields>>,
    findings: &mut Findings,
) -> BTreeMap<String, Table> {
    let mut tables = BTreeMap::new();
    for (name, fields) in declared.0 {
        if !is_identifier("table", &name, findings) {
            continue;
        }
        if let Some(table) = table(root, &name, fields.value, findings) {
            tables.insert(name.value, table);
        }
    }
    tables
}

fn table(root: &Path, name: &Located<String>, fields: TableFields, findings: &mut Findings) -> Option<Table> {
    let source = source(root, name, &fields, findings)?;
    databases::refuse_keys_of_files(&source, &fields, findings);
    segment::refuse_keys(&source, &fields, findings);
    let [time, received, dedup] = segment::chronology(&source, &name.place)
        .map_or([fields.time, fields.received, fields.dedup], |own| own.map(Some));
    let partitions = fields.partitions.map(|partitions| partitions.value).unwrap_or_default();
    let partitions = partitions
        .0
        .into_iter()
        .filter_map(|(key, partition)| build_partition(key, partition, findings))
        .collect::<Vec<_>>();
    for partition in &partitions {
        let (column, known) = match partition.of {
            Some(PartitionOf::Received) => ("received", received.is_some()),
            Some(PartitionOf::Time) => ("time", time.is_some()),
            None => continue,
        };
        if !known && !fields.given.contains(&column) {
            let message =
                format!("`{}` prunes by `{column}`, but the table names no `{column}` column", partition.name);
            let help = format!("add `{column}: COLUMN` to the table, or take `of` out");
            findings.push(Diagnostic::error("missing-key", message, &partition.place).with_help(help));
        }
    }
    let path_dates = fields.path_dates.map(|dates| {
        check_path_dates(&dates, &partitions, findings);
        dates.value
    });
    let health = health::build(fields.health, time.as_ref(), findings);
    let columns = fields.columns.map(|columns| columns.value.0).unwrap_or_default();
    for (column, kind) in &columns {
        if partitions.iter().any(|partition| partition.name == column.value) {
            let message = format!("the column `{}` is a partition, which has a type of its own", column.value);
            findings.push(Diagnostic::error("two-types", message, &kind.place).with_help("keep one of the two"));
        }
    }
    Some(Table {
        name: name.value.clone(),
        source,
        partitions,
        path_dates,
        columns: columns.into_iter().map(|(column, kind)| (column, kind.value)).collect(),
        time,
        received,
        dedup,
        zone: fields.zone.map_or(TimeZone::UTC, |zone| zone.value),
        lookback: fields.lookback.map_or(DEFAULT_LOOKBACK, |lookback| lookback.value),
        health,
        place: name.place.clone(),
    })
}

/// The keys that say where a table's rows are; a table has one of them.
const SOURCES: &[&str] = &["parquet", "csv", "ndjson", "delta", "segment", "postgres", "sqlite"];

/// The one source of a table; a second one is a finding, and none is another.
fn source(root: &Path, name: &Located<String>, fields: &TableFields, findings: &mut Findings) -> Option<TableSource> {
    let files =
        |written: &Option<Located<String>>, format| Some((written.as_ref()?.place.clone(), written.clone()?, format));
    let databases = databases::sources(root, fields, findings);
    let calls = segment::source(root, fields, findings);
    let written = [
        files(&fields.parquet, FileFormat::Parquet),
        files(&fields.csv, FileFormat::Csv),
        files(&fields.ndjson, FileFormat::Ndjson),
        files(&fields.delta, FileFormat::Delta),
    ];
    let mut sources = written
        .into_iter()
        .flatten()
        .map(|(place, written, format)| {
            (place, TableSource::Files { format, location: location(root, written, findings) })
        })
        .collect::<Vec<_>>()
        .into_iter()
        .chain(calls)
        .chain(databases);
    let Some((first, source)) = sources.next() else {
        if !SOURCES.iter().any(|key| fields.given.contains(key)) {
            let message = format!("the table `{}` does not say where its rows are", name.value);
            let finding = Diagnostic::error("missing-key", message, &name.place);
            findings.push(finding.with_help("add `parquet: data/events/`, `csv: data/people.csv` or `ndjson: logs/`"));
        }
        return None;
    };
    if let Some((second, _)) = sources.next() {
        let message = format!("the table `{}` has two sources", name.value);
        let finding = Diagnostic::error("two-sources", message, &second);
        findings.push(finding.with_help(format!("another is given at {first}; keep one of the two")));
    }
    Some(source)
}

/// A partition made from bare folders needs the parts of the date that its type is made of.
fn check_path_dates(dates: &Located<PathDates>, partitions: &[Partition], findings: &mut Findings) {
    if partitions.is_empty() {
        let finding = Diagnostic::error("missing-key", "`path_dates` names no column", &dates.place);
        findings.push(finding.with_help("add `partitions: {day: {type: date, of: received}}` to the table"));
    }
    for partition in partitions {
        let parts: &[&str] = match partition.kind {
            PartitionKind::Date => &["%Y", "%m", "%d"],
            PartitionKind::Month => &["%Y", "%m"],
            PartitionKind::Hour => &["%H"],
            PartitionKind::Int | PartitionKind::Text => &["key=value folders"],
        };
        let missing = parts.iter().find(|part| !dates.value.spells(part) && !dates.value.spells("%s"));
        let missing = missing.or_else(|| parts.first().filter(|part| !part.starts_with('%')));
        if let Some(missing) = missing {
            let message = format!("`{}` cannot be made from `path_dates` without {missing}", partition.name);
            findings.push(Diagnostic::error("bad-path-dates", message, &partition.place));
        }
    }
}

fn build_partition(
    key: Located<String>,
    fields: Located<PartitionFields>,
    findings: &mut Findings,
) -> Option<Partition> {
    let Located { value: fields, .. } = fields;
    let help = "say how its values read: `type: date`, month, hour, int or string";
    report_missing(&fields.given, "type", help, &key.place, findings);
    Some(Partition {
        name: key.value,
        kind: fields.kind?.value,
        of: fields.of.map(|of| of.value),
        zone: fields.zone.map_or(TimeZone::UTC, |zone| zone.value),
        place: key.place,
    })
}

/// An absolute local path, or a URL of a known kind.
pub(super) fn location(root: &Path, written: Located<String>, findings: &mut Findings) -> Located<String> {
    let Located { value, place } = written;
    let Some((scheme, rest)) = value.split_once("://") else {
        return Located::new(root.join(value.trim()).to_string_lossy().into_owned(), place);
    };
    if !SCHEMES.contains(&scheme) || rest.is_empty() {
        findings.push(bad_location(&value, scheme, &place));
    }
    Located::new(value, place)
}

fn bad_location(value: &str, scheme: &str, place: &Place) -> Diagnostic {
    let help = did_you_mean(scheme, SCHEMES)
        .unwrap_or_else(|| "write a local path, or a URL that begins with s3://, gs:// or az://".to_owned());
    Diagnostic::error("bad-location", format!("{} is no location of files", quoted(value)), place).with_help(help)
}
