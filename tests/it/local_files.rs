//! What a project may read and write of the machine it runs on: its own files, and what whoever starts it allowed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, Mode, mkfifoat};

use crate::cli::{Ran, milepost, milepost_with, root_project};

/// What stands in a file outside the project, and must be shown nowhere.
const SECRET: &str = "very-secret-words";

fn edit(project: &Path, file: &str, from: &str, to: &str) {
    let path = project.join(file);
    let text = fs::read_to_string(&path).expect("a file");
    assert!(text.contains(from), "{file} holds {from}");
    fs::write(path, text.replace(from, to)).expect("writable");
}

/// Ends as expected, says all of the words, and never what stands outside.
#[track_caller]
fn says(ran: Ran, code: i32, words: &[&str]) {
    let ran = ran.expect(code);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    for word in words {
        assert!(said.contains(word), "{word} in\n{said}");
    }
    assert!(!said.contains(SECRET), "{said}");
}

/// A folder outside with a table and a template.
fn outside() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("people.csv"), format!("profile_id,email,{SECRET}\nu1,a@x.test,1\n")).expect("a file");
    fs::write(folder.path().join("page.html"), SECRET).expect("a file");
    fs::write(folder.path().join("view.sql"), format!("select '{SECRET}' as a")).expect("a file");
    fs::write(folder.path().join("job.yml"), format!("job: {SECRET}")).expect("a file");
    folder
}

#[test]
fn tables_lie_in_the_project_or_where_somebody_allowed() {
    let outside = outside();
    let path = outside.path().canonicalize().expect("a path");
    let path = path.to_str().expect("text");
    for location in [format!("{path}/people.csv"), format!("{path}/"), format!("{path}/*.csv")] {
        let project = root_project();
        edit(project.path(), "milepost.yml", "{csv: data/people.csv}", &format!("{{csv: '{location}'}}"));
        says(milepost(project.path(), &["check"]), 2, &["lies outside the project", "--allow-path"]);
        let allowed = ["check", "--allow-path", path];
        let said = milepost(project.path(), &allowed).expect(2);
        assert!(!said.stderr.contains("lies outside"), "the table is read, and lacks columns: {}", said.stderr);
        let by_environment = milepost_with(project.path(), &["check"], &[("MILEPOST_ALLOW_PATHS", path)]).expect(2);
        assert!(!by_environment.stderr.contains("--allow-path"), "{}", by_environment.stderr);
    }
}

#[test]
fn a_table_of_the_kernel_is_refused_whatever_is_allowed() {
    for location in ["/proc/self/environ", "/dev/zero", "/proc/self/fd/"] {
        let project = root_project();
        edit(project.path(), "milepost.yml", "{csv: data/people.csv}", &format!("{{csv: {location}}}"));
        let ran = milepost_with(project.path(), &["check", "--allow-path", "/"], &[("API_KEY", SECRET)]);
        says(ran, 2, &["lies outside the project"]);
        let ran = milepost_with(project.path(), &["check", "--save-schemas"], &[("API_KEY", SECRET)]);
        says(ran, 2, &["lies outside the project"]);
        assert!(!project.path().join("milepost.schemas.json").exists());
    }
}

#[test]
fn links_that_lead_outside_are_followed_nowhere() {
    for (link, target) in [
        ("data/people.csv", "people.csv"),
        ("jobs/templates/first_campaign.mjml", "page.html"),
        ("sql/recipients.sql", "view.sql"),
        ("jobs/campaign_milestones.yml", "job.yml"),
        ("jobs/another.yml", "job.yml"),
        ("jobs/tests/another.yml", "job.yml"),
        ("milepost.schemas.json", "page.html"),
    ] {
        let (project, outside) = (root_project(), outside());
        let link = project.path().join(link);
        let _ = fs::remove_file(&link);
        symlink(outside.path().join(target), &link).expect("a link");
        says(milepost(project.path(), &["check"]), 2, &["outside the project"]);
    }
}

#[test]
fn pipes_and_links_to_nothing_are_told_and_never_waited_for() {
    for (name, words) in [
        ("jobs/another.yml", "no regular file"),
        ("sql/another.sql", "no regular file"),
        ("jobs/templates/first_campaign.mjml", "there is no file `templates/first_campaign.mjml`"),
        ("data/people.csv", "no regular file"),
    ] {
        let project = root_project();
        let path = project.path().join(name);
        let _ = fs::remove_file(&path);
        mkfifoat(CWD, &path, Mode::from_raw_mode(0o600)).expect("a pipe");
        says(milepost(project.path(), &["check"]), 2, &[words]);
        fs::remove_file(&path).expect("removed");
        symlink("nowhere", &path).expect("a link");
        milepost(project.path(), &["check"]).expect(2);
    }
}

#[test]
fn files_that_are_longer_than_such_files_are_refused_unread() {
    for name in ["jobs/another.yml", "sql/another.sql", "jobs/templates/first_campaign.mjml", "milepost.yml"] {
        let project = root_project();
        let file = fs::File::create(project.path().join(name)).expect("a file");
        file.set_len(3 << 30).expect("a file with holes");
        says(milepost(project.path(), &["check"]), 2, &["is longer than"]);
    }
}

