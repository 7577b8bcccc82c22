//! The query over calls: one row per thing a profile did, or per profile.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::arrow::datatypes::{DataType, SchemaRef};

use super::ByName;
use super::names::{Prefix, snake_case};
use crate::project::SegmentRows;

/// Tables of a lake that are no events.
const CALL_TABLES: [(&str, &str); 7] = [
    ("tracks", "track"),
    ("pages", "page"),
    ("screens", "screen"),
    ("identifies", "identify"),
    ("groups", "group"),
    ("aliases", "alias"),
    // Logs.
    ("calls", ""),
];
/// Tables of a lake that hold nothing of their own.
const DERIVED: [&str; 2] = ["users", "accounts"];

/// Whether a lake's table has rows for a relation: everything tells who is who.
pub(super) fn is_wanted(table: &str, rows: SegmentRows) -> bool {
    let is_derived = DERIVED.contains(&table) || table.starts_with("rudder_") || table.starts_with('_');
    let tells_who = ["identifies", "aliases"].contains(&table);
    let has_events = rows == SegmentRows::Events && table != "groups";
    !is_derived && (has_events || tells_who)
}

/// One relation of calls.
pub(super) struct Calls {
    relation: String,
    /// Raw columns by the name they have here.
    envelope: ByName,
    own: BTreeMap<String, (String, DataType)>,
}

impl Calls {
    pub(super) fn new(relation: &str, schema: &SchemaRef, prefix: Prefix, rows: SegmentRows) -> Self {
        let tells_who = ["identifies", "aliases"].contains(&relation);
        let has_own = relation == "calls" || (rows == SegmentRows::Profiles) == tells_who;
        let mut envelope = ByName::new();
        let mut own = BTreeMap::new();
        for field in schema.fields() {
            match prefix.column(field.name()) {
                Some(name) if has_own => {
                    own.entry(name).or_insert_with(|| (field.name().clone(), field.data_type().clone()));
                }
                _ => envelope.entry(snake_case(field.name())).or_default().push(field.name().clone()),
            }
        }
        Self { relation: relation.to_owned(), envelope, own }
    }

    /// Names of properties or traits.
    pub(super) fn own_columns(&self) -> impl Iterator<Item = &str> {
        self.own.keys().map(String::as_str)
    }

    fn context_columns(&self) -> impl Iterator<Item = &str> {
        let names = self.envelope.keys().map(String::as_str);
        names.filter(|name| name.starts_with("context_") && !name.starts_with("context_traits_"))
    }

    /// The first value of these fields that is there, as this type.
    fn first(&self, fields: &[&str], kind: &str) -> String {
        let columns = fields.iter().filter_map(|field| self.envelope.get(*field)).flatten();
        let columns: Vec<String> =
            columns.map(|column| format!("arrow_try_cast({}, '{kind}')", quoted(column))).collect();
        match columns.as_slice() {
            [] => format!("arrow_cast(null, '{kind}')"),
            [one] => one.clone(),
            _ => format!("coalesce({})", columns.join(", ")),
        }
    }

    /// An id; an empty one is none.
    fn id(&self, fields: &[&str]) -> String {
        let columns = fields.iter().filter_map(|field| self.envelope.get(*field)).flatten();
        let columns: Vec<String> = columns.map(|column| format!("id_text({})", quoted(column))).collect();
        match columns.as_slice() {
            [] => "arrow_cast(null, 'Utf8')".to_owned(),
            columns => format!("nullif(trim(coalesce({})), '')", columns.join(", ")),
        }
    }

    /// The kind of call: a field of logs, else what the table is of.
    fn call(&self) -> String {
        match CALL_TABLES.iter().find(|(table, _)| *table == self.relation) {
            Some((_, "")) => format!("lower({})", self.first(&["type"], "Utf8")),
            Some((_, call)) => format!("'{call}'"),
            None => "'track'".to_owned(),
        }
    }

    fn event(&self) -> String {
        let event = self.first(&["event"], "Utf8");
        if self.is_of_one_event() { format!("coalesce({event}, {})", text(&self.relation)) } else { event }
    }

    /// Whether it is the table of an event, as opposed to one of a kind of call.
    fn is_of_one_event(&self) -> bool {
        CALL_TABLES.iter().all(|(table, _)| *table != self.relation)
    }

    /// Its rows with the columns that all relations have, and these of its own and of its context. The table of all tracks
    /// has no properties: events with a table of their own come from there.
    fn select(&self, own: &BTreeMap<&str, DataType>, context: &BTreeSet<&str>, told: &[String]) -> String {
        let mut columns = vec![
            format!("{} as message_id", self.id(&["message_id", "id"])),
            format!("{} as type", self.call()),
            format!("{} as event", self.event()),
            format!("{} as event_text", self.first(&["event_text"], "Utf8")),
            format!("{} as name", self.first(&["name"], "Utf8")),
            format!("{} as user_id", self.id(&["user_id"])),
            format!("{} as anonymous_id", self.id(&["anonymous_id"])),
            format!("{} as previous_id", self.id(&["previous_id"])),
            format!("{} as group_id", self.id(&["group_id", "context_group_id"])),
            format!(
                "{} as timestamp",
                self.first(&["timestamp", "original_timestamp", "sent_at", "received_at"], INSTANT)
            ),
            format!("{} as received_at", self.first(&["received_at", "timestamp"], INSTANT)),
        ];
        for (name, kind) in own {
            let column = match self.own.get(*name) {
                Some((raw, own)) if own == kind => quoted(raw),
                Some((raw, _)) => format!("arrow_try_cast({}, '{kind}')", quoted(raw)),
                None => format!("arrow_cast(null, '{kind}')"),
            };
            columns.push(format!("{column} as {}", quoted(&format!("own.{name}"))));
        }
        columns.extend(context.iter().map(|name| format!("{} as {}", self.first(&[name], "Utf8"), quoted(name))));
        let condition = if self.relation == "tracks" && !told.is_empty() {
            format!("\n  where {} not in ({})", self.first(&["event"], "Utf8"), told.join(", "))
        } else {
            String::new()
        };
        format!("select {}\n  from {}{condition}", columns.join(",\n    "), quoted(&self.relation))
    }
}

