//! The command line as a user sees it: standard output, standard error and exit codes of the real binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The end of the sample events of the root project.
const SAMPLE_END: &str = "2026-11-01T06:00:00Z";

/// How a command ended.
pub(crate) struct Ran {
    code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON: {error}\n{}\n{}", self.stdout, self.stderr))
    }

    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// Runs the real binary in a folder.
pub(crate) fn milepost(folder: &Path, arguments: &[&str]) -> Ran {
    milepost_with(folder, arguments, &[])
}

/// The same with these environment variables.
pub(crate) fn milepost_with(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_milepost"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("MILEPOST_ENV")
        .env("NO_COLOR", "1")
        .envs(environment.iter().copied())
        .output()
        .expect("the binary starts");
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn copy_tree(from: &Path, to: &Path) {
    if from.is_file() {
        fs::create_dir_all(to.parent().expect("a parent")).expect("writable");
        fs::copy(from, to).expect("copied");
        return;
    }
    for entry in fs::read_dir(from).expect("readable") {
        let entry = entry.expect("readable");
        copy_tree(&entry.path(), &to.join(entry.file_name()));
    }
}

/// The repository as the project it is, without what runs left in it.
pub(crate) fn root_project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for part in ["milepost.yml", "jobs", "sql", "data"] {
        copy_tree(&repository().join(part), &folder.path().join(part));
    }
    folder
}

fn starter() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    milepost(folder.path(), &["init"]).expect(0);
    folder
}

fn mails_in(folder: &Path) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            count += mails_in(&path);
        } else if path.extension().is_some_and(|extension| extension == "eml") {
            count += 1;
        }
    }
    count
}

fn decision(report: &Value, job: usize, name: &str) -> u64 {
    report["jobs"][job]["decisions"][name].as_u64().unwrap_or(0)
}

#[test]
fn the_main_job_mails_once_and_never_again() {
    let project = root_project();
    let arguments = ["run", "campaign_milestones", "--as-of", SAMPLE_END, "--replay", "--format", "json"];
    let first = milepost(project.path(), &arguments).expect(0).json();
    let mailed = decision(&first, 0, "mail");
    assert!(mailed > 0, "somebody is mailed");
    assert_eq!(first["jobs"][0]["outcomes"]["accepted"].as_u64(), Some(mailed));
    assert_eq!(mails_in(&project.path().join("outbox")) as u64, mailed);
    assert!(first["open"][0].as_str().is_some_and(|page| page.ends_with("index.html") && Path::new(page).is_file()));

    let second = milepost(project.path(), &arguments).expect(0).json();
    assert_eq!(decision(&second, 0, "mail"), 0, "nobody is mailed twice");
    assert_eq!(second["jobs"][0]["known"]["accepted"].as_u64(), Some(mailed));
    assert_eq!(mails_in(&project.path().join("outbox")) as u64, mailed);
    let total = |report: &Value| {
        report["jobs"][0]["decisions"].as_object().expect("decisions").values().filter_map(Value::as_u64).sum::<u64>()
    };
    assert_eq!(total(&first), total(&second), "the same candidates, each with one decision");
}

#[test]
fn every_job_of_the_root_project_checks_strictly_and_runs() {
    let project = root_project();
    let checked = milepost(project.path(), &["check", "--strict", "--quiet"]).expect(0);
    assert!(checked.stdout.contains("checked 3 jobs"), "{}", checked.stdout);
    let report =
        milepost(project.path(), &["run", "--as-of", SAMPLE_END, "--replay", "--format", "json"]).expect(0).json();
    for job in 0..3 {
        assert!(decision(&report, job, "mail") > 0, "job {job} mails somebody: {}", report["jobs"][job]);
    }
    let results = fs::read_to_string(project.path().join("target/milepost/run_results.json")).expect("written");
    let results: Value = serde_json::from_str(&results).expect("JSON");
    assert_eq!(results["metadata"]["project"], "lumen");
    assert_eq!(results["exit_code"], 0);
    assert!(!results.to_string().contains('@'), "no address in an artifact");
    let status = milepost(project.path(), &["status", "--format", "json"]).expect(0).json();
    assert_eq!(status["jobs"].as_array().map(Vec::len), Some(3));
    assert!(status["jobs"][0]["accepted"].as_u64() > Some(0));
}

#[test]
fn a_run_with_nobody_to_mail_can_say_so_by_its_exit_code() {
    let project = starter();
    let as_of = ["--as-of", "2026-11-01T06:00:00Z", "--replay"];
    let arguments: Vec<&str> = ["run", "--empty-exit-code", "99"].into_iter().chain(as_of).collect();
    milepost(project.path(), &arguments).expect(0);
    milepost(project.path(), &arguments).expect(99);
    let quiet: Vec<&str> = ["run"].into_iter().chain(as_of).collect();
    milepost(project.path(), &quiet).expect(0);
}

#[test]
fn a_dry_run_leaves_no_trace() {
    let project = starter();
    let report = milepost(project.path(), &["run", "--as-of", SAMPLE_END, "--replay", "--dry-run", "--format", "json"])
        .expect(0)
        .json();
    assert!(decision(&report, 0, "mail") + decision(&report, 1, "mail") > 0);
    assert!(!project.path().join("outbox").exists() && !project.path().join(".milepost/ledger.db").exists());
}

#[test]
fn init_never_overwrites_and_its_project_is_strict_clean() {
    let project = starter();
    milepost(project.path(), &["check", "--strict", "--quiet"]).expect(0);
    let again = milepost(project.path(), &["init"]).expect(2);
    assert!(again.stderr.contains("exists already") && again.stderr.contains("next:"), "{}", again.stderr);
}

