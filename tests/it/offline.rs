//! A check without tables: the same findings from saved schemas, and a warning where they are no longer true.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::cli::{milepost, root_project};

fn change(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).expect("readable");
    assert!(text.contains(from), "{from} in {}", file.display());
    fs::write(file, text.replacen(from, to, 1)).expect("writable");
}

fn findings(project: &Path, arguments: &[&str], code: i32) -> Value {
    let arguments = [&["check", "--format", "json"], arguments].concat();
    milepost(project, &arguments).expect(code).json()["diagnostics"].clone()
}

#[test]
fn an_offline_check_finds_what_an_online_one_finds() {
    let project = root_project();
    let path = project.path();
    milepost(path, &["check", "--offline"]).expect(2);
    milepost(path, &["check", "--offline", "--save-schemas"]).expect(2);
    let file = path.join("milepost.schemas.json");
    milepost(path, &["check", "--save-schemas", "--strict"]).expect(0);
    let saved = fs::read_to_string(&file).expect("saved");
    assert!(saved.contains("\n      \"message_id\": \"Utf8\""), "a line for each column: {saved}");
    milepost(path, &["check", "--save-schemas"]).expect(0);
    assert_eq!(fs::read_to_string(&file).expect("saved"), saved, "the same tables give the same text");
    milepost(path, &["check", "--strict"]).expect(0);

    change(&path.join("sql/recipients.sql"), "people.first_name", "people.frist_name");
    change(&path.join("sql/account_admins.sql"), "accounts.name", "account.name");
    change(&path.join("jobs/weekly_admin_digest.yml"), "count(distinct user_id)", "count(distinct user)");
    change(&path.join("jobs/templates/campaigns.mjml"), "milestone.level", "milestone.levle");
    change(&path.join("milepost.yml"), "time: timestamp ", "time: timestmp ");
    let online = findings(path, &[], 2);
    assert!(online.as_array().expect("a list").len() >= 3, "{online}");
    fs::remove_dir_all(path.join("data")).expect("no data any more");
    assert_eq!(findings(path, &["--offline"], 2), online);
    milepost(path, &["check"]).expect(2);
}

#[test]
fn an_offline_check_contacts_nothing() {
    let project = root_project();
    let path = project.path();
    milepost(path, &["check", "--save-schemas"]).expect(0);
    fs::remove_dir_all(path.join("data")).expect("no data any more");
    let settings = path.join("milepost.yml");
    for table in ["events/", "people.csv", "accounts.csv", "members.csv", "unsubscribes.csv"] {
        change(&settings, &format!("data/{table}"), &format!("s3://nobody.example.invalid/{table}"));
    }
    milepost(path, &["check", "--offline", "--strict"]).expect(0);
}

#[test]
fn schemas_that_are_no_longer_true_are_a_warning() {
    let project = root_project();
    let path = project.path();
    milepost(path, &["check", "--save-schemas"]).expect(0);
    let people = path.join("data/people.csv");
    let text = fs::read_to_string(&people).expect("readable");
    let (header, rows) = text.split_once('\n').expect("a header");
    let rows: String = rows.lines().map(|row| format!("{row},7\n")).collect();
    fs::write(&people, format!("{header},age\n{rows}")).expect("writable");
    let warned = findings(path, &[], 0);
    let warned = warned.as_array().expect("a list");
    assert_eq!(warned.len(), 1, "{warned:?}");
    let message = warned[0]["message"].as_str().expect("a message");
    assert!(message.contains("`people`") && message.contains("`age` is new"), "{message}");
    assert!(warned[0]["file"].as_str().is_some_and(|file| file.ends_with("milepost.yml")), "{}", warned[0]);
    milepost(path, &["check", "--strict"]).expect(2);
    milepost(path, &["check", "--save-schemas", "--strict"]).expect(0);

    let file = path.join("milepost.schemas.json");
    change(&file, "\"people\"", "\"persons\"");
    let missing = findings(path, &["--offline"], 2);
    assert!(missing.to_string().contains("the columns of table `people` are not saved"), "{missing}");
    fs::write(&file, "{}").expect("writable");
    milepost(path, &["check", "--offline"]).expect(2);
}
