//! Every slip of a template author is found, in taken and untaken branches, at its line and column.

use super::house::House;
use milepost::model::diagnostic::Severity;
use milepost::project::Category;

/// A template on one line, and what must be said of it: the start of a finding without its severity.
const MUTATIONS: &[(&str, &str)] = &[
    // Unknown names.
    ("{{ profil.name }}", "unknown-variable 1:4 there is no variable `profil`"),
    ("{{ profile.nme }}", "unknown-variable 1:12 `profile` has no field `nme`"),
    ("{{ profile['nme'] }}", "unknown-variable 1:12 `profile` has no field `nme`"),
    ("{{ metrics.login.value }}", "unknown-variable 1:12 `metrics` has no field `login`"),
    ("{{ metrics.logins.vlaue }}", "unknown-variable 1:19 `metrics.logins` has no field `vlaue`"),
    ("{{ profile.name.first }}", "unknown-variable 1:17 `profile.name` is a single value"),
    ("{{ matrix.label }}", "unknown-variable 1:11 `matrix` is a list"),
    ("{{ matrix[0].lable }}", "unknown-variable 1:14"),
    ("{{ vars.trail_days }}", "unknown-variable 1:9"),
    ("{{ job.nam }}", "unknown-variable 1:8"),
    ("{{ run.asof }}", "unknown-variable 1:8"),
    ("{{ period.lable }}", "unknown-variable 1:11"),
    ("{{ milestone.name }}", "unknown-variable 1:4"),
    ("{{ preferences_url }}", "unknown-variable 1:4"),
    // In branches nobody takes.
    ("{% if false %}{{ profil.name }}{% endif %}x", "unknown-variable 1:18"),
    ("{% if true %}x{% else %}{{ profil.name }}{% endif %}", "unknown-variable 1:28"),
    ("{% if true %}x{% elsif metrics.nope %}y{% endif %}", "unknown-variable 1:32"),
    ("{% unless profil %}x{% endunless %}", "unknown-variable 1:11"),
    ("{% case profile.nam %}{% when 'a' %}x{% endcase %}", "unknown-variable 1:17"),
    ("{% case profile.name %}{% when profil %}x{% endcase %}", "unknown-variable 1:32"),
    ("{% case profile.name %}{% when 'a' %}{{ nope }}{% else %}y{% endcase %}", "unknown-variable 1:41"),
    ("{% for m in matrix %}x{% else %}{{ nope }}{% endfor %}", "unknown-variable 1:36"),
    // Conditions and arguments.
    ("{% if profile.name == nope %}x{% endif %}", "unknown-variable 1:23"),
    ("{% if profile.name and nope %}x{% endif %}", "unknown-variable 1:24"),
    ("{{ profile.name | append: nope }}", "unknown-variable 1:27"),
    ("{{ metrics[profile.nope].value }}", "unknown-variable 1:20"),
    ("{% assign x = nope %}", "unknown-variable 1:15"),
    ("{% assign x = profile.name | append: nope %}", "unknown-variable 1:38"),
    ("{% capture x %}{{ nope }}{% endcapture %}", "unknown-variable 1:19"),
    ("{% for m in matrix limit: nope %}x{% endfor %}", "unknown-variable 1:27"),
    // Loops and scopes.
    ("{% for m in matrx %}x{% endfor %}", "unknown-variable 1:13"),
    ("{% for m in matrix %}{{ m.vale }}{% endfor %}", "unknown-variable 1:27"),
    ("{% for m in matrix %}{% for t in m.trnd %}{{ t }}{% endfor %}{% endfor %}", "unknown-variable 1:36"),
    ("{% for m in matrix %}{% for t in m.trend %}{{ t.x }}{% endfor %}{% endfor %}", "unknown-variable 1:49"),
    ("{% for m in matrix %}x{% endfor %}{{ m.label }}", "unknown-variable 1:38"),
    ("{{ forloop.index }}", "unknown-variable 1:4"),
    ("{% for m in matrix %}{{ forloop.idx }}{% endfor %}", "unknown-variable 1:33"),
    ("{% for m in profile.name %}x{% endfor %}", "not-a-list 1:13"),
    ("{% for i in (1..metrics.logins.value) %}x{% endfor %}", "open-range 1:13"),
    ("{% if profile.name == 'a' %}{% assign x = 1 %}{% endif %}{{ x }}", "maybe-unset 1:61"),
    ("{% for m in matrix %}{% assign x = 1 %}{% endfor %}{{ x }}", "maybe-unset 1:55"),
    ("{{ late }}{% assign late = 1 %}", "unknown-variable 1:4"),
    // Filters.
    ("{{ profile.name | uppcase }}", "unknown-filter 1:19 there is no filter `uppcase`"),
    ("{% if false %}{{ metrics.logins.value | numbr }}{% endif %}", "unknown-filter 1:41"),
    ("{% assign x = profile.name | uppcase %}", "unknown-filter 1:30"),
    ("{{ profile.name | milepost_escape }}", "unknown-filter 1:19"),
    ("{{ metrics.logins.value | money }}", "filter-arguments 1:27"),
    ("{{ metrics.logins.value | plural: 'a' }}", "filter-arguments 1:27"),
    ("{{ profile.name | upcase: 1 }}", "filter-arguments 1:19"),
    ("{{ metrics.logins.trend | bars | upcase }}", "html-filter-not-last 1:27"),
    ("{{ profile.name | raw | upcase }}", "html-filter-not-last 1:19"),
    ("{{ 'now' | date: '%Y' }}", "moment-of-rendering 1:4"),
    ("{{ \"Today\" | date_long }}", "moment-of-rendering 1:4"),
    // Tags and syntax.
    ("{% fi x %}", "unknown-tag 1:4"),
    ("{% tablerow m in matrix %}x{% endtablerow %}", "unknown-tag 1:4"),
    ("{% increment x %}", "unknown-tag 1:4"),
    ("{% cycle profile.name, 'b' %}", "cycle-variable 1:10"),
    ("{% if profile.name %}x", "template-syntax 1:1"),
    ("x{% endif %}", "template-syntax 1:5"),
    ("{% if profile.name %}{% for m in matrix %}{% endif %}{% endfor %}", "template-syntax 1:46"),
    ("{% break %}", "template-syntax 1:4"),
    ("{% else %}", "template-syntax 1:4"),
    ("{{ profile.name ", "template-syntax 1:1"),
    ("{{ profile.name | }}", "template-syntax 1:19"),
    ("{{ }}", "template-syntax 1:4"),
    ("{% if %}x{% endif %}", "template-syntax 1:7"),
    ("{{ 99999999999999999999 }}", "template-syntax 1:4"),
    ("{% raw %}x", "template-syntax 1:1"),
    // Structures and nulls.
    ("{{ profile }}", "prints-a-structure 1:4"),
    ("{{ matrix }}", "prints-a-structure 1:4"),
    ("{{ profile.first_name }}", "unguarded-null 1:4"),
    ("{% if profile.name %}{{ profile.first_name }}{% endif %}", "unguarded-null 1:25"),
    ("{% if profile.first_name or true %}{{ profile.first_name }}{% endif %}", "unguarded-null 1:39"),
    ("{% unless profile.first_name %}{{ profile.first_name }}{% endunless %}", "unguarded-null 1:35"),
    (
        "{% for m in matrix %}{% if m.previous %}{{ m.change_percent | percent }}{% endif %}{% endfor %}",
        "unguarded-null 1:44",
    ),
    ("{% assign x = profile.first_name %}{{ x }}", "unguarded-null 1:39"),
    // Places where no value is safe.
    ("<p class={{ profile.name }}>x</p>", "unsafe-position 1:10"),
    ("<p {{ profile.name }}>x</p>", "unsafe-position 1:4"),
    ("<p {% if true %}class=\"a\"{% endif %}>x</p>", "unsafe-position 1:4"),
    ("<script>var x = '{{ profile.name }}'</script>x", "unsafe-position 1:18"),
    ("<p onclick=\"{{ profile.name }}\">x</p>", "unsafe-position 1:13"),
    ("<a href=\"javascript:alert(1)\">x</a>", "dangerous-address 1:10"),
    ("<p title=\"{% assign x = 1 %}\">x</p>", "unsafe-position 1:11"),
    // Partials.
    ("{% include 'nope.html' %}", "missing-partial 1:12"),
    ("{% include '../mail.html' %}", "partial-path 1:12"),
    ("{% include profile.name %}", "template-syntax 1:12"),
    ("{% include 'a.mjml' %}", "partial-mjml 1:12"),
    ("{% render 'plain.html' %}", "unknown-variable 2:4"),
    ("{% include 'circle.html' %}", "partial-cycle 1:13"),
    ("{% include 'plain.html', who: profile.name %}{{ who }}", "unknown-variable 1:49"),
];

