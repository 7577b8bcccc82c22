//! The query of a pass with levels: the running measure, and the rows at which it first meets a level.

use std::collections::BTreeSet;

use super::reaches::{ReachesPass, TypedMeasure};
use super::rows::{Rows, carried_columns};
use super::sql::{name, table};
use super::subject::{Join, Keep, ZONE_COLUMN};
use crate::model::Level;
use crate::project::Levels;
use crate::warehouse::LocalUnit;

/// A relation as SQL reads it, and the `where` that belongs to it, if any.
type Source = (String, String);

/// The rows under these conditions, each duplicate once: perhaps a table, and where to read from.
pub(super) fn source_of(rows: &Rows, conditions: &[String], telling: &[String]) -> (Vec<String>, Source) {
    match rows.deduplicated(conditions, telling) {
        Some(query) => {
            (vec![table("event_rows", &query)], (format!("event_rows as {}", rows.relation_name()), String::new()))
        }
        None => (Vec::new(), (rows.relation_name(), format!("\nwhere {}", conditions.join("\n  and ")))),
    }
}

impl ReachesPass {
    /// The pass as a query by windows over the rows of each subject in their order, which tells everything: crossing rows
    /// and each subject's last row, joined with the audience.
    pub(super) fn sql(&self, join: &Join<'_>) -> String {
        let conditions = self.rows.visible(join);
        let (mut tables, source) = source_of(&self.rows, &conditions, &self.telling_columns());
        tables.extend(match &self.measure {
            TypedMeasure::Count => self.counted(&source, join.keep),
            TypedMeasure::Distinct { sql, .. } => {
                let (first, rest) = self.first_of_each(&source, sql);
                std::iter::once(first).chain(self.counted(&rest, join.keep)).collect()
            }
            TypedMeasure::Sum { sql, is_double, .. } => {
                let total = |frame: &str| format!("sum({sql}) {frame}");
                self.running(&source, &total, *is_double, join.keep)
            }
            TypedMeasure::Max { sql, is_double, .. } => {
                let (present, rest) = self.present(&source, sql);
                let highest = |frame: &str| format!("max({sql}) {frame}");
                std::iter::once(present).chain(self.running(&rest, &highest, *is_double, join.keep)).collect()
            }
            TypedMeasure::Streak(unit) => self.streaks(&source, *unit, join),
        });
        join.query(tables, ", position")
    }

    /// The lowest level of any ladder.
    pub(super) fn lowest(&self) -> f64 {
        let first = |levels: &Levels| match levels {
            Levels::List(levels) => levels.first().map_or(f64::INFINITY, |level| level.get()),
            Levels::Every(level) => level.get(),
        };
        self.ladders.iter().map(|ladder| first(&ladder.levels)).fold(f64::INFINITY, f64::min)
    }

    /// Columns whose values show in the result.
    pub(super) fn telling_columns(&self) -> Vec<String> {
        let measured = match &self.measure {
            TypedMeasure::Count | TypedMeasure::Streak(_) => None,
            TypedMeasure::Sum { columns, .. }
            | TypedMeasure::Distinct { columns, .. }
            | TypedMeasure::Max { columns, .. } => Some(columns),
        };
        let tells =
            |column: &String| self.carried.contains(column) || measured.is_some_and(|columns| columns.contains(column));
        self.rows.plain_columns().filter(tells).collect()
    }

    /// What orders the rows of a subject; ties matter only where the order of equal instants shows.
    fn order(&self) -> String {
        let mut order = vec![name(&self.rows.time)];
        let is_blind = matches!(self.measure, TypedMeasure::Count | TypedMeasure::Streak(_)) && self.carried.is_empty();
        if !is_blind {
            order.extend(self.rows.tie_breakers());
        }
        order.join(", ")
    }

    /// A window over the rows of a subject in their order.
    fn window(&self) -> String {
        format!("over (partition by {} order by {})", name(&self.rows.profile), self.order())
    }

