//! liquid's own filters of lists, and those that take everything.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::kinds::ArgumentKind::{Anything, Field, List, Positive, Printable, Whole};
use super::{Argument, Call, Gives, Misfit, Row, Takes, optional, required, standard};
use crate::render::liquid::{Data, equal, instant};

const SAME: (Takes, Gives) = (Takes::List, Gives::Same);

pub(super) static ROWS: &[Row] = &[
    standard("size", (Takes::Anything, Gives::Number), &[], true, |call| {
        Ok(Data::Integer(call.input.size().unwrap_or(0) as i128))
    }),
    standard(
        "default",
        (Takes::Anything, Gives::Default),
        &[required("value", "", Anything), Argument { named: true, ..optional("allow_false", "", Anything) }],
        true,
        |call| Ok(default(call)),
    ),
    standard("first", (Takes::List, Gives::Item), &[], true, |call| Ok(call.input.field("first"))),
    standard("last", (Takes::List, Gives::Item), &[], true, |call| Ok(call.input.field("last"))),
    standard("join", (Takes::List, Gives::Text), &[optional("separator", "", Printable)], true, |call| {
        let separator = call.text(0).unwrap_or_else(|| " ".into());
        let items: Vec<_> = call.input.sequence().iter().map(Data::to_text).collect();
        Ok(Data::made(items.join(&separator)))
    }),
    standard("sort", SAME, &[optional("property", "", Field)], true, |call| Ok(sort(call, natural_order))),
    standard("sort_natural", SAME, &[optional("property", "", Field)], true, |call| {
        Ok(sort(call, |left, right| left.to_text().to_lowercase().cmp(&right.to_text().to_lowercase())))
    }),
    standard("where", SAME, &[required("property", "", Field), optional("value", "", Anything)], true, |call| {
        let property = call.text(0).unwrap_or_else(|| "".into());
        let fits = |item: &Data<'_>| match call.argument(1) {
            Some(wanted) => equal(&item.field(&property), wanted),
            None => item.field(&property).is_true(),
        };
        Ok(Data::list(call.input.sequence().into_iter().filter(fits)))
    }),
    standard("uniq", SAME, &[], true, |call| Ok(uniq(call.input))),
    standard("reverse", SAME, &[], true, |call| Ok(Data::list(call.input.sequence().into_iter().rev()))),
    standard("map", (Takes::List, Gives::Fields), &[required("property", "", Field)], true, |call| {
        let property = call.text(0).unwrap_or_else(|| "".into());
        Ok(Data::list(call.input.sequence().iter().map(|item| item.field(&property))))
    }),
    standard("concat", SAME, &[required("list", "", List)], true, |call| {
        let more = call.argument(0).filter(|more| more.list_len().is_some()).map(Data::sequence);
        Ok(Data::list(call.input.sequence().into_iter().chain(more.unwrap_or_default())))
    }),
    standard(
        "slice",
        (Takes::Anything, Gives::Same),
        &[required("offset", "", Whole), optional("length", "", Positive)],
        true,
        slice,
    ),
];

fn default<'a>(call: &Call<'_, 'a>) -> Data<'a> {
    let keeps_false = call.argument(1).is_some_and(Data::is_true) && matches!(call.input, Data::Boolean(false));
    let missing = !call.input.is_true() || call.input.size() == Some(0);
    if missing && !keeps_false { call.arguments.first().cloned().unwrap_or(Data::Nil) } else { call.input.clone() }
}

/// A total order, of mixed lists too: numbers, then instants, then other texts; what has no order stays as it is.
fn natural_order(left: &Data<'_>, right: &Data<'_>) -> Ordering {
    rank(left).cmp(&rank(right)).then_with(|| match (left.as_number(), right.as_number()) {
        (Some(left), Some(right)) => left.total_cmp(&right),
        _ => match (left.as_text(), right.as_text()) {
            (Some(left), Some(right)) => instant(left).cmp(&instant(right)).then_with(|| left.cmp(right)),
            _ => Ordering::Equal,
        },
    })
}

/// Kinds one after the other.
fn rank(data: &Data<'_>) -> u8 {
    match data {
        Data::Integer(_) | Data::Double(_) => 0,
        Data::Boolean(_) => 3,
        Data::Nil => 9,
        _ => data.as_text().map_or(4, |text| if instant(text).is_some() { 1 } else { 2 }),
    }
}

fn sort<'a>(call: &Call<'_, 'a>, compare: fn(&Data<'_>, &Data<'_>) -> Ordering) -> Data<'a> {
    let property = call.text(0);
    let keyed = |item: Data<'a>| (property.as_ref().map_or_else(|| item.clone(), |name| item.field(name)), item);
    let mut items: Vec<_> = call.input.sequence().into_iter().map(keyed).collect();
    items.sort_by(|(left, _), (right, _)| match (left.is_nil(), right.is_nil()) {
        (false, false) => compare(left, right),
        (left, right) => left.cmp(&right),
    });
    Data::list(items.into_iter().map(|(_, item)| item))
}

/// Each value once, in the order of their first occurrence.
fn uniq<'a>(input: &Data<'a>) -> Data<'a> {
    let mut seen = BTreeSet::new();
    // Texts and numbers that print alike are told apart by their kind.
    Data::list(input.sequence().into_iter().filter(|item| seen.insert((rank(item), item.to_text()))))
}

fn slice<'a>(call: &Call<'_, 'a>) -> Result<Data<'a>, Misfit> {
    let whole = |position: usize| call.argument(position).and_then(super::arithmetic::whole);
    let length = usize::try_from(whole(1).unwrap_or(1).max(0)).unwrap_or(usize::MAX);
    let offset = whole(0).unwrap_or(0);
    let from = |size: usize| {
        let start = if offset < 0 { offset + size as i128 } else { offset };
        usize::try_from(start).ok()
    };
    if call.input.list_len().is_some() {
        let items = call.input.sequence();
        let start = from(items.len());
        return Ok(start.map_or_else(|| Data::list([]), |start| Data::list(items.into_iter().skip(start).take(length))));
    }
    if matches!(call.input, Data::Fields(_)) {
        return Err(Misfit::Unreadable);
    }
    let text = call.input.to_text();
    let start = from(text.chars().count());
    Ok(Data::made(start.map_or_else(String::new, |start| text.chars().skip(start).take(length).collect())))
}
