//! The dialect that templates are written in, for one part of messages: what compiles them and renders them.

use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::tz::TimeZone;

use super::filters::Part;
use super::liquid::{self, Globals, Stopped, Tree};

/// A compiler for one part of messages, with the partials that its templates may include.
pub(super) struct Language {
    part: Part,
    zone: TimeZone,
    partials: Vec<(String, String)>,
}

impl Language {
    /// A compiler whose `include` and `render` find the given partials.
    pub(super) fn new(part: Part, zone: &TimeZone, partials: Vec<(String, String)>) -> Self {
        Self { part, zone: zone.clone(), partials }
    }

    /// Compiles a template.
    ///
    /// # Errors
    /// When it is not liquid.
    pub(super) fn parse(&self, text: &str) -> Result<Compiled, Stopped> {
        let tree = liquid::parse(self.part, text, &self.partials)?;
        Ok(Compiled { tree, zone: self.zone.clone(), last: AtomicUsize::new(text.len()) })
    }
}

/// How much longer than the last one a text may be before it is copied, in bytes.
const SPARE: usize = 128;

/// A template ready to render.
pub(super) struct Compiled {
    tree: Tree,
    zone: TimeZone,
    /// The bytes of the last text: the next one is about as long, and growing would copy it over and over.
    last: AtomicUsize,
}

impl Compiled {
    /// Renders with the given values.
    ///
    /// # Errors
    /// When a limit is reached, or an address of unsubscribing has nothing to stand on.
    pub(super) fn render(&self, values: &Globals<'_>) -> Result<String, Stopped> {
        let rendered = self.tree.run(values, &self.zone, self.last.load(Ordering::Relaxed) + SPARE)?;
        self.last.store(rendered.len(), Ordering::Relaxed);
        Ok(rendered)
    }
}
