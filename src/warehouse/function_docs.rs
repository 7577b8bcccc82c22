//! The documentation of the SQL functions that milepost adds to the engine's plain ones: one table, whose examples are run
//! by a test.

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
        name: "id_text",
        call: "id_text(id)",
        gives: "text",
        about: "an id as milepost compares and keeps it, for joins of ids of different types: whole doubles and decimals as integers, a UUID as its text, text as it stands",
        example: "select id_text(cast(1001 as double))",
        output: "1001",
    },
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
    FunctionDoc {
        name: "json_as_text",
        call: "json ->> key",
        gives: "varchar",
        about: "the value of a key of an object, or of a position of a list counted from 0, as text; null where there is none, or the text is no JSON; the same as json_as_text(json, key, …), which takes the keys of a path",
        example: "select '{\"plan\": {\"name\": \"pro\"}}' -> 'plan' ->> 'name'",
        output: "pro",
    },
    FunctionDoc {
        name: "json_get_str",
        call: "json_get_str(json, key, …)",
        gives: "varchar",
        about: "the text at a path; null where it is something else",
        example: "select json_get_str('{\"plan\": \"pro\"}', 'plan')",
        output: "pro",
    },
    FunctionDoc {
        name: "json_get_int",
        call: "json_get_int(json, key, …)",
        gives: "bigint",
        about: "the whole number at a path; null where it is something else",
        example: "select json_get_int('{\"seats\": [3, 5]}', 'seats', 1)",
        output: "5",
    },
    FunctionDoc {
        name: "json_get_float",
        call: "json_get_float(json, key, …)",
        gives: "double",
        about: "the number at a path; null where it is something else",
        example: "select json_get_float('{\"rate\": 0.5}', 'rate')",
        output: "0.5",
    },
    FunctionDoc {
        name: "json_get_bool",
        call: "json_get_bool(json, key, …)",
        gives: "boolean",
        about: "the truth at a path; null where it is something else",
        example: "select json_get_bool('{\"paid\": true}', 'paid')",
        output: "true",
    },
    FunctionDoc {
        name: "json_get_json",
        call: "json_get_json(json, key, …)",
        gives: "varchar",
        about: "whatever is at a path, as JSON",
        example: "select json_get_json('{\"plan\": {\"name\": \"pro\"}}', 'plan')",
        output: "{\"name\": \"pro\"}",
    },
    FunctionDoc {
        name: "json_get_array",
        call: "json_get_array(json, key, …)",
        gives: "list of varchar",
        about: "the list at a path, each item as JSON; for unnest",
        example: "select array_length(json_get_array('{\"tags\": [\"a\", \"b\"]}', 'tags'))",
        output: "2",
    },
    FunctionDoc {
        name: "json_contains",
        call: "json_contains(json, key, …)",
        gives: "boolean",
        about: "whether there is something at a path",
        example: "select json_contains('{\"plan\": null}', 'plan')",
        output: "true",
    },
    FunctionDoc {
        name: "json_length",
        call: "json_length(json, key, …)",
        gives: "bigint",
        about: "the items of the list, or the keys of the object, at a path",
        example: "select json_length('{\"tags\": [\"a\", \"b\"]}', 'tags')",
        output: "2",
    },
    FunctionDoc {
        name: "md5",
        call: "md5(text)",
        gives: "varchar",
        about: "the MD5 digest in hexadecimal digits",
        example: "select md5('ann@acme.test')",
        output: "3195327ebda20ce978461d011ef07710",
    },
    FunctionDoc {
        name: "sha256",
        call: "sha256(text)",
        gives: "bytes",
        about: "the SHA-256 digest; encode(sha256(text), 'hex') for its digits",
        example: "select encode(sha256('a'), 'hex')",
        output: "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
    },
];

/// The documentation of every function for authors of SQL, in the order of the table.
#[must_use]
pub fn function_docs() -> &'static [FunctionDoc] {
    DOCS
}
