//! Liquid between the components of MJML works or is refused with advice that works, and what MJML ignores is told.

use super::house::House;
use super::reader::words;
use serde_json::json;

/// A container, what stands round its children, and a child of it that says a word.
const CONTAINERS: &[(&str, &str, &str, &str)] = &[
    ("mj-body", "", "", "<mj-section><mj-column><mj-text>WORD</mj-text></mj-column></mj-section>"),
    (
        "mj-wrapper",
        "<mj-wrapper>",
        "</mj-wrapper>",
        "<mj-section><mj-column><mj-text>WORD</mj-text></mj-column></mj-section>",
    ),
    ("mj-section", "<mj-section>", "</mj-section>", "<mj-column><mj-text>WORD</mj-text></mj-column>"),
    (
        "mj-group",
        "<mj-section><mj-group>",
        "</mj-group></mj-section>",
        "<mj-column><mj-text>WORD</mj-text></mj-column>",
    ),
    ("mj-column", "<mj-section><mj-column>", "</mj-column></mj-section>", "<mj-text>WORD</mj-text>"),
    (
        "mj-column",
        "<mj-section><mj-column>",
        "</mj-column></mj-section>",
        "<mj-button href=\"https://a.test\">WORD</mj-button>",
    ),
    (
        "mj-column",
        "<mj-section><mj-column>",
        "</mj-column></mj-section>",
        "<mj-image src=\"https://a.test/a.png\" alt=\"WORD\" />",
    ),
    (
        "mj-column",
        "<mj-section><mj-column>",
        "</mj-column></mj-section>",
        "<mj-table><tr><td>WORD</td></tr></mj-table>",
    ),
    ("mj-hero", "<mj-hero>", "</mj-hero>", "<mj-text>WORD</mj-text>"),
    (
        "mj-social",
        "<mj-section><mj-column><mj-social>",
        "</mj-social></mj-column></mj-section>",
        "<mj-social-element src=\"https://a.test/a.png\" href=\"https://a.test\">WORD</mj-social-element>",
    ),
    (
        "mj-navbar",
        "<mj-section><mj-column><mj-navbar>",
        "</mj-navbar></mj-column></mj-section>",
        "<mj-navbar-link href=\"https://a.test\">WORD</mj-navbar-link>",
    ),
    (
        "mj-accordion",
        "<mj-section><mj-column><mj-accordion>",
        "</mj-accordion></mj-column></mj-section>",
        "<mj-accordion-element><mj-accordion-title>WORD</mj-accordion-title><mj-accordion-text>x</mj-accordion-text></mj-accordion-element>",
    ),
    (
        "mj-accordion-element",
        "<mj-section><mj-column><mj-accordion><mj-accordion-element>",
        "</mj-accordion-element></mj-accordion></mj-column></mj-section>",
        "<mj-accordion-title>WORD</mj-accordion-title>",
    ),
    (
        "mj-carousel",
        "<mj-section><mj-column><mj-carousel>",
        "</mj-carousel></mj-column></mj-section>",
        "<mj-carousel-image src=\"https://a.test/a.png\" alt=\"WORD\" />",
    ),
];

/// Tags before, between and after two children, and the words that are shown when the person is active, and when not.
const BLOCKS: &[(&str, &str, &str, &str, &str)] = &[
    ("{% if metrics.logins.value > 5 %}", "{% else %}", "{% endif %}", "one", "two"),
    ("{% unless metrics.logins.value > 5 %}", "{% else %}", "{% endunless %}", "two", "one"),
    ("{% case metrics.logins.value %}{% when 12 %}", "{% else %}", "{% endcase %}", "one", "two"),
    ("{% for m in matrix %}", "{% if m.value > 5 %}", "{% endif %}{% endfor %}", "one two one", "one one"),
    (
        "{% for m in matrix %}",
        "{% endfor %}{% for m in matrix %}",
        "{% endfor %}",
        "one one two two",
        "one one two two",
    ),
];

fn shown(house: &House) -> (Vec<String>, Vec<String>) {
    let message = house.compose().expect("renders");
    let own = |all: Vec<String>| -> Vec<String> {
        let mut own: Vec<String> = all.into_iter().filter(|word| matches!(word.as_str(), "one" | "two")).collect();
        // A carousel shows each picture as a thumbnail too.
        own.dedup();
        own
    };
    assert!(!message.html.contains("{%") && !message.html.contains('\u{1}'), "{}", message.html);
    (own(words(&message.html)), own(message.text.split_whitespace().map(ToOwned::to_owned).collect()))
}

fn deduplicated(expected: &str) -> Vec<&str> {
    let mut words: Vec<&str> = expected.split(' ').collect();
    words.dedup();
    words
}