#[test]
fn snapshots_are_never_written_through_links() {
    let (project, outside) = (root_project(), outside());
    let test = fs::read_to_string(project.path().join("jobs/tests/first_campaign.yml")).expect("a test");
    let subject = "    subject: Your first campaign is live, Ann\n";
    assert!(test.contains(subject), "{test}");
    let test = test.replace(subject, "    body_snapshot: linked.html\n");
    fs::write(project.path().join("jobs/tests/linked.yml"), test).expect("a file");
    let (page, link) = (outside.path().join("page.html"), project.path().join("jobs/tests/linked.html"));
    for target in [page.clone(), outside.path().join("new.html"), project.path().join("data/people.csv")] {
        let before = fs::read(&target).ok();
        let _ = fs::remove_file(&link);
        symlink(&target, &link).expect("a link");
        let ran = milepost(project.path(), &["test", "--update-snapshots"]);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!said.contains(SECRET), "{said}");
        assert_eq!(fs::read(&target).ok(), before, "{}: {said}", target.display());
    }
}

#[test]
fn results_go_where_the_project_may_write() {
    let outside = outside();
    let path = outside.path().canonicalize().expect("a path");
    let path = path.to_str().expect("text");
    for (from, to) in [
        ("{outbox: {dir: outbox}}", format!("{{outbox: {{dir: '{path}/mails'}}}}")),
        ("{outbox: {dir: outbox}}", "{outbox: {dir: .git/hooks}}".to_owned()),
        ("timezone: Europe/Paris", format!("timezone: Europe/Paris\nledger: 'sqlite:{path}/ledger.db'")),
    ] {
        let project = root_project();
        edit(project.path(), "milepost.yml", from, &to);
        milepost(project.path(), &["run", "--as-of", "2026-11-01T06:00:00Z"]).expect(2);
        assert_eq!(fs::read_dir(outside.path()).expect("a folder").count(), 4, "{to}: nothing was written");
    }
    for link in ["outbox", ".milepost"] {
        let project = root_project();
        symlink(outside.path(), project.path().join(link)).expect("a link");
        says(milepost(project.path(), &["run", "--as-of", "2026-11-01T06:00:00Z"]), 2, &["outside the project"]);
        assert_eq!(fs::read_dir(outside.path()).expect("a folder").count(), 4, "{link}: nothing was written");
    }
    let project = root_project();
    let job = project.path().join("jobs/campaign_milestones.yml");
    let text = fs::read_to_string(&job).expect("a job");
    fs::write(&job, format!("{text}\npublish: '{path}/flags/'\n")).expect("writable");
    says(milepost(project.path(), &["check"]), 2, &["--allow-path"]);
    milepost(project.path(), &["check", "--allow-path", path]).expect(0);
}

#[test]
fn secrets_are_those_that_somebody_allowed() {
    let resend = |key: &str, more: &str| format!("{{resend: {{api_key: \"{key}\"{more}}}}}");
    let with = |provider: &str, arguments: &[&str], environment: &[(&str, &str)]| {
        let project = root_project();
        edit(project.path(), "milepost.yml", "{outbox: {dir: outbox}}", provider);
        let arguments: Vec<&str> = ["check"].iter().chain(arguments).copied().collect();
        milepost_with(project.path(), &arguments, environment)
    };
    let elsewhere = ", base_url: \"https://elsewhere.test\"";
    says(with(&resend("env:AWS_SECRET_ACCESS_KEY", ""), &[], &[]), 2, &["--allow-env AWS_SECRET_ACCESS_KEY"]);
    says(with(&resend("env:RESEND_API_KEY", ""), &[], &[]), 0, &[]);
    says(with(&resend("env:MILEPOST_KEY", ""), &[], &[]), 0, &[]);
    says(with(&resend("env:MAIL_KEY", ""), &["--allow-env", "MAIL_KEY"], &[]), 0, &[]);
    says(with(&resend("env:MAIL_KEY", ""), &[], &[("MILEPOST_ALLOW_ENV", "A,MAIL_KEY")]), 0, &[]);
    says(with(&resend("env:RESEND_API_KEY", elsewhere), &[], &[]), 2, &["--allow-host elsewhere.test"]);
    says(with(&resend("env:RESEND_API_KEY", elsewhere), &["--allow-host", "elsewhere.test"], &[]), 0, &[]);
    says(with(&resend("env:RESEND_API_KEY", elsewhere), &[], &[("MILEPOST_ALLOW_HOSTS", "elsewhere.test")]), 0, &[]);
    says(
        with(&resend("env:RESEND_API_KEY", ", base_url: \"https://api.resend.com.evil.test\""), &[], &[]),
        2,
        &["--allow-host"],
    );
    says(with(&resend("env:RESEND_API_KEY", ", base_url: \"http://127.0.0.1:9\""), &[], &[]), 0, &[]);
}

#[test]
fn a_ledger_is_no_table_by_whatever_path() {
    let project = root_project();
    milepost(project.path(), &["ledger", "create"]).expect(0);
    let ledger = project.path().join(".milepost/ledger.db");
    fs::copy(&ledger, project.path().join("data/copy.db")).expect("copied");
    fs::hard_link(&ledger, project.path().join("data/hard.db")).expect("linked");
    symlink("../.milepost/ledger.db", project.path().join("data/soft.db")).expect("linked");
    for file in [".milepost/ledger.db", "data/copy.db", "data/hard.db", "data/soft.db", "data/../.milepost/ledger.db"] {
        for table in ["meta", "deliveries", "jobs"] {
            edit(
                project.path(),
                "milepost.yml",
                "  people: {csv",
                &format!("  evil: {{sqlite: {{file: {file}, table: {table}}}}}\n  people: {{csv"),
            );
            says(milepost(project.path(), &["check"]), 2, &["holds a ledger of milepost", "ledger.deliveries"]);
            edit(
                project.path(),
                "milepost.yml",
                &format!("  evil: {{sqlite: {{file: {file}, table: {table}}}}}\n"),
                "",
            );
        }
    }
}
