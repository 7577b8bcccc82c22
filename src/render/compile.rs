//! One message of a job: its templates read, checked against what they may see, and compiled.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::elsewhere::elsewhere;
use super::filters::{Part, URL_PART};
use super::findings::Findings;
use super::headers::refused_name;
use super::html::markup::{self, Ground as MarkupGround, Markup};
use super::html::stretches::Stretches;
use super::language::{Compiled, Language};
use super::liquid::{Globals, Stopped};
use super::source::{Locators, Partials, Source};
use super::tokenizer::{SegmentKind, marked};
use super::walk::{Ground, walk};
use crate::model::diagnostic::{Diagnostic, Severity};
use crate::model::{Mailbox, Shape};
use crate::project::{Category, Job, MessageSpec, Project};

/// Gmail shows no more of a message than this.
pub(super) const CLIPPED_BYTES: usize = 102 * 1024;

/// What the values of a mail may need beside its template.
const ROOM_BYTES: usize = 12 * 1024;

/// A message ready to render.
pub(super) struct CompiledMessage {
    pub(super) subject: Line,
    pub(super) preheader: Option<Line>,
    /// The body, with marks for what never changes.
    pub(super) html: Line,
    /// What never changes.
    pub(super) stretches: Stretches,
    /// How many bytes of the HTML never change.
    pub(super) fixed_bytes: usize,
    /// The text part's own template; without one it is made from the HTML.
    pub(super) text: Option<Line>,
    pub(super) headers: Vec<(String, Line)>,
    pub(super) unsubscribe: Option<Line>,
    pub(super) reply_to: Option<Mailbox>,
    pub(super) references: BTreeSet<String>,
}

/// A template and the places that are shown when a profile's data breaks it.
pub(super) struct Line {
    pub(super) template: Compiled,
    places: Locators,
}

impl Line {
    /// Where the template is written.
    pub(super) fn place(&self) -> String {
        self.places.start().to_string()
    }

    /// Where rendering stopped.
    pub(super) fn place_of(&self, stopped: &Stopped) -> String {
        self.places.place(stopped.partial.as_deref(), stopped.offset).to_string()
    }
}

