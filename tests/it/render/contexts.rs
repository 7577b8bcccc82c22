//! A value is kept where it is safe, and refused where it is not; never changed in silence.

use super::house::House;
use super::reader::{Piece, pieces};
use milepost::render::RenderError;
use serde_json::json;

/// The value of the first attribute of that name.
fn attribute(html: &str, name: &str) -> Option<String> {
    pieces(html).into_iter().find_map(|piece| match piece {
        Piece::Open(_, attributes) => attributes.into_iter().find(|(own, _)| own == name).map(|(_, value)| value),
        _ => None,
    })
}

#[test]
fn values_keep_their_meaning_in_addresses() {
    for (template, value, expected) in [
        ("https://a.test/?q=§", "A&B #1", "https://a.test/?q=A%26B%20%231"),
        ("https://a.test/?q=§&amp;z=1", "é+%", "https://a.test/?q=%C3%A9%2B%25&z=1"),
        ("https://a.test/u/§/x", "A&B #1/?", "https://a.test/u/A%26B%20%231%2F%3F/x"),
        ("https://a.test/#§", "a b", "https://a.test/#a%20b"),
        ("https://§.a.test/", "evil.test/", "https://evil.test%2F.a.test/"),
        ("https://§", "a.test/x y?z=1&b=2", "https://a.test/x%20y?z=1&b=2"),
        ("{% if true %}https://a.test/{% else %}https://b.test/?x={% endif %}§", "a/b", "https://a.test/a%2Fb"),
        ("https://a.test/?{% if true %}a=1&amp;{% endif %}q=§", "a&b", "https://a.test/?a=1&q=a%26b"),
        ("§", " https://a.test/a b?x=1&y=2 ", "https://a.test/a%20b?x=1&y=2"),
        ("§", "//cdn.test/a.png", "https://cdn.test/a.png"),
        ("§", "java\tscript:alert(1)", "#"),
        ("§", "JAVASCRIPT:alert(1)", "#"),
        ("§", "\u{1}javascript:alert(1)", "#"),
        ("§", "\\\\share\\file", "#"),
        ("§", "/\\evil.test", "#"),
        ("§", "data:text/html,x", "#"),
        ("§", "mailto:a@b.test", "mailto:a@b.test"),
        ("§?x=§", "https://a.test/", "https://a.test/?x=https%3A%2F%2Fa.test%2F"),
        ("mailto:§?subject=§", "a@b.test", "mailto:a@b.test?subject=a%40b.test"),
    ] {
        for (before, after) in [("<a href=\"", "\">x</a>"), ("<a href='", "'>x</a>")] {
            let written = template.replace('§', "{{ profile.name }}");
            let mut house = House::html(&format!("{before}{written}{after}"));
            house.context["profile"]["name"] = json!(value);
            let message = house.compose().expect(template);
            assert_eq!(attribute(&message.html, "href").as_deref(), Some(expected), "{template} {value:?}");
            assert!(expected == "#" || message.text.starts_with(&format!("x ({expected})")), "{}", message.text);
        }
    }
}

#[test]
fn what_an_author_encodes_is_not_encoded_again() {
    for template in [
        "<a href=\"https://a.test/?q={{ profile.name | url_encode }}\">x</a>",
        "{% assign q = profile.name | url_encode %}<a href=\"https://a.test/?q={{ q }}\">x</a>",
    ] {
        let mut house = House::html(template);
        house.context["profile"]["name"] = json!("A&B");
        let html = house.compose().expect(template).html;
        assert_eq!(attribute(&html, "href").as_deref(), Some("https://a.test/?q=A%26B"), "{template}");
    }
    let mut house = House::html(
        "{% capture q %}{{ profile.name }}{% endcapture %}<a href=\"https://a.test/?q={{ q }}\" title=\"{{ q }}\">x</a>",
    );
    house.context["profile"]["name"] = json!("A&B");
    let html = house.compose().expect("renders").html;
    assert_eq!(attribute(&html, "href").as_deref(), Some("https://a.test/?q=A%26B"));
    assert_eq!(attribute(&html, "title").as_deref(), Some("A&B"));
}