#[test]
fn tags_between_components_work_in_raw_or_are_refused_with_advice_that_works() {
    let mut worked = 0;
    for (container, open, close, child) in CONTAINERS {
        for (before, between, after, active, idle) in BLOCKS {
            let raw = |tags: &str| format!("<mj-raw>{tags}</mj-raw>");
            let (one, two) = (child.replace("WORD", "one"), child.replace("WORD", "two"));
            let bare = House::mjml(&format!("{open}\n{before}{one}{between}{two}{after}\n{close}"));
            let refused = bare.composer().1;
            let finding = refused.iter().find(|finding| finding.code == "liquid-between-components");
            let help = finding.and_then(|finding| finding.help.clone()).unwrap_or_default();
            assert!(finding.is_some(), "{container} {before}: {refused:?}");

            let wrapped = format!("{open}{}{one}{}{two}{}{close}", raw(before), raw(between), raw(after));
            let mut house = House::mjml(&wrapped);
            let findings = house.findings();
            let advises_raw = help.starts_with("wrap it");
            if findings.is_empty() {
                assert!(advises_raw, "{container} {before}: raw works, but the advice is {help}");
                assert_eq!(shown(&house), (own(active), own(active)), "{wrapped}");
                house.context["metrics"]["logins"]["value"] = json!(3);
                house.context["matrix"][0]["value"] = json!(3);
                assert_eq!(shown(&house), (own(idle), own(idle)), "{wrapped}");
                worked += 1;
            } else if findings.iter().any(|finding| finding.contains("loop-round-column")) {
                assert!(before.starts_with("{% for") && child.starts_with("<mj-column"), "{wrapped}");
            } else {
                assert!(!advises_raw, "{container} {before}: `mj-raw` is advised, and refused: {findings:?}");
                assert!(help.len() > 20, "{container}: {help}");
            }
        }
    }
    assert!(worked >= 30, "only {worked} worked");
}

fn own(expected: &str) -> Vec<String> {
    deduplicated(expected).into_iter().map(ToOwned::to_owned).collect()
}

#[test]
fn what_is_advised_for_containers_without_raw_works() {
    let inside = |child: &str, word: &str| child.replace("WORD", word);
    for (container, open, close, child) in CONTAINERS
        .iter()
        .filter(|(name, ..)| matches!(*name, "mj-social" | "mj-navbar" | "mj-accordion" | "mj-carousel"))
    {
        let open = open.strip_prefix("<mj-section><mj-column>").expect("in a column");
        let close = close.strip_suffix("</mj-column></mj-section>").expect("in a column");
        let mut house = House::mjml(&format!(
            "<mj-section><mj-column><mj-raw>{{% if metrics.logins.value > 5 %}}</mj-raw>{open}{}{close}<mj-raw>{{% else %}}</mj-raw>{open}{}{close}<mj-raw>{{% endif %}}</mj-raw></mj-column></mj-section>",
            inside(child, "one"),
            inside(child, "two"),
        ));
        assert_eq!(house.findings(), Vec::<String>::new(), "{container}");
        assert_eq!(shown(&house), (own("one"), own("one")), "{container}");
        house.context["metrics"]["logins"]["value"] = json!(3);
        assert_eq!(shown(&house), (own("two"), own("two")), "{container}");
    }
}

#[test]
fn html_in_a_wrapper_is_shown_to_everybody() {
    let section = "<mj-section><mj-column><mj-text>x</mj-text></mj-column></mj-section>";
    for body in [
        format!("<mj-wrapper><mj-raw><p>one</p></mj-raw>{section}</mj-wrapper>"),
        format!("<mj-wrapper>{section}<mj-raw><p>one</p></mj-raw>{section}</mj-wrapper>"),
        format!(
            "<mj-wrapper>{section}<mj-raw>{{% if true %}}<p>{{{{ 'one' }}}}</p>{{% endif %}}</mj-raw></mj-wrapper>"
        ),
        format!(
            "<mj-wrapper full-width=\"full-width\">{section}<mj-raw>{{% include 'one.html' %}}</mj-raw>{section}</mj-wrapper>"
        ),
    ] {
        let house = House::mjml(&body);
        house.write("one.html", "<p>one</p>");
        assert_eq!(house.findings(), Vec::<String>::new(), "{body}");
        assert_eq!(shown(&house), (own("one"), own("one")), "{body}");
    }
}

