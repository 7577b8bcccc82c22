//! Whom a job may mail: one row per profile, or per profile and entity, with what the `suppressed:` table says.

use serde_json::{Map, Value};

use super::columns;
use super::error::EvaluateError;
use super::sql::{PROFILES, as_text, name, table};
use super::subject::ZONE_COLUMN;
use crate::model::Suppression;
use crate::model::address_list::masked;
use crate::model::diagnostic::{Diagnostic, Located};
use crate::model::shape::{ScalarKind, Shape};
use crate::project::{Entity, Job, JobKind, Project};
use crate::warehouse::arrow::array::{ArrayRef, RecordBatch};
use crate::warehouse::arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use crate::warehouse::{Session, Warehouse, has_id, id_text, type_words, value};

/// Every audience column reaches templates under this prefix.
const PREFIX: &str = "profile.";

/// More columns than these take seconds to plan, and no mail shows so many.
const COLUMNS_MAX: usize = 1_000;

/// A checked audience.
#[derive(Clone, Debug)]
pub(super) struct Audience {
    relation: String,
    /// The columns that are read.
    schema: SchemaRef,
    /// All columns.
    all: SchemaRef,
    /// The audience column that names the entity, for recaps of something other than the profile.
    pub(super) entity: Option<String>,
    suppressed: Option<Suppressed>,
}

/// A checked `suppressed:` relation.
#[derive(Clone, Debug)]
struct Suppressed {
    relation: String,
    by_profile: bool,
    by_address: bool,
    has_reason: bool,
    /// SQL for the id of a row as text.
    id: String,
}

/// Resolves the audience of a job, or everything that is wrong with it.
pub(super) async fn resolve(
    project: &Project,
    job: &Job,
    warehouse: &Warehouse,
    session: &Session,
) -> Result<Audience, Vec<Diagnostic>> {
    let mut findings = Vec::new();
    let suppressed = match &project.suppressed {
        None => None,
        Some(relation) => {
            resolve_suppressed(relation, warehouse, session).await.map_err(|more| findings.extend(more)).ok()
        }
    };
    let schema = match columns::of_relation(&job.audience, warehouse, session).await {
        Ok(schema) => schema,
        Err(more) => {
            findings.extend(more);
            return Err(findings);
        }
    };
    let relation = &job.audience.value;
    if schema.fields().len() > COLUMNS_MAX {
        let message = format!(
            "the audience `{relation}` has {} columns, and at most {COLUMNS_MAX} can be read",
            schema.fields().len()
        );
        let help = "write a view that selects the columns that mails show, and name the view";
        findings.push(Diagnostic::error("audience-too-wide", message, &job.audience.place).with_help(help));
        return Err(findings);
    }
    for required in ["profile_id", "email"] {
        let column = Located::new(required.to_owned(), job.audience.place.clone());
        findings.extend(columns::missing(&column, relation, &schema));
        if required == "profile_id" {
            findings.extend(columns::not_an_id(&column, relation, &schema));
        }
    }
    if let Ok(field) = schema.field_with_name("email")
        && !columns::is_text(field.data_type())
        && !field.data_type().is_null()
    {
        let message =
            format!("column `email` of the audience `{relation}` is {}, not text", type_words(field.data_type()));
        findings.push(Diagnostic::error("wrong-type", message, &job.audience.place));
    }
    let entity = job.recap().and_then(super::recap::entity);
    let entities = entity.iter().copied().chain(milestone_entities(job));
    findings.extend(entities.filter_map(|entity| {
        let missing = columns::missing(&entity.audience, relation, &schema);
        missing.or_else(|| columns::not_an_id(&entity.audience, relation, &schema))
    }));
    if !findings.is_empty() {
        return Err(findings);
    }
    let entity = entity.map(|entity| entity.audience.value.clone());
    Ok(Audience { relation: relation.clone(), all: SchemaRef::clone(&schema), schema, entity, suppressed })
}

