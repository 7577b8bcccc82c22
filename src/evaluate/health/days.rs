//! Days of a table: rows, their newest, and what they lack.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::evaluate::error::EvaluateError;
use crate::evaluate::pruning;
use crate::evaluate::rows::pruned_partitions;
use crate::evaluate::sql::{literal, name};
use crate::model::diagnostic::{Diagnostic, Located};
use crate::model::{DayFacts, TableFacts};
use crate::project::{Partition, Project, Table};
use crate::warehouse::arrow::array::RecordBatch;
use crate::warehouse::arrow::datatypes::{DataType, Schema, SchemaRef};
use crate::warehouse::{
    AS_OF, Aggregate, LocalUnit, Parameter, Parameters, Scope, Session, Warehouse, type_words, value,
};

/// A week that is looked at, and two before it to compare with.
const DAYS: i64 = 22;
/// Rows later than the wall clock by more than this happened in the future.
const FUTURE: SignedDuration = SignedDuration::from_hours(48);

const FIRST: &str = "milepost_health_first";
const LAST: &str = "milepost_health_last";

/// The instants of a look at a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Clocks {
    /// The run's logical now.
    pub as_of: Timestamp,
    /// The wall clock.
    pub now: Timestamp,
    /// The end of the period that is told, else `as_of`.
    pub until: Timestamp,
}

impl Clocks {
    /// The first instant that is looked at.
    fn first(&self) -> Timestamp {
        self.until.min(self.as_of).checked_sub(SignedDuration::from_hours(24 * DAYS)).unwrap_or(Timestamp::MIN)
    }

    /// The last instant that is looked at: rows of the future are of interest only to runs about the present.
    fn last(&self) -> Timestamp {
        let is_past = self.as_of.checked_add(FUTURE).is_ok_and(|later| later < self.now);
        if is_past { self.as_of } else { Timestamp::MAX }
    }
}

/// Findings about the conditions that tables declare in `health:`.
pub async fn check_declared(project: &Project, warehouse: &Warehouse) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for table in project.tables.values().filter(|table| !table.health.sql.is_empty()) {
        let bound = Parameters::default().with(AS_OF, Parameter::Instant(Timestamp::UNIX_EPOCH));
        let Ok(session) = warehouse.bind(&bound).await else { continue };
        let Some(schema) = session.columns(&table.name).await else { continue };
        findings.extend(conditions(table, &schema, &session).await.err().unwrap_or_default());
    }
    findings
}

/// The conditions of a table, each an aggregate that is true or false.
async fn conditions(table: &Table, schema: &SchemaRef, session: &Session) -> Result<Vec<Aggregate>, Vec<Diagnostic>> {
    let scope = Scope { relation: &table.name, columns: schema };
    let (mut conditions, mut findings) = (Vec::new(), Vec::new());
    for sql in &table.health.sql {
        match session.aggregate(sql, scope).await {
            Ok(condition) if condition.data_type == DataType::Boolean => conditions.push(condition),
            Ok(other) => {
                let message = format!("a condition is true or false, and this is {}", type_words(&other.data_type));
                let help = "compare an aggregate, such as `avg(amount) < 500`";
                findings.push(Diagnostic::error("wrong-type", message, &sql.place).with_help(help));
            }
            Err(more) => findings.extend(more),
        }
    }
    if findings.is_empty() { Ok(conditions) } else { Err(findings) }
}

