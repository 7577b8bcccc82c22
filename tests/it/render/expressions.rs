//! Random expressions over random data of known kinds: what check lets pass, renders.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::house::{House, as_of};
use milepost::render::RenderError;

const VALUES: &[&str] = &[
    "profile.name",
    "profile.first_name",
    "profile.level_text",
    "profile.tasks",
    "profile.subscribed",
    "profile.renews_on",
    "profile.seen_at",
    "profile.tags",
    "profile.tags.first",
    "profile.tags[0]",
    "metrics.logins.value",
    "metrics.polls.change_percent",
    "metrics.logins.trend",
    "metrics[profile.name].value",
    "matrix",
    "matrix.last.label",
    "profile",
    "period.start",
    "run.as_of",
    "vars.trial_days",
    "x",
    "forloop.index",
    "milestone.next",
    "nil",
    "empty",
    "blank",
    "true",
    "0",
    "-2.5",
    "'7'",
    "'%H:%M'",
    "'UTC'",
    "'label'",
    "''",
];

const FILTERS: &[&str] = &[
    "abs",
    "append",
    "at_least",
    "at_most",
    "bars",
    "capitalize",
    "ceil",
    "compact",
    "concat",
    "date",
    "date_long",
    "default",
    "divided_by",
    "downcase",
    "escape",
    "escape_once",
    "first",
    "floor",
    "in_zone",
    "join",
    "join_and",
    "last",
    "lstrip",
    "map",
    "minus",
    "modulo",
    "money",
    "newline_to_br",
    "number",
    "ordinal",
    "percent",
    "plural",
    "plus",
    "prepend",
    "progress_bar",
    "remove",
    "remove_first",
    "replace",
    "replace_first",
    "reverse",
    "round",
    "rstrip",
    "signed",
    "size",
    "slice",
    "sort",
    "sort_natural",
    "split",
    "strip",
    "strip_html",
    "strip_newlines",
    "times",
    "truncate",
    "truncatewords",
    "uniq",
    "upcase",
    "url_decode",
    "url_encode",
    "where",
];

const OPERATORS: &[&str] = &["==", "!=", "<", ">", "<=", ">=", "contains"];

fn value() -> impl Strategy<Value = String> {
    prop::sample::select(VALUES).prop_map(str::to_owned)
}

fn chain() -> impl Strategy<Value = String> {
    let filter = (prop::sample::select(FILTERS), prop::collection::vec(value(), 0..3)).prop_map(|(name, arguments)| {
        if arguments.is_empty() { format!(" | {name}") } else { format!(" | {name}: {}", arguments.join(", ")) }
    });
    (value(), prop::collection::vec(filter, 0..4)).prop_map(|(value, filters)| value + &filters.concat())
}

fn piece() -> impl Strategy<Value = String> {
    let condition = (value(), prop::sample::select(OPERATORS), value(), value())
        .prop_map(|(left, operator, right, other)| format!("{left} {operator} {right} and {other}"));
    prop_oneof![
        chain().prop_map(|chain| format!("{{{{ {chain} }}}}")),
        chain().prop_map(|chain| format!("{{% assign x = {chain} %}}{{{{ x }}}}")),
        (condition, chain())
            .prop_map(|(test, chain)| format!("{{% if {test} %}}a{{% else %}}{{{{ {chain} }}}}{{% endif %}}")),
        (value(), value())
            .prop_map(|(list, item)| format!("{{% for x in {list} %}}{{{{ x }}}}{{{{ {item} }}}}{{% endfor %}}")),
    ]
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(0)),
        any::<i64>().prop_map(|whole| json!(whole)),
        any::<f64>().prop_map(|value| json!(value)),
        Just(json!(1e308)),
    ]
}

fn text() -> impl Strategy<Value = Value> {
    prop_oneof![Just(json!("")), Just(json!("logins")), "\\PC{0,12}".prop_map(|text| json!(text)), Just(json!("NaN"))]
}

prop_compose! {
    fn context()(
        name in text(), first_name in prop::option::of(text()), level_text in text(),
        tasks in prop::option::of(number()), subscribed in any::<Option<bool>>(),
        tags in prop::collection::vec(text(), 0..3), value in number(),
        trend in prop::collection::vec(number(), 0..4), change in prop::option::of(number()), seen in any::<bool>(),
    ) -> Value {
        let mut context = super::house::context();
        let profile = &mut context["profile"];
        profile["name"] = name;
        profile["first_name"] = json!(first_name);
        profile["level_text"] = level_text;
        profile["tasks"] = json!(tasks);
        profile["subscribed"] = json!(subscribed);
        profile["tags"] = json!(tags);
        profile["seen_at"] = if seen { json!("2026-03-29T00:59:59.123456Z") } else { Value::Null };
        context["metrics"]["logins"]["value"] = value;
        context["metrics"]["logins"]["trend"] = json!(trend);
        context["metrics"]["polls"]["change_percent"] = json!(change);
        context
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_check_lets_pass_never_fails(piece in piece(), context in context()) {
        let mut house = House::html(&format!("<p>text {piece}</p>"));
        house.context = context;
        let (composer, findings) = house.composer();
        prop_assert!(composer.is_some() || !findings.is_empty(), "{piece}");
        if let Some(composer) = composer {
            let first = composer.compose(&house.candidate(), "id", as_of());
            prop_assert!(first.is_ok(), "{piece}: {}", first.err().as_ref().map(RenderError::to_string).unwrap_or_default());
            let again = house.composer().0.expect("sound").compose(&house.candidate(), "id", as_of());
            prop_assert_eq!(first.ok(), again.ok(), "the same bytes");
        }
    }
}