fn milestone_entities(job: &Job) -> impl Iterator<Item = &Entity> {
    let milestones = match &job.kind {
        JobKind::Milestones(milestones) => milestones.as_slice(),
        JobKind::Recap(_) => &[],
    };
    milestones.iter().filter_map(|milestone| milestone.entity.as_ref())
}

async fn resolve_suppressed(
    relation: &Located<String>,
    warehouse: &Warehouse,
    session: &Session,
) -> Result<Suppressed, Vec<Diagnostic>> {
    let schema = columns::of_relation(relation, warehouse, session).await?;
    let has = |column| schema.field_with_name(column).is_ok();
    let profile = Located::new("profile_id".to_owned(), relation.place.clone());
    if let Some(finding) = columns::not_an_id(&profile, &relation.value, &schema) {
        return Err(vec![finding]);
    }
    if !has("email") && !has("profile_id") {
        let message = format!("`{}` has neither `email` nor `profile_id`, so it suppresses nobody", relation.value);
        return Err(vec![Diagnostic::error("unknown-column", message, &relation.place)]);
    }
    Ok(Suppressed {
        relation: relation.value.clone(),
        by_profile: has("profile_id"),
        by_address: has("email"),
        has_reason: has("reason"),
        id: super::sql::id_text("profile_id", &schema),
    })
}

impl Audience {
    /// The columns of the audience.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The table or view.
    pub(super) fn relation(&self) -> &str {
        &self.relation
    }

    /// The same rows, one per profile and this entity; `None`: one per profile.
    pub(super) fn of_entity(&self, entity: Option<&String>) -> Self {
        Self { entity: entity.cloned(), ..self.clone() }
    }

    /// The same rows with nothing but their ids and zones.
    pub(super) fn without_columns(&self) -> Self {
        let is_kept = |field: &&FieldRef| ["profile_id", ZONE_COLUMN].contains(&field.name().as_str());
        let fields: Vec<FieldRef> = self.schema.fields().iter().filter(is_kept).cloned().collect();
        Self { schema: SchemaRef::new(Schema::new(fields)), suppressed: None, ..self.clone() }
    }

    /// Whether there is such a column.
    pub(super) fn has(&self, column: &str) -> bool {
        self.schema.field_with_name(column).is_ok()
    }

    /// A query for the zones of the audience: `zone` as text, and `rows`.
    pub(super) fn zones_sql(&self, restricted: bool) -> String {
        let zone = as_text(&name(ZONE_COLUMN));
        format!(
            "select {zone} as zone, count(*) as rows\nfrom {}\nwhere {}\ngroup by {zone}",
            name(&self.relation),
            self.conditions(restricted, ""),
        )
    }

    /// What a template may know of `profile`.
    pub(super) fn shape(&self) -> Shape {
        Shape::object(self.schema.fields().iter().map(|field| {
            let shape = match field.name().as_str() {
                "profile_id" => Shape::scalar(ScalarKind::Text),
                _ => value::shape(field.data_type(), field.is_nullable()),
            };
            (field.name(), shape)
        }))
    }

    /// The common table expressions that end in `audience_rows`: `audience_id`, `entity_id` where there is an entity,
    /// `profile.*` and `suppressed`.
    pub(super) fn tables(&self, restricted: bool) -> Vec<String> {
        let mut tables = Vec::new();
        let mut joins = String::new();
        let mut reasons = Vec::new();
        if let Some(suppressed) = &self.suppressed {
            if suppressed.by_profile {
                tables.push(suppressed.profiles());
                joins += &format!(
                    "\nleft join suppressed_profiles on suppressed_profiles.id = listed_id({})",
                    self.id("a.", "profile_id")
                );
                reasons.push("suppressed_profiles.reason");
            }
            if suppressed.by_address {
                tables.push(suppressed.addresses());
                joins +=
                    "\nleft join suppressed_addresses on suppressed_addresses.id = normalised_address(a.\"email\")";
                reasons.push("suppressed_addresses.reason");
            }
        }
        let suppressed = match reasons.as_slice() {
            [] => "cast(null as varchar)".to_owned(),
            // Leaving a list stands in the way of less than any other reason, so the others come first.
            reasons => {
                let stronger = reasons.iter().map(|reason| format!("nullif({reason}, 'unsubscribed')"));
                let all = stronger.chain(reasons.iter().map(|reason| (*reason).to_owned()));
                format!("coalesce({})", all.collect::<Vec<_>>().join(", "))
            }
        };
        let mut columns = vec![format!("{} as audience_id", self.id("a.", "profile_id"))];
        columns.extend(self.entity.iter().map(|entity| format!("{} as entity_id", self.id("a.", entity))));
        columns.extend(
            self.schema
                .fields()
                .iter()
                .filter(|field| field.name() != "profile_id")
                .map(|field| format!("a.{} as {}", name(field.name()), name(&format!("{PREFIX}{}", field.name())))),
        );
        columns.push(format!("{suppressed} as suppressed"));
        let query = format!(
            "select\n  {}\nfrom {} as a{joins}\nwhere {}",
            columns.join(",\n  "),
            name(&self.relation),
            self.conditions(restricted, "a."),
        );
        tables.push(table("audience_rows", &query));
        tables
    }

