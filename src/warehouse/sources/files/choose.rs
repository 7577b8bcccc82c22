//! Which files of a folder are a table's: those whose names end as the format's do, whatever their case and compression.
//! What is left out is counted and told by name; what would be missed is refused.

use super::decompress;
use crate::model::diagnostic::Diagnostic;
use crate::project::{FileFormat, Table};
use crate::storage::{FoundFile, Listing, Odd, OddKind, Opened};
use crate::warehouse::left_out::{LeftOutFiles, Why};

/// Names that a finding lists.
const LISTED_MAX: usize = 5;

/// Ends of names of other formats: such a file is none of NDJSON, however it is compressed.
const FOREIGN: [&str; 14] = [
    ".csv", ".tsv", ".txt", ".parquet", ".parq", ".pq", ".avro", ".orc", ".arrow", ".tar", ".xml", ".sql", ".md",
    ".xlsx",
];

/// What the names of a format's files end with, where the location is a folder; before the ending of a compression.
pub(super) fn endings(format: FileFormat) -> &'static [&'static str] {
    match format {
        FileFormat::Parquet | FileFormat::Delta => &[".parquet", ".parq", ".pq"],
        FileFormat::Csv => &[".csv"],
        FileFormat::Ndjson => &[".ndjson", ".jsonl", ".json"],
    }
}

/// Whether a file is of a format, by its name.
pub(super) fn is_of(format: FileFormat, name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let bare = decompress::ENDINGS.iter().find_map(|ending| name.strip_suffix(ending));
    let ends = |name: &str, endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    match (bare, format) {
        (None, _) => ends(&name, endings(format)),
        // Logs are often named by their time and their compression alone.
        (Some(bare), FileFormat::Ndjson) => !ends(bare, &FOREIGN),
        (Some(bare), _) => ends(bare, endings(format)),
    }
}

/// The files of a table among those of its location.
pub(super) fn of_format(
    table: &Table,
    format: FileFormat,
    opened: &Opened,
    (listing, left_out): (Listing, &LeftOutFiles),
) -> Result<Vec<FoundFile>, Vec<Diagnostic>> {
    let Listing { files, odd } = listing;
    let found = files.len();
    let names: Vec<String> =
        files.iter().take(LISTED_MAX).map(|file| format!("`{}`", opened.relative(&file.location))).collect();
    let chosen = among(table, format, opened, (files, left_out));
    refuse_odd(table, format, opened, (&odd, left_out))?;
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    let what = if opened.is_folder() { endings(format)[0] } else { "file" };
    let location = table.location().map_or("", |location| &location.value);
    let message = format!("there is no {what} of table `{}` at `{location}`", table.name);
    let help = if found == 0 {
        "check the path: it counts from the folder of milepost.yml".to_owned()
    } else if opened.is_folder() {
        let others = if found > LISTED_MAX { ", ..." } else { "" };
        format!(
            "what lies there is named otherwise: {}{others}; write the location as `{location}*` to read files whatever their names, or \
             rename them",
            names.join(", ")
        )
    } else {
        "the files there are empty".to_owned()
    };
    Err(vec![Diagnostic::error("table-missing", message, super::place_of(table)).with_help(help)])
}

/// The files that are read; the others are counted.
pub(super) fn among(
    table: &Table,
    format: FileFormat,
    opened: &Opened,
    (mut files, left_out): (Vec<FoundFile>, &LeftOutFiles),
) -> Vec<FoundFile> {
    if opened.is_single_file() {
        return files;
    }
    let by_name = opened.is_folder();
    files.retain(|file| {
        let is_named = !by_name || is_of(format, file.location.as_ref());
        let why = match (is_named, file.size) {
            (true, 0) => Why::Empty,
            (true, _) => return true,
            // What a console shows as a folder.
            (false, 0) => return false,
            (false, _) => Why::Name,
        };
        left_out.add(&table.name, why, opened.whole_name(&file.location));
        false
    });
    files
}

/// What is no file is told, or refused where its name says that rows would be missed.
fn refuse_odd(
    table: &Table,
    format: FileFormat,
    opened: &Opened,
    (odd, left_out): (&[Odd], &LeftOutFiles),
) -> Result<(), Vec<Diagnostic>> {
    let mut refused = Vec::new();
    for Odd { path, kind } in odd {
        let is_data = *kind != OddKind::OddName && (!opened.is_folder() || is_of(format, path));
        if !is_data && *kind != OddKind::TooDeep {
            left_out.add(&table.name, Why::NoFile, path.clone());
            continue;
        }
        let message = format!("`{path}` of table `{}` is {}", table.name, kind.words());
        let finding = Diagnostic::error("odd-file", message, super::place_of(table));
        refused.push(finding.with_help("move it away, or put a file in its place"));
    }
    if refused.is_empty() { Ok(()) } else { Err(refused) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_format_whatever_their_case_and_compression() {
        for (name, csv, ndjson, parquet) in [
            ("a.csv", true, false, false),
            ("a.CSV", true, false, false),
            ("a.csv.gz", true, false, false),
            ("a.Csv.ZST", true, false, false),
            ("a.csv.bz2", true, false, false),
            ("a.csv.xz", true, false, false),
            ("a.tsv", false, false, false),
            ("a.gz", false, true, false),
            ("1484006400000.abc.gz", false, true, false),
            ("a.json.zst", false, true, false),
            ("a.JSONL", false, true, false),
            ("a.ndjson.bz2", false, true, false),
            ("a.tar.gz", false, false, false),
            ("a.parquet", false, false, true),
            ("a.PARQUET", false, false, true),
            ("a.parq", false, false, true),
            ("a.parquet.gz", false, false, true),
            ("part-00000", false, false, false),
            ("README.md", false, false, false),
        ] {
            let is = [FileFormat::Csv, FileFormat::Ndjson, FileFormat::Parquet].map(|format| is_of(format, name));
            assert_eq!(is, [csv, ndjson, parquet], "{name}");
        }
    }
}
