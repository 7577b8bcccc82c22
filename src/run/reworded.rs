//! What a change does to the messages themselves, whatever data, ledger and `only_if` say: their sources compared, and each
//! rendered for a person who stands in for everybody.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::model::shape::ScalarKind;
use crate::model::{Candidate, DeliveryKey, Message, Shape};
use crate::project::{Job, JobKind, Levels, MessageSpec, MilestoneSource};

use super::PreparedJob;
use super::diff::DiffMail;
use super::job_tests;

/// Whom a rendered message is for.
const STAND_IN: &str = "stand-in";

/// A text of a message that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiffSource {
    /// The job.
    pub job: String,
    /// The milestone; `None` for a recap.
    pub milestone: Option<String>,
    /// What it is: a file, `subject`, `label of METRIC`.
    pub what: String,
    /// The lines that differ, `-` before and `+` after.
    pub text: String,
}

/// What differs in the messages of a job that both sides have.
pub(super) fn compared(
    before: &PreparedJob<'_>,
    after: &PreparedJob<'_>,
    as_of: Timestamp,
) -> (Vec<DiffSource>, Vec<DiffMail>) {
    let (mut sources, mut mails) = (Vec::new(), Vec::new());
    for (new, part) in parts(after.job).into_iter().enumerate() {
        let Some(old) = parts(before.job).iter().position(|earlier| part.continues(earlier)) else { continue };
        let texts = [texts_of(before, old), texts_of(after, new)];
        sources.extend(differing_texts(after.job, part.name, &texts));
        for variant in variants(part.message) {
            let seen = [(before, old), (after, new)].map(|(side, part)| rendered(side, part, variant, as_of));
            mails.extend(differing_mail(after.job, (part.name, variant), seen));
        }
    }
    (sources, mails)
}

/// A milestone or the recap of a job.
struct Part<'a> {
    name: Option<&'a str>,
    aliases: &'a [String],
    message: &'a MessageSpec,
}

impl Part<'_> {
    fn continues(&self, earlier: &Self) -> bool {
        self.name == earlier.name || earlier.name.is_some_and(|name| self.aliases.iter().any(|alias| alias == name))
    }
}

fn parts(job: &Job) -> Vec<Part<'_>> {
    match &job.kind {
        JobKind::Milestones(milestones) => milestones
            .iter()
            .map(|one| Part { name: Some(&one.name.value), aliases: &one.aliases, message: &one.message })
            .collect(),
        JobKind::Recap(recap) => vec![Part { name: None, aliases: &[], message: &recap.message }],
    }
}

fn variants(message: &MessageSpec) -> Vec<Option<&str>> {
    let named: Vec<Option<&str>> = message.variants.list.iter().map(|variant| Some(variant.name.as_str())).collect();
    if named.is_empty() { vec![None] } else { named }
}

/// Every text that a message is made of, by what it is.
fn texts_of(side: &PreparedJob<'_>, part: usize) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    let parts = parts(side.job);
    let Some(found) = parts.get(part) else { return texts };
    let variants =
        found.message.variants.list.iter().map(|variant| (format!(" of variant {}", variant.name), &variant.message));
    for (of, message) in std::iter::once((String::new(), found.message)).chain(variants) {
        texts.insert(format!("subject{of}"), message.subject.value.clone());
        texts.extend(message.preheader.as_ref().map(|line| (format!("preheader{of}"), line.value.clone())));
        texts.extend(message.headers.iter().map(|(name, line)| (format!("header {name}{of}"), line.value.clone())));
    }
    if let Some(recap) = side.job.recap() {
        let labels = recap.metrics.iter().map(|one| (format!("label of {}", one.name.value), one.label.clone()));
        texts.extend(labels);
        let formats = recap.metrics.iter().filter_map(|one| Some((one.name.value.clone(), one.format.clone()?)));
        texts.extend(formats.map(|(name, format)| (format!("format of {name}"), format)));
    }
    texts.extend(side.composer.files(part).iter().map(|(path, text)| (path.clone(), text.clone())));
    texts
}

fn differing_texts(
    job: &Job,
    milestone: Option<&str>,
    [before, after]: &[BTreeMap<String, String>; 2],
) -> Vec<DiffSource> {
    let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differing = all.into_iter().filter(|what| before.get(*what) != after.get(*what));
    let source = |what: &String| {
        let text = |side: &BTreeMap<String, String>| side.get(what).cloned().unwrap_or_default();
        DiffSource {
            job: job.name.clone(),
            milestone: milestone.map(str::to_owned),
            what: what.clone(),
            text: marked(&text(before), &text(after)),
        }
    };
    differing.map(source).collect()
}

/// Marks stand first on their line, where a viewer of differences looks for them.
fn marked(before: &str, after: &str) -> String {
    job_tests::difference(before, after).replace("\n  ", "\n").trim_start().to_owned()
}

