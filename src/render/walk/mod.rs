//! Walks every branch of a template, also those no sample takes, and reports each name, filter and tag it cannot know.

mod names;
mod scope;
mod tags;

use std::collections::{BTreeMap, BTreeSet};

use super::expression::{Chain, Fault, FilterCall, Reader, Value};
use super::language::Signature;
use super::source::{Partials, Source};
use super::tokenizer::{Segment, SegmentKind};
use crate::model::Shape;
use crate::model::diagnostic::{Diagnostic, did_you_mean};
use scope::Scope;

/// What a walk found out.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Dotted paths of run values the template reads, up to the first computed index.
    pub(super) references: BTreeSet<String>,
    /// Variables that always hold HTML made of escaped values.
    pub(super) safe: BTreeSet<String>,
    /// Everything found wrong.
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// What a walk needs to know.
pub(super) struct Ground<'a> {
    /// Every name a template may see.
    pub(super) shape: &'a Shape,
    /// Every filter a template may name.
    pub(super) filters: &'a [Signature],
    /// Whether HTML is made.
    pub(super) html: bool,
}

/// Where a variable's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    /// HTML whose values are escaped.
    Html,
    /// Another variable, unchanged.
    Copy(String),
    /// Anything else.
    Other,
}

struct Walk<'a> {
    ground: &'a Ground<'a>,
    partials: &'a mut Partials,
    scope: Scope,
    /// Inside `render`, only what was passed is visible.
    passed: Option<BTreeMap<String, Shape>>,
    source: &'a Source,
    including: Vec<String>,
    facts: Facts,
    origins: Vec<(String, Origin)>,
}

/// Nesting beyond this is refused: no mail needs it, and parsers recurse.
const DEEPEST: usize = 40;

/// Filters that read a moment, for which `now` and `today` would break replays.
const MOMENT_FILTERS: [&str; 3] = ["date", "date_long", "in_zone"];

/// Walks a template and everything it includes.
pub(super) fn walk(source: &Source, partials: &mut Partials, ground: &Ground<'_>) -> Facts {
    let mut walk = Walk {
        ground,
        partials,
        scope: Scope::new(),
        passed: None,
        source,
        including: Vec::new(),
        facts: Facts::default(),
        origins: Vec::new(),
    };
    walk.segments();
    let Walk { mut facts, origins, .. } = walk;
    facts.safe = safe_names(&origins, ground.shape);
    facts
}

/// Variables of which every definition is safe HTML.
fn safe_names(origins: &[(String, Origin)], globals: &Shape) -> BTreeSet<String> {
    let mut safe: BTreeSet<String> = origins.iter().map(|(name, _)| name.clone()).collect();
    loop {
        let unsafe_name = origins.iter().find_map(|(name, origin)| {
            let holds = match origin {
                Origin::Html => true,
                Origin::Copy(other) => safe.contains(other),
                Origin::Other => false,
            };
            (safe.contains(name) && (!holds || globals.field(name).is_some())).then(|| name.clone())
        });
        match unsafe_name {
            Some(name) => safe.remove(&name),
            None => return safe,
        };
    }
}

