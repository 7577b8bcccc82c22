//! A project made by hand in a temporary folder, so that these tests need no YAML.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use milepost::model::diagnostic::{Diagnostic, Located, Place, Severity, SourceFile};
use milepost::model::shape::ScalarKind;
use milepost::model::{Candidate, DeliveryKey, Mailbox, Message, PeriodKind, Shape, WeekStart};
use milepost::project::{
    Category, EventRows, Job, JobKind, LedgerLocation, Limits, MessageSpec, Metric, OnUnknown, Project, ProviderConfig,
    Recap, RecapZone, Start, Unsubscribe,
};
use milepost::render::{Composer, RenderError};
use milepost::settings::LocalFiles;
use serde_json::{Value, json};

/// A folder with templates, and the settings a test may change.
pub(super) struct House {
    folder: tempfile::TempDir,
    pub(super) provider: &'static str,
    pub(super) category: Category,
    pub(super) subject: String,
    pub(super) preheader: Option<String>,
    pub(super) template: &'static str,
    pub(super) text: Option<&'static str>,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) unsubscribe: Option<String>,
    pub(super) redirect: bool,
    pub(super) context: Value,
    pub(super) label: String,
    pub(super) greeting: String,
}

/// What every marketing template ends with.
pub(super) const FOOTER: &str = "<p>{{ postal_address }} <a href=\"{{ unsubscribe_url }}\">Leave</a></p>";

impl House {
    /// A house whose only template is HTML with a footer.
    pub(super) fn html(body: &str) -> Self {
        Self::with("mail.html", &format!("{body}{FOOTER}"))
    }

    /// A house whose only template is MJML: the body's components, and a footer.
    pub(super) fn mjml(body: &str) -> Self {
        let footer = format!("<mj-section><mj-column><mj-text>{FOOTER}</mj-text></mj-column></mj-section>");
        Self::with("mail.mjml", &format!("<mjml>\n<mj-body>\n{body}\n{footer}\n</mj-body>\n</mjml>\n"))
    }

    pub(super) fn with(template: &'static str, text: &str) -> Self {
        let house = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            provider: "outbox",
            category: Category::Marketing,
            subject: "Hello".into(),
            preheader: None,
            template,
            text: None,
            headers: Vec::new(),
            unsubscribe: Some("https://acme.test/leave/{{ profile.token }}".into()),
            redirect: false,
            context: context(),
            label: "Logins".into(),
            greeting: "Hello".into(),
        };
        house.write(template, text);
        house
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("below the folder")).expect("created");
        std::fs::write(path, text).expect("written");
    }

    fn project(&self) -> Project {
        let place = place("project: acme");
        Project {
            root: self.folder.path().to_owned(),
            files: LocalFiles::of_project(self.folder.path()),
            name: "acme".into(),
            environment: self.redirect.then(|| "staging".into()),
            timezone: TimeZone::get("Europe/Paris").expect("bundled"),
            week_starts: WeekStart::Monday,
            ledger: LedgerLocation::Sqlite("ledger.db".into()),
            tables: BTreeMap::new(),
            views: BTreeMap::new(),
            providers: BTreeMap::from([(
                "local".into(),
                ProviderConfig {
                    name: "local".into(),
                    kind: located(self.provider),
                    settings: BTreeMap::new(),
                    place: place.clone(),
                },
            )]),
            unsubscribe: self.unsubscribe.as_ref().map(|url| Unsubscribe { url: located(url) }),
            suppressed: None,
            caps: Vec::new(),
            vars: BTreeMap::from([
                ("trial_days".into(), json!(14)),
                ("greetings".into(), json!({"first": [self.greeting]})),
            ]),
            redirect_to: self.redirect.then(|| Mailbox::parse("qa@acme.test").expect("valid")),
            redirect_limit: 20,
            jobs: Vec::new(),
            place,
            checksum: String::new(),
        }
    }

    fn job(&self) -> Job {
        let path = |name: &str| Located::new(self.folder.path().join(name), place(name));
        let message = MessageSpec {
            subject: located(&self.subject),
            template: path(self.template),
            text: self.text.map(path),
            preheader: self.preheader.as_deref().map(located),
            reply_to: None,
            variants: milepost::project::Variants::default(),
            headers: self.headers.iter().map(|(name, value)| ((*name).to_owned(), located(value))).collect(),
        };
        Job {
            name: "digest".into(),
            aliases: Vec::new(),
            description: None,
            owner: None,
            tags: Vec::new(),
            start: Start::All,
            audience: located("people"),
            category: self.category,
            provider: located("local"),
            sender: Mailbox::parse("Acme <hello@acme.test>").expect("valid"),
            reply_to: Mailbox::parse("help@acme.test"),
            postal_address: Some("1 Rue X, Paris".into()),
            kind: JobKind::Recap(Box::new(recap(message, &self.label))),
            mail_within: None,
            limits: Limits { first_run: 1000, per_run: None },
            on_unknown: OnUnknown::Hold,
            publish: None,
            priority: 0,
            holdout: None,
            window: None,
            place: place("digest"),
        }
    }

    pub(super) fn composer(&self) -> (Option<Composer>, Vec<Diagnostic>) {
        Composer::new(&self.project(), &self.job(), &[shape()])
    }

    /// Errors and warnings as `severity code line:column message`.
    pub(super) fn findings(&self) -> Vec<String> {
        let (_, diagnostics) = self.composer();
        diagnostics
            .iter()
            .filter(|finding| finding.severity != Severity::Note)
            .map(|finding| {
                let (line, column) = finding.place.as_ref().expect("a place").line_and_column();
                let severity = if finding.severity == Severity::Error { "error" } else { "warning" };
                format!("{severity} {} {line}:{column} {}", finding.code, finding.message)
            })
            .collect()
    }

    pub(super) fn compose(&self) -> Result<Message, RenderError> {
        let (composer, diagnostics) = self.composer();
        assert!(composer.is_some(), "does not compile: {diagnostics:#?}");
        let composer = composer.expect("asserted");
        composer.compose(&self.candidate(), &"0f".repeat(16), as_of())
    }

    pub(super) fn candidate(&self) -> Candidate {
        Candidate {
            key: DeliveryKey { profile_id: "u1".into(), occasion: "2026-W46".into() },
            address: Some("ann@example.test".into()),
            part: 0,
            milestone: None,
            level: None,
            reached_at: as_of(),
            dated: true,
            wanted: true,
            suppressed: None,
            variant: None,
            expires_at: None,
            timezone: None,
            context: self.context.as_object().expect("an object").clone().into(),
        }
    }
}

