//! What is wrong in a project, where, and what to do next: collected, never thrown one by one.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

/// How grave a finding is; only errors stop a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Refused: exit code 2.
    Error,
    /// Shown; an error under `check --strict`.
    Warning,
    /// Shown for information.
    Note,
}

/// A file's text with its path relative to the project root, kept so that places can be shown.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Path relative to the project root, with `/` between its parts.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// A range of bytes in a source file.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: Arc<SourceFile>,
    /// Byte offsets into the text, on character boundaries.
    pub span: Range<usize>,
}

impl Place {
    /// A place whose span is moved to lie within the text and on character boundaries.
    #[must_use]
    pub fn new(file: &Arc<SourceFile>, span: Range<usize>) -> Self {
        let start = file.text.floor_char_boundary(span.start.min(file.text.len()));
        let end = file.text.ceil_char_boundary(span.end.clamp(start, file.text.len()));
        Self { file: Arc::clone(file), span: start..end }
    }

    /// The first character of the file.
    #[must_use]
    pub fn start_of(file: &Arc<SourceFile>) -> Self {
        Self::new(file, 0..0)
    }

    /// A place within this place's text: `span` counts from this place's start.
    #[must_use]
    pub fn within(&self, span: Range<usize>) -> Self {
        Self::new(&self.file, self.span.start + span.start..self.span.start + span.end)
    }

    /// Line and column of the start, both from 1, the column in characters.
    #[must_use]
    pub fn line_and_column(&self) -> (usize, usize) {
        let before = &self.file.text[..self.span.start];
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (line, before[line_start..].chars().count() + 1)
    }
}

/// Where the lines of a text begin, for many positions in one text.
#[derive(Clone, Debug)]
pub struct LineIndex {
    starts: Vec<usize>,
}

impl LineIndex {
    /// The lines of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { starts: std::iter::once(0).chain(breaks).collect() }
    }

    /// The line of a byte, from 0.
    #[must_use]
    pub fn line(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at).saturating_sub(1)
    }

    /// Line and column of a place's start, both from 1, the column in characters; as [`Place::line_and_column`].
    #[must_use]
    pub fn position(&self, place: &Place) -> (usize, usize) {
        let line = self.line(place.span.start);
        let before = &place.file.text[self.starts[line]..place.span.start];
        (line + 1, before.chars().count() + 1)
    }

    /// The bytes of some lines, the last one included.
    #[must_use]
    pub fn span(&self, first: usize, last: usize, text: &str) -> Range<usize> {
        let end = self.starts.get(last + 1).copied().unwrap_or(text.len());
        self.starts.get(first).copied().unwrap_or(end)..end
    }
}

/// The line index of each file, made once.
#[derive(Default)]
pub struct LineIndexes(HashMap<*const SourceFile, LineIndex>);

impl LineIndexes {
    /// The lines of the file of a place.
    pub fn of(&mut self, place: &Place) -> &LineIndex {
        // The findings keep their files, so that no address is used twice.
        self.0.entry(Arc::as_ptr(&place.file)).or_insert_with(|| LineIndex::of(&place.file.text))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_and_column();
        write!(formatter, "{}:{line}:{column}", self.file.path)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Place({self})")
    }
}

/// A value of a project together with where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

impl<T> Located<T> {
    /// A value and its place.
    pub fn new(value: T, place: Place) -> Self {
        Self { value, place }
    }
}

