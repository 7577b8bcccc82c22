//! `caps:`, `window:` and `variants:` made whole.

use std::path::Path;

use super::message;
use crate::model::diagnostic::{Diagnostic, Located, Place};
use crate::model::window::Window;
use crate::project::job::MessageSpec;
use crate::project::names::is_word;
use crate::project::read::{Findings, quoted, report_missing};
use crate::project::restraint::{Cap, JobWindow, Variant, Variants};
use crate::project::schema::{CapFields, MessageFields, VariantFields, WindowFields};

const DEFAULT_DAYS: [bool; 7] = [true; 7];

/// Builds the caps of a project.
pub(super) fn caps(written: Vec<Located<CapFields>>, findings: &mut Findings) -> Vec<Cap> {
    let mut caps = Vec::with_capacity(written.len());
    for Located { value: fields, place } in written {
        report_missing(&fields.given, "max", "say how many mails: `max: 2`", &place, findings);
        report_missing(&fields.given, "per", "say within which time: `per: 7 days`", &place, findings);
        let (Some(max), Some(per)) = (fields.max, fields.per) else { continue };
        let count = u32::try_from(max.value).ok().filter(|count| *count > 0);
        if count.is_none() {
            let finding = Diagnostic::error("bad-cap", "a cap allows at least one mail", &max.place);
            findings.push(finding.with_help("to mail nobody, halt the jobs: `milepost halt`"));
        }
        if per.value.is_zero() {
            findings.push(Diagnostic::error("bad-duration", "a cap needs a time above nothing", &per.place));
        }
        caps.extend(count.filter(|_| !per.value.is_zero()).map(|max| Cap { max, per: per.value }));
    }
    caps
}

/// Builds the window of a job.
pub(super) fn window(written: Option<&Located<WindowFields>>, findings: &mut Findings) -> Option<JobWindow> {
    let Located { value: fields, place } = written?;
    report_missing(&fields.given, "hours", "say when mail may leave: `hours: \"09:00-18:00\"`", place, findings);
    let hours = fields.hours.as_ref()?.value;
    let days = fields.days.as_ref().map_or(DEFAULT_DAYS, |days| days.value.0);
    let window = Window::new(hours.0, hours.1, days)?;
    Some(JobWindow { window, zone: fields.zone.as_ref().map(|zone| zone.value).unwrap_or_default() })
}

/// Where variants are declared.
pub(super) struct Declared<'a> {
    /// As written; `None` where there are none.
    pub(super) variants: Option<&'a Located<Vec<Located<VariantFields>>>>,
    /// The milestone that declares them; empty when the job does.
    pub(super) salt: &'a str,
}

/// Builds a message from its layers, the first before the others, with a message of its own for each variant.
pub(super) fn message(
    declared: &Declared<'_>,
    layers: &[&Located<MessageFields>],
    root: &Path,
    place: &Place,
    findings: &mut Findings,
) -> Option<MessageSpec> {
    let Some(written) = declared.variants else {
        return message::build(layers, root, place, findings);
    };
    if written.value.len() < 2 {
        let finding =
            Diagnostic::error("too-few-variants", "variants are compared, so there are at least two", &written.place);
        findings.push(finding.with_help("add another one, or write its keys into `message`"));
    }
    let mut list: Vec<Variant> = Vec::with_capacity(written.value.len());
    for Located { value: fields, place } in &written.value {
        report_missing(&fields.given, "name", "name it: `name: a`; the ledger records it", place, findings);
        let Some(name) = &fields.name else { continue };
        is_word("variant", name, findings);
        if list.iter().any(|earlier| earlier.name == name.value) {
            let message = format!("two variants are named {}", quoted(&name.value));
            findings.push(Diagnostic::error("duplicate-name", message, &name.place).with_help("rename one of them"));
        }
        let own = Located::new(fields.message(), place.clone());
        let layers: Vec<&Located<MessageFields>> = std::iter::once(&own).chain(layers.iter().copied()).collect();
        let message = message::build(&layers, root, place, findings);
        let weight = fields.weight.as_ref().map_or(1.0, |weight| weight.value.get());
        list.extend(message.map(|message| Variant { name: name.value.clone(), weight, message }));
    }
    let first = list.first()?.message.clone();
    Some(MessageSpec { variants: Variants { salt: declared.salt.to_owned(), list }, ..first })
}

impl VariantFields {
    /// What it says otherwise than the message.
    fn message(&self) -> MessageFields {
        MessageFields {
            subject: self.subject.clone(),
            template: self.template.clone(),
            text: self.text.clone(),
            preheader: self.preheader.clone(),
            reply_to: self.reply_to.clone(),
            headers: self.headers.clone(),
            given: self.given.clone(),
        }
    }
}
