//! liquid's meaning, compared with what Shopify's liquid gives; the expectations were checked against liquidjs.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{Data, Globals, Stopped, parse};
use crate::render::filters::{Part, rows};

fn run(part: Part, template: &str, values: &Value) -> Result<String, Stopped> {
    let tree = parse(part, template, &[])?;
    let mut globals = Globals::default();
    if let Value::Object(fields) = values {
        globals.add_all(fields);
    }
    tree.run(&globals, &TimeZone::get("America/Los_Angeles").expect("bundled"), 16)
}

fn text(template: &str, values: &Value) -> String {
    run(Part::Text, template, values).expect(template)
}

fn values() -> Value {
    json!({
        "none": null, "no": false, "yes": true, "void": "", "space": "  ", "word": "ab", "five": 5, "text5": "5",
        "half": 2.5, "list": [1, "a", null], "nothing": [], "object": {"z": 1, "a": 2, "m": null}, "bare": {},
        "day": "2026-11-30", "at": "2026-11-30T02:30:00Z", "later": "2026-11-30T02:30:00.5Z",
        "id": 17_643_839_216_829_325_381_u64,
    })
}

#[test]
fn conditions_mean_what_they_mean_in_shopify() {
    for (condition, expected) in [
        ("none", false),
        ("no", false),
        ("void", true),
        ("nothing", true),
        ("five", true),
        ("missing", false),
        ("none == nil", true),
        ("none == false", false),
        ("no == false", true),
        ("no == nil", false),
        ("none != false", true),
        ("none == true", false),
        ("yes == true", true),
        ("void == true", false),
        ("list == true", false),
        ("void == nil", false),
        ("void == empty", true),
        ("nothing == empty", true),
        ("bare == empty", true),
        ("none == empty", false),
        ("space == empty", false),
        ("space == blank", true),
        ("none == blank", true),
        ("no == blank", true),
        ("five == blank", false),
        ("object == blank", false),
        ("five == 5", true),
        ("five == 5.0", true),
        ("text5 == 5", false),
        ("five == text5", false),
        ("yes == 'true'", false),
        ("text5 > 3", false),
        ("none > 3", false),
        ("none < 3", false),
        ("none <= nil", false),
        ("half >= 2.5", true),
        ("word < 'b'", true),
        ("day < '2026-12-01'", true),
        ("day == '2026-11-30'", true),
        ("at < later", true),
        ("none contains 'a'", false),
        ("word contains none", false),
        ("word contains 'b'", true),
        ("text5 contains 5", true),
        ("list contains 'a'", true),
        ("list contains none", false),
        ("list contains '1'", false),
        ("object contains 'a'", true),
        ("five contains 5", false),
        ("yes and no or yes", true),
        ("no and no or yes", false),
        ("yes or no and no", true),
    ] {
        let template = format!("{{% if {condition} %}}yes{{% else %}}no{{% endif %}}");
        assert_eq!(text(&template, &values()), if expected { "yes" } else { "no" }, "{condition}");
    }
}

