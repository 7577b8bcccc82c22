//! Walks every branch of a template, also those no sample takes, and reports each name, filter and tag it cannot know.

mod conditions;
mod filters;
mod formats;
mod names;
mod scope;
mod tags;

use std::collections::{BTreeMap, BTreeSet};

use super::expression::{Chain, Fault, Reader, Value};
use super::findings::Findings;
use super::source::{Partials, Source};
use super::tokenizer::{Segment, SegmentKind};
use jiff::tz::TimeZone;

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
    pub(super) diagnostics: Findings,
}

/// What a walk needs to know.
pub(super) struct Ground<'a> {
    /// Every name a template may see.
    pub(super) shape: &'a Shape,
    /// Names that messages of other kinds show: null here, where a condition asks for them first.
    pub(super) elsewhere: &'a Shape,
    /// The project's time zone.
    pub(super) zone: &'a TimeZone,
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
    /// Whether a condition asks if a name is there at all.
    asking: bool,
    /// How many segments were walked, those of partials once per place that includes them.
    walked: usize,
}

/// The most segments that a template may be made of with all that it includes.
const MOST_SEGMENTS: usize = 100_000;

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
        asking: false,
        walked: 0,
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
        let before = safe.len();
        for (name, origin) in origins {
            let holds = match origin {
                Origin::Html => true,
                Origin::Copy(other) => safe.contains(other),
                Origin::Other => false,
            };
            if !holds || globals.field(name).is_some() {
                safe.remove(name);
            }
        }
        if safe.len() == before {
            return safe;
        }
    }
}

impl Walk<'_> {
    fn segments(&mut self) {
        let opened_before = self.scope.depth();
        let source = self.source;
        self.walked = self.walked.saturating_add(source.segments.len());
        if self.walked > MOST_SEGMENTS {
            let message = format!("with all that it includes, this template has more than {MOST_SEGMENTS} pieces");
            self.error("template-limit", message, &(0..0));
            return;
        }
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
        self.facts.diagnostics.add(diagnostic);
    }

    fn output(&mut self, segment: &Segment) -> Result<(), Fault> {
        let mut reader = Reader::new(&self.source.text, segment.inner.clone())?;
        let chain = reader.chain()?;
        reader.finish()?;
        let found = self.value(&chain.value);
        let warned = self.warn_of_null(&chain, found.as_ref());
        let shape = self.filtered(&chain, found);
        let what = match shape {
            Some(Shape::Object(_)) => "an object: print one of its fields",
            Some(Shape::List(_)) => "a list: print its items in a `for`, or use `join_and`",
            Some(Shape::Scalar { nullable: true, .. }) if !warned && self.may_be_null(&chain) => {
                let place = self.source.place(chain.value.span());
                let finding = Diagnostic::warning("unguarded-null", "this may be null, which prints nothing", &place);
                self.report(finding.with_help("give it a `| default:`, or `assign` it and guard that"));
                return Ok(());
            }
            _ => return Ok(()),
        };
        self.error("prints-a-structure", format!("this is {what}"), &chain.value.span());
        Ok(())
    }

    /// Whether the result of a chain is null for a reason other than a guarded variable.
    fn may_be_null(&self, chain: &Chain) -> bool {
        match &chain.value {
            Value::Variable(variable) => !self.scope.is_guarded(&variable.path()),
            _ => true,
        }
    }

    /// Warns of a value that may be null and is printed without a guard.
    fn warn_of_null(&mut self, chain: &Chain, found: Option<&Shape>) -> bool {
        if let (Some(Shape::Scalar { nullable: true, .. }), Value::Variable(variable)) = (found, &chain.value)
            && !self.scope.is_guarded(&variable.path())
            && !chain.filters.iter().any(|filter| filter.name == "default")
        {
            let path = variable.path();
            let message = format!("`{path}` may be null, which prints nothing");
            let help = format!("guard it: `{{% if {path} %}} ... {{% endif %}}`, or give a `| default:`");
            let place = self.source.place(variable.span.clone());
            self.report(Diagnostic::warning("unguarded-null", message, &place).with_help(help));
            return true;
        }
        false
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
}
