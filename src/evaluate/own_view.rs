//! Milestones of an own view: its rows are the flags.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::audience::{Audience, AudienceReader};
use super::columns;
use super::found::{Found, ProfileFound};
use super::reaches::Keep;
use super::sql::{PROFILES, as_text, name, table, with};
use crate::model::Level;
use crate::model::diagnostic::{Diagnostic, Located};
use crate::model::shape::{ScalarKind, Shape};
use crate::warehouse::arrow::array::RecordBatch;
use crate::warehouse::arrow::datatypes::{DataType, SchemaRef};
use crate::warehouse::{Session, Warehouse, not_a_time, value};

/// A checked own view.
#[derive(Clone, Debug)]
pub(super) struct ViewPass {
    pub(super) part: usize,
    pub(super) milestone: String,
    relation: String,
    schema: SchemaRef,
}

/// Resolves an own view, or everything that is wrong with it.
pub(super) async fn resolve(
    (part, milestone): (usize, &str),
    relation: &Located<String>,
    warehouse: &Warehouse,
    session: &Session,
) -> Result<ViewPass, Vec<Diagnostic>> {
    let schema = columns::of_relation(relation, warehouse, session).await?;
    let mut findings = Vec::new();
    let named = |column: &str| Located::new(column.to_owned(), relation.place.clone());
    findings.extend(columns::missing(&named("profile_id"), &relation.value, &schema));
    findings.extend(not_a_time(&named("reached_at"), &schema));
    if let Ok(level) = schema.field_with_name("level")
        && !level.data_type().is_numeric()
        && level.data_type() != &DataType::Null
    {
        let message = format!("column `level` of `{}` is {}, not a number", relation.value, level.data_type());
        findings.push(Diagnostic::error("wrong-type", message, &relation.place));
    }
    if findings.is_empty() {
        Ok(ViewPass { part, milestone: milestone.to_owned(), relation: relation.value.clone(), schema })
    } else {
        Err(findings)
    }
}

impl ViewPass {
    fn has(&self, column: &str) -> bool {
        self.schema.field_with_name(column).is_ok()
    }

    /// Whether levels can be written without a fraction.
    pub(super) fn has_whole_levels(&self) -> bool {
        self.schema.field_with_name("level").is_ok_and(|field| field.data_type().is_integer()) || !self.has("level")
    }

    /// A short description for titles and errors.
    pub(super) fn title(&self) -> String {
        format!("milestone {}", self.milestone)
    }

    /// The view's rows joined with the audience, by profile and time.
    pub(super) fn sql(&self, audience: &Audience, keep: Keep, restricted: bool) -> String {
        let mut selected = vec![format!("{} as profile_id", as_text("\"profile_id\""))];
        for column in self.schema.fields().iter().map(|field| field.name()).filter(|column| *column != "profile_id") {
            selected.push(format!("{} as {}", name(column), name(&format!("milestone.{column}"))));
        }
        let mut conditions = vec!["\"profile_id\" is not null".to_owned()];
        if self.has("reached_at") {
            conditions.push("\"reached_at\" <= $as_of".to_owned());
        }
        if restricted {
            conditions.push(format!("{} in (${PROFILES})", as_text("\"profile_id\"")));
        }
        let flags = format!(
            "select\n  {}\nfrom {}\nwhere {}",
            selected.join(",\n  "),
            name(&self.relation),
            conditions.join("\n  and "),
        );
        let mut tables = vec![table("flag_rows", &flags)];
        tables.extend(audience.tables(restricted));
        let (join, id) = match keep {
            Keep::Flags => ("flag_rows\nleft join audience_rows", "profile_id"),
            Keep::Audience => ("audience_rows\nleft join flag_rows", "audience_id"),
        };
        // Every plain column takes part, so that equal data gives equal order.
        let order = self.schema.fields().iter().filter(|field| !field.data_type().is_nested());
        let mut order: Vec<(bool, String)> = order
            .filter(|field| field.name() != "profile_id")
            .map(|field| (field.name() != "reached_at", name(&format!("milestone.{}", field.name()))))
            .collect();
        order.sort_by_key(|(later, _)| *later);
        let order = order.into_iter().map(|(_, column)| format!(", {column}")).collect::<String>();
        let query =
            format!("select *\nfrom {join} on audience_rows.audience_id = flag_rows.profile_id\norder by {id}{order}");
        with(&tables, &query)
    }

    /// A query for rows that no profile or no time can be told of.
    pub(super) fn nulls_sql(&self) -> String {
        let times =
            if self.has("reached_at") { "\"profile_id\" is not null and \"reached_at\" is null" } else { "false" };
        format!(
            "select\n  count(*) filter (where \"profile_id\" is null) as null_profile_ids,\n  \
             count(*) filter (where {times}) as null_times\nfrom {}",
            name(&self.relation)
        )
    }