pub(super) fn as_of() -> Timestamp {
    "2026-11-16T06:00:00Z".parse().expect("valid")
}

fn place(text: &str) -> Place {
    let file = Arc::new(SourceFile { path: "jobs/digest.yml".into(), text: text.into() });
    let end = file.text.len();
    Place::new(&file, 0..end)
}

fn located(text: &str) -> Located<String> {
    Located::new(text.into(), place(text))
}

fn recap(message: MessageSpec, label: &str) -> Recap {
    Recap {
        period: PeriodKind::Week,
        zone: RecapZone::Project,
        settle: SignedDuration::ZERO,
        rows: EventRows {
            from: located("events"),
            event: None,
            event_column: None,
            filter: None,
            profile: None,
            time: None,
            dedup: None,
        },
        entity: None,
        since: None,
        compare: Vec::new(),
        only_if: None,
        metrics: vec![Metric {
            name: located("logins"),
            label: label.into(),
            sql: located("count(*)"),
            format: None,
            trend: None,
            rank: None,
            goal: None,
        }],
        by: None,
        top: Vec::new(),
        message,
    }
}

/// What a recap's candidates show here.
fn shape() -> Shape {
    let text = || Shape::scalar(ScalarKind::Text);
    let number = || Shape::scalar(ScalarKind::Number);
    let metric = || {
        Shape::object([
            ("name", text()),
            ("label", text()),
            ("value", number()),
            ("previous", Shape::nullable(ScalarKind::Number)),
            ("change_percent", Shape::nullable(ScalarKind::Number)),
            ("trend", Shape::List(Box::new(number()))),
        ])
    };
    Shape::object([
        (
            "profile",
            Shape::object([
                ("profile_id", text()),
                ("email", text()),
                ("first_name", Shape::nullable(ScalarKind::Text)),
                ("name", text()),
                ("token", text()),
                ("website", text()),
                ("colour", text()),
                ("timezone", text()),
                ("level_text", text()),
                ("tasks", Shape::nullable(ScalarKind::Number)),
                ("subscribed", Shape::nullable(ScalarKind::Boolean)),
                ("renews_on", Shape::scalar(ScalarKind::Date)),
                ("seen_at", Shape::nullable(ScalarKind::Time)),
                ("tags", Shape::List(Box::new(text()))),
            ]),
        ),
        ("period", Shape::object([("key", text()), ("start", Shape::scalar(ScalarKind::Time)), ("label", text())])),
        ("metrics", Shape::object([("logins", metric()), ("polls", metric())])),
        ("matrix", Shape::List(Box::new(metric()))),
    ])
}

pub(super) fn context() -> Value {
    let logins = json!({"name": "logins", "label": "Logins", "value": 12, "previous": 10, "change_percent": 20.0,
        "trend": [1, 2, 3, 0, 0, 4, 2]});
    let polls = json!({"name": "polls", "label": "Polls & more", "value": 3, "previous": null, "change_percent": null,
        "trend": [0, 0, 0, 0, 0, 0, 3]});
    json!({
        "profile": {"profile_id": "u1", "email": "ann@example.test", "first_name": "Ann", "name": "Ann Lee",
            "token": "tok/1", "website": "https://ann.test/?a=1&b=2", "colour": "#ff0000",
            "timezone": "America/Los_Angeles", "level_text": "7", "tasks": null, "subscribed": null,
            "renews_on": "2026-11-30", "seen_at": null, "tags": []},
        "period": {"key": "2026-W46", "start": "2026-11-08T23:00:00Z", "label": "9-15 November"},
        "metrics": {"logins": logins, "polls": polls},
        "matrix": [logins, polls],
    })
}
