//! `check` knows the kinds of values, formats and zones: what would be silent or wrong for everybody is found before.

use super::house::House;
use milepost::project::Category;

/// A template, and the start of a finding that it must have: severity, code and place.
const FOUND: &[(&str, &str)] = &[
    // Comparisons of kinds that never compare.
    ("{% if profile.level_text > 5 %}x{% endif %}", "error wrong-kind 1:7"),
    ("{% if profile.level_text == 5 %}x{% endif %}", "error wrong-kind 1:7"),
    ("{% if 5 < profile.level_text %}x{% endif %}", "error wrong-kind 1:7"),
    ("{% if metrics.logins.value == '5' %}x{% endif %}", "error wrong-kind 1:7"),
    ("{% if metrics.logins.value contains 5 %}x{% endif %}", "error wrong-kind 1:7"),
    ("{% if profile.subscribed == 'true' %}x{% endif %}", "error wrong-kind 1:7"),
    ("{% if profile.subscribed == 1 %}x{% endif %}", "error wrong-kind 1:7"),
    ("{% if profile.subscribed > false %}x{% endif %}", "error wrong-kind 1:7"),
    ("{% if profile.renews_on > 5 %}x{% endif %}", "error wrong-kind 1:7"),
    ("{% if profile.renews_on > 'tomorrow' %}x{% endif %}", "error wrong-kind 1:27"),
    ("{% if matrix > 5 %}x{% endif %}", "error wrong-kind 1:7"),
    ("{% if metrics.logins.trend contains 'x' %}x{% endif %}", "error wrong-kind 1:7"),
    ("{% case profile.level_text %}{% when 7 %}x{% endcase %}", "error wrong-kind"),
    ("{% assign n = profile.level_text %}{% if n >= 5 %}x{% endif %}", "error wrong-kind 1:42"),
    ("{% if false %}{% unless profile.name < 5 %}x{% endunless %}{% endif %}", "error wrong-kind 1:25"),
    ("{% for i in (1..9) limit: profile.name %}x{% endfor %}", "error wrong-kind 1:27"),
    ("{% if profile.name and profile.tasks or true %}x{% endif %}", "warning mixed-condition"),
    // Formats and zones.
    ("{{ profile.renews_on | date: 'MMMM D, YYYY' }}", "error date-format 1:30"),
    ("{{ profile.renews_on | date: '%Q%' }}", "error date-format 1:30"),
    ("{{ profile.renews_on | date: '%H:%M' }}", "error date-format 1:30"),
    ("{{ run.as_of | in_zone: 'PST' | date: '%d' }}", "error unknown-zone 1:25"),
    ("{{ run.as_of | in_zone: 'Europe/Pariss' | date: '%d' }}", "error unknown-zone 1:25"),
    ("{{ run.as_of | date: '%A %-I:%M %p' }}", "warning clock-without-zone 1:22"),
    ("{% assign at = run.as_of %}{{ at | date: '%H:%M' }}", "warning clock-without-zone 1:42"),
    ("{{ profile.level_text | date: '%d' }}", "warning text-as-time 1:25"),
    ("{{ 'soon' | date: '%d' }}", "error filter-input 1:13"),
    ("{{ metrics.logins.value | date: '%d' }}", "error filter-input 1:27"),
    // Inputs.
    ("{{ matrix | compact }}", "error filter-input 1:13"),
    ("{{ metrics.logins.value | split: ',' | join }}", "error filter-input 1:27"),
    ("{{ profile.name | bars }}", "error filter-input 1:19"),
    ("{{ profile.tags | bars: 'red' | x }}", "error unknown-filter"),
    ("{{ matrix | map: 'label' | first | bars }}", "error filter-input 1:36"),
    ("{{ profile.renews_on | plus: 1 }}", "error filter-input 1:24"),
    ("{{ run.as_of | number }}", "error filter-input 1:16"),
    ("{{ profile.level_text | number }}", "error filter-input 1:25"),
    ("{{ profile.level_text | money: 'USD' }}", "error filter-input 1:25"),
    ("{{ profile.subscribed | percent | default: '-' }}", "error filter-input 1:25"),
    ("{{ matrix | upcase }}", "error filter-input 1:13"),
    ("{{ metrics | append: 'x' }}", "error filter-input 1:14"),
    ("{{ profile.name | join_and }}", "error filter-input 1:19"),
    ("{{ metrics.logins.value | first | default: 1 }}", "error filter-input 1:27"),
    ("{{ 'abc' | times: 2 }}", "error filter-input 1:12"),
    ("{{ metrics.logins.trend | join: ', ' | progress_bar }}", "error filter-input 1:40"),
    // Arguments.
    ("{{ metrics.logins.value | divided_by: 0 }}", "error filter-arguments 1:39"),
    ("{{ metrics.logins.value | modulo: 0.0 }}", "error filter-arguments 1:35"),
    ("{{ metrics.logins.value | plus: 'x' }}", "error filter-arguments 1:33"),
    ("{{ metrics.logins.value | plus: profile.tags }}", "error filter-arguments 1:33"),
    ("{{ metrics.logins.value | number: 99 }}", "error filter-arguments 1:35"),
    ("{{ metrics.logins.value | number: 'abc' }}", "error filter-arguments 1:35"),
    ("{{ metrics.logins.value | round: 1.5 }}", "error filter-arguments 1:34"),
    ("{{ metrics.logins.value | money: 'EURO' }}", "error filter-arguments 1:34"),
    ("{{ metrics.logins.trend | bars: '#12345' }}", "error filter-arguments 1:33"),
    ("{{ profile.name | slice: 0, 0 }}", "error filter-arguments 1:29"),
    ("{{ profile.name | append: matrix }}", "error filter-arguments 1:27"),
    ("{{ matrix | map: 'lable' | join }}", "error unknown-variable 1:18"),
    ("{{ matrix | where: 'nme', 'a' | size }}", "error unknown-variable 1:20"),
    ("{{ profile.tags | map: 'x' | join }}", "error filter-input 1:24"),
    ("{{ matrix | concat: 'x' | size }}", "error filter-arguments 1:21"),
    ("{{ profile.name | default: 'x', allow_flase: true }}", "error filter-arguments 1:19"),
    // Null through filters.
    ("{% assign x = profile.first_name | upcase %}{{ x }}", "warning unguarded-null 1:48"),
    ("{{ profile.tags | first }}", "warning unguarded-null 1:4"),
    ("{% if profile.first_name != empty %}{{ profile.first_name }}{% endif %}", "warning unguarded-null 1:40"),
    // Limits that constants alone break.
    ("{% for a in (1..1000) %}{% for b in (1..1000) %}.{% endfor %}{% endfor %}", "error template-limit"),
    (
        "{% assign s = 'aaaaaaaaaaaaaaaa' %}{% for i in (1..16) %}{% assign s = s | replace: 'a', s %}{% endfor %}x",
        "error template-limit 1:58",
    ),
    // Tags and blocks in plain words.
    ("{% if profile.name | size %}x{% endif %}", "error template-syntax 1:20"),
    ("{% include \"part.html\", a: b %}", "error unknown-variable 1:28"),
    ("{% include \"part.html\", a b %}", "error template-syntax 1:27"),
    ("{% render \"part.html\" with profile.name %}", "error template-syntax"),
    ("{% assign a.b = 1 %}", "error template-syntax 1:11"),
];