/// Compiles the messages of one job.
pub(super) struct Compiler<'a> {
    pub(super) project: &'a Project,
    pub(super) job: &'a Job,
    pub(super) diagnostics: Findings,
    /// Files read for messages since they were last taken: paths below the project's folder, and texts.
    pub(super) files: BTreeMap<String, String>,
    line_language: Language,
    /// What messages of other kinds show: null here, where a template asks for it first.
    elsewhere: Shape,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(project: &'a Project, job: &'a Job, shapes: &[Shape]) -> Self {
        let line_language = Language::new(Part::Text, &project.timezone, Vec::new());
        Self {
            project,
            job,
            diagnostics: Findings::default(),
            files: BTreeMap::new(),
            line_language,
            elsewhere: elsewhere(shapes),
        }
    }

    /// Adds findings, each once.
    pub(super) fn report(&mut self, findings: impl IntoIterator<Item = Diagnostic>) {
        for finding in findings {
            self.diagnostics.add(finding);
        }
    }

    /// Compiles a message; `None` when something is wrong, all of it reported.
    pub(super) fn message(&mut self, spec: &MessageSpec, globals: &Shape) -> Option<CompiledMessage> {
        let mut references = BTreeSet::new();
        let before_body = without(globals, &["unsubscribe_url", "preheader"]);
        let unsubscribe = match &self.project.unsubscribe {
            Some(unsubscribe) => {
                let mut source = Source::yaml(&unsubscribe.url);
                Some(self.unsubscribe(&mut source, &before_body, &mut references))
            }
            None => None,
        };
        if spec.subject.value.trim().is_empty() {
            self.report([Diagnostic::error("empty-subject", "the subject is empty", &spec.subject.place)]);
        }
        let subject = self.line(Source::yaml(&spec.subject), &without(globals, &["preheader"]), &mut references);
        let preheader = spec
            .preheader
            .as_ref()
            .map(|line| self.line(Source::yaml(line), &without(globals, &["preheader"]), &mut references));
        let headers = self.headers(spec, globals, &mut references);
        let body = self.body(spec, globals, &mut references);
        self.check_preheader(spec, &references);
        let body = body?;
        Some(CompiledMessage {
            subject: subject?,
            preheader: transpose(preheader)?,
            html: body.html,
            stretches: body.stretches,
            fixed_bytes: body.fixed_bytes,
            text: body.text,
            headers: headers?,
            unsubscribe: transpose(unsubscribe)?,
            reply_to: spec.reply_to.clone().or_else(|| self.job.reply_to.clone()),
            references: run_values_removed(references),
        })
    }

    fn check_preheader(&mut self, spec: &MessageSpec, references: &BTreeSet<String>) {
        if let Some(preheader) = spec.preheader.as_ref().filter(|_| !references.contains("preheader")) {
            let message = "this preheader is never shown: the template does not print `preheader`";
            let finding = Diagnostic::warning("unused-preheader", message, &preheader.place)
                .with_help("add `<mj-preview>{{ preheader }}</mj-preview>` to the template");
            self.report([finding]);
        }
    }

    /// Walks a source; true when nothing is wrong.
    fn walk(&mut self, source: &mut Source, part: Part, globals: &Shape, partials: &mut Partials) -> Option<Walked> {
        if let Err(finding) = source.cut() {
            self.report([finding]);
            return None;
        }
        let html = part == Part::Html;
        let ground = Ground { shape: globals, elsewhere: &self.elsewhere, zone: &self.project.timezone, html };
        let facts = walk(source, partials, &ground);
        let sound = facts.diagnostics.are_harmless();
        self.report(facts.diagnostics.into_list());
        Some(Walked { references: facts.references, safe: facts.safe, sound })
    }

    /// A template of one line.
    fn line(&mut self, mut source: Source, globals: &Shape, references: &mut BTreeSet<String>) -> Option<Line> {
        let mut partials = Partials::new(&self.project.root, &self.project.root);
        let walked = self.walk(&mut source, Part::Text, globals, &mut partials)?;
        references.extend(walked.references);
        if let Some((name, _)) = partials.loaded().iter().next() {
            let message = format!("a line of YAML cannot include the partial `{name}`");
            self.report([Diagnostic::error("partial-in-line", message, &source.start())]);
            return None;
        }
        if !walked.sound {
            return None;
        }
        let parsed = self.line_language.parse(&source.text);
        self.compiled(parsed, Locators::new(&source, None))
    }

    /// A compiled template with its places; what takes too much even of a profile without any data is refused.
    fn compiled(&mut self, parsed: Result<Compiled, Stopped>, places: Locators) -> Option<Line> {
        let template = match parsed {
            Ok(template) => template,
            Err(stopped) => {
                self.report([syntax(&stopped, &places)]);
                return None;
            }
        };
        if let Err(stopped) = template.render(&Globals::default()) {
            let place = places.place(stopped.partial.as_deref(), stopped.offset);
            let finding = Diagnostic::error("template-limit", format!("for everybody {}", stopped.reason), &place);
            self.report([finding.with_help("docs/reference/templates.md has the limits of a mail")]);
            return None;
        }
        Some(Line { template, places })
    }

    fn unsubscribe(&mut self, source: &mut Source, globals: &Shape, references: &mut BTreeSet<String>) -> Option<Line> {
        let mut partials = Partials::new(&self.project.root, &self.project.root);
        let walked = self.walk(source, Part::Text, globals, &mut partials)?;
        references.extend(walked.references);
        let starts_open = source.segments.first().is_some_and(|first| first.kind != SegmentKind::Text);
        if !starts_open && !source.text.trim_start().to_ascii_lowercase().starts_with("https://") {
            let finding = Diagnostic::error(
                "unsubscribe-https",
                "the unsubscribe address must begin with `https://`",
                &source.start(),
            );
            self.report([finding]);
            return None;
        }
        if !walked.sound {
            return None;
        }
        let places = Locators::new(source, None);
        match self.line_language.parse(&with_encoded_values(source)) {
            Ok(template) => Some(Line { template, places }),
            Err(stopped) => {
                self.report([syntax(&stopped, &places)]);
                None
            }
        }
    }

    fn headers(
        &mut self,
        spec: &MessageSpec,
        globals: &Shape,
        references: &mut BTreeSet<String>,
    ) -> Option<Vec<(String, Line)>> {
        let mut headers = Vec::new();
        let mut whole = true;
        for (name, value) in &spec.headers {
            if let Some(reason) = refused_name(name) {
                let finding = Diagnostic::error(
                    "header-name",
                    format!("the header `{name}` cannot be set: {reason}"),
                    &value.place,
                );
                self.report([finding]);
                whole = false;
                continue;
            }
            match self.line(Source::yaml(value), globals, references) {
                Some(line) => headers.push((name.clone(), line)),
                None => whole = false,
            }
        }
        whole.then_some(headers)
    }

    /// The body of a message.
    fn body(&mut self, spec: &MessageSpec, globals: &Shape, references: &mut BTreeSet<String>) -> Option<Body> {
        let path = &spec.template.value;
        let markup = match path.extension().and_then(|extension| extension.to_str()) {
            Some("mjml") => Markup::Mjml,
            Some("html" | "htm") => Markup::Html,
            _ => {
                let message = "a template is a `.mjml` or `.html` file";
                self.report([Diagnostic::error("template-extension", message, &spec.template.place)]);
                return None;
            }
        };
        let mut source = self.read(path, &spec.template.place)?;
        let mut partials = Partials::new(path.parent().unwrap_or(&self.project.root), &self.project.root);
        let walked = self.walk(&mut source, Part::Html, globals, &mut partials)?;
        references.extend(walked.references.iter().cloned());
        self.note_partials(&partials);
        self.check_marketing(&source, &walked, &partials);
        let cut = self.cut(&source, markup, &walked, &partials);
        if !walked.sound {
            return None;
        }
        let cut = cut?;
        self.check_size(cut.fixed_bytes, &source);
        if spec.text.is_none() && !cut.has_text {
            let message = "this template shows no text, so its text part would be empty";
            let finding = Diagnostic::error("empty-text", message, &source.start());
            self.report([finding.with_help("write some text, or name a `text:` template in the message")]);
            return None;
        }
        let language = Language::new(Part::Html, &self.project.timezone, cut.partials);
        let html = self.compiled(language.parse(&cut.template), Locators::new(&source, Some(&partials)));
        let text = match &spec.text {
            Some(own) => Some(self.own_text(&own.value, &own.place, globals, references)?),
            None => None,
        };
        Some(Body { html: html?, text, stretches: cut.stretches, fixed_bytes: cut.fixed_bytes })
    }

    /// Compiles a template of HTML and its partials, all findings reported.
    fn cut(&mut self, source: &Source, markup: Markup, walked: &Walked, partials: &Partials) -> Option<Cut> {
        let all = || std::iter::once(source).chain(partials.loaded().values().map(AsRef::as_ref));
        let encoded = markup::encoded_names(all());
        let fixed_partials = partials
            .loaded()
            .iter()
            .filter(|(_, partial)| partial.segments.iter().all(|segment| segment.kind == SegmentKind::Text))
            .map(|(name, _)| name.clone())
            .collect();
        let whole = MarkupGround { safe: &walked.safe, encoded: &encoded, fixed_partials: &fixed_partials, cuts: true };
        let partial_ground = MarkupGround { cuts: !all().any(captures_partials), ..whole };
        let mut stretches = Stretches::default();
        let compiled = markup::compile(source, markup, &whole, &mut stretches);
        let mut compiled_partials = Vec::new();
        for (name, partial) in partials.loaded() {
            match markup::compile(partial, Markup::Partial, &partial_ground, &mut stretches) {
                Ok(compiled) => compiled_partials.push((name.clone(), compiled.template)),
                Err(findings) => self.report(findings),
            }
        }
        let compiled = compiled.map_err(|findings| self.report(findings)).ok()?;
        self.report(compiled.warnings);
        Some(Cut {
            template: compiled.template,
            partials: compiled_partials,
            stretches,
            fixed_bytes: compiled.fixed_bytes,
            has_text: compiled.has_text,
        })
    }

    fn read(&mut self, path: &Path, named: &crate::model::Place) -> Option<Source> {
        match Source::file(path, &self.project.root) {
            Ok(source) => {
                self.files.insert(source.start().file.path.clone(), source.text.clone());
                Some(source)
            }
            Err(error) => {
                let shown = path.strip_prefix(&self.project.root).unwrap_or(path).display();
                let message = format!("the template `{shown}` cannot be read: {error}");
                self.report([Diagnostic::error("missing-template", message, named)]);
                None
            }
        }
    }

    fn note_partials(&mut self, partials: &Partials) {
        let loaded = partials.loaded().values();
        self.files.extend(loaded.map(|partial| (partial.start().file.path.clone(), partial.text.clone())));
    }

    /// Tells of a template that leaves little or no room for what it is filled with.
    fn check_size(&mut self, fixed_bytes: usize, source: &Source) {
        if fixed_bytes > CLIPPED_BYTES - ROOM_BYTES {
            let message = format!(
                "the template alone makes {} KB of HTML: Gmail clips messages at {} KB",
                fixed_bytes / 1024,
                CLIPPED_BYTES / 1024
            );
            let help = "shorten it, or move rules that repeat into `<mj-attributes>` or `<style>`";
            self.report([Diagnostic::warning("clipped", message, &source.start()).with_help(help)]);
        }
    }

    fn own_text(
        &mut self,
        path: &Path,
        named: &crate::model::Place,
        globals: &Shape,
        references: &mut BTreeSet<String>,
    ) -> Option<Line> {
        let mut source = self.read(path, named)?;
        let mut partials = Partials::new(path.parent().unwrap_or(&self.project.root), &self.project.root);
        let walked = self.walk(&mut source, Part::Text, globals, &mut partials)?;
        references.extend(walked.references);
        self.note_partials(&partials);
        if source.text.trim().is_empty() {
            self.report([Diagnostic::error("empty-text", "the text part is empty", &source.start())]);
            return None;
        }
        if !walked.sound {
            return None;
        }
        let texts = partials.loaded().iter().map(|(name, partial)| (name.clone(), partial.text.clone())).collect();
        let parsed = Language::new(Part::Text, &self.project.timezone, texts).parse(&source.text);
        self.compiled(parsed, Locators::new(&source, Some(&partials)))
    }

    /// Marketing mail must show how to leave, and who writes from where.
    fn check_marketing(&mut self, source: &Source, walked: &Walked, partials: &Partials) {
        if self.job.category != Category::Marketing {
            return;
        }
        let nothing_leaves = self.project.providers.values().all(|provider| provider.kind.value == "outbox");
        let severity = if nothing_leaves { Severity::Warning } else { Severity::Error };
        let texts =
            || std::iter::once(source.text.as_str()).chain(partials.loaded().values().map(|one| one.text.as_str()));
        let address = self.job.postal_address.as_deref();
        let shows_address = walked.references.contains("postal_address")
            || address.is_some_and(|address| texts().any(|text| text.contains(address)));
        let mut findings = Vec::new();
        if !walked.references.contains("unsubscribe_url") {
            let finding =
                Diagnostic::error("no-unsubscribe-link", "marketing mail must show a way to leave", &source.start());
            findings.push(finding.with_help("add `<a href=\"{{ unsubscribe_url }}\">Unsubscribe</a>`"));
        }
        if !shows_address {
            let finding = Diagnostic::error(
                "no-postal-address",
                "marketing mail must show the sender's postal address",
                &source.start(),
            );
            findings.push(finding.with_help("add `{{ postal_address }}`"));
        }
        self.report(findings.into_iter().map(|finding| Diagnostic { severity, ..finding }));
    }
}

