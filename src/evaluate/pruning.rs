//! Partitions as limits on time: which folders a query need not open.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::rows::is_of_time;
use super::sql::name;
use crate::project::{Partition, PartitionKind};
use crate::warehouse::{Parameter, Parameters};

/// Clocks of devices may run ahead of ours: an event may land up to this long before it says that it happened.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_hours(24);

/// The condition that a partition starts no later than the last instant of interest, or says nothing of instants: rows
/// whose folder has no value may be of any time.
pub(super) fn until(partition: &Partition, index: usize) -> String {
    or_none(partition, &compared(partition, "<=", &format!("milepost_until_{index}")))
}

/// The same range of instants, or no value.
fn or_none(partition: &Partition, condition: &str) -> String {
    format!("({} is null or {condition})", name(&partition.name))
}

/// The condition that a partition overlaps a named range of instants, or has no value; its bounds come from [`range_parameters`].
pub(super) fn overlaps(partition: &Partition, index: usize, range: &str) -> String {
    let from = compared(partition, ">=", &format!("milepost_{range}_from_{index}"));
    let until = compared(partition, "<=", &format!("milepost_{range}_until_{index}"));
    or_none(partition, &format!("{from} and {until}"))
}

/// True when a partition's values can be compared with instants.
pub(super) fn can_prune(partition: &Partition) -> bool {
    matches!(partition.kind, PartitionKind::Date | PartitionKind::Month)
}

fn compared(partition: &Partition, operator: &str, parameter: &str) -> String {
    match partition.kind {
        PartitionKind::Date => format!("{} {operator} cast(${parameter} as date)", name(&partition.name)),
        _ => format!("{} {operator} ${parameter}", name(&partition.name)),
    }
}

/// The values behind [`until`] for rows that happened at or before `last` and landed at most `lookback` later.
pub(super) fn parameters(
    partitions: &[Partition],
    (_, last): (Option<Timestamp>, Timestamp),
    lookback: SignedDuration,
) -> Parameters {
    let bound = partitions.iter().enumerate().map(|(index, partition)| {
        (format!("milepost_until_{index}"), value(partition, latest(partition, last, lookback)))
    });
    bound.fold(Parameters::default(), |parameters, (name, value)| parameters.with(name, value))
}

/// The values behind [`overlaps`] for rows that happened in `[first, last]` and landed at most `lookback` later.
pub(super) fn range_parameters(
    partitions: &[Partition],
    range: &str,
    (first, last): (Timestamp, Timestamp),
    lookback: SignedDuration,
) -> Parameters {
    let mut parameters = Parameters::default();
    for (index, partition) in partitions.iter().enumerate() {
        let early =
            if is_of_time(partition) { first } else { first.saturating_sub(CLOCK_SKEW).unwrap_or(Timestamp::MIN) };
        let late = latest(partition, last, lookback);
        parameters = parameters
            .with(format!("milepost_{range}_from_{index}"), value(partition, early))
            .with(format!("milepost_{range}_until_{index}"), value(partition, late));
    }
    parameters
}

fn latest(partition: &Partition, last: Timestamp, lookback: SignedDuration) -> Timestamp {
    if is_of_time(partition) { last } else { last.saturating_add(lookback).unwrap_or(Timestamp::MAX) }
}

fn value(partition: &Partition, instant: Timestamp) -> Parameter {
    let zone: TimeZone = partition.zone.clone();
    let day = instant.to_zoned(zone).date();
    let text = match partition.kind {
        PartitionKind::Month => format!("{:04}-{:02}", day.year(), day.month()),
        _ => day.to_string(),
    };
    Parameter::Scalar(Value::String(text))
}
