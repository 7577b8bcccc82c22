//! The one table of filters, run as its own examples.

use super::{Part, filter_docs};
use crate::render::language::Language;
use crate::render::liquid::Globals;
use jiff::tz::TimeZone;

fn render(part: Part, template: &str, values: &serde_json::Value) -> Result<String, String> {
    let language = Language::new(part, &TimeZone::UTC, Vec::new());
    let template = language.parse(template).map_err(|stopped| stopped.reason)?;
    let mut globals = Globals::default();
    globals.add_all(values.as_object().expect("an object"));
    template.render(&globals).map_err(|stopped| stopped.reason)
}

#[test]
fn every_example_renders_as_documented() {
    let docs = filter_docs();
    assert!(docs.len() >= 20);
    for doc in docs {
        let rendered = render(Part::Text, doc.example, &serde_json::json!({}));
        assert_eq!(rendered.as_deref(), Ok(doc.output), "{}", doc.name);
        assert!(!doc.about.is_empty() && doc.example.contains(doc.name));
    }
}

#[test]
fn null_stays_empty_and_default_fills_it() {
    let values = serde_json::json!({"x": null});
    for doc in filter_docs() {
        let arguments = match doc.name {
            "in_zone" => ": \"UTC\"",
            "date" => ": \"%Y\"",
            "money" => ": \"USD\"",
            "plural" => ": \"a\", \"b\"",
            "plus" | "minus" | "times" | "divided_by" | "modulo" => ": 1",
            _ => "",
        };
        let template = format!("{{{{ x | {}{arguments} | default: \"-\" }}}}", doc.name);
        assert_eq!(render(Part::Html, &template, &values).as_deref(), Ok("-"), "{}", doc.name);
    }
}

#[test]
fn numbers_in_their_many_forms() {
    let values =
        serde_json::json!({"big": 1_234_567, "least": i64::MIN, "double": 0.1 + 0.2, "n": 1e6, "format": "0.0"});
    let cases = [
        ("{{ big | number }}", "1,234,567"),
        ("{{ big | number: 0, 'fr' }}", "1\u{202f}234\u{202f}567"),
        ("{{ big | number: 1, 'de-CH' }}", "1’234’567.0"),
        ("{{ big | number: 0, 'xx' }}", "1,234,567"),
        ("{{ least | number }}", "-9,223,372,036,854,775,808"),
        ("{{ double | number }}", "0.3"),
        ("{{ 2 | number: format }}", "2.0"),
        ("{{ 2.55 | number: nil }}", "2.55"),
        ("{{ -0.001 | number }}", "0"),
        ("{{ 999950 | compact }}", "1M"),
        ("{{ 999 | compact }}", "999"),
        ("{{ 1000 | compact }}", "1k"),
        ("{{ -1234 | compact }}", "-1.2k"),
        ("{{ 123456 | compact }}", "123k"),
        ("{{ 0 | signed }}", "0"),
        ("{{ 0.001 | percent | signed }}", "0%"),
        ("{{ -12.5 | percent | signed }}", "-12.5%"),
        ("{{ 12 | percent: 1 }}", "12.0%"),
        ("{{ -5 | money: 'USD' }}", "-$5.00"),
        ("{{ 1234 | money: 'JPY' }}", "¥1,234"),
        ("{{ 1234.5 | money: 'chf' }}", "CHF\u{a0}1,234.50"),
        ("{{ 11 | ordinal }} {{ 21 | ordinal }} {{ 112 | ordinal }} {{ 1003 | ordinal }}", "11th 21st 112th 1,003rd"),
        ("{{ 0 | plural: 'poll', 'polls' }} {{ 1000 | plural: 'poll', 'polls' }}", "0 polls 1,000 polls"),
        (
            "{{ 0 | progress_bar }} {{ 2 | progress_bar }} {{ 0.999 | progress_bar }}",
            "[----------] 0% [##########] 100% [##########] 100%",
        ),
    ];
    for (template, expected) in cases {
        assert_eq!(render(Part::Text, template, &values).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn schemes_that_run_code_become_harmless() {
    for (address, expected) in [
        ("https://a.test/x?y=1", "https://a.test/x?y=1"),
        ("/path:with-colon", "/path:with-colon"),
        ("mailto:a@b.test", "mailto:a@b.test"),
        ("javascript:alert(1)", "#"),
        ("  JaVaScRiPt:alert(1)", "#"),
        ("java\nscript:alert(1)", "#"),
        ("\u{1}javascript:alert(1)", "#"),
        ("data:text/html,x", "#"),
        ("vbscript:x", "#"),
        (":alert(1)", "#"),
    ] {
        let rendered = render(Part::Html, "{{ x | milepost_url }}", &serde_json::json!({"x": address}));
        assert_eq!(rendered.as_deref(), Ok(expected), "{address:?}");
    }
}