/// The unsubscribe address with every value percent-encoded, except one that is the whole beginning.
fn with_encoded_values(source: &Source) -> String {
    let mut encoded = String::with_capacity(source.text.len() * 2);
    for (position, segment) in source.segments.iter().enumerate() {
        let last = markup::read(&source.text, segment).and_then(|chain| chain.filters.last().cloned());
        let encodes_itself = last.is_some_and(|filter| matches!(filter.name.as_str(), "url_encode" | "raw"));
        let (head, tail) = source.text[segment.span.clone()].split_at(segment.inner.end - segment.span.start);
        let filter = if position > 0 && !encodes_itself { format!(" | {URL_PART} ") } else { String::new() };
        match segment.kind {
            SegmentKind::Output => encoded.push_str(&marked(&format!("{head}{filter}{tail}"), segment.span.start)),
            SegmentKind::Tag => encoded.push_str(&marked(&format!("{head}{tail}"), segment.span.start)),
            _ => encoded = encoded + head + tail,
        }
    }
    encoded
}

/// What a message shows.
struct Body {
    html: Line,
    text: Option<Line>,
    stretches: Stretches,
    fixed_bytes: usize,
}

/// A template of HTML with what never changes cut out.
struct Cut {
    template: String,
    partials: Vec<(String, String)>,
    stretches: Stretches,
    fixed_bytes: usize,
    has_text: bool,
}