    fn conditions(&self, restricted: bool, alias: &str) -> String {
        let mut conditions = self.known(alias);
        if restricted {
            conditions.push(format!("{} in (${PROFILES})", self.id(alias, "profile_id")));
        }
        conditions.join("\n  and ")
    }

    /// The id in a column as text; `alias` ends in a point, or is empty.
    fn id(&self, alias: &str, column: &str) -> String {
        id_text(&format!("{alias}{}", name(column)), &self.kind(column))
    }

    fn kind(&self, column: &str) -> DataType {
        self.all.field_with_name(column).map_or(DataType::Utf8, |field| field.data_type().clone())
    }

    /// Conditions of rows that have all their ids.
    fn known(&self, alias: &str) -> Vec<String> {
        let keys = ["profile_id"].into_iter().chain(self.entity.as_deref());
        keys.map(|key| has_id(&format!("{alias}{}", name(key)), &self.kind(key))).collect()
    }

    /// A query whose rows are ids with more than one audience row: `id`, and `ids` with their number; at most three.
    pub(super) fn duplicates_sql(&self, restricted: bool) -> String {
        let keys = self.keys();
        format!(
            "select id, count(*) over () as ids\nfrom (\n  select {} as id\n  from {}\n  where {}\n  group by {}\n  \
             having count(*) > 1\n) as duplicates\norder by id\nlimit 3",
            keys.join(" || ' / ' || "),
            name(&self.relation),
            indented_conditions(&self.conditions(restricted, "")),
            keys.join(", "),
        )
    }

    /// A query for a hash of each id: two are alike where ids are, and nearly never otherwise.
    fn hashes_sql(&self, restricted: bool) -> String {
        let (hash, conditions) =
            (format!("hash_of_texts({})", self.keys().join(", ")), self.conditions(restricted, ""));
        format!("select {hash} as hash\nfrom {}\nwhere {conditions}", name(&self.relation))
    }

    /// What tells rows apart, as texts.
    fn keys(&self) -> Vec<String> {
        ["profile_id"].into_iter().chain(self.entity.as_deref()).map(|key| self.id("", key)).collect()
    }

    /// A query for the number of rows without an id.
    pub(super) fn nulls_sql(&self) -> String {
        let known = self.known("").join(" and ");
        format!("select count(*) as rows\nfrom {}\nwhere not ({known})", name(&self.relation))
    }

    /// Refuses a list of suppressed people with rows that suppress nobody, and returns how many rows it has.
    pub(super) async fn check_suppressed(&self, session: &Session) -> Result<Option<u64>, EvaluateError> {
        let Some(suppressed) = &self.suppressed else { return Ok(None) };
        suppressed.check(session).await?;
        let sql = format!("select count(*) as rows from {}", name(&suppressed.relation));
        let batches = session.rows("counting the suppressed people", &sql).await?;
        let counted = batches.iter().find(|batch| batch.num_rows() > 0);
        Ok(counted.and_then(|batch| value::text(batch.column(0), 0)?.parse().ok()))
    }

