//! Event tables as they come after some years: one suite of ugly ones, from local files and from an S3 endpoint.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use milepost::model::Diagnostic;
use milepost::project;
use milepost::warehouse::{Misfit, Parameters, Warehouse, WarehouseError, WarehouseOptions, value};

use crate::storage::S3;

/// Where the files are, when they are not beside the expectations.
const AT: &str = "MILEPOST_TEST_TABLES_AT";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/tables")
}

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir(fixtures()).expect("the fixtures");
    let mut cases: Vec<PathBuf> =
        entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    cases
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a case gives: rows and misfits, or what is said instead.
async fn outcome(case: &Path) -> Result<String, String> {
    let name = case.file_name().expect("a name").to_string_lossy().into_owned();
    let files = match std::env::var(AT) {
        Ok(root) => format!("{root}/{name}/files"),
        Err(_) => case.join("files").to_string_lossy().into_owned(),
    };
    let table = text(&case.join("table.yml")).replace('@', &files);
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("milepost.yml"), format!("project: tables\ntables:\n  t: {table}")).expect("a file");
    let loaded = project::load(folder.path(), None);
    let said = |findings: &[Diagnostic]| {
        findings.iter().map(|finding| format!("{} {:?}", finding.message, finding.help)).collect::<Vec<_>>().join("\n")
    };
    let project = loaded.project.filter(|_| loaded.diagnostics.is_empty()).ok_or_else(|| said(&loaded.diagnostics))?;
    let options = WarehouseOptions { threads: Some(2), ..Default::default() };
    let failed = |error: WarehouseError| error.to_string();
    let (warehouse, findings) = Warehouse::open(&project, &options).await.map_err(failed)?;
    if !findings.is_empty() {
        return Err(said(&findings));
    }
    let session = warehouse.bind(&Parameters::default()).await.map_err(failed)?;
    let batches = session.rows("the case", &text(&case.join("query.sql"))).await.map_err(failed)?;
    let mut lines = String::new();
    for (batch, row) in batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row))) {
        let cells = batch.columns().iter().map(|column| value::json(column, row).to_string());
        let _ = writeln!(lines, "{}", cells.collect::<Vec<_>>().join("|"));
    }
    for Misfit { column, kind, values, files, .. } in warehouse.take_misfits() {
        let _ = writeln!(lines, "! {column} {kind} {values} {files}");
    }
    Ok(lines)
}

#[tokio::test]
async fn ugly_tables_give_their_rows() {
    let cases = cases();
    assert!(cases.len() >= 60, "the fixtures were found");
    let mut wrong = String::new();
    for case in cases {
        let expected = text(&case.join("expected.txt"));
        let outcome = outcome(&case).await;
        let as_expected = match &outcome {
            Ok(rows) => *rows == expected,
            Err(said) => {
                let wanted = expected.lines().map(|line| line.strip_prefix("error "));
                wanted.into_iter().all(|part| part.is_some_and(|part| said.contains(part)))
            }
        };
        if !as_expected {
            let _ = writeln!(wrong, "{}:\n{outcome:?}\nnot\n{expected:?}\n", case.display());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[tokio::test]
async fn the_same_tables_from_an_s3_endpoint() {
    let Some(s3) = S3::start_or_skip() else { return };
    s3.put("tables", Vec::new()).await;
    let mut folders = cases();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let key = path.strip_prefix(fixtures()).expect("below the fixtures").to_string_lossy().replace('%', "%25");
                s3.put(&format!("tables/{key}"), fs::read(&path).expect("a file")).await;
            }
        }
    }
    // The environment of a process is its own: the same test again, in another one.
    let mut again = Command::new(std::env::current_exe().expect("this test"));
    again.args(["--exact", "tables::ugly_tables_give_their_rows", "--nocapture"]);
    again.env(AT, "s3://tables").envs(s3.environment());
    let output = again.output().expect("the test runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