impl Walk<'_> {
    fn segments(&mut self) {
        let opened_before = self.scope.depth();
        let source = self.source;
        for segment in &source.segments {
            let result = match segment.kind {
                SegmentKind::Output => self.output(segment),
                SegmentKind::Tag => self.tag(segment, opened_before),
                SegmentKind::Text | SegmentKind::Verbatim | SegmentKind::Comment => Ok(()),
            };
            if let Err(fault) = result {
                self.error("template-syntax", fault.message, &fault.span);
            }
        }
        while self.scope.depth() > opened_before {
            let Some(block) = self.scope.close() else { break };
            let message = format!("this `{}` is never closed: expected `{{% end{} %}}`", block.tag, block.tag);
            self.error("template-syntax", message, &(block.start..block.start + 2));
        }
    }

    fn error(&mut self, code: &'static str, message: impl Into<String>, span: &std::ops::Range<usize>) {
        let diagnostic = Diagnostic::error(code, message, &self.source.place(span.clone()));
        self.report(diagnostic);
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        if !self.facts.diagnostics.contains(&diagnostic) {
            self.facts.diagnostics.push(diagnostic);
        }
    }

    fn output(&mut self, segment: &Segment) -> Result<(), Fault> {
        let mut reader = Reader::new(&self.source.text, segment.inner.clone())?;
        let chain = reader.chain()?;
        reader.finish()?;
        let shape = self.chain(&chain);
        let what = match shape {
            Some(Shape::Object(_)) => "an object: print one of its fields",
            Some(Shape::List(_)) => "a list: print its items in a `for`, or use `join_and`",
            _ => return Ok(()),
        };
        self.error("prints-a-structure", format!("this is {what}"), &chain.value.span());
        Ok(())
    }

    /// Checks a value and its filters; the shape of the result, `None` where it is not known.
    fn chain(&mut self, chain: &Chain) -> Option<Shape> {
        let found = self.value(&chain.value);
        if let (Some(Shape::Scalar { nullable: true, .. }), Value::Variable(variable)) = (&found, &chain.value)
            && !self.scope.is_guarded(&variable.path())
            && !chain.filters.iter().any(|filter| filter.name == "default")
        {
            let path = variable.path();
            let message = format!("`{path}` may be null, which prints nothing");
            let help = format!("guard it: `{{% if {path} %}} ... {{% endif %}}`, or give a `| default:`");
            let place = self.source.place(variable.span.clone());
            self.report(Diagnostic::warning("unguarded-null", message, &place).with_help(help));
        }
        self.refuse_moments(chain);
        let mut shape = found;
        for (position, filter) in chain.filters.iter().enumerate() {
            shape = self.filter(filter, shape, position + 1 == chain.filters.len());
        }
        shape
    }

    fn refuse_moments(&mut self, chain: &Chain) {
        let Value::Text(text, span) = &chain.value else { return };
        let reads_moment = chain.filters.first().is_some_and(|filter| MOMENT_FILTERS.contains(&filter.name.as_str()));
        if reads_moment && matches!(text.trim().to_ascii_lowercase().as_str(), "now" | "today") {
            let place = self.source.place(span.clone());
            let message = format!("`'{text}'` depends on when the mail is made, which breaks replays");
            self.report(Diagnostic::error("moment-of-rendering", message, &place).with_help("use `run.as_of`"));
        }
    }

    fn filter(&mut self, call: &FilterCall, input: Option<Shape>, last: bool) -> Option<Shape> {
        let arguments: Vec<&Value> =
            call.positional.iter().chain(call.keyword.iter().map(|(_, value)| value)).collect();
        for argument in arguments {
            self.value(argument);
        }
        let Some(signature) = self.ground.filters.iter().find(|filter| filter.name == call.name) else {
            let known = self.ground.filters.iter().map(|filter| filter.name.as_str());
            let help = did_you_mean(&call.name, known)
                .unwrap_or_else(|| "docs/reference/templates.md lists every filter".into());
            let place = self.source.place(call.span.clone());
            let message = format!("there is no filter `{}`", call.name);
            self.report(Diagnostic::error("unknown-filter", message, &place).with_help(help));
            return None;
        };
        self.check_arguments(call, signature);
        if self.ground.html && signature.makes_html && !last {
            let message = format!("`{}` makes HTML and must be the last filter", call.name);
            self.error("html-filter-not-last", message, &call.span);
        }
        if call.name == "raw" && self.ground.html {
            let place = self.source.place(call.span.clone());
            let mut note = Diagnostic::error("raw", "this value is printed without escaping", &place);
            note.severity = crate::model::Severity::Note;
            self.report(note);
        }
        names::filtered(&call.name, input)
    }

    fn check_arguments(&mut self, call: &FilterCall, signature: &Signature) {
        let given = call.positional.len();
        let message = if given < signature.required {
            format!("`{}` needs {} argument(s), not {given}", call.name, signature.required)
        } else if given > signature.most {
            format!("`{}` takes at most {} argument(s), not {given}", call.name, signature.most)
        } else if !call.keyword.is_empty() && !signature.keywords {
            format!("`{}` takes no named arguments", call.name)
        } else {
            return;
        };
        self.error("filter-arguments", message, &call.span);
    }
}
