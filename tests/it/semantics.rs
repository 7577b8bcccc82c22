//! A job test for every row of the occasion table and for every decision: `tests/it/fixtures/semantics`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use milepost::model::Decision;
use milepost::run::{Exit, TestRequest, WorkspaceOptions, test};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/semantics")
}

/// The first cells of the table of docs/reference/jobs.md whose heading row is `heading`, as parts of file names.
fn rows_of_table(heading: &str) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/jobs.md");
    let page = fs::read_to_string(page).expect("the reference");
    let table = page.lines().skip_while(|line| *line != heading).skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    let first = rows.map(|row| row.split('|').nth(1).expect("a cell").trim().trim_matches('`').replace(' ', "_"));
    first.collect()
}

/// The names of the fixture's tests, with their text.
fn cases() -> Vec<(String, String)> {
    let folder = fixture().join("jobs/tests");
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let case = |path: PathBuf| {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        (name, fs::read_to_string(path).expect("readable"))
    };
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "yml")).map(case).collect()
}

/// Whether a case is of this row: named after it, perhaps with more.
fn is_of(case: &str, row: &str) -> bool {
    case.strip_prefix(row).is_some_and(|more| more.is_empty() || more.starts_with('_'))
}

#[tokio::test]
async fn every_case_holds() {
    let options = WorkspaceOptions { project: Some(fixture()), threads: Some(2), ..WorkspaceOptions::default() };
    let report = test(&options, &TestRequest::default()).await.expect("a project without errors");
    let failures: Vec<_> = report.failed().map(|test| (&test.name, &test.failures)).collect();
    assert_eq!((report.exit(), failures), (Exit::Done, Vec::new()), "{:#?}", report.diagnostics);
    assert_eq!(report.tests.len(), cases().len(), "every file is a test");
}

#[test]
fn every_occasion_and_every_decision_has_a_case() {
    let mut wanted: Vec<String> =
        rows_of_table("| milestone | occasion |").iter().map(|row| format!("occasion_{row}")).collect();
    wanted.extend(["day", "week", "month", "quarter", "year", "zone", "with_an_entity"].map(|period| {
        // A recap's occasion is its period's key.
        format!("occasion_recap_{period}")
    }));
    let documented: BTreeSet<String> = rows_of_table("| decision | because |").into_iter().collect();
    let decisions: BTreeSet<String> = Decision::ALL.map(|decision| decision.name().to_owned()).into();
    assert_eq!(documented, decisions, "docs/reference/jobs.md has every decision");
    wanted.extend(decisions.iter().map(|decision| format!("decision_{decision}")));
    wanted.push("decision_render_failed".to_owned());
    assert!(wanted.len() >= 22, "the tables were found: {wanted:?}");

    let cases = cases();
    let missing: Vec<_> = wanted.iter().filter(|row| !cases.iter().any(|(case, _)| is_of(case, row))).collect();
    assert!(missing.is_empty(), "rows without a case in tests/it/fixtures/semantics/jobs/tests: {missing:?}");
    let stray: Vec<_> =
        cases.iter().map(|(case, _)| case).filter(|case| !wanted.iter().any(|row| is_of(case, row))).collect();
    assert!(stray.is_empty(), "cases of no row: {stray:?}");
}

/// A case named after a decision counts at least one candidate with it.
#[test]
fn cases_of_decisions_show_them() {
    for (case, text) in cases() {
        let Some(name) = case.strip_prefix("decision_") else { continue };
        let decision = Decision::ALL.map(Decision::name).into_iter().chain(["render_failed"]);
        let decision = decision.filter(|decision| is_of(name, decision)).max_by_key(|decision| decision.len());
        let decision = decision.unwrap_or_else(|| panic!("{case} is of no decision"));
        let counted = text.lines().find_map(|line| line.strip_prefix("expect_decisions: "));
        let counted = counted.unwrap_or_else(|| panic!("{case} counts no decisions"));
        let shown = counted
            .trim_matches(['{', '}'])
            .split(", ")
            .any(|count| count.split_once(": ").is_some_and(|(name, count)| name == decision && count != "0"));
        assert!(shown, "{case} shows no {decision}: {counted}");
    }
}