/// Whether a template includes a partial where a variable captures it.
fn captures_partials(source: &Source) -> bool {
    let mut captures = 0_usize;
    source.segments.iter().any(|segment| {
        match segment.tag_name(&source.text) {
            "capture" => captures += 1,
            "endcapture" => captures = captures.saturating_sub(1),
            "include" | "render" => return captures > 0,
            _ => {}
        }
        false
    })
}

struct Walked {
    references: BTreeSet<String>,
    safe: BTreeSet<String>,
    sound: bool,
}

/// `None` inside stays a failure, absence stays absence.
#[expect(
    clippy::option_option,
    reason = "the outer option says whether the part is wanted, the inner whether it compiled"
)]
fn transpose<T>(part: Option<Option<T>>) -> Option<Option<T>> {
    match part {
        None => Some(None),
        Some(compiled) => compiled.map(Some),
    }
}

fn without(globals: &Shape, names: &[&str]) -> Shape {
    match globals {
        Shape::Object(fields) => Shape::object(
            fields
                .iter()
                .filter(|(name, _)| !names.contains(&name.as_str()))
                .map(|(name, shape)| (name, shape.clone())),
        ),
        other => other.clone(),
    }
}

/// Only what a candidate's context provides.
fn run_values_removed(references: BTreeSet<String>) -> BTreeSet<String> {
    const RUN_WIDE: [&str; 7] = ["unsubscribe_url", "preheader", "postal_address", "project", "job", "run", "vars"];
    references.into_iter().filter(|path| !RUN_WIDE.contains(&path.split('.').next().unwrap_or_default())).collect()
}

fn syntax(stopped: &Stopped, places: &Locators) -> Diagnostic {
    let place = places.place(stopped.partial.as_deref(), stopped.offset);
    Diagnostic::error("template-syntax", stopped.reason.clone(), &place)
}
