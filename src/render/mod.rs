//! Templates compiled once, strict and escaped; a candidate becomes a [`Message`].
//!
//! Guarantees: every name and filter of every branch is checked before a run; a value never becomes markup, a
//! header, a template or a link that runs code; the same inputs give the same bytes. Rendering reads no file, no
//! clock and no network. A profile whose data breaks its template is an error of that profile alone.

mod compile;
mod elsewhere;
mod expression;
mod filters;
mod findings;
mod fixed_texts;
mod headers;
mod html;
mod language;
mod liquid;
mod source;
mod stand_ins;
mod tokenizer;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::model::diagnostic::Diagnostic;
use crate::model::shape::ScalarKind;
use crate::model::{Candidate, EmailAddress, Mailbox, Message, Shape};
use crate::project::{Category, Job, MessageSpec, Project};
use compile::{CLIPPED_BYTES, CompiledMessage, Compiler, Line};
use liquid::{Data, Globals};

pub use filters::{FilterDoc, filter_docs};

/// Why a candidate's message could not be made. No variant holds a value of the profile.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The profile's data broke the template.
    #[error("{place}: for this profile {reason}; shorten what the template does, or correct the data")]
    Template {
        /// The template's file, line and column.
        place: String,
        /// The limit it broke, or what is missing.
        reason: String,
    },
    /// Nothing is left of the subject.
    #[error("{place}: the subject is empty for this profile; give its values a `| default:`")]
    EmptySubject {
        /// Where the subject is written.
        place: String,
    },
    /// Nothing is left of the text part.
    #[error("{place}: the text part is empty for this profile; show something in every branch")]
    EmptyText {
        /// The template's file.
        place: String,
    },
    /// The address of the unsubscribe page is not usable.
    #[error("{place}: the unsubscribe address {reason}; correct `unsubscribe.url` or the audience column it uses")]
    Unsubscribe {
        /// Where the address is written.
        place: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The candidate has no valid address; such candidates are decided `invalid_address` before.
    #[error("the candidate has no valid address")]
    Address,
    /// What was decided does not read.
    #[error("what the mail shows does not read ({reason}); the disk of temporary files may be failing")]
    Context {
        /// Where, without values.
        reason: String,
    },
    /// The candidate is of no message of this job.
    #[error("the job has no message {part}")]
    UnknownPart {
        /// The candidate's part.
        part: usize,
    },
}

/// The compiled messages of one job.
pub struct Composer {
    parts: Vec<Part>,
    /// What every message of the run sees beside its candidate.
    run_wide: Map<String, Value>,
    from: Mailbox,
    marketing: bool,
    redirect: Option<(Mailbox, String)>,
    clipped: AtomicU64,
    cleaned: AtomicU64,
}

/// The messages of one milestone or recap.
struct Part {
    /// What is mailed to candidates of no variant.
    plain: CompiledMessage,
    variants: Vec<(String, CompiledMessage)>,
    /// The files that they are made of: paths below the project's folder, and texts.
    files: BTreeMap<String, String>,
}

impl Part {
    fn new(compiler: &mut Compiler<'_>, spec: &MessageSpec, globals: &Shape) -> Option<Self> {
        let written = spec.variants.list.iter();
        let variants: Vec<_> =
            written.map(|variant| Some((variant.name.clone(), compiler.message(&variant.message, globals)?))).collect();
        // Where there are variants, the plain message is the first of them; what is wrong is said once.
        let plain = compiler.message(spec, globals)?;
        let files = std::mem::take(&mut compiler.files);
        Some(Self { plain, variants: variants.into_iter().collect::<Option<_>>()?, files })
    }

    /// The message of a variant; one that is no longer declared has the plain one.
    fn of(&self, variant: Option<&str>) -> &CompiledMessage {
        let named = |wanted: &str| self.variants.iter().find(|(name, _)| name == wanted);
        variant.and_then(named).map_or(&self.plain, |(_, message)| message)
    }

    fn references(&self) -> BTreeSet<String> {
        let all = std::iter::once(&self.plain).chain(self.variants.iter().map(|(_, message)| message));
        all.flat_map(|message| message.references.iter().cloned()).collect()
    }
}

/// The longest address that fits into a header of every provider.
const LONGEST_ADDRESS: usize = 900;

/// The unsubscribe address of redirected mail: of no server, and of nobody.
const LEAVES_NOBODY: &str = "https://redirected.invalid/unsubscribe";

