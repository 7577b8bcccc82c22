//! Whole messages: hostile values stay values, and the same inputs give the same bytes.

use super::house::{House, as_of};
use milepost::project::Category;
use milepost::render::RenderError;
use serde_json::{Value, json};

fn hostile() -> String {
    let mut name = String::from(
        "<script>alert(\"x\")</script> & 'quotes' {{ profile.email }} {% if %} \u{202e}RTL עברית 🎉\r\nBcc: evil@example.test\u{0}",
    );
    name.push_str(&"x".repeat(10_000));
    name
}

fn with_name(house: &mut House, name: &str) {
    house.context["profile"]["name"] = json!(name);
}

#[test]
fn a_hostile_name_stays_a_name() {
    let mut house = House::mjml(
        "<mj-section><mj-column><mj-text>Hi {{ profile.name }}</mj-text><mj-image src=\"https://a.test/a.png\" alt=\"{{ profile.name }}\" /></mj-column></mj-section>",
    );
    house.subject = "Well done, {{ profile.name }}!".into();
    house.preheader = Some("{{ profile.name }}".into());
    house.headers = vec![("X-Name", "{{ profile.name | truncate: 60 }}".into())];
    house.unsubscribe = Some("https://acme.test/leave/{{ profile.name | truncate: 40 }}?t={{ profile.token }}".into());
    with_name(&mut house, &hostile());
    let message = house.compose().expect("renders");

    assert!(
        !message.html.contains("<script>")
            && message.html.contains("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;")
    );
    assert!(message.html.contains("&amp; &#39;quotes&#39; {{ profile.email }} {% if %}"), "values are never templates");
    assert!(!message.html.contains("ann@example.test"), "nothing in a value is evaluated");
    assert!(
        message.html.contains("עברית 🎉") && message.html.contains(&"x".repeat(10_000)) && !message.html.contains('\0')
    );
    assert!(message.text.contains("<script>alert(\"x\")</script> & 'quotes'") && message.text.contains("עברית 🎉"));

    assert!(!message.subject.chars().any(char::is_control) && !message.subject.contains('\u{202e}'));
    assert_eq!(message.subject.chars().count(), 500);
    assert!(message.subject.starts_with("Well done, <script>alert(\"x\")</script> & 'quotes'"));
    for (name, value) in &message.headers {
        assert!(value.is_ascii() && !value.contains(['\r', '\n']), "{name}: {value}");
        assert_ne!(name.to_ascii_lowercase(), "bcc");
    }
    let leave = &message.headers.iter().find(|(name, _)| name == "List-Unsubscribe").expect("present").1;
    assert!(
        leave.starts_with("<https://acme.test/leave/%3Cscript%3Ealert") && leave.ends_with("?t=tok%2F1>"),
        "{leave}"
    );
}

#[test]
fn each_place_has_its_own_escape() {
    let cases: [(&str, Value, &str); 19] = [
        ("<p>{{ profile.name }}</p>", json!("a<b>&\"'"), "<p>a&lt;b&gt;&amp;&quot;&#39;</p>"),
        ("<p title=\"{{ profile.name }}\">x</p>", json!("\" onx=\"1"), "title=\"&quot; onx=&quot;1\""),
        ("<p title='{{ profile.name }}'>x</p>", json!("' onx='1"), "title='&#39; onx=&#39;1'"),
        ("<p>{{ profile.name | escape }}</p>", json!("a&b"), "<p>a&amp;b</p>"),
        ("<p>{{ profile.name | escape_once }}</p>", json!("a&amp;b"), "<p>a&amp;amp;b</p>"),
        ("<p>{{ profile.name | upcase }}</p>", json!("<b>"), "<p>&lt;B&gt;</p>"),
        ("<p>{{ profile.name | raw }}</p>", json!("<b>x</b>"), "<p><b>x</b></p>"),
        ("<p>{{ profile.name | newline_to_br }}</p>", json!("a<\r\nb"), "<p>a&lt;<br>\nb</p>"),
        (
            "{% capture c %}<b>{{ profile.name }}</b>{% endcapture %}<p>{{ c }}</p>",
            json!("a&b"),
            "<p><b>a&amp;b</b></p>",
        ),
        (
            "{% capture c %}{{ profile.name }}{% endcapture %}{% assign d = c %}<p>{{ d }}</p>",
            json!("a&b"),
            "<p>a&amp;b</p>",
        ),
        ("{% capture c %}{{ profile.name }}{% endcapture %}<p>{{ c | upcase }}</p>", json!("<"), "<p>&amp;LT;</p>"),
        ("{% assign c = profile.name %}<p>{{ c }}</p>", json!("<b>"), "<p>&lt;b&gt;</p>"),
        (
            "{% capture c %}x{% endcapture %}{% assign c = profile.name %}<p>{{ c }}</p>",
            json!("<b>"),
            "<p>&lt;b&gt;</p>",
        ),
        ("{% assign c = metrics.logins.trend | bars %}<p>{{ c }}</p>", json!(""), "<p><table role="),
        ("<a href=\"{{ profile.name }}\">x</a>", json!("javascript:alert(1)"), "href=\"#\""),
        (
            "<a href=\"{{ profile.name }}\">x</a>",
            json!("https://a.test/?a=1&b=\"2\""),
            "href=\"https://a.test/?a=1&amp;b=&quot;2&quot;\"",
        ),
        (
            "{% capture c %}{{ profile.name }}{% endcapture %}<a href=\"{{ c }}\">x</a>",
            json!("data:text/html,x"),
            "href=\"#\"",
        ),
        ("<a href=\"{% if true %}{{ profile.name }}{% endif %}\">x</a>", json!("vbscript:x"), "href=\"#\""),
        ("<a href=\"java{{ profile.name }}\">x</a>", json!("script:alert(1)"), "href=\"javascript%3Aalert(1)\""),
    ];
    for (template, name, expected) in cases {
        let mut house = House::html(template);
        house.context["profile"]["name"] = name;
        let message = house.compose().expect(template);
        assert!(message.html.contains(expected), "{template}\n{}", message.html);
    }
}

