//! Both parts of a mail come from one pass of liquid: the text part says what the HTML part shows, whatever branch is taken.

use super::house::House;
use super::reader::words;
use serde_json::json;

/// A template, and its text for an active person and for another one.
const TEXTS: &[(&str, &str, &str)] = &[
    ("<p>{% include 'word.html' %}</p><p>Next</p>", "INCLUDED\n\nNext", "INCLUDED\n\nNext"),
    ("{% include 'block.html' %}Next", "INCLUDED\n\nNext", "INCLUDED\n\nNext"),
    ("<b>{% include 'word.html' %}</b>Next", "INCLUDEDNext", "INCLUDEDNext"),
    (
        "<ul>{% for m in matrix %}{% include 'item.html' %}{% endfor %}</ul>Next",
        "- Logins\n- Polls & more\n\nNext",
        "- Logins\n- Polls & more\n\nNext",
    ),
    (
        "{% capture c %}<p>one</p><p>{{ profile.name }}</p>{% endcapture %}a{{ c }}b",
        "a\n\none\n\nAnn Lee\n\nb",
        "a\n\none\n\nAnn Lee\n\nb",
    ),
    (
        "<p hidden>{% if metrics.logins.value > 5 %}{% assign word = 'Pro' %}{% else %}{% assign word = 'Free' %}{% endif %}</p>{{ word }}",
        "Pro",
        "Free",
    ),
    (
        "<html><head><title>{% if metrics.logins.value > 5 %}{% assign word = 'Pro' %}{% else %}{% assign word = 'Free' %}{% endif %}x</title></head><body>{{ word }}",
        "Pro",
        "Free",
    ),
    (
        "<!-- {% assign word = 'Pro' %}{% capture more %}<b>x</b>{% endcapture %} -->{{ word }}{{ more }}",
        "Prox",
        "Prox",
    ),
    (
        "<p style=\"{% unless metrics.logins.value > 5 %}display:none{% endunless %}\">shown</p>always",
        "shown\n\nalways",
        "always",
    ),
    (
        "<p style=\"color:red;{% if metrics.logins.value > 5 %}display : none !important{% endif %}\">a</p>b",
        "b",
        "a\n\nb",
    ),
    ("<p style=\"display:{% if metrics.logins.value > 5 %}none{% else %}block{% endif %}\">a</p>b", "b", "a\n\nb"),
    ("<style>.x { display: none }</style><p class=\"x\">a</p>b", "b", "b"),
    (
        "<a href=\"{% if metrics.logins.value > 5 %}https://a.test/{% else %}https://b.test/{% endif %}\">Go</a>",
        "Go (https://a.test/)",
        "Go (https://b.test/)",
    ),
    (
        "<img src=\"https://a.test/x\" alt=\"{% if metrics.logins.value > 5 %}Many{% else %}Few{% endif %} & {{ profile.name }}\">",
        "Many & Ann Lee",
        "Few & Ann Lee",
    ),
    (
        "{% if metrics.logins.value > 5 %}<p>{% else %}<div>{% endif %}x{% if metrics.logins.value > 5 %}</p>{% else %}</div>{% endif %}y",
        "x\n\ny",
        "x\n\ny",
    ),
    ("{% if metrics.logins.value > 5 %}<!--{% endif %}x{% if metrics.logins.value > 5 %}-->{% endif %}y", "y", "xy"),
    (
        "<table><tr>{% for m in matrix %}<td>{{ m.label }}</td>{% endfor %}</tr></table>",
        "Logins  Polls & more",
        "Logins  Polls & more",
    ),
    (
        "{% for m in matrix %}{% ifchanged %}<p>{{ 'a' }}</p>{% endifchanged %}{% cycle 'x', 'y' %}{% endfor %}",
        "a\n\nxy",
        "a\n\nxy",
    ),
    ("a {%- if true -%} b {%- endif -%} c {{- 'd' -}} e", "abcde", "abcde"),
    ("{% raw %}{{ x }}<b>y</b>{% endraw %}", "{{ x }}y", "{{ x }}y"),
    ("{{ '<p>a</p><p hidden>b</p>' | raw }}c", "a\n\nc", "a\n\nc"),
    ("{{ profile.website | newline_to_br }}", "one\ntwo", "one\ntwo"),
    (
        "{{ metrics.logins.trend | bars }} {{ 0.4 | progress_bar }}",
        "▃▅▆▁▁█▅ [####------] 40%",
        "▃▅▆▁▁█▅ [####------] 40%",
    ),
    ("{% capture c %}{{ 0.4 | progress_bar }}{% endcapture %}<p>{{ c }}</p>", "[####------] 40%", "[####------] 40%"),
    ("<i title=\"&{{ 'lt;' }}\">&{{ 'lt;' }}</i>", "&lt;", "&lt;"),
    ("&#123;&#123; profile.name }}", "{{ profile.name }}", "{{ profile.name }}"),
];

fn house(template: &str, logins: i64) -> House {
    let mut house = House::with("mail.html", template);
    house.category = milepost::project::Category::Transactional;
    house.write("word.html", "INCLUDED");
    house.write("block.html", "<p>INCLUDED</p>");
    house.write("item.html", "<li>{{ m.label }}");
    house.context["metrics"]["logins"]["value"] = json!(logins);
    house.context["profile"]["website"] = json!("one\ntwo");
    house
}

#[test]
fn text_follows_the_rendered_html() {
    for (template, active, idle) in TEXTS {
        for (logins, expected) in [(12, active), (3, idle)] {
            let house = house(template, logins);
            let message = house.compose().expect(template);
            assert_eq!(&message.text, expected, "{template}\n{}", message.html);
            assert!(!message.html.contains(|letter: char| letter < '\t'), "{template}");
        }
    }
}

#[test]
fn both_parts_of_a_wrapper_take_the_same_branch() {
    let section = |word: &str| format!("<mj-section><mj-column><mj-text>{word}</mj-text></mj-column></mj-section>");
    let raw = |tag: &str| format!("<mj-raw>{tag}</mj-raw>");
    let body = format!(
        "<mj-wrapper>{}{}{}{}{}{}{}{}</mj-wrapper>",
        section("always"),
        raw("{% if metrics.logins.value > 5 %}"),
        section("VIP"),
        raw("{% else %}"),
        section("others"),
        raw("{% endif %}{% for m in matrix %}"),
        section("{{ m.label }}"),
        raw("{% endfor %}"),
    );
    for (logins, words_of_branch) in [(12, "VIP"), (3, "others")] {
        let mut house = House::mjml(&body);
        house.context["metrics"]["logins"]["value"] = json!(logins);
        let message = house.compose().expect("renders");
        let expected = format!("always\n\n{words_of_branch}\n\nLogins\n\nPolls & more\n\n1 Rue X, Paris Leave");
        assert!(message.text.starts_with(&expected), "{}", message.text);
        assert_eq!(words(&message.html), message.text.split_whitespace().collect::<Vec<_>>());
        assert_eq!(message.html.matches("<!--[if ").count(), message.html.matches("<![endif]-->").count());
    }
}
