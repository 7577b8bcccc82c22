//! Diagnostics as people and programs read them: a snippet with a caret, or JSON.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

use crate::model::diagnostic::LineIndexes;
use crate::model::{Diagnostic, Severity};

/// One diagnostic in `--format json`.
#[derive(Debug, Serialize)]
pub(super) struct DiagnosticJson<'a> {
    severity: Severity,
    code: &'a str,
    message: &'a str,
    file: Option<&'a str>,
    line: Option<usize>,
    column: Option<usize>,
    help: Option<&'a str>,
}

/// Every diagnostic for `--format json`.
#[must_use]
pub(super) fn as_json(diagnostics: &[Diagnostic]) -> Vec<DiagnosticJson<'_>> {
    let mut lines = LineIndexes::default();
    diagnostics.iter().map(|diagnostic| DiagnosticJson::of(diagnostic, &mut lines)).collect()
}

impl<'a> DiagnosticJson<'a> {
    fn of(diagnostic: &'a Diagnostic, lines: &mut LineIndexes) -> Self {
        let position = diagnostic.place.as_ref().map(|place| lines.of(place).position(place));
        Self {
            severity: diagnostic.severity,
            code: diagnostic.code,
            message: &diagnostic.message,
            file: diagnostic.place.as_ref().map(|place| place.file.path.as_str()),
            line: position.map(|(line, _)| line),
            column: position.map(|(_, column)| column),
            help: diagnostic.help.as_deref(),
        }
    }
}

/// Every diagnostic with its snippet, separated by empty lines; coloured when `colour` is set.
#[must_use]
pub(super) fn render(diagnostics: &[Diagnostic], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut lines = LineIndexes::default();
    let rendered = diagnostics.iter().map(|diagnostic| render_one(diagnostic, &renderer, &mut lines));
    rendered.collect::<Vec<_>>().join("\n\n")
}

fn render_one(diagnostic: &Diagnostic, renderer: &Renderer, lines: &mut LineIndexes) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code);
    let mut group = match &diagnostic.place {
        Some(place) => {
            // The lines around it alone: the renderer looks through all that it is given.
            let index = lines.of(place);
            let (first, last) = (index.line(place.span.start), index.line(place.span.end));
            let shown = index.span(first.saturating_sub(1), last + 1, &place.file.text);
            let within = place.span.start - shown.start..place.span.end - shown.start;
            title.element(
                Snippet::source(&place.file.text[shown])
                    .line_start(first.max(1))
                    .path(place.file.path.as_str())
                    .annotation(AnnotationKind::Primary.span(within)),
            )
        }
        None => Group::with_title(title),
    };
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}

/// How many errors and warnings there are, in words.
#[must_use]
pub(super) fn summary(diagnostics: &[Diagnostic]) -> String {
    let count = |severity| diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count();
    let words = |number: usize, word: &str| match number {
        1 => format!("1 {word}"),
        _ => format!("{number} {word}s"),
    };
    match (count(Severity::Error), count(Severity::Warning)) {
        (0, 0) => "no problems".to_owned(),
        (errors, 0) => words(errors, "error"),
        (0, warnings) => words(warnings, "warning"),
        (errors, warnings) => format!("{}, {}", words(errors, "error"), words(warnings, "warning")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Place, SourceFile};

    #[test]
    fn shows_file_line_column_snippet_and_help() {
        let file = Arc::new(SourceFile { path: "jobs/a.yml".into(), text: "job: a\naudiance: people\n".into() });
        let finding = Diagnostic::error("unknown-key", "unknown key `audiance`", &Place::new(&file, 7..15))
            .with_help("did you mean `audience`?");
        let text = render(&[finding], false);
        for part in [
            "error[unknown-key]: unknown key `audiance`",
            "jobs/a.yml:2:1",
            "audiance: people",
            "^^^^^^^^",
            "did you mean",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
    }

    #[test]
    fn a_finding_without_a_place_is_still_shown() {
        let finding =
            Diagnostic { severity: Severity::Warning, code: "x", message: "odd".into(), place: None, help: None };
        assert!(render(std::slice::from_ref(&finding), false).contains("warning[x]: odd"));
        assert_eq!(summary(&[finding]), "1 warning");
    }
}