impl Located<String> {
    /// Where a part of the text stands, `span` counting from the text's start; also when the file indents each line
    /// (a YAML block). The whole place where text and file differ in any other way.
    #[must_use]
    pub fn part(&self, span: Range<usize>) -> Place {
        let written = &self.place.file.text[self.place.span.clone()];
        let position = |offset: usize| {
            let before = self.value.get(..offset)?;
            let mut lines = written.split_inclusive('\n');
            let mut start = 0;
            for _ in 0..before.matches('\n').count() {
                start += lines.next()?.len();
            }
            let line_start = before.rfind('\n').map_or(0, |at| at + 1);
            let line = self.value[line_start..].lines().next().unwrap_or_default();
            Some(start + lines.next().unwrap_or_default().find(line)? + offset - line_start)
        };
        match (position(span.start), position(span.end)) {
            (Some(start), Some(end)) if start <= end => self.place.within(start..end),
            _ => self.place.clone(),
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How grave it is.
    pub severity: Severity,
    /// Stable kebab-case code, such as `unknown-key`.
    pub code: &'static str,
    /// What is wrong, lower case, without a final stop.
    pub message: String,
    /// Where; `None` when no file is to blame.
    pub place: Option<Place>,
    /// What to do next, such as the nearest known name.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at a place.
    #[must_use]
    pub fn error(code: &'static str, message: impl Into<String>, place: &Place) -> Self {
        Self { severity: Severity::Error, code, message: message.into(), place: Some(place.clone()), help: None }
    }

    /// A warning at a place.
    #[must_use]
    pub fn warning(code: &'static str, message: impl Into<String>, place: &Place) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message, place) }
    }

    /// The same finding with advice.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same finding with advice where there is some.
    #[must_use]
    pub fn with_optional_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }
}

/// Adds what a later look found, except at exactly the place of an earlier error: whoever looked first has said it.
pub fn add_later(findings: &mut Vec<Diagnostic>, later: impl IntoIterator<Item = Diagnostic>) {
    let said = |finding: &Diagnostic, place: &Place| {
        finding.severity == Severity::Error && !place.span.is_empty() && finding.place.as_ref() == Some(place)
    };
    let earlier = findings.len();
    for finding in later {
        let repeats =
            finding.place.as_ref().is_some_and(|place| findings[..earlier].iter().any(|one| said(one, place)));
        if !repeats {
            findings.push(finding);
        }
    }
}

/// The findings by file and line, each once.
#[must_use]
pub fn arrange(mut findings: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let position =
        |finding: &Diagnostic| finding.place.as_ref().map(|place| (place.file.path.clone(), place.span.start));
    findings.sort_by_cached_key(|finding| (position(finding), finding.severity));
    let mut seen: Vec<Diagnostic> = Vec::with_capacity(findings.len());
    for finding in findings {
        let repeated =
            seen.iter().rev().take_while(|earlier| earlier.place == finding.place).any(|earlier| *earlier == finding);
        if !repeated {
            seen.push(finding);
        }
    }
    seen
}

/// The known name nearest to `name`, when it is near enough to be a slip of the fingers.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.78)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}

/// "did you mean `x`?" for the nearest known name.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, known).map(|candidate| format!("did you mean `{candidate}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_and_columns_in_characters() {
        let file = Arc::new(SourceFile { path: "a.yml".into(), text: "é: 1\nfoo: é bar".into() });
        let at = file.text.find("bar").expect("present");
        assert_eq!(Place::new(&file, at..at + 3).to_string(), "a.yml:2:8");
        assert_eq!(Place::new(&file, 999..1000).line_and_column(), (2, 11));
        let index = LineIndex::of(&file.text);
        for at in 0..=file.text.len() {
            let place = Place::new(&file, at..at);
            assert_eq!(index.position(&place), place.line_and_column(), "{at}");
        }
    }

    #[test]
    fn a_part_of_a_text_is_found_where_it_is_written() {
        for (written, value) in [
            ("sum(wrds) > é and\nlevl = 1", "sum(wrds) > é and\nlevl = 1"),
            ("sum(wrds) > é and\n    levl = 1\n", "sum(wrds) > é and\nlevl = 1\n"),
            ("sum(wrds) > é and\r\n\r\n  levl = 1\r\n", "sum(wrds) > é and\n\nlevl = 1\n"),
        ] {
            let file = Arc::new(SourceFile { path: "a.yml".into(), text: format!("sql: {written}") });
            let text = Located::new(value.to_owned(), Place::new(&file, 5..5 + written.len()));
            for word in ["wrds", "levl"] {
                let at = value.find(word).expect("present");
                let place = text.part(at..at + word.len());
                assert_eq!(&file.text[place.span.clone()], word, "in {written:?}");
            }
            assert_eq!(text.part(999..1000), text.place, "outside the text");
        }
        let file = Arc::new(SourceFile { path: "a.yml".into(), text: "\"a\\tb\"".into() });
        let escaped = Located::new("a\tb".to_owned(), Place::new(&file, 0..6));
        assert_eq!(escaped.part(2..3), escaped.place);
    }

    #[test]
    fn later_findings_do_not_repeat_an_error_of_the_same_place() {
        let file = Arc::new(SourceFile { path: "a.yml".into(), text: "template: a.mjml".into() });
        let (named, other) = (Place::new(&file, 10..16), Place::new(&file, 0..8));
        let mut findings = vec![Diagnostic::error("missing-file", "there is no file", &named)];
        let later = ["first", "second"].map(|message| Diagnostic::error("other", message, &other));
        add_later(&mut findings, [Diagnostic::error("missing-template", "again", &named)].into_iter().chain(later));
        let codes: Vec<&str> = arrange(findings).iter().map(|finding| finding.code).collect();
        assert_eq!(codes, ["other", "other", "missing-file"], "by place, and two later ones may share a place");
    }

    #[test]
    fn arranged_findings_are_there_once() {
        let file = Arc::new(SourceFile { path: "a.yml".into(), text: "a\nb".into() });
        let at = |start, code| Diagnostic::error(code, "x", &Place::new(&file, start..start));
        let arranged = arrange(vec![at(2, "c"), at(0, "b"), at(0, "a"), at(0, "b"), at(2, "c")]);
        assert_eq!(arranged.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["b", "a", "c"]);
    }

    #[test]
    fn suggests_only_near_names() {
        assert_eq!(nearest("audiance", ["audience", "start"]), Some("audience"));
        assert_eq!(nearest("zzz", ["audience", "start"]), None);
    }
}
