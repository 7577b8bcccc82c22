//! Projects on disk: good ones load whole, broken ones give every finding at its place.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use milepost::model::{Diagnostic, Level, PeriodKind, Severity};
use milepost::project::{
    Compare, FileFormat, JobKind, LedgerLocation, Levels, Loaded, Measure, MilestoneSource, PartitionOf, Project,
    SendLevels, Start, TableSource, find_root, load,
};

/// A temporary project made of `path: text` pairs.
struct Folder(tempfile::TempDir);

impl Folder {
    fn of(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        Self(folder)
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    /// The folder with symbolic links followed, as a loaded project names it.
    fn real(&self) -> PathBuf {
        self.root().canonicalize().expect("a folder")
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures").join(name)
}

/// `file:line:column severity code message | help`, one line per finding.
fn lines(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().fold(String::new(), |mut text, finding| {
        let place = finding.place.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        let help = finding.help.as_deref().map(|help| format!(" | {help}")).unwrap_or_default();
        writeln!(text, "{place} {severity} {} {}{help}", finding.code, finding.message).expect("text");
        text
    })
}

/// Loads every folder of `fixtures/bad` and compares all findings with the `findings.snap` in it.
#[test]
fn broken_projects_give_every_finding() {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(fixture("bad")).expect("fixtures").map(|entry| entry.expect("an entry").path()).collect();
    folders.sort();
    for folder in folders {
        let loaded = load(&folder, None);
        assert!(loaded.has_errors(), "{} must not pass", folder.display());
        let settings = {
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path(&folder);
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings
        };
        settings.bind(|| insta::assert_snapshot!("findings", lines(&loaded.diagnostics)));
    }
}

const WHOLE: &[(&str, &str)] = &[
    ("milepost.yml", include_str!("fixtures/whole/milepost.yml")),
    ("sql/recipients.sql", "select user_id as profile_id, email from people\n"),
    ("sql/account_admins.sql", "select user_id as profile_id, email, account_id from people\n"),
    ("sql/readme.md", "no view"),
    ("jobs/campaign_milestones.yml", include_str!("fixtures/whole/campaign_milestones.yml")),
    ("jobs/weekly_digest.yml", include_str!("fixtures/whole/weekly_digest.yml")),
    ("jobs/tests/campaign_milestones.yml", "not: [a, job"),
    ("jobs/templates/milestone.mjml", "<mjml></mjml>"),
    ("jobs/templates/first.html", "<html></html>"),
    ("jobs/templates/first.txt", "First"),
    ("jobs/templates/broken.yml", "not: [a, job"),
];

fn loaded(folder: &Folder, environment: Option<&str>) -> Project {
    let Loaded { project, diagnostics } = load(folder.root(), environment);
    assert_eq!(lines(&diagnostics), "");
    project.expect("a project without findings")
}

#[test]
fn a_whole_project_loads_with_every_field() {
    let folder = Folder::of(WHOLE);
    let project = loaded(&folder, None);
    assert_eq!((project.name.as_str(), project.environment.as_deref()), ("acme", None));
    assert_eq!(project.timezone.iana_name(), Some("Europe/Paris"));
    assert_eq!(project.views.keys().collect::<Vec<_>>(), ["account_admins", "recipients"]);
    assert_eq!(project.vars["trial_days"], 14);
    assert_eq!((project.redirect_limit, project.redirect_to.is_none()), (20, true));

    let events = &project.tables["events"];
    assert_eq!(events.location().expect("files").value, folder.real().join("data/events/").to_string_lossy());
    assert_eq!(events.partitions.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["year", "day"]);
    assert_eq!(events.partitions[1].of, Some(PartitionOf::Received));
    assert_eq!(events.lookback.as_hours(), 48);
    assert_eq!(project.tables["remote"].location().expect("files").value, "s3://bucket/events/**/*.parquet");
    assert!(matches!(project.tables["people"].source, TableSource::Files { format: FileFormat::Csv, .. }));

    let resend = &project.providers["main"];
    assert_eq!(resend.kind.value, "resend");
    assert_eq!(resend.settings["api_key"].value.value, "env:MILEPOST_TEST_NEVER_SET");
    assert_eq!(resend.settings["idempotency"].value.value, true);
}

#[test]
fn a_milestone_job_takes_defaults_and_passes_its_message_on() {
    let folder = Folder::of(WHOLE);
    let project = loaded(&folder, None);
    let job = &project.jobs[0];
    assert_eq!((job.name.as_str(), job.aliases.as_slice()), ("campaign_milestones", &["campaigns".to_owned()][..]));
    assert_eq!(job.provider.value, "local", "from the defaults");
    assert_eq!(job.sender.name.as_deref(), Some("Acme"));
    assert_eq!((job.limits.first_run, job.limits.per_run), (50, Some(7)), "maps of defaults and job are merged");
    assert_eq!(job.start, Start::Since("2025-12-31T23:00:00Z".parse().expect("an instant")), "midnight in Paris");
    assert_eq!(job.mail_within.map(|within| within.as_hours()), Some(14 * 24));
    let JobKind::Milestones(milestones) = &job.kind else { panic!("milestones") };
    let names: Vec<&str> = milestones.iter().map(|milestone| milestone.name.value.as_str()).collect();
    assert_eq!(names, ["first_campaign", "campaigns", "words", "power_user"]);

    let MilestoneSource::Reaches(first) = &milestones[0].source else { panic!("levels") };
    assert_eq!(first.rows.from.value, "events");
    assert_eq!(first.rows.event.as_ref().map(|event| event.value.as_str()), Some("campaign_published"));
    let message = &milestones[0].message;
    assert_eq!(message.subject.value, "First");
    assert_eq!(message.template.value, folder.real().join("jobs/templates/first.html"));
    assert_eq!(message.text.as_ref().map(|text| &text.value), Some(&folder.real().join("jobs/templates/first.txt")));
    let headers: Vec<(&str, &str)> =
        message.headers.iter().map(|(name, value)| (name.as_str(), value.value.as_str())).collect();
    assert_eq!(headers, [("X-Team", "first"), ("X-Job", "milestones")], "the milestone's own header wins");
    assert_eq!(milestones[1].message.subject.value, "{{ milestone.level }} campaigns", "the job's");

    let MilestoneSource::Reaches(words) = &milestones[2].source else { panic!("levels") };
    let Measure::Sum(column) = &words.measure else { panic!("a sum") };
    assert_eq!(column.value, "words * 2");
    assert_eq!(&column.place.file.text[column.place.span.clone()], "words * 2", "found at its own place");
    assert_eq!((words.send, &words.levels), (SendLevels::Each, &Levels::Every(Level::new(1000.0).expect("a level"))));
    assert!(matches!(&milestones[3].source, MilestoneSource::View(view) if view.value == "recipients"));
}

#[test]
fn a_recap_keeps_the_order_of_its_metrics() {
    let folder = Folder::of(WHOLE);
    let project = loaded(&folder, None);
    let recap = project.jobs[1].recap().expect("a recap");
    assert_eq!((recap.period, recap.settle.as_hours()), (PeriodKind::Week, 6));
    let entity = recap.entity.as_ref().expect("an entity");
    assert_eq!((entity.source.value.as_str(), entity.audience.value.as_str()), ("context_group_id", "account_id"));
    assert_eq!(recap.compare, [Compare::Previous]);
    let metrics: Vec<(&str, &str)> =
        recap.metrics.iter().map(|metric| (metric.name.value.as_str(), metric.label.as_str())).collect();
    assert_eq!(metrics, [("logins", "Logins"), ("active_people", "Active people"), ("minutes", "Minutes saved")]);
    assert_eq!(recap.metrics[2].format.as_deref(), Some("0.0"));
}

#[test]
fn environments_are_laid_over_the_project() {
    let folder = Folder::of(WHOLE);
    let sqlite = |project: &Project| match &project.ledger {
        LedgerLocation::Sqlite(path) => path.strip_prefix(folder.real()).expect("in the project").to_path_buf(),
        other => panic!("not a file: {other:?}"),
    };
    assert_eq!(sqlite(&loaded(&folder, None)), Path::new(".milepost/ledger.db"));

    let staging = loaded(&folder, Some("staging"));
    assert_eq!(sqlite(&staging), Path::new(".milepost/ledger.staging.db"), "a ledger of its own without being asked");
    assert_eq!(staging.redirect_to.as_ref().map(|to| to.address.as_str()), Some("qa@acme.test"));
    assert_eq!(staging.vars["trial_days"], 14);

    let prod = loaded(&folder, Some("prod"));
    assert_eq!(prod.environment.as_deref(), Some("prod"));
    assert!(prod.jobs.iter().all(|job| job.provider.value == "main"));
    assert_eq!(prod.jobs[0].limits.first_run, 50, "defaults are merged, not replaced");
    let LedgerLocation::Unresolved(finding) = &prod.ledger else { panic!("its variable is not set") };
    assert!(finding.message.contains("MILEPOST_TEST_NEVER_SET"), "{}", finding.message);

    assert_eq!(sqlite(&loaded(&folder, Some("own"))), Path::new("elsewhere.db"), "as written where it is its own");
    let unknown = load(folder.root(), Some("stagin"));
    assert_eq!(
        lines(&unknown.diagnostics),
        "milepost.yml:35:3 error unknown-environment there is no environment `stagin` | did you mean `staging`? milepost.yml knows staging, prod, own, bare\n"
    );
    loaded(&folder, Some("bare"));
}

#[test]
fn ledgers() {
    let cases = [
        ("sqlite:my.db", None, "sqlite my.db"),
        ("sqlite:my", Some("test"), "sqlite my.test"),
        ("sqlite://my.db", None, "sqlite my.db"),
        ("postgres://db/ledger", None, "postgres"),
        ("postgresql://me@db:5432/ledger", None, "postgres"),
        ("postgres://me:open@db/ledger", None, "postgres plain-secret"),
        ("postgres://db/ledger?password=open", None, "postgres plain-secret"),
        ("postgres://db/ledger", Some("test"), "unresolved shared-ledger"),
        ("file:url.txt", None, "postgres"),
        ("file:url.txt", Some("test"), "unresolved"),
        ("file:sqlite.txt", Some("test"), "sqlite hidden.test.db"),
        ("file:nonsense.txt", None, "unresolved"),
        ("file:missing.txt", None, "unresolved"),
        ("env:MILEPOST_TEST_NEVER_SET", None, "unresolved"),
        ("mysql://db/ledger", None, "unresolved bad-ledger"),
        ("ledger.db", None, "unresolved bad-ledger"),
        ("sqlite:", None, "unresolved bad-ledger"),
        ("sqlite::memory:", None, "unresolved bad-ledger"),
        ("sqlite:folder/", None, "unresolved bad-ledger"),
    ];
    for (written, environment, expected) in cases {
        let root = format!("project: acme\nledger: \"{written}\"\nenvironments: {{test: {{}}}}\n");
        let folder = Folder::of(&[
            ("milepost.yml", root.as_str()),
            ("url.txt", "postgres://me:open@db/ledger\n"),
            ("sqlite.txt", "sqlite:hidden.db\n"),
            ("nonsense.txt", "hunter2"),
        ]);
        let Loaded { project, diagnostics } = load(folder.root(), environment);
        let mut found = match project.expect("a project").ledger {
            LedgerLocation::Sqlite(path) => {
                format!("sqlite {}", path.strip_prefix(folder.real()).expect("in the project").display())
            }
            LedgerLocation::Postgres(_) => "postgres".to_owned(),
            LedgerLocation::Unresolved(finding) => {
                assert!(!lines(&[*finding]).contains("hunter2"), "what came from a secret is never shown");
                "unresolved".to_owned()
            }
        };
        for finding in &diagnostics {
            found = format!("{found} {}", finding.code);
        }
        assert_eq!(found, expected, "{written} in {environment:?}");
    }
}

#[test]
fn marketing_without_a_way_to_leave_is_an_error_once_mail_leaves_the_machine() {
    let root = |kind: &str| {
        format!(
            "project: acme\nproviders: {{main: {{{kind}: {{}}}}}}\ndefaults: {{provider: main, sender: a@b.test, start: all, audience: people}}\n"
        )
    };
    let job = "job: hello\nmilestones: [{name: first, reaches: 1}]\nmessage: {subject: Hi, template: a.html}\n";
    let transactional = format!("{job}category: transactional\n");
    for (kind, job, expected) in [
        ("outbox", job, vec![Severity::Warning; 2]),
        ("resend", job, vec![Severity::Error; 2]),
        ("resend", transactional.as_str(), vec![]),
    ] {
        let root = root(kind);
        let folder = Folder::of(&[("milepost.yml", &root), ("jobs/hello.yml", job), ("jobs/a.html", "<p>")]);
        let found: Vec<Severity> =
            load(folder.root(), None).diagnostics.iter().map(|finding| finding.severity).collect();
        assert_eq!(found, expected, "{kind}");
    }
}

#[test]
fn mistakes_do_not_hide_the_rest_of_the_job() {
    let folder = Folder::of(&[
        (
            "milepost.yml",
            "project: acme\ntimezone: Nowhere\nproviders: {local: {outbox: {}}}\ndefaults: {provider: local, sender: a@b.test}\nunsubscribe: {url: \"https://x.test\"}\n",
        ),
        (
            "jobs/hello.yml",
            "job: hello\nstart: all\naudiance: people\npostal_address: x\nmail_within: soon\nmilestones:\n  - {name: bad, reaches: zero}\n  - {name: good, evnt: x, reaches: 1, where: \"a = 1\"}\nmessage: {subject: Hi, template: nowhere.html}\n",
        ),
    ]);
    let Loaded { project, diagnostics } = load(folder.root(), None);
    let codes: Vec<&str> = diagnostics.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["unknown-key", "bad-duration", "wrong-type", "unknown-key", "missing-file", "unknown-zone"]);
    let project = project.expect("as far as it could be read");
    let job = &project.jobs[0];
    assert_eq!(job.audience.value, "people", "a slip is read as meant");
    assert_eq!(job.messages().len(), 1, "the good milestone is left to be checked");
}

#[test]
fn a_folder_without_a_project_says_so() {
    let folder = Folder::of(&[("sub/deeper/file.txt", "x")]);
    let Loaded { project, diagnostics } = load(folder.root(), None);
    assert!(project.is_none());
    assert_eq!(diagnostics[0].code, "no-project");
    assert!(find_root(&folder.root().join("sub")).is_none_or(|root| !root.starts_with(folder.real())));

    fs::write(folder.root().join("milepost.yml"), "project: acme\n").expect("a file");
    assert_eq!(find_root(&folder.root().join("sub/deeper")), Some(folder.real()));
    assert!(find_root(&folder.root().join("missing")).is_none());
    let project = loaded(&folder, None);
    assert!(project.jobs.is_empty() && project.views.is_empty() && project.tables.is_empty());
}

#[test]
fn the_checksum_follows_every_file_that_matters() {
    let folder = Folder::of(WHOLE);
    let checksum = || loaded(&folder, None).checksum;
    let before = checksum();
    assert_eq!((before.len(), &checksum()), (64, &before));
    for path in ["jobs/tests/more.yml", "sql/readme.md", "README.md", "outbox/mail.eml"] {
        let path = folder.root().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, "x").expect("a file");
    }
    assert_eq!(checksum(), before, "tests, notes and mails do not matter");
    let mut seen = vec![before];
    for path in ["jobs/templates/milestone.mjml", "sql/recipients.sql", "jobs/templates/new.html"] {
        fs::write(folder.root().join(path), "select 1").expect("a file");
        let after = checksum();
        assert!(!seen.contains(&after), "{path} matters");
        seen.push(after);
    }
}

