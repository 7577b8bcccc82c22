//! Health of what a run reads: the checks by name, the facts they look at, and what they find.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Serialize, Serializer};

/// A check that refuses a run before anything leaves; `--accept NAME` lets one run pass it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// The newest row is no older than the table declares.
    Fresh,
    /// The data reach the end of the period, or of the silence, that a job is about.
    Period,
    /// A whole day has about as many rows as declared.
    Rows,
    /// No more ids or values are null than declared, or than is usual.
    Nulls,
    /// The conditions that the table declares hold.
    Sql,
    /// The column of chronology can be read.
    Time,
    /// Few rows happened in the future.
    Future,
    /// Some subject of the events is in the audience.
    Ids,
    /// The audience is no less than half of what it was.
    Audience,
    /// The list of the suppressed is no less than half of what it was.
    Suppressed,
    /// The job has about as many candidates, or mails, as is usual.
    Volume,
    /// What is new to the ledger is not what it knows under a name that the project no longer has.
    Renamed,
}

impl Check {
    /// Every check.
    pub const ALL: [Self; 12] = [
        Self::Fresh,
        Self::Period,
        Self::Rows,
        Self::Nulls,
        Self::Sql,
        Self::Time,
        Self::Future,
        Self::Ids,
        Self::Audience,
        Self::Suppressed,
        Self::Volume,
        Self::Renamed,
    ];

    /// The word for `--accept`, results and the ledger.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Period => "period",
            Self::Rows => "rows",
            Self::Nulls => "nulls",
            Self::Sql => "sql",
            Self::Time => "time",
            Self::Future => "future",
            Self::Ids => "ids",
            Self::Audience => "audience",
            Self::Suppressed => "suppressed",
            Self::Volume => "volume",
            Self::Renamed => "renamed",
        }
    }

    /// The check of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|check| check.name() == name)
    }
}

impl fmt::Display for Check {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Something unhealthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unhealthy {
    /// The check that found it.
    pub check: Check,
    /// What was found beside what was expected, with counts and ids at most; in artifacts without addresses.
    #[serde(serialize_with = "super::redaction::serialize_words")]
    pub message: String,
    /// Whether waiting can mend it, as data that are still to land can.
    pub waits: bool,
}

/// The rows of one day of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayFacts {
    /// The day, in the zone of the table's days.
    pub day: Date,
    /// How many rows; copies by the `dedup` column count once where the table declares bounds of rows.
    pub rows: u64,
    /// The latest of their instants.
    pub newest: Timestamp,
    /// How many of them lack a value, by column.
    pub nulls: BTreeMap<String, u64>,
}

/// What is known of a table of events around an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFacts {
    /// The table.
    pub table: String,
    /// Days with rows that a run sees, oldest first; about three weeks.
    pub days: Vec<DayFacts>,
    /// Whether the table tells only days, so that the time of its newest row says nothing.
    pub tells_days: bool,
    /// The columns of ids, of which `nulls` knows.
    pub ids: Vec<String>,
    /// The end of each day by its date, for days that are looked at.
    pub as_of: Timestamp,
    /// The day of `as_of`.
    pub today: Date,
    /// Rows that happened two days or more after the wall clock.
    pub future_rows: u64,
    /// Rows of a table none of whose rows can be placed in time.
    pub rows_without_time: u64,
    /// What the conditions of the table say of its last whole day, as written; `None` where that is null.
    pub conditions: Vec<(String, Option<bool>)>,
}