#[test]
fn demo_shows_mails_in_one_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let ran = milepost(folder.path(), &["demo", "--no-open"]).expect(0);
    let page = ran.stdout.lines().find_map(|line| line.strip_prefix("open ")).expect("says what to open").to_owned();
    assert!(fs::read_to_string(&page).expect("the gallery").contains("<html"));
    let demo = Path::new(&page)
        .ancestors()
        .find(|path| path.join("milepost.yml").is_file())
        .expect("inside the demo's project");
    assert!(mails_in(demo) > 0);
    fs::remove_dir_all(demo).expect("removed");
}

#[test]
fn preview_renders_one_person_and_records_nothing() {
    let project = starter();
    let ran = milepost(project.path(), &["preview", "--as-of", SAMPLE_END, "--format", "json"]).expect(0).json();
    let mail = &ran["mails"][0];
    let html = fs::read_to_string(mail["html_file"].as_str().expect("a file")).expect("written");
    assert!(html.contains("<html") || html.contains("<!doctype html"));
    assert!(!mail["text"].as_str().expect("text").is_empty());
    assert!(!project.path().join(".milepost").exists(), "no ledger");
    let nobody = milepost(project.path(), &["preview", "--profile", "nobody-here", "--as-of", SAMPLE_END]).expect(1);
    assert!(nobody.stderr.contains("nobody-here"), "{}", nobody.stderr);
}

#[test]
fn a_first_run_above_its_limit_asks_for_confirmation() {
    let project = starter();
    let job = fs::read_dir(project.path().join("jobs"))
        .expect("jobs")
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| {
            path.extension().is_some_and(|extension| extension == "yml")
                && fs::read_to_string(path).is_ok_and(|text| text.contains("milestones:"))
        })
        .expect("a milestone job");
    let text = fs::read_to_string(&job).expect("readable");
    fs::write(&job, format!("{text}\nlimits: {{first_run: 1}}\n")).expect("writable");
    let name = job.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
    let base = ["run", name.as_str(), "--as-of", SAMPLE_END, "--replay"];
    let refused = milepost(project.path(), &base).expect(5);
    assert!(refused.stdout.contains("--confirm"), "{}", refused.stdout);
    assert_eq!(mails_in(&project.path().join("outbox")), 0, "nothing left");
    let confirmed = milepost(project.path(), &[&base[..], &["--confirm", "1000"]].concat()).expect(0);
    assert!(confirmed.stdout.contains("accepted"), "{}", confirmed.stdout);
    assert!(mails_in(&project.path().join("outbox")) > 1);
}

#[test]
fn a_missing_ledger_is_never_made_for_a_real_provider() {
    let project = starter();
    let file = project.path().join("milepost.yml");
    let text = fs::read_to_string(&file).expect("readable");
    assert!(text.contains("{outbox: {dir: outbox}}"), "the starter's provider line");
    fs::write(
        &file,
        text.replace("{outbox: {dir: outbox}}", "{resend: {api_key: \"file:key\", base_url: \"http://127.0.0.1:9\"}}"),
    )
    .expect("writable");
    fs::write(project.path().join("key"), "re_test\n").expect("writable");
    let refused = milepost(project.path(), &["run"]).expect(7);
    assert!(format!("{}{}", refused.stdout, refused.stderr).contains("milepost ledger create"), "{}", refused.stderr);
    milepost(project.path(), &["ledger", "create"]).expect(0);
    let again = milepost(project.path(), &["ledger", "create"]);
    assert_ne!(again.code, 0);
}

#[test]
fn usage_errors_say_what_next() {
    let project = starter();
    let unknown = milepost(project.path(), &["run", "no_such_job"]).expect(2);
    assert!(unknown.stderr.contains("no_such_job") && unknown.stderr.contains("next:"), "{}", unknown.stderr);
    let nowhere = tempfile::tempdir().expect("a folder");
    let lost = milepost(nowhere.path(), &["check"]).expect(2);
    assert!(lost.stderr.contains("milepost.yml") && lost.stderr.contains("milepost init"), "{}", lost.stderr);
    milepost(project.path(), &["run", "--replay"]).expect(2);
    milepost(project.path(), &["run", "--as-of", "yesterday"]).expect(2);
    let json = milepost(project.path(), &["run", "no_such_job", "--format", "json"]).expect(2).json();
    assert_eq!(json["exit_code"], 2);
}

#[test]
fn results_are_written_also_when_no_job_began() {
    let project = starter();
    let file = project.path().join("milepost.yml");
    let text = fs::read_to_string(&file).expect("readable");
    fs::write(&file, format!("{text}\nno_such_key: 1\n")).expect("writable");
    milepost(project.path(), &["run"]).expect(2);
    let results = fs::read_to_string(project.path().join("target/milepost/run_results.json")).expect("written");
    let results: Value = serde_json::from_str(&results).expect("JSON");
    assert_eq!(results["exit_code"], 2);
    assert!(results["message"].as_str().is_some_and(|message| message.contains("no_such_key")), "{results}");
}

#[test]
fn a_broken_project_is_named_in_full() {
    let folder = repository().join("tests/it/fixtures/broken");
    let report = milepost(&folder, &["check", "--format", "json"]).expect(2).json();
    let findings = report["diagnostics"].as_array().expect("findings");
    let lines: Vec<String> = findings
        .iter()
        .filter(|finding| finding["severity"] == "error")
        .map(|finding| {
            let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
            let help = finding["help"].as_str().map_or(String::new(), |help| format!(" | {help}"));
            format!(
                "{}:{}:{} {} {}{help}",
                text("file"),
                finding["line"],
                finding["column"],
                text("code"),
                text("message")
            )
        })
        .collect();
    insta::assert_snapshot!("broken_project", lines.join("\n"));
}