impl Composer {
    /// Compiles every message of a job against what its candidates show: one shape per message, each an object.
    /// `None` when any finding is an error; the findings of all messages are returned at once.
    pub fn new(project: &Project, job: &Job, shapes: &[Shape]) -> (Option<Self>, Vec<Diagnostic>) {
        let mut compiler = Compiler::new(project, job, shapes);
        let mut parts = Vec::new();
        for (position, spec) in job.messages().into_iter().enumerate() {
            let globals = globals(project, job, shapes.get(position));
            parts.extend(Part::new(&mut compiler, spec, &globals));
        }
        compiler.report(fixed_texts::refuse_liquid(project, job));
        let sound = compiler.diagnostics.are_harmless();
        let diagnostics = compiler.diagnostics.into_list();
        let composer = (sound && parts.len() == job.messages().len()).then(|| Self {
            parts,
            run_wide: run_wide(project, job),
            from: job.sender.clone(),
            marketing: job.category == Category::Marketing,
            redirect: project
                .redirect_to
                .clone()
                .map(|mailbox| (mailbox, format!("[{}] ", project.environment.as_deref().unwrap_or("redirected")))),
            clipped: AtomicU64::new(0),
            cleaned: AtomicU64::new(0),
        });
        (composer, diagnostics)
    }

    /// The files that the message of a part is made of, partials included: paths below the project's folder, and texts.
    #[must_use]
    pub fn files(&self, part: usize) -> &BTreeMap<String, String> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        self.parts.get(part).map_or(&NONE, |part| &part.files)
    }

    /// Per message, variants included, the dotted paths of the candidate's context that it reads.
    pub fn references(&self) -> Vec<BTreeSet<String>> {
        self.parts.iter().map(Part::references).collect()
    }

    /// How many messages so far were longer than Gmail shows (102 KB of HTML).
    pub fn clipped(&self) -> u64 {
        self.clipped.load(Ordering::Relaxed)
    }

    /// How many runs of control characters were replaced in subjects and headers so far.
    pub fn cleaned(&self) -> u64 {
        self.cleaned.load(Ordering::Relaxed)
    }

    /// Renders one message; `as_of` is the run's logical time and becomes the message's date.
    ///
    /// # Errors
    /// When the profile's data breaks a template, or leaves the subject, the text or the unsubscribe address empty.
    pub fn compose(&self, candidate: &Candidate, delivery_id: &str, as_of: Timestamp) -> Result<Message, RenderError> {
        let part = self.parts.get(candidate.part).ok_or(RenderError::UnknownPart { part: candidate.part })?;
        let compiled = part.of(candidate.variant.as_deref());
        let run = Map::from_iter([("as_of".to_owned(), Value::from(as_of.to_string()))]);
        let context = candidate.context.fields().map_err(|error| RenderError::Context { reason: error.to_string() })?;
        let mut view = Globals::default();
        view.add_all(&self.run_wide);
        view.add("run", Data::Fields(&run));
        view.add_all(&context);

        let leave = compiled.unsubscribe.as_ref().map(|line| unsubscribe_address(line, &view)).transpose()?;
        // Whoever reads redirected mail must not be able to opt the real person out.
        let leave = leave.map(|own| if self.redirect.is_some() { LEAVES_NOBODY.to_owned() } else { own });
        if let Some(address) = &leave {
            view.add("unsubscribe_url", Data::Text(address));
        }
        let subject = self.subject(&compiled.subject, &view)?;
        let preheader = compiled.preheader.as_ref().map(|line| rendered(line, &view)).transpose()?.unwrap_or_default();
        let preheader = self.one_line(&preheader);
        view.add("preheader", Data::Text(&preheader));

        let (html, text) = bodies(compiled, &view)?;
        let headers = self.headers(compiled, &view, leave.as_deref())?;
        if html.len() > CLIPPED_BYTES {
            self.clipped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Message {
            delivery_id: delivery_id.to_owned(),
            from: self.from.clone(),
            to: self.recipient(candidate)?,
            reply_to: compiled.reply_to.clone(),
            subject,
            html,
            text,
            headers,
            date: as_of,
        })
    }

    fn recipient(&self, candidate: &Candidate) -> Result<Mailbox, RenderError> {
        if let Some((mailbox, _)) = &self.redirect {
            return Ok(mailbox.clone());
        }
        let address = candidate.address.as_deref().and_then(EmailAddress::parse).ok_or(RenderError::Address)?;
        Ok(Mailbox { name: None, address })
    }

    fn one_line(&self, text: &str) -> String {
        let (line, cleaned) = headers::one_line(text);
        self.cleaned.fetch_add(cleaned, Ordering::Relaxed);
        line
    }

    fn subject(&self, line: &Line, view: &Globals<'_>) -> Result<String, RenderError> {
        let subject = self.one_line(&rendered(line, view)?);
        if subject.is_empty() {
            return Err(RenderError::EmptySubject { place: line.place() });
        }
        let prefix = self.redirect.as_ref().map_or("", |(_, prefix)| prefix);
        Ok(headers::cut_subject(format!("{prefix}{subject}")))
    }

    fn headers(
        &self,
        compiled: &CompiledMessage,
        view: &Globals<'_>,
        leave: Option<&str>,
    ) -> Result<Vec<(String, String)>, RenderError> {
        let mut headers = Vec::with_capacity(compiled.headers.len() + 2);
        for (name, line) in &compiled.headers {
            let value = self.one_line(&rendered(line, view)?);
            if !value.is_empty() {
                headers.push((name.clone(), headers::ascii_value(&value)));
            }
        }
        if let Some(address) = leave.filter(|_| self.marketing) {
            headers.push(("List-Unsubscribe".into(), format!("<{address}>")));
            headers.push(("List-Unsubscribe-Post".into(), "List-Unsubscribe=One-Click".into()));
        }
        Ok(headers)
    }
}