    /// How many rows say no zone that exists.
    pub(super) async fn count_unknown_zones(&self, session: &Session, restricted: bool) -> Result<u64, EvaluateError> {
        let batches = session.rows("counting the zones of the audience", &self.zones_sql(restricted)).await?;
        let rows = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
        let unknown = rows.filter(|(batch, row)| {
            value::text(batch.column(0), *row).is_none_or(|zone| jiff::tz::TimeZone::get(&zone).is_err())
        });
        Ok(unknown.filter_map(|(batch, row)| value::text(batch.column(1), row)?.parse::<u64>().ok()).sum())
    }

    /// Refuses an audience with several rows for one id, and returns how many rows it has, where that is known.
    pub(super) async fn check_unique(&self, session: &Session, restricted: bool) -> Result<Option<u64>, EvaluateError> {
        // Grouping the ids tells which are repeated, and costs several times as much.
        let counted = session.count_hashes("counting the audience", &self.hashes_sql(restricted)).await?;
        let rows = counted.map(|(rows, _)| rows);
        if counted.is_some_and(|(_, has_repeats)| !has_repeats) {
            return Ok(rows);
        }
        let batches = session.rows("counting the audience", &self.duplicates_sql(restricted)).await?;
        let found = || batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
        let Some((first, row)) = found().next() else { return Ok(rows) };
        Err(EvaluateError::DuplicateProfiles {
            audience: self.relation.clone(),
            per: ["profile_id"].into_iter().chain(self.entity.as_deref()).collect::<Vec<_>>().join(" and "),
            count: value::text(first.column(1), row).and_then(|count| count.parse().ok()).unwrap_or_default(),
            sample: found().filter_map(|(batch, row)| value::text(batch.column(0), row)).collect(),
        })
    }
}

fn indented_conditions(conditions: &str) -> String {
    super::sql::indented(conditions, 2)
}

impl Suppressed {
    /// The profiles that the list names, each once, as the list compares ids.
    fn profiles(&self) -> String {
        self.table("suppressed_profiles", &format!("listed_id({})", self.id))
    }

    /// The addresses that the list holds, each once: a row may hold several.
    fn addresses(&self) -> String {
        self.table("suppressed_addresses", &format!("unnest({ADDRESSES})"))
    }

    fn table(&self, alias: &str, id: &str) -> String {
        let reason =
            if self.has_reason { "coalesce(cast(\"reason\" as varchar), 'suppressed')" } else { "'suppressed'" };
        let listed = format!("select {id} as id, {reason} as listed_for\nfrom {}", name(&self.relation));
        let query = format!(
            "select id, coalesce(min(nullif(listed_for, 'unsubscribed')), min(listed_for)) as reason\nfrom (\n  {}\n) as \
             listed\nwhere id is not null\ngroup by id",
            super::sql::indented(&listed, 2),
        );
        table(alias, &query)
    }

    /// A query for the first row that suppresses nobody: its number, what it holds, and how many there are.
    fn idle_sql(&self) -> String {
        let (address, has_no_address) = if self.by_address {
            ("cast(\"email\" as varchar)", format!("coalesce(array_length({ADDRESSES}), 0) = 0"))
        } else {
            ("cast(null as varchar)", "true".to_owned())
        };
        let (id, has_no_id) = if self.by_profile {
            (self.id.as_str(), format!("listed_id({}) is null", self.id))
        } else {
            ("cast(null as varchar)", "true".to_owned())
        };
        format!(
            "select row, address, id, count(*) over () as rows\nfrom (\n  select row_number() over () as row, {address} as \
             address, {id} as id,\n    {has_no_address} and {has_no_id} as is_idle\n  from {}\n) as numbered\nwhere \
             is_idle\norder by row\nlimit 1",
            name(&self.relation)
        )
    }

