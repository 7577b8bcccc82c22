//! Instants and days as text; the time of day the mail is made is never available, so that replays are exact.

use jiff::Zoned;
use jiff::civil::Time;
use jiff::fmt::temporal::{Pieces, PiecesOffset};
use jiff::tz::{Offset, TimeZone};
use liquid_core::{Value, ValueView};

use super::numbers::kind;
use super::{Call, Row, required, row};

pub(super) static ROWS: &[Row] = &[
    row(
        "in_zone",
        &[required("zone", "an IANA name; the project's zone stands in for null and unknown names")],
        "Moves an instant into a time zone, for `date` and `date_long`.",
        ("{{ \"2026-11-21T23:30:00Z\" | in_zone: \"Europe/Paris\" }}", "2026-11-22T00:30:00+01:00"),
        in_zone,
    ),
    row(
        "date_long",
        &[],
        "Writes a day in full.",
        ("{{ \"2026-11-21T06:00:00Z\" | date_long }}", "21 November 2026"),
        |call| format("%-d %B %Y", call),
    ),
    row(
        "date",
        &[required("format", "as strftime has it")],
        "Writes an instant or a day by a format; `now` and `today` are refused.",
        ("{{ \"2026-11-21\" | date: \"%a %-d %b\" }}", "Sat 21 Nov"),
        |call| format(&call.text(0).unwrap_or_default(), call),
    ),
];

fn moment(input: &dyn ValueView) -> Result<Zoned, String> {
    let refused = || format!("needs an instant such as 2026-11-21T06:00:00Z or a day, not this {}", kind(input));
    let text = input.as_scalar().ok_or_else(refused)?.into_string();
    let pieces = Pieces::parse(text.as_str()).map_err(|_| refused())?;
    let offset = match pieces.offset() {
        Some(PiecesOffset::Numeric(numeric)) => numeric.offset(),
        _ => Offset::UTC,
    };
    let clock = pieces.time().unwrap_or(Time::midnight());
    pieces.date().to_datetime(clock).to_zoned(TimeZone::fixed(offset)).map_err(|_| refused())
}

fn in_zone(call: &Call<'_>) -> Result<Value, String> {
    let zone = call.text(0).and_then(|name| TimeZone::get(&name).ok()).unwrap_or_else(|| call.zone.clone());
    let local = moment(call.input)?.timestamp().to_zoned(zone);
    Ok(Value::scalar(local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()))
}

fn format(pattern: &str, call: &Call<'_>) -> Result<Value, String> {
    let moment = moment(call.input)?;
    jiff::fmt::strtime::format(pattern, &moment)
        .map(Value::scalar)
        .map_err(|_| "does not understand its format; see strftime".into())
}
