//! Small charts: tables that every mail program draws, and their plain text form.

use std::fmt::Write as _;

use super::arithmetic::finite;
use super::kinds::ArgumentKind::{Colour, Number};
use super::{Call, Gives, Misfit, Row, Takes, optional};
use crate::render::html::stretches;
use crate::render::liquid::Data;

pub(super) static ROWS: &[Row] = &[
    Row {
        name: "bars",
        takes: Takes::Numbers,
        gives: Gives::Text,
        takes_null: false,
        arguments: &[
            optional("colour", "of the bars: #rrggbb or a CSS name", Colour),
            optional("height", "of the highest bar in pixels; 48 by default", Number),
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
        takes: Takes::Number,
        gives: Gives::Text,
        takes_null: false,
        arguments: &[optional("colour", "of the done part: #rrggbb or a CSS name", Colour)],
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

/// Whether a text is a colour that may stand in HTML.
pub(in crate::render) fn is_colour(text: &str) -> bool {
    text.strip_prefix('#').map_or_else(
        || !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_alphabetic()),
        |digits| matches!(digits.len(), 3 | 6) && digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
    )
}

/// The colour that is asked for; the usual one where it is none.
fn colour(call: &Call<'_, '_>) -> std::rc::Rc<str> {
    call.text(0).filter(|text| is_colour(text)).unwrap_or_else(|| COLOUR.into())
}

/// The values as shares of the greatest; negative ones, missing ones and what is no number as zero. Of a list that is too
/// long the latest are drawn.
fn shares(call: &Call<'_, '_>) -> Result<Vec<f64>, Misfit> {
    if call.input.list_len().is_none() {
        return Err(Misfit::Unreadable);
    }
    let items = call.input.sequence();
    let values: Vec<f64> = items[items.len().saturating_sub(MOST_BARS)..]
        .iter()
        .map(|item| if matches!(item, Data::Fields(_)) { item.field("value") } else { item.clone() })
        .map(|value| finite(&value).unwrap_or(0.0).max(0.0))
        .collect();
    let greatest = values.iter().copied().fold(0.0, f64::max);
    Ok(values.into_iter().map(|value| if greatest > 0.0 { value / greatest } else { 0.0 }).collect())
}

fn bars_html<'a>(call: &Call<'_, 'a>) -> Result<Data<'a>, Misfit> {
    let colour = colour(call);
    let asked = call.argument(1).and_then(|value| finite(value).ok());
    let height = asked.map_or(48.0, |height| height.clamp(8.0, 400.0).round());
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
    Ok(Data::made(stretches::picture(&bars_text(call)?.to_text(), &html)))
}

fn bars_text<'a>(call: &Call<'_, 'a>) -> Result<Data<'a>, Misfit> {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share lies between 0 and 1")]
    let block = |share: f64| BLOCKS[((share * 7.0).round() as usize).min(7)];
    Ok(Data::made(shares(call)?.into_iter().map(block).collect::<String>()))
}

/// The share in whole percent.
fn percent(call: &Call<'_, '_>) -> Result<u8, Misfit> {
    let share = finite(call.input)?.clamp(0.0, 1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share lies between 0 and 1")]
    Ok((share * 100.0).round() as u8)
}

fn progress_html<'a>(call: &Call<'_, 'a>) -> Result<Data<'a>, Misfit> {
    let colour = colour(call);
    let done = percent(call)?;
    let mut html = String::from(concat!(
        r#"<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" "#,
        r#"style="width:100%;border-collapse:collapse"><tr>"#
    ));
    for (share, colour) in [(done, &*colour), (100 - done, TRACK)] {
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
    Ok(Data::made(stretches::picture(&progress_text(call)?.to_text(), &html)))
}

fn progress_text<'a>(call: &Call<'_, 'a>) -> Result<Data<'a>, Misfit> {
    let done = percent(call)?;
    let marks = usize::from(done).div_ceil(10).min(if done < 100 { 9 } else { 10 });
    Ok(Data::made(format!("[{}{}] {done}%", "#".repeat(marks), "-".repeat(10 - marks))))
}