/// What is known of a table around an instant; days are cut in `zone`, and `ids` are columns of ids where it has them.
///
/// # Errors
/// When the table cannot be read, or its conditions do not plan.
pub async fn table_facts(
    warehouse: &Warehouse,
    (table, ids): (&Table, &[String]),
    zone: &TimeZone,
    clocks: Clocks,
) -> Result<TableFacts, EvaluateError> {
    let bounds = Parameters::default()
        .with(AS_OF, Parameter::Instant(clocks.as_of))
        .with(FIRST, Parameter::Instant(clocks.first()))
        .with(LAST, Parameter::Instant(clocks.last()));
    let partitions = pruned_partitions(table);
    let range = pruning::range_parameters(&partitions, "health", (clocks.first(), clocks.last()), table.lookback);
    let session = warehouse.bind(&bounds.and(&range)).await?;
    let schema = session.columns(&table.name).await.unwrap_or_else(|| SchemaRef::new(Schema::empty()));
    let look = Look::new(table, &schema, zone, ids);
    let what = format!("the days of table `{}`", table.name);
    let batches = session.rows(&what, &look.days_sql(&partitions)).await?;
    let mut facts = look.read(&batches, clocks);
    if facts.days.is_empty() && facts.future_rows == 0 {
        facts.rows_without_time = look.rows_without_time(&session, &what).await?;
    }
    let yesterday = facts.today.yesterday().unwrap_or(facts.today);
    if facts.days.iter().any(|day| day.day == yesterday) && !table.health.sql.is_empty() {
        let compiled = conditions(table, &schema, &session).await;
        let compiled = compiled.map_err(|diagnostics| EvaluateError::Declared { diagnostics })?;
        let sql = look.conditions_sql(&compiled, yesterday, &partitions);
        let batches = session.rows(&format!("the health of table `{}`", table.name), &sql).await?;
        facts.conditions = verdicts(&table.health.sql, &batches);
    }
    Ok(facts)
}

/// How a table is looked at.
struct Look<'a> {
    table: &'a Table,
    /// Its time as an instant.
    instant: String,
    tells_days: bool,
    zone: &'a TimeZone,
    ids: Vec<String>,
    /// Columns whose nulls are counted.
    counted: Vec<String>,
}

impl<'a> Look<'a> {
    fn new(table: &'a Table, schema: &SchemaRef, zone: &'a TimeZone, ids: &[String]) -> Self {
        let time = table.time.as_ref().map(|time| time.value.as_str()).unwrap_or_default();
        let kind = schema.field_with_name(time).map(|field| field.data_type().clone());
        let tells_days = matches!(kind, Ok(DataType::Date32 | DataType::Date64));
        let instant = if tells_days {
            format!("arrow_cast({}, 'Timestamp(Microsecond, Some(\"UTC\"))')", name(time))
        } else {
            name(time)
        };
        let ids: Vec<String> = ids.iter().filter(|id| schema.field_with_name(id).is_ok()).cloned().collect();
        let declared = table.health.nulls.iter().map(|(column, _)| column.value.clone());
        let mut counted: Vec<String> = ids.iter().cloned().chain(declared).collect();
        counted.sort_unstable();
        counted.dedup();
        Self { table, instant, tells_days, zone, ids, counted }
    }

    fn zone_name(&self) -> &str {
        // What tells days alone tells them in no zone.
        if self.tells_days { "UTC" } else { self.zone.iana_name().unwrap_or("UTC") }
    }

    fn rows(&self) -> String {
        match &self.table.dedup {
            Some(dedup) if self.table.health.bounds_rows() => {
                let dedup = name(&dedup.value);
                format!("count(distinct {dedup}) + count(*) filter (where {dedup} is null)")
            }
            _ => "count(*)".to_owned(),
        }
    }

    fn days_sql(&self, partitions: &[Partition]) -> String {
        let Self { instant, .. } = self;
        let zone = literal(self.zone_name());
        let day = format!("{}({instant}, {zone}, {zone})", LocalUnit::Day.function());
        let nulls =
            self.counted.iter().enumerate().map(|(index, column)| {
                format!(",\n  count(*) filter (where {} is null) as nulls_{index}", name(column))
            });
        format!(
            "select\n  {day} as day,\n  {instant} <= ${AS_OF} as seen,\n  {} as rows,\n  max({instant}) as newest{}\nfrom {}\n\
             where {}\ngroup by {day}, {instant} <= ${AS_OF}\norder by day, seen",
            self.rows(),
            nulls.collect::<String>(),
            name(&self.table.name),
            met(partitions, format!("{instant} > ${FIRST} and {instant} <= ${LAST}")),
        )
    }

