//! Random templates and random data: the text part says what the HTML part shows, both say what the template means, and
//! no value changes the structure of the HTML.

use proptest::prelude::*;
use serde_json::json;

use super::house::{House, as_of};
use super::reader::{skeleton, words};

/// A piece of a template.
#[derive(Clone, Debug)]
enum Node {
    Word(&'static str),
    Name,
    /// The variable that was assigned last.
    Assigned,
    /// The variable that was captured last.
    Captured,
    Assign(&'static str),
    AssignName,
    Capture(Vec<Node>),
    Element(&'static str, Vec<Node>),
    /// An element whose style hides it when the person is active.
    HiddenWhenActive(Vec<Node>),
    Hidden(&'static str, Vec<Node>),
    If(Test, Vec<Node>, Vec<Node>),
    Unless(Test, Vec<Node>),
    Case(Vec<Node>, Vec<Node>),
    For(Vec<Node>),
    Label,
    Link(Address, Vec<Node>),
    Picture,
    Included,
    Comment(Vec<Node>),
    Trimmed(Test),
}

#[derive(Clone, Copy, Debug)]
enum Test {
    Active,
    Word,
}

#[derive(Clone, Copy, Debug)]
enum Address {
    Whole,
    Query,
    Path,
}

/// What a person's mail is made of.
#[derive(Clone, Debug)]
struct Person {
    name: &'static str,
    logins: i64,
    website: &'static str,
}

const NAMES: &[&str] = &[
    "Ann",
    "A&B #1",
    "</p><b>",
    "it's \"x\"",
    "<!-- x",
    "-->",
    "{{ y }}",
    "&amp;",
    "a\u{1}b\u{2}",
    "é 漢",
    "<style>",
    "?a=1",
    "x onload=y",
    "\u{3}q\u{4}w\u{5}",
    "]]>",
    "<![endif]-->",
    "a\tb",
    "../x",
    "100%",
];
const SITES: &[&str] =
    &["https://a.test/", "https://a.test/?x=1&y=2", "javascript:alert(1)", "//b.test/z", "", "mailto:a@b.test"];

fn test() -> impl Strategy<Value = Test> {
    prop::sample::select(vec![Test::Active, Test::Word])
}

fn nodes(depth: u32) -> BoxedStrategy<Vec<Node>> {
    let leaf = prop_oneof![
        4 => prop::sample::select(vec!["one", " two ", "three &amp; ", "\n four", "&nbsp;"]).prop_map(Node::Word),
        3 => Just(Node::Name),
        2 => Just(Node::Assigned),
        1 => Just(Node::Captured),
        2 => prop::sample::select(vec!["pro", "free"]).prop_map(Node::Assign),
        1 => Just(Node::AssignName),
        1 => Just(Node::Picture),
        1 => Just(Node::Included),
        1 => test().prop_map(Node::Trimmed),
        1 => Just(Node::Label),
    ];
    if depth == 0 {
        return prop::collection::vec(leaf, 0..4).boxed();
    }
    let inside = || nodes(depth - 1);
    let node = prop_oneof![
        6 => leaf,
        1 => inside().prop_map(Node::Capture),
        3 => (prop::sample::select(vec!["p", "b", "div", "span", "h2"]), inside()).prop_map(|(name, nodes)| Node::Element(name, nodes)),
        1 => inside().prop_map(|nodes| Node::Element("ul", vec![Node::Element("li", nodes)])),
        1 => inside().prop_map(|nodes| Node::Element("table", vec![Node::Element("tr", vec![Node::Element("td", nodes)])])),
        2 => inside().prop_map(Node::HiddenWhenActive),
        1 => (prop::sample::select(vec!["hidden", "style=\"color:red;display:none\"", "style='display: NONE'"]), inside())
            .prop_map(|(attribute, nodes)| Node::Hidden(attribute, nodes)),
        3 => (test(), inside(), inside()).prop_map(|(test, yes, no)| Node::If(test, yes, no)),
        1 => (test(), inside()).prop_map(|(test, nodes)| Node::Unless(test, nodes)),
        1 => (inside(), inside()).prop_map(|(pro, other)| Node::Case(pro, other)),
        2 => inside().prop_map(Node::For),
        2 => (prop::sample::select(vec![Address::Whole, Address::Query, Address::Path]), inside())
            .prop_map(|(address, nodes)| Node::Link(address, nodes)),
        1 => inside().prop_map(Node::Comment),
    ];
    prop::collection::vec(node, 0..5).boxed()
}

impl Test {
    fn written(self) -> &'static str {
        match self {
            Self::Active => "metrics.logins.value > 5",
            Self::Word => "w == \"pro\"",
        }
    }
}

/// Writes nodes as a template; `in_loop` where `m` is known, `in_link` where no other link may begin.
fn written(nodes: &[Node], in_loop: bool, flat: bool) -> String {
    let inside = |nodes: &[Node]| written(nodes, in_loop, flat);
    nodes
        .iter()
        .map(|node| match node {
            Node::Word(word) => (*word).to_owned(),
            Node::Name => "{{ profile.name }}".into(),
            Node::Assigned => "{{ w }}".into(),
            Node::Captured => "{{ c }}".into(),
            Node::Assign(word) => format!("{{% assign w = \"{word}\" %}}"),
            Node::AssignName => "{% assign w = profile.name %}".into(),
            Node::Capture(nodes) => format!("{{% capture c %}}{}{{% endcapture %}}", written(nodes, in_loop, true)),
            Node::Element(_, nodes) if flat => inside(nodes),
            Node::Element("p", nodes) => format!("<p title=\"{{{{ profile.name }}}}\">{}</p>", written(nodes, in_loop, true)),
            Node::Element(name, nodes) => {
                let flat = matches!(*name, "b" | "span" | "h2");
                format!("<{name} class=\"x\">{}</{name}>", written(nodes, in_loop, flat))
            }
            Node::HiddenWhenActive(nodes) => format!(
                "<span style=\"{{% if metrics.logins.value > 5 %}}display:none{{% else %}}color:red{{% endif %}}\">{}</span>",
                written(nodes, in_loop, true)
            ),
            Node::Hidden(attribute, nodes) => format!("<span {attribute}>{}</span>", written(nodes, in_loop, true)),
            Node::If(test, yes, no) => {
                format!("{{% if {} %}}{}{{% else %}}{}{{% endif %}}", test.written(), inside(yes), inside(no))
            }
            Node::Unless(test, nodes) => format!("{{% unless {} %}}{}{{% endunless %}}", test.written(), inside(nodes)),
            Node::Case(pro, other) => {
                format!("{{% case w %}}{{% when \"pro\" %}}{}{{% else %}}{}{{% endcase %}}", inside(pro), inside(other))
            }
            Node::For(nodes) => format!("{{% for m in matrix %}}{}{{% endfor %}}", written(nodes, true, flat)),
            Node::Label if in_loop => "{{ m.label }}".into(),
            Node::Label => "{{ matrix[0].label }}".into(),
            Node::Link(..) if flat => "link".into(),
            Node::Link(address, nodes) => {
                let address = match address {
                    Address::Whole => "{{ profile.website }}",
                    Address::Query => "https://a.test/?q={{ profile.name }}&amp;z=1",
                    Address::Path => "https://a.test/{{ profile.name }}/x",
                };
                format!("<a href=\"{address}\">{}</a>", written(nodes, in_loop, true))
            }
            Node::Picture => "<img alt=\"{{ w }}\" src=\"https://a.test/{{ profile.name }}.png\">".into(),
            Node::Included if flat => "{% include 'flat.html' %}".into(),
            Node::Included => "{% include 'part.html' %}".into(),
            // Comments do not nest.
            Node::Comment(nodes) => {
                let inside = written(nodes, in_loop, true).replace("<!-- ", "").replace(" -->", "");
                format!("<!-- {inside} -->")
            }
            Node::Trimmed(test) => format!("x {{%- if {} -%}} y {{%- endif -%}} z", test.written()),
        })
        .collect()
}

/// The state of a mail while it is made.
struct State<'a> {
    person: &'a Person,
    word: String,
    captured: String,
    label: Option<&'static str>,
}

const LABELS: [&str; 2] = ["Logins", "Polls & more"];

fn escaped(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            '&' => "&amp;".into(),
            '<' => "&lt;".into(),
            '>' => "&gt;".into(),
            '"' => "&quot;".into(),
            '\'' => "&#39;".into(),
            '\u{0}'..='\u{5}' => "\u{fffd}".into(),
            other => other.to_string(),
        })
        .collect()
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// What nodes mean, as HTML; a plain second interpreter of the templates written above.
#[expect(clippy::too_many_lines, reason = "one arm for each kind of node")]
fn meant(nodes: &[Node], state: &mut State<'_>, flat: bool) -> String {
    let mut html = String::new();
    for node in nodes {
        let active = state.person.logins > 5;
        let holds = |test: &Test, word: &str| match test {
            Test::Active => active,
            Test::Word => word == "pro",
        };
        let piece = match node {
            Node::Word(word) => (*word).to_owned(),
            Node::Name => escaped(state.person.name),
            Node::Assigned => escaped(&state.word),
            Node::Captured => state.captured.clone(),
            Node::Assign(word) => {
                (*word).clone_into(&mut state.word);
                String::new()
            }
            Node::AssignName => {
                state.person.name.clone_into(&mut state.word);
                String::new()
            }
            Node::Capture(nodes) => {
                state.captured = meant(nodes, state, true);
                String::new()
            }
            Node::Element(_, nodes) if flat => meant(nodes, state, true),
            Node::Element(name, nodes) => {
                let flat = matches!(*name, "b" | "span" | "h2" | "p");
                format!("<{name}>{}</{name}>", meant(nodes, state, flat))
            }
            Node::HiddenWhenActive(nodes) => {
                let inside = meant(nodes, state, true);
                if active { String::new() } else { format!("<span>{inside}</span>") }
            }
            Node::Hidden(_, nodes) => {
                meant(nodes, state, true);
                String::new()
            }
            Node::If(test, yes, no) => meant(if holds(test, &state.word) { yes } else { no }, state, flat),
            Node::Unless(test, nodes) if holds(test, &state.word) => meant(&nodes[..0], state, flat),
            Node::Unless(_, nodes) => meant(nodes, state, flat),
            Node::Case(pro, other) => meant(if state.word == "pro" { pro } else { other }, state, flat),
            Node::For(nodes) => {
                let outer = state.label;
                let rows: String = LABELS
                    .iter()
                    .map(|label| {
                        state.label = Some(label);
                        meant(nodes, state, flat)
                    })
                    .collect();
                state.label = outer;
                rows
            }
            Node::Label => escaped(state.label.unwrap_or(LABELS[0])),
            Node::Link(..) if flat => "link".into(),
            Node::Link(address, nodes) => {
                let address = match address {
                    Address::Whole if state.person.website.starts_with("javascript") => "#".into(),
                    Address::Whole if state.person.website.starts_with("//") => {
                        format!("https:{}", state.person.website)
                    }
                    Address::Whole => state.person.website.to_owned(),
                    Address::Query => format!("https://a.test/?q={}&z=1", encoded(state.person.name)),
                    Address::Path => format!("https://a.test/{}/x", encoded(state.person.name)),
                };
                format!("<a href=\"{}\">{}</a>", escaped(&address), meant(nodes, state, true))
            }
            Node::Picture => format!("<img alt=\"{}\">", escaped(&state.word)),
            Node::Included if flat => format!("<i>in {}</i>", escaped(&state.word)),
            Node::Included => format!("<i>in {}</i><p>deed</p>", escaped(&state.word)),
            Node::Comment(nodes) => {
                meant(nodes, state, true);
                String::new()
            }
            Node::Trimmed(test) => {
                if holds(test, &state.word) {
                    "xyz".into()
                } else {
                    "xz".into()
                }
            }
        };
        html.push_str(&piece);
    }
    html
}

/// The words of a text part; marks of lists are no words.
fn text_words(text: &str) -> Vec<String> {
    text.lines()
        .flat_map(|line| line.trim_start().strip_prefix("- ").unwrap_or(line).split_whitespace())
        .map(ToOwned::to_owned)
        .collect()
}

fn house(template: &str, person: &Person, mjml: bool) -> House {
    let begin = "{% assign w = \"free\" %}{% capture c %}none{% endcapture %}";
    let mut house = if mjml {
        House::mjml(&format!(
            "<mj-raw>{begin}</mj-raw><mj-wrapper><mj-raw>{{% if metrics.logins.value > 5 %}}</mj-raw><mj-section><mj-column><mj-text>\
             {template}</mj-text></mj-column></mj-section><mj-raw>{{% else %}}</mj-raw><mj-section><mj-column><mj-text>other \
             {template}</mj-text></mj-column></mj-section><mj-raw>{{% endif %}}</mj-raw></mj-wrapper>"
        ))
    } else {
        House::html(&format!("{begin}<div>{template}</div>"))
    };
    house.write("part.html", "<i>in {{ w }}</i><p>deed</p>");
    house.write("flat.html", "<i>in {{ w }}</i>");
    house.context["profile"]["name"] = json!(person.name);
    house.context["profile"]["website"] = json!(person.website);
    house.context["metrics"]["logins"]["value"] = json!(person.logins);
    house
}

fn person() -> impl Strategy<Value = Person> {
    (prop::sample::select(NAMES), prop::sample::select(vec![3_i64, 12]), prop::sample::select(SITES))
        .prop_map(|(name, logins, website)| Person { name, logins, website })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_parts_say_what_the_template_means(nodes in nodes(3), person in person(), mjml in any::<bool>()) {
        let template = written(&nodes, false, false);
        let house = house(&template, &person, mjml);
        let (composer, diagnostics) = house.composer();
        prop_assert!(composer.is_some(), "{template}\n{diagnostics:#?}");
        let composer = composer.expect("asserted");
        let message = composer.compose(&house.candidate(), "id", as_of()).expect("renders");
        let shown = words(&message.html);
        prop_assert_eq!(text_words(&message.text), shown.clone(), "{}\n{}\n{}", template, message.html, message.text);

        let mut state = State { person: &person, word: "free".into(), captured: "none".into(), label: None };
        let other = if mjml && person.logins <= 5 { "other " } else { "" };
        let footer = "<p>1 Rue X, Paris <a href=\"https://acme.test/leave/tok%2F1\">Leave</a></p>";
        let meaning = format!("<div>{other}{}</div>{footer}", meant(&nodes, &mut state, false));
        prop_assert_eq!(shown, words(&meaning), "{}\n{}", template, message.html);
    }

    #[test]
    fn no_value_changes_the_structure(nodes in nodes(3), person in person(), mjml in any::<bool>()) {
        let template = written(&nodes, false, false);
        let hostile = house(&template, &person, mjml);
        let harmless = house(&template, &Person { name: "Ann", website: "https://a.test/", ..person }, mjml);
        let html = |house: &House| house.compose().expect("renders").html;
        prop_assert_eq!(skeleton(&html(&hostile)), skeleton(&html(&harmless)), "{}", template);
    }
}
