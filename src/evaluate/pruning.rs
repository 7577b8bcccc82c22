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

/// The condition that a partition starts no later than the last instant of interest.
pub(super) fn until(partition: &Partition, index: usize) -> String {
    compared(partition, "<=", &format!("milepost_until_{index}"))
}

/// The condition that a partition ends no earlier than the first instant of interest.
pub(super) fn from(partition: &Partition, index: usize) -> String {
    compared(partition, ">=", &format!("milepost_from_{index}"))
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

/// The values behind [`from`] and [`until`] for rows that happened in `[first, last]` and landed at most `lookback` later.
pub(super) fn parameters(
    partitions: &[Partition],
    (first, last): (Option<Timestamp>, Timestamp),
    lookback: SignedDuration,
) -> Parameters {
    let mut parameters = Parameters::default();
    for (index, partition) in partitions.iter().enumerate() {
        let is_of_time = is_of_time(partition);
        let last = if is_of_time { last } else { last.saturating_add(lookback).unwrap_or(Timestamp::MAX) };
        parameters = parameters.with(format!("milepost_until_{index}"), value(partition, last));
        if let Some(first) = first {
            let first = if is_of_time { first } else { first.saturating_sub(CLOCK_SKEW).unwrap_or(Timestamp::MIN) };
            parameters = parameters.with(format!("milepost_from_{index}"), value(partition, first));
        }
    }
    parameters
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
