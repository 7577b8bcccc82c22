//! Every example runs and its numbers hold.

mod expected;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use milepost::evaluate::FlagColumns;
use milepost::run::{Exit, TestRequest, WorkspaceOptions, test};

use crate::cli::{copy_tree, milepost};
use crate::evaluate::world::{World, at, at_period};

const AS_OF: &str = "1998-07-01T00:00:00Z";

pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

/// Flags of the purchase milestones: how many hold each, and how many reached it in June 1998.
fn counted(flags: &[String]) -> BTreeMap<(String, u64), (u64, u64)> {
    let mut counts = BTreeMap::new();
    for flag in flags {
        let cells: Vec<&str> = flag.split(',').collect();
        let key = (cells[1].to_owned(), cells[2].parse::<f64>().expect("a level") as u64);
        let count: &mut (u64, u64) = counts.entry(key).or_default();
        count.0 += 1;
        count.1 += u64::from(cells[4].starts_with("1998-06"));
    }
    counts
}

/// The root project and every example have job tests for each of their jobs, and those pass.
#[tokio::test]
async fn job_tests_pass() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf();
    let examples = [("starter", 1), ("cdnow", 2), ("writing-app", 3), ("collaboration", 4), ("fitness", 4)];
    for (project, jobs) in std::iter::once((root, 3)).chain(examples.map(|(name, jobs)| (example(name), jobs))) {
        let options = WorkspaceOptions { project: Some(project.clone()), threads: Some(2), ..Default::default() };
        let report = test(&options, &TestRequest::default()).await.expect("a project without errors");
        let failures: Vec<_> = report.failed().collect();
        assert_eq!((report.exit(), &failures), (Exit::Done, &Vec::new()), "{}", project.display());
        let tested: std::collections::BTreeSet<_> = report.tests.iter().map(|test| &test.job).collect();
        assert!(tested.len() >= jobs, "{}: {tested:?}", project.display());
    }
}

/// The commands that the examples' READMEs show, each in a copy of the repository's projects.
#[test]
fn the_commands_of_the_readmes_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut carried_out = 0;
    for name in ["cdnow", "writing-app", "collaboration", "fitness"] {
        for part in ["milepost.yml", "jobs", "sql", "data"] {
            copy_tree(&example(name).join(part), &folder.path().join("examples").join(name).join(part));
        }
        let readme = fs::read_to_string(example(name).join("README.md")).expect("a README");
        for command in readme.lines().filter_map(|line| line.strip_prefix("$ cargo run -- ")) {
            milepost(folder.path(), &command.split(' ').collect::<Vec<_>>()).expect(0);
            carried_out += 1;
        }
    }
    assert_eq!(carried_out, 9);
}

#[tokio::test]
async fn cdnow_purchase_milestones() {
    let world = World::open(&example("cdnow")).await;
    let flags = world.flags("purchase_milestones", &at(AS_OF), FlagColumns::Reached).await;
    let counts = counted(&flags);
    let held = |milestone: &str, level| counts[&(milestone.to_owned(), level)];
    let purchases: Vec<u64> = [1, 5, 10, 25, 50, 100].map(|level| held("purchases", level).0).to_vec();
    assert_eq!(purchases, [23_570, 3_925, 1_154, 129, 20, 8]);
    assert_eq!(held("purchases", 10).1, 87, "people whose tenth purchase was in June 1998");
    // Counted by a plain loop over the rows in another language.
    let dollars: Vec<u64> = [100, 500, 1000, 5000].map(|level| held("dollars_spent", level).0).to_vec();
    assert_eq!(dollars, [6_234, 734, 200, 5]);
}

#[tokio::test]
async fn cdnow_month_in_review() {
    let world = World::open(&example("cdnow")).await;
    let rows = world.metrics("month_in_review", &at_period(AS_OF, "1998-06")).await;
    assert_eq!(rows.len(), 23_570, "everybody in the audience has a row");
    let (mut active, mut purchases, mut cds, mut dollars, mut purchases_before) = (0, 0, 0, 0.0, 0);
    for row in &rows {
        let cells: Vec<&str> = row.split(',').collect();
        assert_eq!(cells[1], "1998-06");
        let number = |cell: usize| cells[cell].parse::<f64>().expect("a number");
        active += u64::from(number(2) > 0.0);
        purchases += number(2) as u64;
        purchases_before += number(3) as u64;
        cds += number(4) as u64;
        dollars += number(6);
    }
    assert_eq!((active, purchases, cds), (1_506, 2_043, 5_287));
    assert_eq!(format!("{dollars:.2}"), "76109.30");
    assert_eq!(purchases_before, 1_985);
}

#[tokio::test]
async fn cdnow_candidates_are_the_active_customers() {
    let world = World::open(&example("cdnow")).await;
    let (candidates, tally) = world.candidates("month_in_review", &at(AS_OF)).await;
    let wanted: Vec<_> = candidates.iter().filter(|candidate| candidate.wanted).collect();
    assert_eq!((candidates.len(), wanted.len()), (23_570, 1_506));
    assert_eq!(tally.by_reason().map(|(_, count)| count).sum::<u64>(), 0);
    let first = wanted.first().expect("an active customer");
    assert_eq!(first.key.occasion, "1998-06");
    assert_eq!(
        first.context.fields().expect("what was written reads")["profile"]["email"],
        format!("customer_{}@example.test", first.key.profile_id)
    );
}