#[test]
fn what_is_wrong_for_everybody_is_found_where_it_stands() {
    let mut missed = Vec::new();
    for (template, expected) in FOUND {
        let house = House::html(template);
        house.write("part.html", "x");
        let findings = house.findings();
        if !findings.iter().any(|finding| finding.starts_with(expected)) {
            missed.push(format!("{template}\n  expected {expected}\n  found    {findings:#?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// Templates of which nothing may be said, and what they print for somebody about whom little is known.
const SOUND: &[(&str, &str)] = &[
    ("{% assign n = profile.level_text | plus: 0 %}{% if n > 5 %}{{ n | number }}{% endif %}", "7"),
    ("{% if profile.level_text == '7' %}x{% endif %}{% if profile.subscribed == false %}no{% endif %}", "x"),
    (
        "{% if profile.subscribed == nil %}unasked{% endif %}{% if profile.subscribed != false %}x{% endif %}",
        "unaskedx",
    ),
    ("{{ profile.renews_on | in_zone: profile.timezone | date_long }}", "30 November 2026"),
    (
        "{{ period.start | date: '%-d %B' }} {{ period.start | in_zone: profile.timezone | date: '%H:%M' }}",
        "9 November 15:00",
    ),
    ("{{ period.start | date: '%H:%M %Z' }}", "00:00 CET"),
    ("{% assign at = run.as_of | in_zone: profile.timezone %}{{ at | date: '%-I %p' }}", "10 PM"),
    (
        "{% if profile.renews_on > '2026-11-29' %}{{ profile.renews_on | date: '%b %-d, %Y' }}{% endif %}",
        "Nov 30, 2026",
    ),
    ("{{ profile.tags.first | default: 'none' }}{{ profile.tags | first | default: '-' }}", "none-"),
    ("{{ profile.tasks | round | default: 'unknown' }}{{ profile.tasks | default: '-' | number }}", "unknown-"),
    ("{% for p in metrics.logins %}{{ p[0] }} {% endfor %}", "name label value previous change_percent trend "),
    ("{{ matrix | map: 'value' | bars }}{{ matrix | where: 'name', 'polls' | map: 'label' | join_and }}", ""),
    ("{{ '1,4' | split: ',' | bars }}{{ '2026-11-21' | date: '%a' }}{{ '5' | number }}", ""),
    ("{{ vars.trial_days | divided_by: metrics.logins.value | round: 2 }}", "1"),
    ("{{ profile.name | slice: 0 }}{{ profile.name | truncate: 5, '' }}{{ metrics.logins.trend | size }}", "AAnn L7"),
    ("{% if profile.seen_at %}{{ profile.seen_at | date_long }}{% endif %}{% if unsubscribe_url %}x{% endif %}", "x"),
    // What messages of another kind have is null here, where it is asked for.
    ("{% if milestone.next %}{{ milestone.next.remaining | number }} to go{% endif %}x", "x"),
    (
        "{% if milestone %}{{ milestone.level }}{% endif %}{% unless rows %}x{% else %}{{ rows.size }}{% endunless %}",
        "x",
    ),
    ("{% if milestone.event == nil %}x{% endif %}{% if top and top.people %}y{% endif %}", "x"),
];

#[test]
fn sound_kinds_pass_and_print_what_they_should() {
    for (template, expected) in SOUND {
        let mut house = House::html(template);
        house.category = Category::Marketing;
        assert_eq!(house.findings(), Vec::<String>::new(), "{template}");
        let html = house.compose().expect(template).html;
        assert!(html.starts_with(expected), "{template}: {html}");
    }
}

#[test]
fn absent_kinds_without_a_guard_are_unknown() {
    for template in [
        "{{ milestone.next.level }}",
        "{% if milestone.next.level > 3 %}x{% endif %}",
        "{% if milestone.nxet %}x{% endif %}",
        "{% if profile.next %}x{% endif %}",
        "{% if milestone.next %}x{% endif %}{{ milestone.next.level }}",
        "{% if milestone.next %}{{ milestone.next.levle }}{% endif %}",
    ] {
        let findings = House::html(template).findings();
        assert!(findings.iter().any(|finding| finding.contains("unknown-variable")), "{template}: {findings:?}");
    }
}

#[test]
fn a_failure_names_the_place_it_happened_in() {
    let long = "x".repeat(200_000);
    for (template, place) in [
        (
            "<p>a</p>\n<p>b {{ profile.name }}{% for i in (1..100) %}\n  {{ profile.name | upcase }}{% endfor %}</p>",
            "mail.html:3:3",
        ),
        ("<p>a</p>\n{% include 'deep/part.html' %}", "deep/part.html:2:32"),
    ] {
        let mut house = House::html(template);
        house.write("deep/part.html", "é\n <i>{% for i in (1..100) %}</i>{{ profile.name }}{% endfor %}");
        house.context["profile"]["name"] = long.clone().into();
        let error = house.compose().expect_err("too long").to_string();
        assert!(error.starts_with(place), "{template}: {error}");
        assert!(error.contains("longer than 2 MB") && !error.contains("xx"), "{error}");
    }
    let mut house = House::mjml(
        "<mj-section><mj-column>\n<mj-text>{{ profile.token }}</mj-text>\n<mj-text>{% for i in (1..100) %}{{ profile.name }}{% endfor %}</mj-text></mj-column></mj-section>",
    );
    house.context["profile"]["name"] = long.into();
    let error = house.compose().expect_err("too long").to_string();
    assert!(error.starts_with("mail.mjml:5:33"), "{error}");
}

#[test]
fn liquid_in_a_text_that_is_no_template_is_refused() {
    type Change = fn(&mut House);
    let cases: [(Change, &str); 2] = [
        (|house| house.label = "{% if profile.name == 'de' %}Anmeldungen{% endif %}".into(), "`label:`"),
        (|house| house.greeting = "Hello {{ profile.name }}".into(), "a value of `vars:`"),
    ];
    for (change, expected) in cases {
        let mut house = House::html("x");
        assert_eq!(house.findings(), Vec::<String>::new());
        change(&mut house);
        let findings = house.findings();
        let found =
            findings.iter().any(|finding| finding.starts_with("error liquid-in-text") && finding.contains(expected));
        assert!(found, "{findings:?}");
    }
}