    /// What a template may know of `milestone`.
    pub(super) fn shape(&self) -> Shape {
        let own =
            self.schema.fields().iter().filter(|field| !["profile_id", "occasion"].contains(&field.name().as_str()));
        let own = own.map(|field| (field.name().clone(), value::shape(field.data_type(), field.is_nullable())));
        let known = [
            ("name".to_owned(), Shape::scalar(ScalarKind::Text)),
            ("level".to_owned(), Shape::nullable(ScalarKind::Number)),
            ("reached_at".to_owned(), Shape::scalar(ScalarKind::Time)),
        ];
        let Shape::Object(mut fields) = Shape::object(known.into_iter().chain(own)) else {
            return Shape::Any;
        };
        fields.insert("reached_at".to_owned(), Shape::scalar(ScalarKind::Time));
        Shape::Object(fields)
    }
}

/// Reads the rows of an own view, profile by profile.
pub(super) struct ViewReader {
    pass: ViewPass,
    as_of: Timestamp,
    audience: AudienceReader,
    profile_id: usize,
    columns: Vec<(String, usize)>,
    current: Option<ProfileFound>,
    /// Rows whose profile and occasion an earlier row has.
    pub(super) repeated_occasions: u64,
    /// Rows whose level is not a positive number.
    pub(super) invalid_levels: u64,
}

impl ViewReader {
    /// Finds the columns; `None` when the query does not have them.
    pub(super) fn new(pass: &ViewPass, as_of: Timestamp, schema: &SchemaRef) -> Option<Self> {
        let columns = schema.fields().iter().enumerate();
        let columns =
            columns.filter_map(|(index, field)| Some((field.name().strip_prefix("milestone.")?.to_owned(), index)));
        Some(Self {
            pass: pass.clone(),
            as_of,
            audience: AudienceReader::new(schema)?,
            profile_id: schema.index_of("profile_id").ok()?,
            columns: columns.collect(),
            current: None,
            repeated_occasions: 0,
            invalid_levels: 0,
        })
    }

    /// Reads a batch; complete profiles are added to `found`.
    pub(super) fn read(&mut self, batch: &RecordBatch, found: &mut Vec<ProfileFound>) {
        for row in 0..batch.num_rows() {
            let flagged = value::text(batch.column(self.profile_id), row);
            let Some(profile_id) = flagged.clone().or_else(|| self.audience.id(batch, row)) else {
                continue;
            };
            if self.current.as_ref().is_none_or(|current| current.profile_id != profile_id) {
                self.finish(found);
                let audience = self.audience.row(batch, row);
                let parts = vec![self.pass.part];
                self.current =
                    Some(ProfileFound { profile_id, audience, found: Vec::new(), parts, value: Value::Null });
            }
            if flagged.is_some() {
                self.add(batch, row);
            }
        }
    }

    fn add(&mut self, batch: &RecordBatch, row: usize) {
        let cell =
            |name: &str| self.columns.iter().find(|(column, _)| column == name).map(|(_, index)| batch.column(*index));
        let level_number = cell("level").and_then(|column| value::number(column, row));
        let level = level_number.and_then(Level::new);
        if level_number.is_some() && level.is_none() {
            self.invalid_levels += 1;
            return;
        }
        let name = &self.pass.milestone;
        let occasion = cell("occasion").and_then(|column| value::text(column, row));
        let occasion =
            occasion.unwrap_or_else(|| level.map_or_else(|| name.clone(), |level| format!("{name}:{level}")));
        let reached_at = cell("reached_at").and_then(|column| value::instant(column, row));
        let Some(current) = &mut self.current else {
            return;
        };
        if current.found.iter().any(|found| found.occasion == occasion) {
            self.repeated_occasions += 1;
            return;
        }
        let mut context = Map::new();
        context.insert("name".to_owned(), Value::String(name.clone()));
        context.insert("level".to_owned(), Value::Null);
        for (column, index) in self.columns.iter().filter(|(column, _)| column != "occasion") {
            context.insert(column.clone(), value::json(batch.column(*index), row));
        }
        let reached_or_now = reached_at.unwrap_or(self.as_of);
        context.insert("reached_at".to_owned(), Value::String(reached_or_now.to_string()));
        current.found.push(Found {
            part: self.pass.part,
            milestone: name.clone(),
            level: level.map(Level::get),
            occasion,
            reached_at: reached_or_now,
            dated: reached_at.is_some(),
            context: Value::Object(context),
            value: Value::Null,
        });
    }

    /// Adds the last profile.
    pub(super) fn finish(&mut self, found: &mut Vec<ProfileFound>) {
        found.extend(self.current.take());
    }
}
