//! Whatever stands in a template, checking it never panics, and what check lets pass renders.

use proptest::prelude::*;

use super::house::House;
use milepost::render::RenderError;
use serde_json::json;

/// Pieces that fit together more often than chance would have it.
const PIECES: &[&str] = &[
    "{{ profile.name }}",
    "{{ profile.name | raw }}",
    "{{ profile.first_name | default: 'you' | upcase }}",
    "{{ metrics.logins.trend | bars }}",
    "{{ metrics.polls.change_percent | percent | signed }}",
    "{{ x }}",
    "{{ m.label }}",
    "{{ x | append: m.name | newline_to_br }}",
    "{{ matrix[0].trend.last | plus: 9223372036854775807 }}",
    "{{ metrics[profile.name].value }}",
    "{{ forloop.index | times: 3 | divided_by: 0 }}",
    "{{ period.start | in_zone: profile.name | date: profile.name }}",
    "{{ 99999999999999999999 }}",
    "{{ profile.name",
    "}}",
    "{%- assign x = profile.name -%}",
    "{% assign x = x %}",
    "{% assign x = 1 | plus: 2 %}",
    "{% capture x %}",
    "{% endcapture %}",
    "{% if metrics.logins.value < 5 %}",
    "{% if profile.first_name and x %}",
    "{% elsif m %}",
    "{% else %}",
    "{% endif %}",
    "{% unless x == nil %}",
    "{% endunless %}",
    "{% for m in matrix %}",
    "{% for x in m.trend reversed %}",
    "{% endfor %}",
    "{% break %}",
    "{% case m.label %}",
    "{% when 'Logins', x %}",
    "{% endcase %}",
    "{% cycle 'a', 'b' %}",
    "{% raw %}",
    "{% endraw %}",
    "{% comment %}",
    "{% endcomment %}",
    "{% include 'part.html' %}",
    "{% render 'part.html', x: m %}",
    "<a href=\"",
    "<p style=\"color:",
    "\">",
    "<table><tr><td>",
    "</td></tr></table>",
    "<style>",
    "</style>",
    "<!--",
    "-->",
    "<b>text</b> é &amp; ",
    "\r\n",
    "'",
];

fn house(template: &str, mjml: bool) -> House {
    let mut house = if mjml {
        House::mjml(&format!("<mj-section><mj-column><mj-text>{template}</mj-text></mj-column></mj-section>"))
    } else {
        House::html(template)
    };
    house.write("part.html", "<i>{{ x }}</i>{% assign x = 2 %}");
    house.context["profile"]["name"] = json!("<script>alert('x')</script>");
    house
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_passes_renders_and_stays_harmless(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 1..9),
        mjml in any::<bool>(),
    ) {
        let template = pieces.concat();
        let house = house(&template, mjml);
        let (composer, diagnostics) = house.composer();
        if let Some(composer) = composer {
            match composer.compose(&house.candidate(), "id", super::house::as_of()) {
                Ok(message) => {
                    prop_assert!(template.contains("raw") || !message.html.contains("<script>"), "{}", message.html);
                    prop_assert!(!message.html.contains("mlpq") && !message.text.contains("mlpq"));
                }
                Err(RenderError::Template { reason, .. }) => {
                    prop_assert!(!reason.contains("unknown variable") && !reason.contains("script"), "{template}: {reason}");
                }
                // A comment may hide everything that was written.
                Err(RenderError::EmptyText { .. }) => prop_assert!(template.contains("<!--"), "{template}"),
                Err(error) => prop_assert!(false, "{template}: {error}"),
            }
        } else {
            prop_assert!(!diagnostics.is_empty(), "{template}");
        }
    }

    #[test]
    fn no_text_makes_check_panic(template in "(\\PC|[{}%|.'\"<>\\[\\]\r\n-]){0,60}", mjml in any::<bool>()) {
        let mut house = house(&template, mjml);
        house.subject = template.clone();
        house.unsubscribe = Some(format!("https://acme.test/{template}"));
        if let Some(composer) = house.composer().0 {
            let _ = composer.compose(&house.candidate(), "id", super::house::as_of());
        }
    }
}