fn rendered(line: &Line, view: &Globals<'_>) -> Result<String, RenderError> {
    line.template
        .render(view)
        .map_err(|stopped| RenderError::Template { place: line.place_of(&stopped), reason: stopped.reason })
}

/// The HTML part and the text part, which says what the HTML shows unless it has a template of its own.
fn bodies(compiled: &CompiledMessage, view: &Globals<'_>) -> Result<(String, String), RenderError> {
    let given = rendered(&compiled.html, view)?;
    let room = given.len() + compiled.fixed_bytes;
    let (html, derived) = compiled.stretches.assemble(&given, compiled.text.is_none(), room);
    if html.len() > liquid::LARGEST_PART {
        return Err(RenderError::Template { place: compiled.html.place(), reason: liquid::too_large() });
    }
    let (text, place) = match &compiled.text {
        Some(own) => (rendered(own, view)?.replace('\0', "\u{fffd}").trim().to_owned(), own.place()),
        None => (derived, compiled.html.place()),
    };
    if text.is_empty() {
        return Err(RenderError::EmptyText { place });
    }
    Ok((html, text))
}

fn unsubscribe_address(line: &Line, view: &Globals<'_>) -> Result<String, RenderError> {
    let address = rendered(line, view)?;
    let address = address.trim();
    let refused = |reason| RenderError::Unsubscribe { place: line.place(), reason };
    let parsed = url::Url::parse(address).map_err(|_| refused("is not an address for this profile"))?;
    if parsed.scheme() != "https" {
        return Err(refused("does not begin with https:// for this profile"));
    }
    let written = String::from(parsed);
    if written.len() > LONGEST_ADDRESS {
        return Err(refused("is longer than 900 characters for this profile"));
    }
    Ok(written)
}

/// Everything a template may see.
fn globals(project: &Project, job: &Job, candidate: Option<&Shape>) -> Shape {
    let text = || Shape::scalar(ScalarKind::Text);
    let mut fields = match candidate {
        Some(Shape::Object(fields)) => fields.clone(),
        _ => std::collections::BTreeMap::new(),
    };
    let description = if job.description.is_some() { text() } else { Shape::nullable(ScalarKind::Text) };
    fields.insert("project".into(), text());
    fields.insert("job".into(), Shape::object([("name", text()), ("description", description)]));
    fields.insert("run".into(), Shape::object([("as_of", Shape::scalar(ScalarKind::Time))]));
    fields.insert("vars".into(), Shape::object(project.vars.iter().map(|(name, value)| (name, shape_of(value)))));
    fields.insert("preheader".into(), text());
    if project.unsubscribe.is_some() {
        fields.insert("unsubscribe_url".into(), text());
    }
    if job.postal_address.is_some() {
        fields.insert("postal_address".into(), text());
    }
    Shape::Object(fields)
}

fn shape_of(value: &Value) -> Shape {
    match value {
        Value::Bool(_) => Shape::scalar(ScalarKind::Boolean),
        Value::Number(_) => Shape::scalar(ScalarKind::Number),
        Value::String(_) => Shape::scalar(ScalarKind::Text),
        Value::Null => Shape::nullable(ScalarKind::Text),
        Value::Array(items) => {
            let mut shapes = items.iter().map(shape_of);
            let first = shapes.next().unwrap_or(Shape::Any);
            Shape::List(Box::new(if shapes.all(|shape| shape == first) { first } else { Shape::Any }))
        }
        Value::Object(fields) => Shape::object(fields.iter().map(|(name, value)| (name, shape_of(value)))),
    }
}

/// The values of [`globals`] that are the same for every candidate.
fn run_wide(project: &Project, job: &Job) -> Map<String, Value> {
    let mut values = Map::new();
    values.insert("project".into(), Value::from(project.name.as_str()));
    values.insert("job".into(), serde_json::json!({"name": job.name, "description": job.description}));
    values.insert("vars".into(), Value::Object(project.vars.clone().into_iter().collect()));
    if let Some(address) = &job.postal_address {
        values.insert("postal_address".into(), Value::from(address.as_str()));
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_composer_serves_every_thread() {
        fn shared<T: Send + Sync>() {}
        shared::<Composer>();
    }
}
