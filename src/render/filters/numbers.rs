//! Numbers as people read them: grouping by locale, short forms, signs, money and ordinals.

use super::arithmetic::{finite, whole};
use super::kinds::ArgumentKind::{Currency, Decimals, Printable};
use super::{Call, Gives, Misfit, Row, Takes, optional, required, row};
use crate::render::liquid::Data;

const WRITTEN: (Takes, Gives) = (Takes::Number, Gives::Text);

pub(super) static ROWS: &[Row] = &[
    row(
        "number",
        WRITTEN,
        &[
            optional("decimals", "how many, or a format such as \"0.0\"; by default up to two", Decimals),
            optional("locale", "such as de or fr-CA; English by default", Printable),
        ],
        (
            "Groups thousands and rounds, by the custom of a locale.",
            ("{{ 12345.678 | number: 1 }}, {{ 12345.6 | number: 2, 'de' }}", "12,345.7, 12.345,60"),
        ),
        number,
    ),
    row(
        "compact",
        WRITTEN,
        &[],
        ("Shortens large numbers.", ("{{ 12345 | compact }}, {{ 2000000 | compact }}", "12.3k, 2M")),
        compact,
    ),
    row(
        "percent",
        WRITTEN,
        &[optional("decimals", "up to one by default", Decimals), optional("locale", "English by default", Printable)],
        ("Writes a number that is already in percent, such as `change_percent`.", ("{{ 12.34 | percent }}", "12.3%")),
        percent,
    ),
    row(
        "signed",
        (Takes::NumberOrMade, Gives::Text),
        &[optional("decimals", "up to two by default", Decimals), optional("locale", "English by default", Printable)],
        (
            "Puts a plus before positive numbers, also after `percent`, `compact` or `money`.",
            ("{{ 12 | signed }}, {{ -3 | signed }}, {{ 8.5 | percent | signed }}", "+12, -3, +8.5%"),
        ),
        signed,
    ),
    row(
        "money",
        WRITTEN,
        &[required("currency", "an ISO 4217 code", Currency), optional("locale", "English by default", Printable)],
        (
            "Writes an amount with its currency.",
            ("{{ 76109.3 | money: \"USD\" }}, {{ 5 | money: \"EUR\", \"de\" }}", "$76,109.30, 5,00\u{a0}€"),
        ),
        money,
    ),
    row(
        "ordinal",
        WRITTEN,
        &[],
        ("Writes an English ordinal.", ("{{ 100 | ordinal }}, {{ 2 | ordinal }}", "100th, 2nd")),
        ordinal,
    ),
    row(
        "plural",
        WRITTEN,
        &[required("one", "the word for one", Printable), required("many", "the word for any other number", Printable)],
        (
            "Writes a number and the word that fits it.",
            ("{{ 3 | plural: \"poll\", \"polls\" }}, {{ 1 | plural: \"poll\", \"polls\" }}", "3 polls, 1 poll"),
        ),
        plural,
    ),
];

/// How a locale writes numbers: thousands and decimals.
#[derive(Clone, Copy)]
struct Locale {
    group: &'static str,
    decimal: &'static str,
    money_after: bool,
}

const ENGLISH: Locale = Locale { group: ",", decimal: ".", money_after: false };

/// The custom of a language tag; English for unknown ones, since a locale may come from data.
fn locale(tag: Option<&str>) -> Locale {
    let tag = tag.unwrap_or("en").to_ascii_lowercase().replace('_', "-");
    if matches!(tag.as_str(), "de-ch" | "fr-ch" | "it-ch" | "de-li") {
        return Locale { group: "’", decimal: ".", money_after: false };
    }
    match tag.split('-').next().unwrap_or_default() {
        "de" | "es" | "it" | "nl" | "pt" | "id" | "tr" | "da" | "el" | "ro" => {
            Locale { group: ".", decimal: ",", money_after: true }
        }
        "fr" => Locale { group: "\u{202f}", decimal: ",", money_after: true },
        "sv" | "nb" | "nn" | "no" | "fi" | "pl" | "cs" | "ru" | "uk" | "hu" | "sk" | "bg" => {
            Locale { group: "\u{a0}", decimal: ",", money_after: true }
        }
        _ => ENGLISH,
    }
}

/// How many decimals an argument asks for: a number, or a format such as `0.0`; none where it cannot be read.
fn decimals(call: &Call<'_, '_>, position: usize) -> Option<usize> {
    decimals_of(&call.text(position)?)
}

/// How many decimals a text asks for, at most twelve.
pub(in crate::render) fn decimals_of(text: &str) -> Option<usize> {
    let asked = match text.parse::<usize>() {
        Ok(0) | Err(_) if text.bytes().all(|byte| matches!(byte, b'0' | b'#' | b'.' | b',')) && !text.is_empty() => {
            text.rsplit_once('.').map_or(0, |(_, after)| after.len())
        }
        Ok(count) => count,
        Err(_) => return None,
    };
    Some(asked).filter(|asked| *asked <= 12)
}