    /// Refuses a list with rows that suppress nobody: whoever they are about would be mailed.
    async fn check(&self, session: &Session) -> Result<(), EvaluateError> {
        let batches = session.rows("reading the list of suppressed people", &self.idle_sql()).await?;
        let Some(first) = batches.iter().find(|batch| batch.num_rows() > 0) else { return Ok(()) };
        let cell = |column: usize| value::text(first.column(column), 0);
        let number = |column: usize| cell(column).and_then(|text| text.parse().ok()).unwrap_or_default();
        let holds = [(self.by_address, "email", cell(1)), (self.by_profile, "profile_id", cell(2))];
        let holds = holds.into_iter().filter(|(is_there, ..)| *is_there).map(|(_, column, text)| match text {
            Some(text) => format!("`{column}` is `{}`", masked(&text)),
            None => format!("`{column}` is null"),
        });
        Err(EvaluateError::SuppressesNobody {
            relation: self.relation.clone(),
            row: number(0),
            rows: number(3),
            holds: holds.collect::<Vec<_>>().join(", "),
        })
    }
}

/// Every address of a row.
const ADDRESSES: &str = "addresses_in(cast(\"email\" as varchar))";

/// One audience row as candidates need it.
#[derive(Clone, Debug)]
pub(super) struct AudienceRow {
    pub(super) profile: Map<String, Value>,
    pub(super) address: Option<String>,
    pub(super) suppressed: Option<Suppression>,
    /// The row as the audience has it, where an `only_if` asks for it.
    pub(super) columns: Option<RecordBatch>,
}

/// Reads audience columns out of joined rows.
#[derive(Clone, Debug)]
pub(super) struct AudienceReader {
    id: usize,
    suppressed: usize,
    entity: Option<usize>,
    columns: Vec<(String, usize)>,
    /// Where the columns that an `only_if` may ask for are, in its order.
    kept: Option<Vec<usize>>,
}

impl AudienceReader {
    /// Finds the columns; `None` when the query does not have them.
    pub(super) fn new(schema: &SchemaRef) -> Option<Self> {
        let columns = schema
            .fields()
            .iter()
            .enumerate()
            .filter_map(|(index, field)| Some((field.name().strip_prefix(PREFIX)?.to_owned(), index)));
        Some(Self {
            id: schema.index_of("audience_id").ok()?,
            suppressed: schema.index_of("suppressed").ok()?,
            entity: schema.index_of("entity_id").ok(),
            columns: columns.collect(),
            kept: None,
        })
    }

    /// Also keeps the columns of the audience as they are.
    pub(super) fn keeping_columns(mut self, names: &[&str]) -> Self {
        let place = |name: &&str| match *name {
            "profile_id" => Some(self.id),
            other => self.columns.iter().find(|(column, _)| column == other).map(|(_, index)| *index),
        };
        self.kept = names.iter().map(place).collect();
        self
    }

    /// The entity's id; `None` where there is none.
    pub(super) fn entity(&self, batch: &RecordBatch, row: usize) -> Option<String> {
        value::text(batch.column(self.entity?), row)
    }

    /// The profile's id; `None` where the join found no audience row.
    pub(super) fn id(&self, batch: &RecordBatch, row: usize) -> Option<String> {
        value::text(batch.column(self.id), row)
    }

    /// The profiles' ids as they stand in a batch.
    pub(super) fn ids<'a>(&self, batch: &'a RecordBatch) -> &'a ArrayRef {
        batch.column(self.id)
    }

    /// The audience row; `None` where the join found none.
    pub(super) fn row(&self, batch: &RecordBatch, row: usize) -> Option<AudienceRow> {
        let id = self.id(batch, row)?;
        let mut profile = Map::with_capacity(self.columns.len() + 1);
        profile.insert("profile_id".to_owned(), Value::String(id));
        for (column, index) in &self.columns {
            profile.insert(column.clone(), value::json(batch.column(*index), row));
        }
        let suppressed = value::text(batch.column(self.suppressed), row).map(|reason| Suppression { reason });
        let address = self.columns.iter().find(|(column, _)| column == "email");
        let address = address.and_then(|(_, index)| value::text(batch.column(*index), row));
        let columns = self.kept.as_ref().and_then(|kept| batch.project(kept).ok()).map(|batch| batch.slice(row, 1));
        Some(AudienceRow { profile, address, suppressed, columns })
    }
}
