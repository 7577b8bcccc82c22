//! MJML and CSS compile once, with liquid carried through unharmed.

use super::house::House;

const OPEN: &str = "<mj-section><mj-column>";
const CLOSE: &str = "</mj-column></mj-section>";

fn component(inside: &str) -> House {
    House::mjml(&format!("{OPEN}{inside}{CLOSE}"))
}

#[test]
fn liquid_survives_mjml() {
    let cases = [
        ("<mj-text>Hi {{ profile.name }}</mj-text>", "Hi Ann Lee"),
        ("<mj-text>{% if 1 < 2 and 'a' != \"b\" %}yes{% endif %}</mj-text>", ">yes<"),
        ("<mj-text>{% if metrics.logins.value > 5 %}<b>many</b>{% else %}few{% endif %}</mj-text>", "<b>many</b>"),
        ("<mj-text><a href=\"{{ profile.website }}\">x</a></mj-text>", "href=\"https://ann.test/?a=1&amp;b=2\""),
        ("<mj-button href=\"{{ unsubscribe_url }}\">x</mj-button>", "href=\"https://acme.test/leave/tok%2F1\""),
        (
            "<mj-image src=\"https://a.test/{{ profile.profile_id }}.png\" alt=\"{{ metrics.logins.value }} logins\" />",
            "alt=\"12 logins\"",
        ),
        (
            "<mj-table>{% for m in matrix %}<tr><td>{{ m.label }}</td><td>{{ m.value }}</td></tr>{% endfor %}</mj-table>",
            "<tr><td>Logins</td><td>12</td></tr><tr><td>Polls &amp; more</td><td>3</td></tr>",
        ),
        (
            "<mj-raw>{% if metrics.logins.value < 100 %}</mj-raw><mj-text>shown</mj-text><mj-raw>{% endif %}</mj-raw>",
            "shown",
        ),
        ("<mj-text>a{%- comment -%} < > & {%- endcomment -%}b {% raw %}{{ x }}{% endraw %}</mj-text>", "{{ x }}"),
        ("<mj-text>{{ metrics.logins.trend | bars }}</mj-text>", "<table role=\"presentation\""),
        ("<mj-text>漢> b</mj-text>", "漢  > b"),
        ("<mj-text color=\"{{ profile.colour }}\">x</mj-text>", "color:#ff0000"),
    ];
    for (inside, expected) in cases {
        let house = component(inside);
        assert_eq!(house.findings(), Vec::<String>::new(), "{inside}");
        let message = house.compose().expect(inside);
        assert!(message.html.contains(expected), "{inside}\n{}", message.html);
        assert!(!message.html.contains("mlpq") && !message.text.contains("mlpq"), "{inside}");
    }
}

#[test]
fn tags_round_whole_sections_work_in_raw() {
    let section = |text: &str| format!("{OPEN}<mj-text>{text}</mj-text>{CLOSE}");
    let house = House::mjml(&format!(
        "<mj-raw>{{% for m in matrix %}}</mj-raw>{}<mj-raw>{{% endfor %}}</mj-raw>\n<mj-raw>{{% if false %}}</mj-raw>{}<mj-raw>{{% endif %}}</mj-raw>",
        section("{{ m.label }}"),
        section("never")
    ));
    assert_eq!(house.findings(), Vec::<String>::new());
    let message = house.compose().expect("renders");
    assert!(message.html.contains(">Logins<") && message.html.contains(">Polls &amp; more<"));
    assert!(!message.html.contains("never") && !message.text.contains("never"));
    assert!(message.text.starts_with("Logins\n\nPolls & more\n\n"), "{}", message.text);
}

#[test]
fn what_mjml_would_lose_is_refused_at_its_line() {
    let column = "<mj-column><mj-text>x</mj-text></mj-column>";
    let cases = [
        (format!("{{% if true %}}{OPEN}<mj-text>x</mj-text>{CLOSE}{{% endif %}}"), "liquid-between-components 3:1"),
        (format!("<mj-section>{{% if true %}}{column}{{% endif %}}</mj-section>"), "liquid-between-components 3:13"),
        (format!("{OPEN}\n{{{{ profile.name }}}}{CLOSE}"), "liquid-between-components 4:1"),
        (
            format!(
                "<mj-section>\n<mj-raw>{{% for m in matrix %}}</mj-raw>{column}<mj-raw>{{% endfor %}}</mj-raw></mj-section>"
            ),
            "loop-round-column 4:9",
        ),
        (format!("{OPEN}<mj-txt>x</mj-txt>{CLOSE}"), "mjml 3:25"),
        (format!("{OPEN}<mj-text>x{CLOSE}"), "mjml "),
        (format!("{OPEN}<mj-text mj-class=\"{{{{ profile.name }}}}\">x</mj-text>{CLOSE}"), "lost-in-mjml 3:43"),
        ("<mj-include path=\"other.mjml\" />".to_owned(), "mjml 3:"),
    ];
    for (body, expected) in cases {
        let findings = House::mjml(&body).findings();
        let found = findings.iter().any(|finding| finding.starts_with(&format!("error {expected}")));
        assert!(found, "{body}\n  expected {expected}\n  found {findings:?}");
    }
}

#[test]
fn styles_move_into_elements_and_tags_keep_their_place() {
    let house = House::html(
        "<html><head><title>{{ profile.name }}</title><style>td { color: red } @media (max-width: 600px) { td { width: 100% } }</style></head>\
         <body><!--[if mso]><p title=\"{{ profile.name }}\">{{ profile.name }}</p><![endif]--><table>{% for m in matrix %}<tr><td title=\"{{ m.name }}\">{{ m.label }}</td></tr>{% endfor %}</table></body></html>",
    );
    assert_eq!(house.findings(), Vec::<String>::new());
    let html = house.compose().expect("renders").html;
    assert!(html.contains("<title>Ann Lee</title>"), "{html}");
    assert!(html.contains("@media"), "{html}");
    assert_eq!(html.matches("color: red").count() + html.matches("color:red").count(), 2, "{html}");
    assert!(html.contains("title=\"polls\"") && html.matches("<!--").count() == 1, "{html}");
    assert!(html.contains("<!--[if mso]><p title=\"Ann Lee\">Ann Lee</p><![endif]-->"), "{html}");
}

#[test]
fn the_text_part_follows_the_html() {
    let house = component(
        "<mj-text><h1>Your week, {{ profile.name }}</h1><p>{% if metrics.logins.value > 5 %}Well done!{% endif %}</p></mj-text>\
         <mj-table>{% for m in matrix %}<tr><td>{{ m.label }}</td><td>{{ m.value }}</td></tr>{% endfor %}</mj-table>\
         <mj-text>{{ metrics.logins.trend | bars }} {{ 0.4 | progress_bar }}</mj-text>\
         <mj-button href=\"https://acme.test/go?x={{ profile.token | url_encode }}\">Go on</mj-button>",
    );
    let text = house.compose().expect("renders").text;
    let expected = "Your week, Ann Lee\n\nWell done!\n\nLogins  12\nPolls & more  3\n\n▃▅▆▁▁█▅ [####------] 40%\n\nGo on (https://acme.test/go?x=tok%2F1)\n\n1 Rue X, Paris Leave (https://acme.test/leave/tok%2F1)";
    assert_eq!(text, expected);
}
