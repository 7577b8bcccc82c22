//! Template texts with the files they come from, so that every finding has a place, and the partials they include.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::tokenizer::{Segment, tokenize};
use crate::model::diagnostic::{Diagnostic, Located, Place, SourceFile, did_you_mean};
use crate::settings::LocalFiles;

/// No template is longer, in bytes: a mail that is shown whole has 102 KB.
const TEMPLATE_BYTES_MAX: u64 = 4 << 20;

/// A template's text and where it is written.
#[derive(Debug)]
pub(super) struct Source {
    /// The text.
    pub(super) text: String,
    /// The text cut into segments; empty when it cannot be cut.
    pub(super) segments: Vec<Segment>,
    place: Place,
    /// Where the text starts in its file; unknown when YAML writes it differently.
    offset: Option<usize>,
}

impl Source {
    /// A template file.
    pub(super) fn file(path: &Path, root: &Path) -> Result<Self, std::io::Error> {
        let mut text = LocalFiles::of_project(root).read_text(path, TEMPLATE_BYTES_MAX)?;
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        let shown = path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/");
        let file = Arc::new(SourceFile { path: shown, text: text.clone() });
        let place = Place::new(&file, 0..0);
        Ok(Self { segments: Vec::new(), offset: Some(0), place, text })
    }

    /// A template written in YAML.
    pub(super) fn yaml(value: &Located<String>) -> Self {
        let written = &value.place.file.text[value.place.span.clone()];
        let offset = written.find(&value.value).map(|at| value.place.span.start + at);
        Self { text: value.value.clone(), segments: Vec::new(), place: value.place.clone(), offset }
    }

    /// Cuts the text into segments.
    pub(super) fn cut(&mut self) -> Result<(), Diagnostic> {
        match tokenize(&self.text) {
            Ok(segments) => {
                self.segments = segments;
                Ok(())
            }
            Err(unclosed) => Err(Diagnostic::error(
                "template-syntax",
                format!("this is never closed: expected `{}`", unclosed.expected),
                &self.place(unclosed.span),
            )),
        }
    }

    /// The place of some bytes of the text.
    pub(super) fn place(&self, span: Range<usize>) -> Place {
        self.locator().place(span)
    }

    /// What finds places of the text without it.
    pub(super) fn locator(&self) -> Locator {
        Locator { place: self.place.clone(), offset: self.offset }
    }

    /// The start of the text.
    pub(super) fn start(&self) -> Place {
        self.place(0..0)
    }
}

/// Finds the places of a template's bytes.
#[derive(Clone, Debug)]
pub(super) struct Locator {
    place: Place,
    offset: Option<usize>,
}

impl Locator {
    /// The place of some bytes of the template.
    pub(super) fn place(&self, span: Range<usize>) -> Place {
        match self.offset {
            Some(offset) => Place::new(&self.place.file, offset + span.start..offset + span.end),
            None => self.place.clone(),
        }
    }
}

/// The places of a template and of the partials it includes.
#[derive(Clone, Debug)]
pub(super) struct Locators {
    own: Locator,
    partials: BTreeMap<String, Locator>,
}

impl Locators {
    /// The places of a template, and of the partials that were read for it.
    pub(super) fn new(source: &Source, partials: Option<&Partials>) -> Self {
        let loaded = partials.into_iter().flat_map(Partials::loaded);
        Self {
            own: source.locator(),
            partials: loaded.map(|(name, partial)| (name.clone(), partial.locator())).collect(),
        }
    }

    /// The start of the template.
    pub(super) fn start(&self) -> Place {
        self.own.place(0..0)
    }

    /// The place of a byte of the template or of a partial.
    pub(super) fn place(&self, partial: Option<&str>, offset: usize) -> Place {
        let locator = partial.and_then(|name| self.partials.get(name)).unwrap_or(&self.own);
        locator.place(offset..offset)
    }
}

/// Partials by the name templates include them by, all below one folder.
#[derive(Debug)]
pub(super) struct Partials {
    folder: PathBuf,
    root: PathBuf,
    loaded: BTreeMap<String, Arc<Source>>,
}

impl Partials {
    /// Partials below `folder`, none read yet.
    pub(super) fn new(folder: &Path, root: &Path) -> Self {
        Self { folder: folder.to_owned(), root: root.to_owned(), loaded: BTreeMap::new() }
    }

    /// The partials read so far.
    pub(super) fn loaded(&self) -> &BTreeMap<String, Arc<Source>> {
        &self.loaded
    }

    /// Reads a partial, once.
    pub(super) fn load(&mut self, name: &str, place: &Place) -> Result<Arc<Source>, Diagnostic> {
        if let Some(source) = self.loaded.get(name) {
            return Ok(Arc::clone(source));
        }
        let plain = Path::new(name).components().all(|component| matches!(component, Component::Normal(_)));
        if !plain || name.is_empty() {
            return Err(Diagnostic::error(
                "partial-path",
                format!("a partial must lie below the template's folder: `{name}`"),
                place,
            )
            .with_help("write its path from there, such as `partials/footer.html`"));
        }
        if Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("mjml")) {
            return Err(Diagnostic::error("partial-mjml", format!("a partial is HTML or text, not MJML: `{name}`"), place)
                .with_help("MJML is compiled before partials are filled in; write the partial in HTML and include it inside `<mj-raw>` or `<mj-text>`"));
        }
        let mut source = Source::file(&self.folder.join(name), &self.root).map_err(|error| {
            let message = format!("the partial `{name}` cannot be read: {error}");
            Diagnostic::error("missing-partial", message, place).with_optional_help(self.nearest(name))
        })?;
        source.cut()?;
        let source = Arc::new(source);
        self.loaded.insert(name.to_owned(), Arc::clone(&source));
        Ok(source)
    }

    fn nearest(&self, name: &str) -> Option<String> {
        let folder = Path::new(name).parent().unwrap_or(Path::new(""));
        let entries = std::fs::read_dir(self.folder.join(folder)).ok()?;
        let mut names: Vec<String> =
            entries.filter_map(|entry| folder.join(entry.ok()?.file_name()).to_str().map(ToOwned::to_owned)).collect();
        names.sort();
        did_you_mean(name, names.iter().map(String::as_str))
    }
}
