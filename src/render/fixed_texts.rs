//! Texts of YAML that mails show as they are: liquid in them would be mailed verbatim, so that it is refused.

use serde_json::Value;

use crate::model::Mailbox;
use crate::model::diagnostic::{Diagnostic, Place};
use crate::project::{Job, Project};

/// A finding for every text with liquid in it that is no template.
pub(super) fn refuse_liquid(project: &Project, job: &Job) -> Vec<Diagnostic> {
    let mut texts = vec![("the project's name", project.name.as_str(), &project.place)];
    for value in project.vars.values() {
        add_texts(value, &mut |text| texts.push(("a value of `vars:`", text, &project.place)));
    }
    texts.extend(job.description.as_deref().map(|text| ("`description:`", text, &job.place)));
    texts.extend(job.postal_address.as_deref().map(|text| ("`postal_address:`", text, &job.place)));
    let names = |mailbox: &'_ Mailbox| mailbox.name.clone();
    let repliers = job.messages().into_iter().filter_map(|message| message.reply_to.as_ref());
    let mailboxes: Vec<String> = repliers.chain(job.reply_to.as_ref()).chain([&job.sender]).filter_map(names).collect();
    texts.extend(mailboxes.iter().map(|text| ("the name of a mailbox", text.as_str(), &job.place)));
    for metric in job.recap().iter().flat_map(|recap| &recap.metrics) {
        texts.push(("`label:`", &metric.label, &metric.name.place));
        texts.extend(metric.format.as_deref().map(|text| ("`format:`", text, &metric.name.place)));
    }
    let misplaced = texts.into_iter().filter(|(_, text, _)| text.contains("{{") || text.contains("{%"));
    misplaced.map(|(what, text, near)| finding(what, text, near)).collect()
}

fn finding(what: &str, text: &str, near: &Place) -> Diagnostic {
    // A text that YAML writes otherwise is told where its owner begins.
    let from = near.span.start;
    let at = near.file.text.get(from..).and_then(|rest| rest.find(text)).map(|at| at + from);
    let at = at.or_else(|| near.file.text.find(text));
    let place = at.map_or_else(|| near.clone(), |at| Place::new(&near.file, at..at + text.len()));
    Diagnostic::error(
        "liquid-in-text",
        format!("{what} is no template: this liquid would be mailed as it stands"),
        &place,
    )
    .with_help("write plain text here, and choose between texts in the template")
}

fn add_texts<'v>(value: &'v Value, add: &mut impl FnMut(&'v str)) {
    match value {
        Value::String(text) => add(text),
        Value::Array(items) => items.iter().for_each(|item| add_texts(item, add)),
        Value::Object(fields) => fields.values().for_each(|value| add_texts(value, add)),
        _ => {}
    }
}
