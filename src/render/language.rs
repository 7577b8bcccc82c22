//! The one dialect of liquid that templates are written in: liquid's own language and the filters of the table.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::tz::TimeZone;
use liquid::partials::{EagerCompiler, InMemorySource};
use liquid::reflection::ParserReflection;
use liquid_core::ObjectView;

use super::filters::{self, Part, TableParser};

/// What liquid found wrong, without any value in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LiquidFault {
    /// Line and column from 1, where liquid knows them.
    pub(super) line_and_column: Option<(usize, usize)>,
    /// What is wrong.
    pub(super) message: String,
}

/// How a filter may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    /// Its name.
    pub(super) name: String,
    /// The fewest arguments.
    pub(super) required: usize,
    /// The most arguments.
    pub(super) most: usize,
    /// Whether it takes named arguments.
    pub(super) keywords: bool,
    /// Whether its result is HTML that is not escaped again.
    pub(super) makes_html: bool,
}

/// A parser for one part of messages.
pub(super) struct Language {
    parser: liquid::Parser,
}

impl Language {
    /// A parser whose `include` and `render` find the given partials.
    pub(super) fn new(part: Part, zone: &TimeZone, partials: Vec<(String, String)>) -> Self {
        let mut source = EagerCompiler::<InMemorySource>::empty();
        for (name, text) in partials {
            source.add(name, text);
        }
        let mut builder = liquid::ParserBuilder::with_stdlib().partials(source);
        for row in filters::rows() {
            builder = builder.filter(TableParser { row, part, zone: zone.clone() });
        }
        let parser = builder.build().expect("a parser whose partials are compiled lazily always builds");
        Self { parser }
    }

    /// Compiles a template.
    pub(super) fn parse(&self, text: &str) -> Result<Compiled, LiquidFault> {
        // liquid-core 0.26 panics on a few texts, such as a raw block that is left open inside a comment.
        let parsed = catch_unwind(AssertUnwindSafe(|| self.parser.parse(text)));
        let unreadable = || LiquidFault {
            line_and_column: None,
            message: "this is not liquid: look for a block that is not closed where it should be".to_owned(),
        };
        let template = parsed.map_err(|_| unreadable())?.map_err(|error| fault(&error))?;
        Ok(Compiled { template, last: AtomicUsize::new(text.len()) })
    }

    /// The filters that templates may name.
    pub(super) fn signatures(&self) -> Vec<Signature> {
        let of_table = |name: &str| filters::rows().find(|row| row.name == name);
        self.parser
            .filters()
            .filter(|filter| of_table(filter.name()).is_none_or(|row| row.public))
            .map(|filter| Signature {
                name: filter.name().to_owned(),
                required: filter.positional_parameters().iter().filter(|parameter| !parameter.is_optional).count(),
                most: filter.positional_parameters().len(),
                keywords: !filter.keyword_parameters().is_empty(),
                makes_html: of_table(filter.name()).is_some_and(|row| row.makes_html),
            })
            .collect()
    }
}

/// How much longer than the last one a text may be before it is copied, in bytes.
const SPARE: usize = 128;

/// A template ready to render.
pub(super) struct Compiled {
    template: liquid::Template,
    /// The bytes of the last text: the next one is about as long, and growing would copy it over and over.
    last: AtomicUsize,
}

impl Compiled {
    /// Renders with the given values.
    pub(super) fn render(&self, values: &dyn ObjectView) -> Result<String, LiquidFault> {
        let mut bytes = Vec::with_capacity(self.last.load(Ordering::Relaxed) + SPARE);
        self.template.render_to(&mut bytes, values).map_err(|error| fault(&error))?;
        self.last.store(bytes.len(), Ordering::Relaxed);
        Ok(String::from_utf8(bytes).expect("liquid writes UTF-8 only"))
    }
}

/// Keeps what liquid says about the template and drops what it says about the data.
fn fault(error: &liquid::Error) -> LiquidFault {
    let shown = error.to_string();
    let line_and_column = shown.split_once("--> ").and_then(|(_, rest)| {
        let (line, rest) = rest.split_once(':')?;
        let column: String = rest.chars().take_while(char::is_ascii_digit).collect();
        Some((line.trim().parse().ok()?, column.parse().ok()?))
    });
    let first = shown.strip_prefix("liquid: ").unwrap_or(&shown);
    let mut message = if line_and_column.is_some() {
        first.lines().filter_map(|line| line.trim().strip_prefix("= ")).collect::<Vec<_>>().join("; ")
    } else {
        first.lines().next().unwrap_or_default().trim().to_lowercase()
    };
    for line in shown.lines() {
        // Other details may hold values of the profile.
        let named = ["requested variable=", "requested filter=", "requested partial="];
        if let Some(detail) = named.iter().find_map(|name| line.trim().strip_prefix(name)) {
            message = format!("{message} `{detail}`");
        }
    }
    match message.as_str() {
        "" => "this is not liquid".clone_into(&mut message),
        "unknown index" => "a field is read that is not there".clone_into(&mut message),
        _ => {}
    }
    LiquidFault { line_and_column, message }
}