/// Writes a number: a fixed number of decimals, or up to `most` without trailing zeros.
fn write(call: &Call<'_, '_>, fixed: Option<usize>, most: usize, locale: Locale) -> Result<String, Misfit> {
    let value = finite(call.input)?;
    let digits = match whole(call.input).filter(|_| fixed.unwrap_or(0) == 0) {
        Some(whole) => whole.to_string(),
        None => format!("{value:.*}", fixed.unwrap_or(most)),
    };
    Ok(group(&digits, fixed.is_none(), locale))
}

fn group(digits: &str, trim: bool, locale: Locale) -> String {
    let (negative, digits) = digits.strip_prefix('-').map_or((false, digits), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = if trim { fraction.trim_end_matches('0') } else { fraction };
    let zero = whole.bytes().chain(fraction.bytes()).all(|byte| byte == b'0');
    let mut written = String::with_capacity(digits.len() + digits.len() / 3 + 2);
    if negative && !zero {
        written.push('-');
    }
    for (position, digit) in whole.chars().enumerate() {
        if position > 0 && (whole.len() - position).is_multiple_of(3) {
            written.push_str(locale.group);
        }
        written.push(digit);
    }
    if !fraction.is_empty() {
        written.push_str(locale.decimal);
        written.push_str(fraction);
    }
    written
}

fn number<'a>(call: &Call<'_, 'a>) -> Result<Data<'a>, Misfit> {
    write(call, decimals(call, 0), 2, locale(call.text(1).as_deref())).map(Data::made)
}

fn percent<'a>(call: &Call<'_, 'a>) -> Result<Data<'a>, Misfit> {
    let written = write(call, decimals(call, 0), 1, locale(call.text(1).as_deref()))?;
    Ok(Data::made(format!("{written}%")))
}

fn compact<'a>(call: &Call<'_, 'a>) -> Result<Data<'a>, Misfit> {
    let value = finite(call.input)?;
    let steps = [(1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "B"), (1e12, "T")];
    let mut written = None;
    for (size, suffix) in steps {
        let scaled = value.abs() / size;
        let shown = if scaled < 99.95 { (scaled * 10.0).round() / 10.0 } else { scaled.round() };
        if shown < 1000.0 || size >= 1e12 {
            written = Some((shown, suffix));
            break;
        }
    }
    let (shown, suffix) = written.unwrap_or((value.abs(), ""));
    let sign = if value < 0.0 && shown > 0.0 { "-" } else { "" };
    Ok(Data::made(format!("{sign}{}{suffix}", group(&format!("{shown:.1}"), true, ENGLISH))))
}

fn signed<'a>(call: &Call<'_, 'a>) -> Result<Data<'a>, Misfit> {
    let written = if finite(call.input).is_ok() {
        write(call, decimals(call, 0), 2, locale(call.text(1).as_deref()))?
    } else {
        let text = call.input.as_text().filter(|text| text.bytes().any(|byte| byte.is_ascii_digit()));
        text.ok_or(Misfit::Unreadable)?.to_owned()
    };
    let positive = !written.starts_with(['-', '+']) && written.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
    Ok(Data::made(if positive { format!("+{written}") } else { written }))
}

fn money<'a>(call: &Call<'_, 'a>) -> Result<Data<'a>, Misfit> {
    let currency = call.text(0).unwrap_or_else(|| "".into()).trim().to_uppercase();
    if currency.is_empty() {
        return Ok(Data::made(write(call, Some(2), 2, locale(call.text(1).as_deref()))?));
    }
    let (sign, decimals) = match currency.as_str() {
        "USD" => ("$", 2),
        "EUR" => ("€", 2),
        "GBP" => ("£", 2),
        "INR" => ("₹", 2),
        "JPY" => ("¥", 0),
        "KRW" => ("₩", 0),
        "VND" | "CLP" | "ISK" => (currency.as_str(), 0),
        other => (other, 2),
    };
    let locale = locale(call.text(1).as_deref());
    let amount = group(&format!("{:.decimals$}", finite(call.input)?), false, locale);
    let (minus, amount) = amount.strip_prefix('-').map_or(("", amount.as_str()), |rest| ("-", rest));
    let gap = if sign.chars().count() > 1 { "\u{a0}" } else { "" };
    Ok(Data::made(if locale.money_after {
        format!("{minus}{amount}\u{a0}{sign}")
    } else {
        format!("{minus}{sign}{gap}{amount}")
    }))
}

fn ordinal<'a>(call: &Call<'_, 'a>) -> Result<Data<'a>, Misfit> {
    let value = finite(call.input)?;
    if value.fract() != 0.0 || value < 0.0 {
        return Err(Misfit::Unreadable);
    }
    let written = write(call, Some(0), 0, ENGLISH)?;
    let last_two = written.replace(',', "").chars().rev().take(2).collect::<String>();
    let suffix = match last_two.as_bytes() {
        [_, b'1'] => "th",
        [b'1', ..] => "st",
        [b'2', ..] => "nd",
        [b'3', ..] => "rd",
        _ => "th",
    };
    Ok(Data::made(format!("{written}{suffix}")))
}

fn plural<'a>(call: &Call<'_, 'a>) -> Result<Data<'a>, Misfit> {
    let word = call.text(usize::from(finite(call.input)? != 1.0)).unwrap_or_else(|| "".into());
    Ok(Data::made(format!("{} {word}", write(call, None, 2, ENGLISH)?)))
}