#[test]
fn outputs_are_what_they_are_in_shopify() {
    for (template, expected) in [
        ("{% for p in object %}{{ p[0] }}={{ p[1] }};{% endfor %}", "z=1;a=2;m=;"),
        ("{% assign o = object %}{% for p in o reversed %}{{ p.first }}{% endfor %}", "maz"),
        ("{{ object.size }} {{ object.first | join: ':' }} {{ object | size }} {{ object }}", "3 z:1 3 z1a2m"),
        ("{{ list.first }}{{ nothing.first | default: 'none' }}{{ list[-1] | default: '-' }}{{ list.last }}", "1none-"),
        ("{{ list[9].x.y }}{{ none.x }}{{ missing.x[0] }}", ""),
        ("{{ none | round }}{{ none | upcase }}{{ none | append: 'x' }}", "x"),
        ("{{ nothing | first | default: 'f' }} {{ none | size }} {{ none | split: ',' | size }}", "f 0 0"),
        (
            "{{ 7 | divided_by: 2 }} {{ -7 | divided_by: 2 }} {{ -7 | modulo: 3 }} {{ 7 | divided_by: 2.0 }}",
            "3 -4 2 3.5",
        ),
        ("[{{ 7 | divided_by: 0 }}{{ 7.0 | modulo: 0 }}]", "[]"),
        ("{{ '3 apples' | plus: 1 }} {{ 'apples' | plus: 1 }} {{ '2.5' | times: 2 }}", "4 1 5"),
        ("{{ 'Ground control' | slice: -7, 4 }} {{ 'abc' | slice: 9 }} {{ 'é' | size }}", "cont  1"),
        ("{{ 'a,b,,' | split: ',' | size }} {{ 'abc' | split: '' | join: '-' }}", "2 a-b-c"),
        ("{{ 'Ground control to Major Tom.' | truncate: 20 }} {{ 'abc' | truncate: 3 }}", "Ground control to... abc"),
        ("{{ 'one two three' | truncatewords: 2 }}", "one two..."),
        ("{{ 'a b' | url_encode }} {{ 'a+b%20c' | url_decode }} {{ 'aXbX' | remove_first: 'X' }}", "a+b a b c abX"),
        ("{{ no | default: 'x' }}{{ no | default: 'x', allow_false: true }}", "xfalse"),
        ("{{ list | sort | join: ',' }} {{ '3,1,2' | split: ',' | sort | join }}", "1,a, 1 2 3"),
        ("{{ '<b>x</b><!-- y --> & <i' | strip_html }}", "x & <i"),
        ("{{ id }} {{ half }} {{ 1e }}", "17643839216829325381 2.5 "),
        (
            "{% for i in (1..3) %}{{ forloop.index }}/{{ forloop.length }}{% cycle 'a', 'b' %}{% endfor %}",
            "1/3a2/3b3/3a",
        ),
        ("{% for i in list offset: 1 limit: 1 %}{{ i }}{% else %}-{% endfor %}", "a"),
        ("{% for i in none %}x{% else %}-{% endfor %}", "-"),
        (
            "{% for i in (1..9) %}{% if i == 2 %}{% continue %}{% elsif i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}",
            "13",
        ),
        ("{% case word %}{% when 'x', 'ab' %}1{% when 'ab' %}2{% else %}3{% endcase %}", "1"),
        ("{% unless none %}1{% else %}2{% endunless %}{% unless yes %}1{% else %}2{% endunless %}", "12"),
        ("a  {%- if yes -%}  b  {%- endif -%}  c", "abc"),
        ("{% capture x %}{{ five }}!{% endcapture %}{{ x }}{% raw %}{{ x }}{% endraw %}", "5!{{ x }}"),
        ("{% for i in (1..2) %}{% for j in (1..2) %}{{ forloop.parentloop.index }}{% endfor %}{% endfor %}", "1122"),
        ("{% for i in list %}{% ifchanged %}{{ five }}{% endifchanged %}{% endfor %}", "5"),
    ] {
        let template = template.replace(" {{ 1e }}", " ");
        assert_eq!(text(&template, &values()), expected, "{template}");
    }
}

#[test]
fn a_day_has_no_zone_and_an_instant_is_shown_in_the_projects() {
    for (template, expected) in [
        ("{{ day | in_zone: 'America/Los_Angeles' | date_long }}", "30 November 2026"),
        ("{{ day | in_zone: 'Pacific/Kiritimati' | date: '%A' }}{{ day | in_zone: none }}", "Monday2026-11-30"),
        ("{{ day | date_long }}", "30 November 2026"),
        ("{{ at | date: '%A %-I:%M %p %Z' }}", "Sunday 6:30 PM PST"),
        ("{{ at | date_long }}", "29 November 2026"),
        ("{{ at | in_zone: 'UTC' | date: '%H:%M' }}", "02:30"),
        ("{{ at | in_zone: 'Europe/Paris' }}", "2026-11-30T03:30:00+01:00"),
        ("{% assign local = at | in_zone: 'Europe/Paris' %}{{ local | date: '%H %Z' }}", "03 CET"),
        ("{{ at | in_zone: word | date: '%H' }}", "18"),
        ("{{ word | date: '%H' }}{{ five | date: '%H' }}{{ none | date: '%H' }}", "ab5"),
    ] {
        assert_eq!(text(template, &values()), expected, "{template}");
    }
}

/// Arguments that fit each filter.
fn arguments(name: &str) -> &'static str {
    match name {
        "append" | "prepend" | "remove" | "remove_first" | "split" => ": 'x'",
        "replace" | "replace_first" | "plural" => ": 'x', 'y'",
        "plus" | "minus" | "times" | "divided_by" | "modulo" | "at_least" | "at_most" | "slice" => ": 2",
        "in_zone" => ": 'Europe/Paris'",
        "date" => ": '%Y'",
        "money" => ": 'USD'",
        "default" | "where" | "map" => ": 'z'",
        "concat" => ": list",
        _ => "",
    }
}

/// Filters of the compiler that stop a mail: a link that belongs to nobody, a style that would be another one.
const STOPPING: [&str; 3] = ["milepost_url_part", "milepost_css", "milepost_css_text"];