/// The rest of its twelve mistakes is in SQL, metrics and templates, which are checked against what loads here.
#[test]
fn the_twelve_mistakes_project_gives_its_share_and_leaves_the_rest_to_be_checked() {
    let Loaded { project, diagnostics } = load(&fixture("broken"), None);
    insta::assert_snapshot!(lines(&diagnostics), @r"
    jobs/campaign_milestones.yml:3:1 error unknown-key unknown key `audiance` | did you mean `audience`?
    jobs/campaign_milestones.yml:4:11 error unknown-provider the provider `locla` is not declared | did you mean `local`?
    jobs/campaign_milestones.yml:16:14 error wrong-type expected a number above 0, found text
    jobs/month_in_review.yml:1:6 error missing-key `start` is missing | say which milestones count: `start: from_now`, `start: all` or `start: {since: 2026-01-31}`
    milepost.yml:2:11 error unknown-zone `Europe/Pariss` is no time zone | did you mean `Europe/Paris`?
    milepost.yml:7:5 error duplicate-key `time` is given twice in one map | it was first given at milepost.yml:6:5; keep one of the two
    milepost.yml:9:15 error bad-duration `3 dayz` is no duration | write a whole number of hours, days or weeks, such as `6 hours` or `3 days`
    ");
    let project = project.expect("as far as it could be read");
    assert_eq!(project.views.len(), 2);
    let messages: Vec<usize> = project.jobs.iter().map(|job| job.messages().len()).collect();
    assert_eq!(messages, [2, 1], "only the milestone without a level is left out");
    assert_eq!(project.jobs[0].audience.value, "recipients");
}

/// Texts that change what YAML means wherever they stand.
const SPLINTERS: &[&str] = &[
    "\n",
    "  ",
    ": ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "&a ",
    "*a",
    "|\n",
    "#",
    "\t",
    "~",
    "é",
    "\u{202e}",
    "!!int ",
    "<<: ",
    "99999999999999999999",
    "-1",
];

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 60, failure_persistence: None, ..Default::default() })]

    /// However a project is damaged, loading ends with findings whose places lie in their files.
    #[test]
    fn a_damaged_project_never_breaks_loading(
        wounds in proptest::collection::vec((0_usize..3, 0_usize..2000, 0_usize..SPLINTERS.len(), 0_usize..12), 1..4),
    ) {
        let mut files: Vec<(&str, String)> = WHOLE.iter().map(|(path, text)| (*path, (*text).to_owned())).collect();
        let targets = ["milepost.yml", "jobs/campaign_milestones.yml", "jobs/weekly_digest.yml"];
        for (target, at, splinter, removed) in wounds {
            let (_, text) = files.iter_mut().find(|(path, _)| *path == targets[target]).expect("a target");
            let start = text.floor_char_boundary(at % (text.len() + 1));
            let end = text.ceil_char_boundary((start + removed).min(text.len()));
            text.replace_range(start..end, SPLINTERS[splinter]);
        }
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        let folder = Folder::of(&files);
        for environment in [None, Some("prod")] {
            for finding in load(folder.root(), environment).diagnostics {
                let place = finding.place.expect("every finding here is about a file");
                let (line, column) = place.line_and_column();
                proptest::prop_assert!(line >= 1 && column >= 1 && place.span.end <= place.file.text.len());
                proptest::prop_assert!(!finding.message.contains('\n'), "one line: {}", finding.message);
            }
        }
    }
}