#[test]
fn what_mjml_ignores_is_told_with_the_nearest_name() {
    let column = |inside: &str| format!("<mj-section><mj-column>{inside}</mj-column></mj-section>");
    let cases = [
        (column("<mj-button herf=\"https://a.test\">x</mj-button>"), "mjml-attribute 3:35", "did you mean `href`?"),
        (column("<mj-text colour=\"red\">x</mj-text>"), "mjml-attribute 3:33", "did you mean `color`?"),
        (column("<mj-text\n  font-familly='x'>x</mj-text>"), "mjml-attribute 4:3", "did you mean `font-family`?"),
        (
            "<mj-section bakground-url=\"https://a.test\"></mj-section>".into(),
            "mjml-attribute 3:13",
            "did you mean `background-url`?",
        ),
        (column("<mj-txet>x</mj-txet>"), "mjml 3:25", "did you mean `mj-text`?"),
        (column("<mj-text mj-class=\"big\">x</mj-text>"), "mjml-class 3:33", "declare it"),
        (column("hello"), "mjml 3:24", "put it inside `<mj-text>`"),
        (column("<p>hello</p>"), "mjml 3:25", "put it inside `<mj-text>` or `<mj-raw>`"),
        ("<mj-include path=\"other.mjml\" />".into(), "mjml 3:2", "{% include %}"),
        ("<mj-column><mj-text>x</mj-text></mj-column>".into(), "mjml 3:2", "`<mj-body>` holds"),
        (column("<mj-social><mj-raw>{% if true %}</mj-raw></mj-social>"), "mjml 3:36", "round the whole `<mj-social>`"),
    ];
    for (body, expected, help) in cases {
        let house = House::mjml(&body);
        let found = house.findings();
        assert!(
            found.iter().any(|finding| finding.split_once(' ').is_some_and(|(_, rest)| rest.starts_with(expected))),
            "{body}: {found:?}"
        );
        assert!(
            house.composer().1.iter().any(|finding| finding.help.as_ref().is_some_and(|told| told.contains(help))),
            "{body}"
        );
    }
    let head = |inside: &str| {
        House::with(
            "mail.mjml",
            &format!(
                "<mjml><mj-head>{inside}</mj-head><mj-body>{}</mj-body></mjml>",
                column("<mj-text mj-class=\"big\">x</mj-text>")
            ),
        )
    };
    for (inside, expected) in [
        ("<mj-attributes><mj-class name=\"bgi\" color=\"red\" /></mj-attributes>", Some("mjml-class")),
        ("<mj-attributes><mj-class name=\"big\" colro=\"red\" /></mj-attributes>", Some("mjml-attribute")),
        (
            "<mj-attributes><mj-text colro=\"red\" /><mj-class name=\"big\" color=\"red\" /></mj-attributes>",
            Some("mjml-attribute"),
        ),
        ("<mj-attributes><mj-all font-family=\"x\" /><mj-class name=\"big\" color=\"red\" /></mj-attributes>", None),
        ("<mj-include path=\"x.css\" type=\"css\" css-inline=\"inline\" />", Some("mjml ")),
        ("<mj-include path=\"x.html\" type=\"html\" />", Some("mjml ")),
    ] {
        let mut house = head(inside);
        house.category = milepost::project::Category::Transactional;
        let found = house.findings();
        assert_eq!(
            found.iter().any(|finding| expected.is_some_and(|code| finding.contains(code))),
            expected.is_some(),
            "{inside}: {found:?}"
        );
        assert_eq!(found.is_empty(), expected.is_none(), "{inside}: {found:?}");
    }
}

#[test]
fn inline_styles_move_into_the_elements() {
    let mut house = House::with(
        "mail.mjml",
        "<mjml><mj-head><mj-style inline=\"inline\">.big div { padding: 1px 2px 3px } .gone { display: none }</mj-style><mj-style>.x:hover { color: blue }</mj-style></mj-head>\
         <mj-body><mj-section><mj-column><mj-text css-class=\"big\">Hi {{ profile.name }}</mj-text><mj-table>{% for m in matrix %}<tr><td>{{ m.label }}</td></tr>{% endfor %}</mj-table>\
         <mj-text><p class=\"gone\">never</p></mj-text></mj-column></mj-section></mj-body></mjml>",
    );
    house.category = milepost::project::Category::Transactional;
    assert_eq!(house.findings(), Vec::<String>::new());
    let message = house.compose().expect("renders");
    assert!(message.html.contains("padding: 1px 2px 3px"), "{}", message.html);
    assert!(message.html.contains("<p class=\"gone\" style=\"display: none"), "{}", message.html);
    assert!(message.html.contains(".x:hover") && message.html.contains("<!--[if mso"), "{}", message.html);
    assert!(message.html.contains("<tr><td>Logins</td></tr><tr><td>Polls &amp; more</td></tr>"), "{}", message.html);
    assert_eq!(message.text, "Hi Ann Lee\n\nLogins\nPolls & more");
}

#[test]
fn a_template_that_fills_a_mail_alone_is_told() {
    for (kilobytes, told) in [(60, false), (95, true), (125, true)] {
        let house = House::html(&format!("<p>{}</p>", "word ".repeat(kilobytes * 1024 / 5)));
        assert_eq!(house.findings().iter().any(|finding| finding.starts_with("warning clipped")), told, "{kilobytes}");
    }
}
