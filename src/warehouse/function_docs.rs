//! The documentation of the SQL functions that milepost adds: one table, whose examples are run by a test.

/// One function, as `milepost functions` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FunctionDoc {
    /// Its name.
    pub name: &'static str,
    /// How it is called.
    pub call: &'static str,
    /// The type of its result.
    pub gives: &'static str,
    /// What it does.
    pub about: &'static str,
    /// A query that uses it and gives one value.
    pub example: &'static str,
    /// That value, as text.
    pub output: &'static str,
}

const DOCS: &[FunctionDoc] = &[
    FunctionDoc {
        name: "local_day",
        call: "local_day(ts, zone)",
        gives: "date",
        about: "the day of an instant in a zone; null where the zone is null or unknown",
        example: "select local_day(timestamp '2026-03-28T23:30:00Z', 'Europe/Paris')",
        output: "2026-03-29",
    },
    FunctionDoc {
        name: "local_week",
        call: "local_week(ts, zone)",
        gives: "date",
        about: "the Monday of an instant's week in a zone",
        example: "select local_week(timestamp '2026-11-22T23:30:00Z', 'America/New_York')",
        output: "2026-11-16",
    },
    FunctionDoc {
        name: "local_month",
        call: "local_month(ts, zone)",
        gives: "date",
        about: "the first day of an instant's month in a zone",
        example: "select local_month(timestamp '2026-10-31T10:30:00Z', 'Pacific/Kiritimati')",
        output: "2026-11-01",
    },
    FunctionDoc {
        name: "streak",
        call: "streak(day, as_of_day)",
        gives: "bigint, an aggregate",
        about: "how many consecutive days run up to as_of_day, or to the day before, since that day is not over; later days and nulls do not count; 0 where none do",
        example: "select streak(day, date '2026-11-05') from (values (date '2026-11-01'), (date '2026-11-03'), (date '2026-11-04'), (date '2026-11-04')) as days (day)",
        output: "2",
    },
    FunctionDoc {
        name: "longest_streak",
        call: "longest_streak(day)",
        gives: "bigint, an aggregate",
        about: "the longest run of consecutive days; nulls do not count; 0 where there is none",
        example: "select longest_streak(day) from (values (date '2026-11-01'), (date '2026-11-02'), (date '2026-11-03'), (date '2026-11-05')) as days (day)",
        output: "3",
    },
];

/// The documentation of every function for authors of SQL, in the order of the table.
#[must_use]
pub fn function_docs() -> &'static [FunctionDoc] {
    DOCS
}