fn differing_mail(
    job: &Job,
    (milestone, variant): (Option<&str>, Option<&str>),
    [before, after]: [Option<Message>; 2],
) -> Option<DiffMail> {
    let (before, after) = (before?, after?);
    let text = match (full_text(&before), full_text(&after)) {
        (old, new) if old != new || before.subject != after.subject => marked(&old, &new),
        _ if before.html != after.html => format!("the HTML part alone differs\n{}", marked(&before.html, &after.html)),
        _ => return None,
    };
    let of = variant.map(|variant| format!(", variant {variant}")).unwrap_or_default();
    Some(DiffMail {
        job: job.name.clone(),
        test: None,
        who: format!("{}{of} as a {STAND_IN} gets it", milestone.unwrap_or("the recap")),
        subjects: (Some(before.subject), Some(after.subject)),
        text,
    })
}

/// The text part, behind those headers that say anything but who the person is.
fn full_text(message: &Message) -> String {
    let mut text = format!("From: {}\n", message.from.address.as_str());
    let reply_to = message.reply_to.iter().map(|mailbox| ("Reply-To", mailbox.address.as_str()));
    let headers = message.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in reply_to.chain(headers) {
        text += &format!("{name}: {value}\n");
    }
    text + "\n" + &message.text
}

/// The message of a part for the stand-in; `None` where its data break the template.
fn rendered(side: &PreparedJob<'_>, part: usize, variant: Option<&str>, as_of: Timestamp) -> Option<Message> {
    let shape = side.compiled.shapes().get(part)?;
    let Value::Object(mut context) = value_of(shape, "", as_of) else { return None };
    describe(side.job, part, &mut context);
    let candidate = Candidate {
        key: DeliveryKey { profile_id: STAND_IN.to_owned(), occasion: STAND_IN.to_owned() },
        address: Some("stand-in@example.test".to_owned()),
        part,
        milestone: parts(side.job).get(part)?.name.map(str::to_owned),
        level: None,
        reached_at: as_of,
        dated: true,
        wanted: true,
        suppressed: None,
        variant: variant.map(str::to_owned),
        expires_at: None,
        timezone: None,
        context: context.into(),
    };
    side.composer.compose(&candidate, &"0".repeat(32), as_of).ok()
}

/// A value for every field: the same for the same name and kind, whichever side asks.
fn value_of(shape: &Shape, name: &str, as_of: Timestamp) -> Value {
    match shape {
        Shape::Object(fields) => fields
            .iter()
            .map(|(name, field)| (name.clone(), value_of(field, name, as_of)))
            .collect::<Map<_, _>>()
            .into(),
        Shape::List(item) => json!([value_of(item, name, as_of), value_of(item, name, as_of)]),
        Shape::Any => Value::Null,
        Shape::Scalar { kind: ScalarKind::Number, .. } => json!(5),
        Shape::Scalar { kind: ScalarKind::Boolean, .. } => json!(true),
        Shape::Scalar { kind: ScalarKind::Time, .. } => json!(as_of.to_string()),
        Shape::Scalar { kind: ScalarKind::Date, .. } => {
            json!(as_of.to_zoned(jiff::tz::TimeZone::UTC).date().to_string())
        }
        Shape::Scalar { kind: ScalarKind::Text, .. } => match name {
            "timezone" => json!("UTC"),
            "email" => json!("stand-in@example.test"),
            _ if ["url", "link", "href", "image"].iter().any(|part| name.contains(part)) => {
                json!("https://example.test/")
            }
            _ if name.contains("colo") => json!("#336699"),
            _ => json!(name.replace('_', " ")),
        },
    }
}

/// What a job says itself: the milestone's name and first level, and the labels of metrics.
fn describe(job: &Job, part: usize, context: &mut Map<String, Value>) {
    match &job.kind {
        JobKind::Milestones(milestones) => {
            let (Some(milestone), Some(Value::Object(fields))) = (milestones.get(part), context.get_mut("milestone"))
            else {
                return;
            };
            fields.insert("name".to_owned(), json!(milestone.name.value));
            if let MilestoneSource::Reaches(reaches) = &milestone.source
                && let Levels::List(levels) = &reaches.levels
                && let Some(first) = levels.first()
            {
                fields.insert("level".to_owned(), json!(first.get()));
            }
        }
        JobKind::Recap(recap) => {
            if let Some(Value::Object(metrics)) = context.get_mut("metrics") {
                for metric in &recap.metrics {
                    if let Some(Value::Object(cell)) = metrics.get_mut(&metric.name.value) {
                        cell.insert("label".to_owned(), json!(metric.label));
                    }
                }
            }
            if let Some(Value::Array(matrix)) = context.get_mut("matrix") {
                let entry = matrix.first().cloned().unwrap_or_default();
                *matrix =
                    recap.metrics.iter().map(|metric| labelled(&entry, &metric.name.value, &metric.label)).collect();
            }
        }
    }
}

fn labelled(entry: &Value, name: &str, label: &str) -> Value {
    let mut entry = entry.clone();
    if let Value::Object(fields) = &mut entry {
        fields.insert("name".to_owned(), json!(name));
        fields.insert("label".to_owned(), json!(label));
    }
    entry
}