    fn read(&self, batches: &[RecordBatch], clocks: Clocks) -> TableFacts {
        let (mut days, mut future_rows) = (Vec::new(), 0);
        let future = clocks.now.max(clocks.as_of).checked_add(FUTURE).unwrap_or(Timestamp::MAX);
        let future = self.day_of(future);
        for (batch, row) in batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row))) {
            let number = |column: usize| value::text(batch.column(column), row)?.parse::<i64>().ok();
            let (Some(day), Some(rows)) = (number(0).and_then(|day| LocalUnit::Day.first_day(day)), number(2)) else {
                continue;
            };
            if !value::truth(batch.column(1), row) {
                future_rows += if day > future { rows.unsigned_abs() } else { 0 };
                continue;
            }
            let Some(newest) = value::instant(batch.column(3), row) else { continue };
            let nulls = self.counted.iter().enumerate();
            let nulls: BTreeMap<String, u64> = nulls
                .map(|(index, column)| (column.clone(), number(4 + index).unwrap_or_default().unsigned_abs()))
                .collect();
            days.push(DayFacts { day, rows: rows.unsigned_abs(), newest, nulls });
        }
        TableFacts {
            table: self.table.name.clone(),
            days,
            tells_days: self.tells_days,
            ids: self.ids.clone(),
            as_of: clocks.as_of,
            today: self.day_of(clocks.as_of),
            future_rows,
            rows_without_time: 0,
            conditions: Vec::new(),
        }
    }

    fn day_of(&self, instant: Timestamp) -> Date {
        instant.to_zoned(if self.tells_days { TimeZone::UTC } else { self.zone.clone() }).date()
    }

    /// The rows of a table of which none can be placed in time.
    async fn rows_without_time(&self, session: &Session, what: &str) -> Result<u64, EvaluateError> {
        let sql = format!("select count(*) as rows, count({}) as timed\nfrom {}", self.instant, name(&self.table.name));
        let batches = session.rows(what, &sql).await?;
        let count = |column: usize| {
            let first = batches.iter().find(|batch| batch.num_rows() > 0);
            first.and_then(|batch| value::text(batch.column(column), 0)?.parse::<u64>().ok()).unwrap_or(0)
        };
        Ok(if count(1) == 0 { count(0) } else { 0 })
    }

    fn conditions_sql(&self, conditions: &[Aggregate], day: Date, partitions: &[Partition]) -> String {
        let columns =
            conditions.iter().enumerate().map(|(index, condition)| format!("{} as holds_{index}", condition.sql));
        let start = |day: Date| day.to_zoned(self.zone.clone()).map_or(Timestamp::MIN, |start| start.timestamp());
        let bound = |at: Timestamp| {
            format!("arrow_cast({}, 'Timestamp(Microsecond, Some(\"UTC\"))')", literal(&at.to_string()))
        };
        let range = format!(
            "{instant} >= {} and {instant} < {} and {instant} <= ${AS_OF}",
            bound(start(day)),
            bound(start(day.tomorrow().unwrap_or(day))),
            instant = self.instant,
        );
        format!(
            "select\n  {}\nfrom {}\nwhere {}",
            columns.collect::<Vec<_>>().join(",\n  "),
            name(&self.table.name),
            met(partitions, range),
        )
    }
}

/// A range of instants, and the folders that may hold them.
fn met(partitions: &[Partition], range: String) -> String {
    let pruned = partitions.iter().enumerate().map(|(index, partition)| pruning::overlaps(partition, index, "health"));
    std::iter::once(range).chain(pruned).collect::<Vec<_>>().join("\n  and ")
}

/// What each condition says, in the order in which they are declared.
fn verdicts(declared: &[Located<String>], batches: &[RecordBatch]) -> Vec<(String, Option<bool>)> {
    let first = batches.iter().find(|batch| batch.num_rows() > 0);
    let holds = |index: usize| {
        let column = first?.columns().get(index)?;
        value::text(column, 0)?.parse::<bool>().ok()
    };
    declared.iter().enumerate().map(|(index, sql)| (sql.value.clone(), holds(index))).collect()
}