#[test]
fn styles_keep_safe_values_and_refuse_the_others() {
    let safe = [
        ("<p style=\"color:§\">x</p>", "#ff0000", "color:#ff0000"),
        ("<p style=\"color:§\">x</p>", "rgb(1, 2, 3)", "color:rgb(1, 2, 3)"),
        ("<p style=\"font-family:§\">x</p>", "'Open Sans', Arial", "font-family:'Open Sans', Arial"),
        ("<p style=\"width:§px;color:red\">x</p>", "12.5", "width:12.5px;color:red"),
        (
            "<p style=\"background:url('§')\">x</p>",
            "https://cdn.test/a b('1').png?x=1&y=2",
            "background:url('https://cdn.test/a%20b%28%271%27%29.png?x=1&y=2')",
        ),
        ("<p style=\"background:url(§)\">x</p>", "javascript:alert(1)", "background:url(%23)"),
        (
            "<p style=\"background:url(https://a.test/§.png)\">x</p>",
            "a')",
            "background:url(https://a.test/a%27%29.png)",
        ),
    ];
    for (template, value, expected) in safe {
        let mut house = House::html(&template.replace('§', "{{ profile.name }}"));
        house.context["profile"]["name"] = json!(value);
        let html = house.compose().expect(template).html;
        let style = attribute(&html, "style").map(|style| style.replace("%23)", "#)")).unwrap_or_default();
        assert_eq!(style, expected.replace("%23)", "#)"), "{template}");
    }
    for value in ["red;background:url(//x)", "url(//x)", "expression(1)", "red}", "a\\62", "\"x"] {
        let mut house = House::html("<p style=\"color:{{ profile.name }}\">x</p>");
        house.context["profile"]["name"] = json!(value);
        let error = house.compose().expect_err("this would be another style");
        assert!(
            matches!(&error, RenderError::Template { reason, .. } if reason.contains("style") && !reason.contains(value)),
            "{error}"
        );
    }
}

#[test]
fn attributes_of_mjml_are_places_too() {
    let mut house = House::mjml(
        "<mj-section background-url=\"{{ profile.website }}\" background-color=\"{{ profile.colour }}\"><mj-column><mj-text color=\"{{ profile.colour }}\">x</mj-text>\
         <mj-image src=\"https://a.test/{{ profile.name }}.png\" alt=\"{{ profile.name }}\" href=\"https://a.test/?q={{ profile.name }}\" />\
         <mj-button href=\"https://a.test/?q={{ profile.name }}\" background-color=\"{{ profile.colour }}\">Go</mj-button></mj-column></mj-section>",
    );
    house.context["profile"]["website"] = json!("https://cdn.example/bg.png?x=1&y=2");
    house.context["profile"]["name"] = json!("A&B #1");
    assert_eq!(house.findings(), Vec::<String>::new());
    let html = house.compose().expect("renders").html;
    assert!(html.contains("url('https://cdn.example/bg.png?x=1&amp;y=2')"), "{html}");
    assert!(html.contains("background=\"https://cdn.example/bg.png?x=1&amp;y=2\""), "{html}");
    assert!(html.contains("src=\"https://a.test/A%26B%20%231.png\"") && html.contains("alt=\"A&amp;B #1\""), "{html}");
    assert_eq!(html.matches("href=\"https://a.test/?q=A%26B%20%231\"").count(), 2, "{html}");
}

#[test]
fn places_that_are_not_listed_are_refused_at_their_line() {
    for place in [
        "<iframe srcdoc=\"§\"></iframe>",
        "<meta http-equiv=\"refresh\" content=\"§\">",
        "<svg><animate attributeName=\"href\" to=\"§\" /></svg>",
        "<svg><set attributeName=\"href\" to=\"§\" /></svg>",
        "<object><param name=\"movie\" value=\"§\"></object>",
        "<a href=\"https://a.test\" ping=\"§\">x</a>",
        "<img srcset=\"§\">",
        "<base href=\"§\">",
        "<object data=\"§\"></object>",
        "<embed src=\"§\">",
        "<iframe src=\"§\"></iframe>",
        "<link rel=\"stylesheet\" href=\"§\">",
        "<svg><a xlink:href=\"§\">x</a></svg>",
        "<p style=\"§\">x</p>",
        "<p onmouseover='§'>x</p>",
        "<script>§</script>",
        "<p class=§>x</p>",
        "<a href=\"§:x\">x</a>",
        "<p title=\"{% if true %}{{ metrics.logins.trend | bars }}{% endif %}§\">x</p>",
    ] {
        let house = House::html(&format!("x\n{}", place.replace('§', "{{ profile.name }}")));
        let findings = house.findings();
        assert!(
            findings.iter().any(|finding| finding.starts_with("error unsafe-position 2:")),
            "{place}: {findings:?}"
        );
        let raw = House::html(&format!("x\n{}", place.replace('§', "{{ profile.name | raw }}")));
        let notes = raw.composer().1;
        assert!(notes.iter().any(|note| note.code == "raw"), "{place}: {notes:?}");
    }
}

#[test]
fn partials_in_a_style_print_nothing() {
    let house = |rules: &str| {
        let house = House::with(
            "mail.mjml",
            "<mjml><mj-head><mj-style>{% include 'rules.css' %}</mj-style></mj-head><mj-body><mj-section><mj-column>\
             <mj-text>{{ postal_address }} {{ unsubscribe_url }}</mj-text></mj-column></mj-section></mj-body></mjml>",
        );
        house.write("rules.css", rules);
        house
    };
    let findings = house("p { color: {{ profile.colour }} }").findings();
    assert!(findings.iter().any(|finding| finding.contains("cannot stand in a style or script")), "{findings:?}");
    let fixed = house("p > b { color: red }");
    assert_eq!(fixed.findings(), Vec::<String>::new());
    assert!(fixed.compose().expect("renders").html.contains("p > b { color: red }"));
}