#[test]
fn partials_escape_as_well() {
    let mut house = House::html("{% include 'part.html' %}{% render 'alone.html', who: profile.name %}");
    house.write("part.html", "<i>{{ profile.name }}</i>");
    house.write("alone.html", "<a href=\"{{ who }}\">{{ who }}</a>");
    with_name(&mut house, "javascript:<b>");
    let message = house.compose().expect("renders");
    assert!(
        message.html.contains("<i>javascript:&lt;b&gt;</i><a href=\"#\">javascript:&lt;b&gt;</a>"),
        "{}",
        message.html
    );
    assert!(message.text.starts_with("javascript:<b>javascript:<b>\n"), "{}", message.text);
}

#[test]
fn the_whole_message_is_made_of_the_project() {
    let mut house = House::html("{{ preheader }} {{ project }} {{ job.name }} {{ run.as_of }} {{ period.label }}");
    house.preheader = Some("Week {{ period.key }}".into());
    house.subject = "  {{ metrics.logins.value | plural: 'login', 'logins' }}\n".into();
    house.headers = vec![("X-Period", "{{ period.key }} é".into()), ("X-Empty", "{% if false %}x{% endif %}".into())];
    let message = house.compose().expect("renders");
    assert_eq!(message.subject, "12 logins");
    assert_eq!(message.to.address.as_str(), "ann@example.test");
    assert_eq!(message.from.name.as_deref(), Some("Acme"));
    assert_eq!(message.reply_to.as_ref().map(|one| one.address.as_str()), Some("help@acme.test"));
    assert_eq!(message.date, as_of());
    assert_eq!(message.delivery_id, "0f".repeat(16));
    assert!(
        message.text.starts_with("Week 2026-W46 acme digest 2026-11-16T06:00:00Z 9-15 November\n\n"),
        "{}",
        message.text
    );
    assert_eq!(
        message.headers,
        [
            ("X-Period".to_owned(), "=?utf-8?B?MjAyNi1XNDYgw6k=?=".to_owned()),
            ("List-Unsubscribe".to_owned(), "<https://acme.test/leave/tok%2F1>".to_owned()),
            ("List-Unsubscribe-Post".to_owned(), "List-Unsubscribe=One-Click".to_owned()),
        ]
    );
    assert_eq!(house.compose().expect("renders"), message, "the same inputs give the same bytes");
}

#[test]
fn an_own_text_template_replaces_the_derived_one() {
    let mut house = House::html("<p>{{ profile.name }}</p>");
    house.text = Some("own.txt");
    house.write("own.txt", "\nDear {{ profile.name }},\n\n  indented & kept\n{{ metrics.logins.trend | bars }}\n");
    assert_eq!(house.compose().expect("renders").text, "Dear Ann Lee,\n\n  indented & kept\n▃▅▆▁▁█▅");
}

