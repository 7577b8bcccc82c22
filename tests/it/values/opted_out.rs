//! The list of people who left, as people keep it: every row suppresses somebody, or nobody is mailed.

use super::{project, run, subjects};
use crate::cli::milepost;

const JOB: &str = "job: job\nstart: all\naudience: people\nmessage: {subject: s, template: t.html}\nmilestones:\n  - {name: done, from: \
                   events, reaches: [1]}\n";
const EVENTS: (&str, &str) =
    ("events.csv", "user_id,at\n42,2026-10-10T10:00:00Z\nu7,2026-10-10T10:00:00Z\nu8,2026-10-10T10:00:00Z\n");
const PEOPLE: (&str, &str) = ("people.csv", "profile_id,email\n42,ann@x.test\nu7,bob@y.test\nu8,cy@z.test\n");

fn with_list(list: &str) -> tempfile::TempDir {
    let tables = "  events: {csv: events.csv, time: at}\n  people: {csv: people.csv}\n  left: {csv: left.csv, columns: {profile_id: \
                  string, email: string}}\nsuppressed: left";
    project(tables, JOB, &[EVENTS, PEOPLE, ("left.csv", list)])
}

fn mail(list: &str) -> (Option<i32>, String, Vec<String>) {
    let folder = with_list(list);
    let (code, said) = run(folder.path(), &["run", "--as-of", "2026-10-11T00:00:00Z", "--replay"]);
    let mailed = subjects(folder.path());
    (code, said, mailed.into_iter().map(|mail| mail.split(':').next().unwrap_or_default().to_owned()).collect())
}

#[test]
fn every_spelling_on_the_list_suppresses() {
    for row in [
        ",ann@x.test",
        ",ANN@X.test",
        ",\"\"\"ann@x.test\"\"\"",
        ",<ann@x.test>",
        ",Ann Lee <ann@x.test>",
        ",\"\"\"Lee, Ann\"\" <ann@x.test>\"",
        ",ann@x.test;",
        ",mailto:ann@x.test",
        ",ann@x.test.",
        ",\u{feff}ann@x.test\u{a0}",
        ",ａｎｎ＠ｘ.test",
        ",ann@\u{200b}x.test",
        ",ann@x.test  someone@else.test",
        ",\"ann@x.test, someone@else.test\"",
        "42,",
        "42.0,",
        " 42 ,",
        "\u{a0}42,",
        "42,n/a",
        "\"\"\"42\"\"\",",
    ] {
        let (code, said, mailed) = mail(&format!("profile_id,email\n{row}\n"));
        assert_eq!((code, mailed), (Some(0), vec!["bob@y.test".to_owned(), "cy@z.test".to_owned()]), "{row:?}: {said}");
    }
    let (_, said, mailed) = mail("profile_id,email\n,ann@x.test bob@y.test\nu8,\n");
    assert!(mailed.is_empty(), "{said}");
}

#[test]
fn a_row_that_suppresses_nobody_stops_the_run_before_anything_leaves() {
    for (row, shown) in [
        (",n/a", "n/*"),
        (",ann", "a**"),
        (",@acme.test", "@****.****"),
        (",bob@", "b**@"),
        (",\"ann@x.test; bob@\"", "a**@*.****; ***@"),
        (",", "null"),
        ("\" \",", "` `"),
    ] {
        let (code, said, mailed) = mail(&format!("profile_id,email\n,gone@x.test\n{row}\n"));
        assert_eq!(code, Some(2), "{row}: {said}");
        assert!(said.contains("row 2 of `left`") && said.contains(shown), "{row}: {said}");
        assert!(!said.contains("acme") && mailed.is_empty(), "{said}");
    }
}

#[test]
fn the_command_reads_as_the_list_does() {
    for arguments in [
        &["suppress", "Ann Lee <ANN@x.test>"][..],
        &["suppress", "mailto:ann@x.test"],
        &["suppress", " ann@x.test;"],
        &["suppress", "--profile", " 42 "],
        &["suppress", "--profile", "42.0"],
    ] {
        let folder = with_list("profile_id,email\n,gone@x.test\n");
        milepost(folder.path(), &["ledger", "create"]).expect(0);
        milepost(folder.path(), arguments).expect(0);
        let (code, said) = run(folder.path(), &["run", "--as-of", "2026-10-11T00:00:00Z", "--replay"]);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(subjects(folder.path()).len(), 2, "{arguments:?}: {said}");
    }
    let folder = with_list("profile_id,email\n,gone@x.test\n");
    milepost(folder.path(), &["ledger", "create"]).expect(0);
    for wrong in ["ann@x.test bob@y.test", "nobody", "@x.test"] {
        milepost(folder.path(), &["suppress", wrong]).expect(2);
    }
}