    fn counted(&self, (relation, condition): &Source, keep: Keep) -> Vec<String> {
        let window = self.window();
        let running = format!(
            "select\n  {subject} as subject_id,\n  {time} as reached_at,\n  \
             row_number() {window} as position,\n  lead({time}) {window} is null as is_last{carried}\n\
             from {relation}{condition}",
            subject = self.rows.profile_text(),
            time = name(&self.rows.time),
            carried = carried_columns(&self.carried),
        );
        let flags = format!(
            "select *, position as \"value\", cast(position as double) as peak, cast(position - 1 as double) as peak_before\n\
             from running_rows\nwhere {}",
            self.crossing("position", "position - 1", false, &self.last("position", keep)),
        );
        vec![table("running_rows", &running), table("flag_rows", &flags)]
    }

    /// The first row of each value, for counting distinct ones.
    fn first_of_each(&self, (relation, condition): &Source, sql: &str) -> (String, Source) {
        let present = if condition.is_empty() { "\nwhere" } else { "\n  and" };
        let numbered = format!(
            "select *,\n  row_number() over (partition by {}, ({sql}) order by {}) as \"value.number\"\n\
             from {relation}{condition}{present} ({sql}) is not null",
            name(&self.rows.profile),
            self.order(),
        );
        (table("value_rows", &numbered), ("value_rows".to_owned(), "\nwhere \"value.number\" = 1".to_owned()))
    }

    /// The rows with a value.
    fn present(&self, (relation, condition): &Source, sql: &str) -> (String, Source) {
        let present = if condition.is_empty() { "\nwhere" } else { "\n  and" };
        let query = format!("select *\nfrom {relation}{condition}{present} ({sql}) is not null");
        let alias = format!("present_rows as {}", self.rows.relation_name());
        (table("present_rows", &query), (alias, String::new()))
    }

    /// A measure that may jump or fall: its running value and the highest one so far.
    fn running(
        &self,
        (relation, condition): &Source,
        measure: &dyn Fn(&str) -> String,
        is_double: bool,
        keep: Keep,
    ) -> Vec<String> {
        let frame = |end: &str| {
            format!(
                "over (\n    partition by {} order by {}\n    rows between unbounded preceding and {end}\n  )",
                name(&self.rows.profile),
                self.order(),
            )
        };
        let total = measure(&frame("current row"));
        let total = if is_double { format!("round_significant({total})") } else { total };
        let measured = format!("select *,\n  {total} as \"total.running\"\nfrom {relation}{condition}");
        let window = self.window();
        let running = format!(
            "select\n  {subject} as subject_id,\n  {time} as reached_at,\n  row_number() {window} as position,\n  \
             lead({time}) {window} is null as is_last,\n  \"total.running\" as \"value\",\n  \
             max(\"total.running\") {now} as highest,\n  max(\"total.running\") {before} as highest_before{carried}\n\
             from measured_rows",
            subject = self.rows.profile_text(),
            time = name(&self.rows.time),
            now = frame("current row"),
            before = frame("1 preceding"),
            carried = carried_columns(&self.carried),
        );
        let flags = format!(
            "select *, cast(highest as double) as peak, cast(coalesce(highest_before, 0) as double) as peak_before\n\
             from running_rows\nwhere {}",
            self.crossing("highest", "coalesce(highest_before, 0)", true, &self.last("highest", keep)),
        );
        vec![table("measured_rows", &measured), table("running_rows", &running), table("flag_rows", &flags)]
    }