#[test]
fn redirected_mail_says_so_and_goes_nowhere_else() {
    let mut house = House::html("x");
    house.redirect = true;
    let message = house.compose().expect("renders");
    assert_eq!((message.to.address.as_str(), message.subject.as_str()), ("qa@acme.test", "[staging] Hello"));
    let leave = "https://redirected.invalid/unsubscribe";
    assert!(message.html.contains(leave) && message.text.contains(leave), "{message:?}");
    assert_eq!(message.headers[0], ("List-Unsubscribe".to_owned(), format!("<{leave}>")));
    let everything = format!("{message:?}");
    assert!(!everything.contains("tok/1") && !everything.contains("tok%2F1"), "the real person's token: {everything}");
}

#[test]
fn transactional_mail_carries_no_list_headers() {
    let mut house = House::html("x");
    house.category = Category::Transactional;
    assert!(house.compose().expect("renders").headers.is_empty());
}

#[test]
fn data_that_breaks_a_template_is_an_error_of_that_profile() {
    type Change = fn(&mut House);
    type Expected = fn(&RenderError) -> bool;
    let cases: [(Change, Expected); 6] = [
        (
            |house| {
                house.subject = "{{ metrics[profile.name].value }}".into();
                house.context["profile"]["name"] = json!("secret");
            },
            |error| matches!(error, RenderError::EmptySubject { .. }),
        ),
        (
            |house| house.subject = "{{ profile.first_name | default: '' }}".into(),
            |error| matches!(error, RenderError::Template { .. }) || matches!(error, RenderError::EmptySubject { .. }),
        ),
        (|house| house.context["profile"]["token"] = json!(" "), |error| matches!(error, RenderError::Template { .. })),
        (
            |house| house.context["profile"]["token"] = json!(null),
            |error| matches!(error, RenderError::Template { .. }),
        ),
        (
            |house| house.context["profile"]["token"] = json!("x".repeat(2000)),
            |error| matches!(error, RenderError::Unsubscribe { .. }),
        ),
        (
            |house| house.unsubscribe = Some("{{ profile.token }}".into()),
            |error| matches!(error, RenderError::Unsubscribe { .. }),
        ),
    ];
    for (position, (change, expected)) in cases.into_iter().enumerate() {
        let mut house = House::html("{{ metrics.logins.value | number }} {{ profile.name }}");
        house.context["profile"]["first_name"] = json!("\u{1}");
        change(&mut house);
        let error = house.compose().expect_err("this data cannot be mailed");
        assert!(expected(&error), "case {position}: {error}");
        assert!(!error.to_string().contains("secret"), "case {position}: {error}");
    }
    let house = House::html("x");
    let (composer, _) = house.composer();
    let composer = composer.expect("sound");
    let mut candidate = house.candidate();
    candidate.address = Some("not an address".into());
    assert!(matches!(composer.compose(&candidate, "id", as_of()), Err(RenderError::Address)));
    candidate.part = 7;
    assert!(matches!(composer.compose(&candidate, "id", as_of()), Err(RenderError::UnknownPart { part: 7 })));
}

#[test]
fn long_mails_and_cleaned_lines_are_counted() {
    let mut house = House::html("{{ profile.name }}");
    house.subject = "{{ profile.name | truncate: 20 }}".into();
    with_name(&mut house, &format!("a\r\nb\u{0}c{}", "x".repeat(110_000)));
    let (composer, _) = house.composer();
    let composer = composer.expect("sound");
    composer.compose(&house.candidate(), "id", as_of()).expect("renders");
    assert_eq!((composer.clipped(), composer.cleaned()), (1, 2));
}

#[test]
fn null_has_null_fields_and_prints_nothing() {
    let mut house = House::html(
        "[{{ metrics.polls.previous }}]{% for m in matrix %}[{{ m.change_percent | percent }}]{% endfor %}[{{ profile.first_name | upcase }}]",
    );
    house.context["metrics"]["polls"] = json!(null);
    house.context["profile"]["first_name"] = json!(null);
    let html = house.compose().expect("renders").html;
    assert!(html.starts_with("[][20%][][]"), "{html}");
}

#[test]
fn data_of_another_kind_than_its_column_still_makes_a_mail() {
    let template = "{{ metrics.logins.value | number }}|{{ profile.name }}|{{ metrics[profile.name].value }}|";
    let mut house = House::html(template);
    house.context["metrics"]["logins"]["value"] = json!("many");
    house.context["profile"]["name"] = json!("nobody");
    assert!(house.compose().expect("renders").html.starts_with("many|nobody||"));
    house.context["profile"] = json!({"token": "t"});
    assert!(house.compose().expect("renders").html.starts_with("many|||"));
}