/// How instants are kept.
const INSTANT: &str = "Timestamp(\u{b5}s, \"UTC\")";

fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The type that holds the values of all relations.
fn kinds(calls: &[Calls]) -> BTreeMap<&str, DataType> {
    let mut kinds: BTreeMap<&str, DataType> = BTreeMap::new();
    for (name, (_, kind)) in calls.iter().flat_map(|calls| &calls.own) {
        let is_null = |kind: &DataType| *kind == DataType::Null;
        let wider = match kinds.get(name.as_str()) {
            Some(known) if known == kind || is_null(kind) => known.clone(),
            Some(known) if !is_null(known) => {
                if known.is_numeric() && kind.is_numeric() {
                    DataType::Float64
                } else {
                    DataType::Utf8
                }
            }
            _ => kind.clone(),
        };
        kinds.insert(name, wider);
    }
    kinds
}

/// The whole query. `$as_of` hides later calls from what is known of identities and profiles; events stay, since whoever
/// reads them says until when.
pub(super) fn statement(calls: &[Calls], rows: SegmentRows) -> String {
    let own = kinds(calls);
    let context: BTreeSet<&str> = calls.iter().flat_map(Calls::context_columns).collect();
    let told: Vec<String> =
        calls.iter().filter(|calls| calls.is_of_one_event()).map(|calls| text(&calls.relation)).collect();
    let selects: Vec<String> = calls.iter().map(|calls| calls.select(&own, &context, &told)).collect();
    let with = format!("with calls as (\n  {}\n),\n{IDENTITIES}", selects.join("\n  union all\n  "));
    match rows {
        SegmentRows::Events => events(&with, &own, &context),
        SegmentRows::Profiles => profiles(&with, &own, &context),
    }
}

/// Who is who: an anonymous id is the first user it was seen with; a user that an alias renamed is the new one.
const IDENTITIES: &str = "identities as (
  select id, first_value(user_id order by timestamp, user_id) as user_id
  from (
    select anonymous_id as id, user_id, timestamp from calls where anonymous_id is not null
    union all
    select previous_id as id, user_id, timestamp from calls where type = 'alias' and previous_id is not null
  ) as seen
  where user_id is not null and id <> user_id and timestamp <= $as_of
  group by id
),
renamed as (
  select previous_id as id, first_value(user_id order by timestamp, user_id) as user_id
  from calls
  where type = 'alias' and previous_id is not null and user_id is not null and previous_id <> user_id
    and timestamp <= $as_of
  group by previous_id
),
known as (
  select calls.*, coalesce(calls.user_id, identities.user_id) as known_id
  from calls
  left join identities on identities.id = calls.anonymous_id and calls.user_id is null
),
stitched as (
  select known.*, coalesce(again.user_id, renamed.user_id, known.known_id) as profile
  from known
  left join renamed on renamed.id = known.known_id
  left join renamed as again on again.id = renamed.user_id and again.user_id <> known.known_id
)";

fn events(with: &str, own: &BTreeMap<&str, DataType>, context: &BTreeSet<&str>) -> String {
    let mut columns = vec![
        "message_id".to_owned(),
        "type".to_owned(),
        "case when type = 'track' then event else type end as event".to_owned(),
        "event_text".to_owned(),
        "name".to_owned(),
        "profile as user_id".to_owned(),
        "anonymous_id".to_owned(),
        "group_id".to_owned(),
        "timestamp".to_owned(),
        "received_at".to_owned(),
    ];
    columns.extend(own.keys().map(|name| format!("{} as {}", quoted(&format!("own.{name}")), quoted(name))));
    columns.extend(context.iter().map(|name| quoted(name)));
    format!("{with}\nselect {}\nfrom stitched\nwhere type in ('track', 'page', 'screen')", columns.join(",\n  "))
}

fn profiles(with: &str, own: &BTreeMap<&str, DataType>, context: &BTreeSet<&str>) -> String {
    let latest = |value: &str, name: &str| {
        format!(
            "last_value({value} order by timestamp, received_at, message_id) filter (where {value} is not null) as {}",
            quoted(name)
        )
    };
    let mut columns = vec!["profile as user_id".to_owned()];
    for name in own.keys() {
        let value = quoted(&format!("own.{name}"));
        let value = if *name == "timezone" && context.contains("context_timezone") {
            format!("coalesce({value}, context_timezone)")
        } else {
            value
        };
        columns.push(latest(&value, name));
    }
    if !own.contains_key("timezone") && context.contains("context_timezone") {
        columns.push(latest("context_timezone", "timezone"));
    }
    columns.push("max(timestamp) as identified_at".to_owned());
    format!(
        "{with}\nselect {}\nfrom stitched\nwhere type = 'identify' and profile is not null and timestamp <= $as_of\n\
         group by profile",
        columns.join(",\n  ")
    )
}