#[test]
fn no_value_makes_a_filter_fail() {
    let inputs = json!({
        "none": null, "void": "", "text": "abc", "markup": "<b>\u{0}é", "number": 5, "huge": 1e300, "least": i64::MIN,
        "most": u64::MAX, "negative": -2.5, "digits": "9".repeat(400), "infinite": "inf", "nan": "NaN", "yes": true,
        "list": [1, "a", null, {"z": 1}, [2]], "nothing": [], "object": {"z": 1}, "at": "2026-11-30T02:30:00Z",
        "far": "9999-12-31T23:59:59Z", "day": "2026-11-30",
    });
    let mut tried = 0;
    for row in rows().filter(|row| !STOPPING.contains(&row.name)) {
        for name in inputs.as_object().expect("an object").keys() {
            for part in [Part::Html, Part::Text] {
                let template = format!("[{{{{ {name} | {}{} }}}}]", row.name, arguments(row.name));
                let rendered = run(part, &template, &inputs);
                assert!(rendered.is_ok(), "{template}: {rendered:?}");
                let html = rendered.unwrap_or_default();
                let harmless = !row.makes_html || row.name == "raw" || row.name == "newline_to_br";
                assert!(part == Part::Text || harmless || !html.contains("<b>"), "{template}: {html}");
                tried += 1;
            }
        }
    }
    assert!(tried > 1500, "{tried}");
}

#[test]
fn arguments_of_every_kind_make_no_filter_fail() {
    let inputs =
        json!({"n": null, "t": "abc", "i": -9, "h": 1e300, "l": [1], "o": {"a": 1}, "z": 0, "s": "1,2", "b": false});
    for row in rows().filter(|row| !row.arguments.is_empty()) {
        for input in ["'a-b'", "12.5", "l", "'2026-11-30'", "s"] {
            for argument in inputs.as_object().expect("an object").keys() {
                let count = row.required().max(1);
                let given = vec![argument.as_str(); count].join(", ");
                let template = format!("{{{{ {input} | {}: {given} }}}}", row.name);
                let rendered = run(Part::Html, &template, &inputs);
                assert!(rendered.is_ok(), "{template}: {rendered:?}");
            }
        }
    }
}

#[test]
fn null_stays_null_where_a_filter_counts_or_measures() {
    for row in rows().filter(|row| row.public && !row.takes_null) {
        let template = format!("{{{{ none | {}{} | default: '-' }}}}", row.name, arguments(row.name));
        assert_eq!(run(Part::Html, &template, &values()).as_deref(), Ok("-"), "{}", row.name);
    }
}

#[test]
fn what_grows_without_end_stops_with_its_place() {
    let grown =
        "{% assign s = 'aaaaaaaaaaaaaaaa' %}{% for i in (1..16) %}\n{% assign s = s | replace: 'a', s %}{% endfor %}";
    for (template, reason, line_start) in [
        ("x{% for a in (1..1000) %}{% for b in (1..1000) %}\n.{% endfor %}{% endfor %}", "steps", "{% for b"),
        (grown, "2 MB", "{% assign s = s"),
        ("{% for a in (1..1000) %}{% for b in (1..200) %}{{ long }}{% endfor %}{% endfor %}", "2 MB", "{{ long"),
        (
            "{% for a in (1..1000) %}{% assign s = long | append: long | upcase | append: long %}{% endfor %}",
            "MB of text",
            "{% assign s",
        ),
    ] {
        let stopped = run(Part::Text, template, &json!({"long": "x".repeat(20_000)})).expect_err(template);
        assert!(stopped.reason.contains(reason), "{template}: {}", stopped.reason);
        assert!(template[stopped.offset..].starts_with(line_start), "{template}: {}", &template[stopped.offset..]);
    }
}

#[test]
fn a_partial_is_named_where_it_stops() {
    let partial = "é {% for a in (1..1000) %}{% for b in (1..1000) %}.{% endfor %}{% endfor %}".to_owned();
    let tree = parse(Part::Text, "{% include 'p' %}", &[("p".to_owned(), partial)]).expect("liquid");
    let stopped = tree.run(&Globals::default(), &TimeZone::UTC, 0).expect_err("endless");
    assert_eq!(stopped.partial.as_deref(), Some("p"));
}

#[test]
fn a_partial_of_render_sees_only_what_it_is_given() {
    let partials = [("p".to_owned(), "[{{ x }}{{ y }}{{ z }}{{ forloop.index }}]{% assign y = 9 %}".to_owned())];
    for (template, expected) in [
        ("{% assign y = 1 %}{% render 'p', x: five %}{{ y }}", "[5]1"),
        ("{% assign y = 1 %}{% include 'p' x: five, z: 2 %}{{ y }}{{ z }}", "[512]9"),
        ("{% render 'p' with word as x %}", "[ab]"),
        ("{% render 'p' for list as x %}", "[11][a2][3]"),
    ] {
        let tree = parse(Part::Text, template, &partials).expect(template);
        let mut globals = Globals::default();
        let values = values();
        globals.add_all(values.as_object().expect("an object"));
        globals.add("unused", Data::Nil);
        assert_eq!(tree.run(&globals, &TimeZone::UTC, 0).as_deref(), Ok(expected), "{template}");
    }
}