#[test]
fn every_mutation_is_found_where_it_stands() {
    let mut missed = Vec::new();
    for (template, expected) in MUTATIONS {
        let house = House::html(template);
        house.write("plain.html", "x\n{{ profile.name }}\n");
        house.write("circle.html", "x{% include 'circle.html' %}");
        let findings = house.findings();
        let found =
            findings.iter().any(|finding| finding.split_once(' ').is_some_and(|(_, rest)| rest.starts_with(expected)));
        if !found {
            missed.push(format!("{template}\n  expected {expected}\n  found    {findings:#?}"));
        }
    }
    assert!(MUTATIONS.len() >= 40);
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// Templates of which nothing may be said.
const SOUND: &[&str] = &[
    "{{ profile.name }}{{ profile['name'] | upcase | append: profile.email }}",
    "{% if profile.first_name %}{{ profile.first_name }}{% else %}you{% endif %}",
    "{% if profile.first_name != nil and profile.name %}{{ profile.first_name | upcase }}{% endif %}",
    "{% unless profile.first_name == blank %}{{ profile.first_name }}{% endunless %}",
    "{% if profile.first_name == nil %}you{% else %}{{ profile.first_name }}{% endif %}",
    "{% if profile.first_name == nil %}you{% elsif true %}{{ profile.first_name }}{% endif %}",
    "{{ profile.first_name | default: 'you' }}",
    "{% case profile.first_name %}{% when 'Ann', 'Bo' %}{{ profile.first_name }}{% else %}you{% endcase %}",
    "{% for m in matrix reversed limit: 2 %}{{ m.label }}: {{ m.value | number }}{% if m.previous > 0 %} {{ m.previous }}{% endif %}{{ forloop.index }}{% endfor %}",
    "{% for t in metrics.logins.trend %}{{ t }}{% cycle 'a', 'b' %}{% if forloop.last %}.{% endif %}{% endfor %}",
    "{% if profile.name == 'a' %}{% assign x = 1 %}{% else %}{% assign x = 2 %}{% endif %}{{ x }}",
    "{% assign x = 0 %}{% for m in matrix %}{% assign x = x | plus: m.value %}{% endfor %}{{ x }}",
    "{% capture greeting %}<b>{{ profile.name }}</b>{% endcapture %}{{ greeting }}",
    "{{ matrix.size }} {{ matrix.first.label }} {{ matrix[0].label }} {{ profile.name.size }}",
    "{{ matrix | map: 'label' | join_and }} {{ metrics.logins.trend | bars }} {{ 0.5 | progress_bar }}",
    "{{ period.start | in_zone: 'Europe/Paris' | date: '%A %-d %B' }} {{ run.as_of | date_long }} {{ vars.trial_days }}",
    "{% raw %}{{ not.checked | at_all }}{% endraw %}{% comment %}{{ nor.this }}{% endcomment %}x",
    "{% for i in (1..10) limit: metrics.logins.value %}*{% endfor %}",
    "{%- if profile.name contains 'a' -%} a < b {%- endif -%}",
    "<a href=\"{{ profile.website }}\" style=\"color:{{ profile.colour }}\" title='{{ profile.name }}'>x</a>",
    "{% include 'part.html' %}{% render 'alone.html', who: profile.name %}{% render 'alone.html' for matrix as who %}",
];

#[test]
fn sound_templates_pass_without_a_word() {
    for template in SOUND {
        let house = House::html(template);
        house.write("part.html", "<i>{{ profile.name }}</i>");
        house.write("alone.html", "{{ who.size }}");
        assert_eq!(house.findings(), Vec::<String>::new(), "{template}");
        house.compose().expect(template);
    }
}

#[test]
fn findings_in_other_lines_and_files() {
    let mut house = House::html("é\n  {% if true %}\n    {{ nope }}{% include 'part.html' %}\n  {% endif %}");
    house.write("part.html", "\n\n é {{ profile.nope }}");
    house.subject = "Hi {{ profile.nme }}".into();
    house.preheader = Some("{{ preheader }}".into());
    house.unsubscribe = Some("https://acme.test/{{ profile.nope }}".into());
    let (composer, diagnostics) = house.composer();
    assert!(composer.is_none());
    let places: Vec<String> =
        diagnostics.iter().map(|finding| finding.place.as_ref().expect("a place").to_string()).collect();
    assert!(places.contains(&"mail.html:3:8".to_owned()), "{places:?}");
    assert!(places.contains(&"part.html:3:15".to_owned()), "{places:?}");
    assert!(places.contains(&"jobs/digest.yml:1:15".to_owned()), "{places:?}");
    assert!(places.contains(&"jobs/digest.yml:1:30".to_owned()), "{places:?}");
    let named = diagnostics.iter().find(|finding| finding.message.contains("`nme`")).expect("found");
    assert_eq!(named.help.as_deref(), Some("did you mean `name`?"));
}

#[test]
fn messages_that_may_not_leave() {
    type Change = fn(&mut House);
    let cases: [(&str, Change, &str); 10] = [
        ("a subject cannot include", |house| house.subject = "{% include 'mail.html' %}".into(), "error"),
        ("extension", |house| house.template = "mail.txt", "error template-extension"),
        ("missing", |house| house.template = "none.html", "error missing-template"),
        (
            "http",
            |house| house.unsubscribe = Some("http://acme.test/{{ profile.token }}".into()),
            "error unsubscribe-https",
        ),
        ("header", |house| house.headers = vec![("Bcc", "a@b.test".into())], "error header-name"),
        ("header value", |house| house.headers = vec![("X-Tag", "{{ nope }}".into())], "error unknown-variable"),
        ("no unsubscribe", |house| house.unsubscribe = None, "error unknown-variable"),
        ("preheader", |house| house.preheader = Some("Your week".into()), "warning unused-preheader"),
        ("own text", |house| house.text = Some("own.txt"), "error unknown-variable"),
        ("empty own text", |house| house.text = Some("empty.txt"), "error empty-text"),
    ];
    for (name, change, expected) in cases {
        let mut house = House::html("x");
        house.write("own.txt", "{{ nope }}");
        house.write("empty.txt", " \n");
        change(&mut house);
        let findings = house.findings();
        assert!(findings.iter().any(|finding| finding.starts_with(expected)), "{name}: {findings:?}");
    }
}

#[test]
fn marketing_shows_how_to_leave() {
    let codes = |house: &House| -> Vec<String> {
        house.findings().iter().map(|finding| finding.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
    };
    let mut house = House::with("mail.html", "<p>Hello</p>");
    assert_eq!(codes(&house), ["warning no-unsubscribe-link", "warning no-postal-address"]);
    assert!(house.composer().0.is_some(), "nothing leaves the machine");
    house.provider = "resend";
    assert_eq!(codes(&house), ["error no-unsubscribe-link", "error no-postal-address"]);
    house.category = Category::Transactional;
    assert!(codes(&house).is_empty());
    let mut house = House::with("mail.html", "{% include 'footer.html' %}");
    house.provider = "resend";
    house.write("footer.html", "<p>1 Rue X, Paris <a href=\"{{ unsubscribe_url }}\">Leave</a></p>");
    assert!(codes(&house).is_empty());
}

#[test]
fn raw_is_listed_and_an_empty_text_part_refused() {
    let (composer, diagnostics) = House::html("{{ profile.name | raw }}").composer();
    assert!(composer.is_some());
    assert_eq!(diagnostics.iter().filter(|one| one.severity == Severity::Note && one.code == "raw").count(), 1);
    let mut house = House::with("mail.html", "<style>p{}</style><p></p><img src=\"https://a.test/a.png\">");
    house.category = Category::Transactional;
    assert!(house.findings().iter().any(|finding| finding.starts_with("error empty-text")));
}

#[test]
fn references_are_what_evaluation_must_provide() {
    let mut house = House::html(
        "{% for m in matrix %}{{ m.label }}{% endfor %}{{ metrics.logins.value }}{{ metrics[profile.name].value }}{{ vars.trial_days }}",
    );
    house.subject = "{{ period.label }}".into();
    let (composer, _) = house.composer();
    let references = composer.expect("sound").references().remove(0);
    let expected =
        ["matrix", "matrix.label", "metrics", "metrics.logins.value", "period.label", "profile.name", "profile.token"];
    assert_eq!(references.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}