    /// The first row of each active day or week, and which streak it belongs to: numbers that rise by one together with
    /// their row numbers keep the same distance to them.
    fn streaks(&self, (relation, condition): &Source, unit: LocalUnit, join: &Join<'_>) -> Vec<String> {
        let mut tables = Vec::new();
        let (subject, project) = (self.rows.profile_text(), super::sql::literal(self.zones.project_name()));
        let (zone, zone_join) = if self.zones.per_profile {
            let zones = format!(
                "select audience_id as id, min(cast({} as varchar)) as zone\nfrom audience_rows\ngroup by audience_id",
                name(&format!("profile.{ZONE_COLUMN}")),
            );
            tables.push(table("zone_rows", &zones));
            ("zone_rows.zone", format!("\nleft join zone_rows on zone_rows.id = {subject}"))
        } else {
            ("cast(null as varchar)", String::new())
        };
        let number = |instant: &str| {
            format!(
                "{}(arrow_cast({instant}, 'Timestamp(Microsecond, Some(\"UTC\"))'), {zone}, {project})",
                unit.function()
            )
        };
        let visible = format!("select *, {subject} as \"subject.id\"\nfrom {relation}{condition}");
        tables.push(table("visible_rows", &visible));
        let zoned_join = zone_join.replace(&subject, "visible_rows.\"subject.id\"");
        let days = format!(
            "select visible_rows.*,\n  {} as \"unit.number\",\n  {} as \"unit.today\"\nfrom visible_rows{zoned_join}",
            number(&format!("visible_rows.{}", name(&self.rows.time))),
            number("$as_of"),
        );
        tables.push(table("unit_rows", &days));
        let first = format!(
            "select *,\n  row_number() over (partition by \"subject.id\", \"unit.number\" order by {}) as \"unit.row\"\n\
             from unit_rows",
            self.order(),
        );
        tables.push(table("numbered_rows", &first));
        let each = "over (partition by \"subject.id\" order by \"unit.number\")";
        let active = format!(
            "select *,\n  \"unit.number\" - row_number() {each} as \"streak.id\",\n  row_number() {each} as position,\n  \
             lead(\"unit.number\") {each} is null as is_last\nfrom numbered_rows\nwhere \"unit.row\" = 1",
        );
        tables.push(table("active_rows", &active));
        let of_streak = "over (partition by \"subject.id\", \"streak.id\" order by \"unit.number\")";
        let lengths = format!(
            "select\n  \"subject.id\" as subject_id,\n  {time} as reached_at,\n  position,\n  is_last,\n  \
             row_number() {of_streak} as length,\n  \"unit.number\" - row_number() {of_streak} + 1 as anchor,\n  \
             \"unit.today\" - \"unit.number\" <= 1 as is_alive{carried}\nfrom active_rows",
            time = name(&self.rows.time),
            carried = carried_columns(&self.carried),
        );
        tables.push(table("length_rows", &lengths));
        let longest = "select *, max(length) over (partition by subject_id) as longest\nfrom length_rows";
        tables.push(table("running_rows", longest));
        let flags = format!(
            "select *,\n  case when is_alive then length else 0 end as \"value\",\n  cast(length as double) as peak,\n  \
             cast(length - 1 as double) as peak_before\nfrom running_rows\nwhere {}",
            self.crossing("length", "length - 1", false, &self.last("longest", join.keep)),
        );
        tables.push(table("flag_rows", &flags));
        tables
    }

    /// True for the last row of a subject whose value now is of interest.
    fn last(&self, highest: &str, keep: Keep) -> String {
        match keep {
            Keep::Audience => "is_last".to_owned(),
            Keep::Flags => format!("(is_last and {highest} >= {})", self.lowest()),
        }
    }

    /// True for rows at which some level is first met, and for the last row of a subject.
    fn crossing(&self, now: &str, before: &str, may_jump: bool, last: &str) -> String {
        let mut every: BTreeSet<String> = BTreeSet::new();
        let mut listed: Vec<Level> = Vec::new();
        for ladder in &self.ladders {
            match &ladder.levels {
                Levels::List(levels) => listed.extend(levels),
                Levels::Every(level) if may_jump => {
                    let steps =
                        |value: &str| format!("floor(round_significant(cast({value} as double) / {}))", double(*level));
                    every.insert(format!("{} > {}", steps(now), steps(before)));
                }
                Levels::Every(level) => {
                    every.insert(format!("{now} % {level} = 0"));
                }
            }
        }
        listed.sort();
        listed.dedup();
        let mut terms: Vec<String> = if may_jump {
            let met = (!listed.is_empty()).then(|| {
                let levels: Vec<_> = listed.iter().map(Level::to_string).collect();
                let met = |value: &str| format!("levels_met(cast({value} as double), '{}')", levels.join(" "));
                format!("{} > {}", met(now), met(before))
            });
            met.into_iter().chain(every).collect()
        } else if listed.is_empty() {
            every.into_iter().collect()
        } else {
            let levels: Vec<_> = listed.iter().map(Level::to_string).collect();
            [format!("{now} in ({})", levels.join(", "))].into_iter().chain(every).collect()
        };
        terms.push(last.to_owned());
        terms.join("\n  or ")
    }
}

/// A level written as a double.
fn double(level: Level) -> String {
    format!("cast({level} as double)")
}
