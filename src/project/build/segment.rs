//! `segment:` of a table made whole. The columns of chronology are the calls' own, so the table does not name them.

use std::path::Path;

use super::tables::location;
use crate::model::diagnostic::{Diagnostic, Located, Place};
use crate::project::project::{SegmentRows, TableSource};
use crate::project::read::{Findings, report_missing};
use crate::project::schema::TableFields;

/// The calls that a table names, with their place.
pub(super) fn source(root: &Path, fields: &TableFields, findings: &mut Findings) -> Option<(Place, TableSource)> {
    let written = fields.segment.as_ref()?;
    let (calls, place) = (&written.value, &written.place);
    report_missing(
        &calls.given,
        "location",
        "name the folder: `location: s3://acme/segment-logs/SOURCE/`",
        place,
        findings,
    );
    let layouts = "say how files lie there: `layout: s3_logs`, data_lake or warehouse";
    report_missing(&calls.given, "layout", layouts, place, findings);
    let (at, layout) = (calls.location.clone()?, calls.layout.as_ref()?.value);
    let location = location(root, at, findings);
    if location.value.contains(['*', '?', '[']) {
        let finding = Diagnostic::error("bad-location", "calls lie in a folder, and this is a glob", &location.place);
        findings.push(finding.with_help("name the folder of one source"));
        return None;
    }
    let rows = calls.gives.as_ref().map_or(SegmentRows::Events, |rows| rows.value);
    Some((place.clone(), TableSource::Segment { location, layout, rows }))
}

/// Keys that say what calls say of themselves.
pub(super) fn refuse_keys(source: &TableSource, fields: &TableFields, findings: &mut Findings) {
    if !matches!(source, TableSource::Segment { .. }) {
        return;
    }
    let named = [("time", &fields.time), ("received", &fields.received), ("dedup", &fields.dedup)];
    let named = named.into_iter().filter_map(|(key, written)| Some((key, &written.as_ref()?.place)));
    let zone = fields.zone.as_ref().map(|zone| ("zone", &zone.place));
    let partitions = fields.partitions.as_ref().map(|partitions| ("partitions", &partitions.place));
    let dates = fields.path_dates.as_ref().map(|dates| ("path_dates", &dates.place));
    for (key, place) in named.chain(zone).chain(partitions).chain(dates) {
        let message = format!("`{key}` is known of calls, and the table need not say it");
        findings.push(Diagnostic::error("not-for-calls", message, place).with_help("take it out"));
    }
}

/// `time`, `received` and `dedup` of a table of calls.
pub(super) fn chronology(source: &TableSource, place: &Place) -> Option<[Located<String>; 3]> {
    let TableSource::Segment { rows: SegmentRows::Events, .. } = source else { return None };
    Some(["timestamp", "received_at", "message_id"].map(|column| Located::new(column.to_owned(), place.clone())))
}
