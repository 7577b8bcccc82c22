//! Small charts: tables that every mail program draws, and their plain text form.

use std::fmt::Write as _;

use liquid_core::{Value, ValueView};

use super::numbers::{finite, kind};
use super::{Call, Row, optional};
use crate::render::html::stretches;

pub(super) static ROWS: &[Row] = &[
    Row {
        name: "bars",
        arguments: &[
            optional("colour", "of the bars: #rrggbb or a CSS name"),
            optional("height", "of the highest bar in pixels; 48 by default"),
        ],
        about: "Draws a list of numbers (or of objects with `value`) as bars.",
        example: ("{{ \"1,4,8,2\" | split: \",\" | bars }}", "▂▅█▃"),
        html: bars_html,
        text: bars_text,
        makes_html: true,
        public: true,
    },
    Row {
        name: "progress_bar",
        arguments: &[optional("colour", "of the done part: #rrggbb or a CSS name")],
        about: "Draws a share from 0 to 1 as a bar.",
        example: ("{{ 0.7 | progress_bar }}", "[#######---] 70%"),
        html: progress_html,
        text: progress_text,
        makes_html: true,
        public: true,
    },
];

/// A year of days; more would not be seen.
const MOST_BARS: usize = 366;
const COLOUR: &str = "#4f46e5";
const TRACK: &str = "#e5e7eb";

fn colour(call: &Call<'_>) -> Result<String, String> {
    let Some(colour) = call.text(0) else { return Ok(COLOUR.into()) };
    let digits = colour.strip_prefix('#');
    let known = digits.map_or_else(
        || !colour.is_empty() && colour.len() <= 20 && colour.bytes().all(|byte| byte.is_ascii_alphabetic()),
        |digits| matches!(digits.len(), 3 | 6) && digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
    );
    if known { Ok(colour) } else { Err("takes a colour such as \"#4f46e5\"".into()) }
}

/// The values as shares of the greatest, negative and missing ones as zero.
fn shares(call: &Call<'_>) -> Result<Vec<f64>, String> {
    let Some(list) = call.input.as_array() else {
        return Err(format!("needs a list of numbers, not a {}", kind(call.input)));
    };
    let mut values = Vec::new();
    for item in list.values().take(MOST_BARS + 1) {
        let value =
            if item.is_nil() { None } else { item.as_object().map_or(Some(item), |object| object.get("value")) };
        values.push(match value.filter(|value| !value.is_nil()) {
            Some(value) => finite(value)?.max(0.0),
            None => 0.0,
        });
    }
    if values.len() > MOST_BARS {
        return Err(format!("draws at most {MOST_BARS} bars"));
    }
    let greatest = values.iter().copied().fold(0.0, f64::max);
    Ok(values.into_iter().map(|value| if greatest > 0.0 { value / greatest } else { 0.0 }).collect())
}

fn bars_html(call: &Call<'_>) -> Result<Value, String> {
    let colour = colour(call)?;
    let height = match call.arguments.get(1).filter(|value| !value.is_nil()) {
        Some(value) => finite(value)?.clamp(8.0, 400.0).round(),
        None => 48.0,
    };
    let shares = shares(call)?;
    let width = (480 / shares.len().max(1)).clamp(1, 24);
    let mut html = String::from(r#"<table role="presentation" cellpadding="0" cellspacing="0" border="0"><tr>"#);
    for share in shares {
        let tall = (share * height).round().max(1.0);
        let _ = write!(
            html,
            concat!(
                r#"<td valign="bottom" height="{height}" style="height:{height}px;vertical-align:bottom;padding:0 1px">"#,
                r#"<div style="width:{width}px;height:{tall}px;background-color:{colour};font-size:0;line-height:0">"#,
                "&nbsp;</div></td>"
            ),
            height = height,
            width = width,
            tall = tall,
            colour = colour
        );
    }
    html.push_str("</tr></table>");
    Ok(Value::scalar(stretches::picture(&bars_text(call)?.to_kstr(), &html)))
}

fn bars_text(call: &Call<'_>) -> Result<Value, String> {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share lies between 0 and 1")]
    let block = |share: f64| BLOCKS[((share * 7.0).round() as usize).min(7)];
    Ok(Value::scalar(shares(call)?.into_iter().map(block).collect::<String>()))
}

/// The share in whole percent.
fn percent(call: &Call<'_>) -> Result<u8, String> {
    let share = finite(call.input)?.clamp(0.0, 1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share lies between 0 and 1")]
    Ok((share * 100.0).round() as u8)
}

fn progress_html(call: &Call<'_>) -> Result<Value, String> {
    let colour = colour(call)?;
    let done = percent(call)?;
    let mut html = String::from(concat!(
        r#"<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" "#,
        r#"style="width:100%;border-collapse:collapse"><tr>"#
    ));
    for (share, colour) in [(done, colour.as_str()), (100 - done, TRACK)] {
        if share > 0 {
            let _ = write!(
                html,
                concat!(
                    r#"<td width="{share}%" height="8" bgcolor="{colour}" style="width:{share}%;height:8px;"#,
                    r#"background-color:{colour};font-size:0;line-height:0">&nbsp;</td>"#
                ),
                share = share,
                colour = colour
            );
        }
    }
    html.push_str("</tr></table>");
    Ok(Value::scalar(stretches::picture(&progress_text(call)?.to_kstr(), &html)))
}

fn progress_text(call: &Call<'_>) -> Result<Value, String> {
    let done = percent(call)?;
    let marks = usize::from(done).div_ceil(10).min(if done < 100 { 9 } else { 10 });
    Ok(Value::scalar(format!("[{}{}] {done}%", "#".repeat(marks), "-".repeat(10 - marks))))
}
