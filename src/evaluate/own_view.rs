//! Milestones of an own view: its rows are the flags.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::columns;
use super::found::{Found, ProfileFound};
use super::sql::{has_id, id_text, name, table};
use super::subject::{Join, Subject, SubjectReader};
use crate::model::Level;
use crate::model::diagnostic::{Diagnostic, Located};
use crate::model::shape::{ScalarKind, Shape};
use crate::project::Entity;
use crate::warehouse::arrow::array::RecordBatch;
use crate::warehouse::arrow::datatypes::{DataType, SchemaRef};
use crate::warehouse::{Session, Warehouse, not_a_time, type_words, value};

/// A checked own view.
#[derive(Clone, Debug)]
pub(super) struct ViewPass {
    pub(super) part: usize,
    pub(super) milestone: String,
    pub(super) relation: String,
    /// The column that is the profile, or the entity.
    pub(super) subject: String,
    /// The audience column of the entity, when the profile is not what is meant.
    pub(super) entity: Option<String>,
    schema: SchemaRef,
}

/// Resolves an own view, or everything that is wrong with it.
pub(super) async fn resolve(
    (part, milestone): (usize, &str),
    (relation, entity): (&Located<String>, Option<&Entity>),
    warehouse: &Warehouse,
    session: &Session,
) -> Result<ViewPass, Vec<Diagnostic>> {
    let schema = columns::of_relation(relation, warehouse, session).await?;
    let mut findings = Vec::new();
    let named = |column: &str| Located::new(column.to_owned(), relation.place.clone());
    let subject = entity.map_or_else(|| named("profile_id"), |entity| entity.source.clone());
    findings.extend(columns::missing(&subject, &relation.value, &schema));
    findings.extend(columns::not_an_id(&subject, &relation.value, &schema));
    findings.extend(not_a_time(&named("reached_at"), &schema));
    if let Ok(level) = schema.field_with_name("level")
        && !level.data_type().is_numeric()
        && level.data_type() != &DataType::Null
    {
        let message =
            format!("column `level` of `{}` is {}, not a number", relation.value, type_words(level.data_type()));
        findings.push(Diagnostic::error("wrong-type", message, &relation.place));
    }
    if findings.is_empty() {
        let entity = entity.map(|entity| entity.audience.value.clone()).filter(|column| column != "profile_id");
        let (milestone, relation) = (milestone.to_owned(), relation.value.clone());
        Ok(ViewPass { part, milestone, relation, subject: subject.value, entity, schema })
    } else {
        Err(findings)
    }
}

impl ViewPass {
    fn has(&self, column: &str) -> bool {
        self.schema.field_with_name(column).is_ok()
    }

    /// Whether a column can be written without a fraction.
    pub(super) fn has_whole(&self, column: &str) -> bool {
        self.schema
            .field_with_name(column)
            .map_or(true, |field| !field.data_type().is_numeric() || field.data_type().is_integer())
    }

    /// A short description for titles and errors.
    pub(super) fn title(&self) -> String {
        format!("milestone {}", self.milestone)
    }

    /// The view's rows joined with the audience, by subject and time.
    pub(super) fn sql(&self, join: &Join<'_>) -> String {
        let subject = id_text(&self.subject, &self.schema);
        let mut selected = vec![format!("{subject} as subject_id")];
        for column in self.own_columns() {
            selected.push(format!("{} as {}", name(column), name(&format!("milestone.{column}"))));
        }
        let mut conditions = vec![has_id(&self.subject, &self.schema)];
        if self.has("reached_at") {
            conditions.push("\"reached_at\" <= $as_of".to_owned());
        }
        conditions.extend(join.restriction(&subject));
        let flags = format!(
            "select\n  {}\nfrom {}\nwhere {}",
            selected.join(",\n  "),
            name(&self.relation),
            conditions.join("\n  and "),
        );
        // Every plain column takes part, so that equal data gives equal order.
        let order = self.schema.fields().iter().filter(|field| !field.data_type().is_nested());
        let mut order: Vec<(bool, String)> = order
            .filter(|field| *field.name() != self.subject)
            .map(|field| (field.name() != "reached_at", name(&format!("milestone.{}", field.name()))))
            .collect();
        order.sort_by_key(|(later, _)| *later);
        let order = order.into_iter().map(|(_, column)| format!(", {column}")).collect::<String>();
        join.query(vec![table("flag_rows", &flags)], &order)
    }

    /// The columns beside the subject.
    fn own_columns(&self) -> impl Iterator<Item = &String> {
        self.schema.fields().iter().map(|field| field.name()).filter(|column| **column != self.subject)
    }

    /// A query for rows that no profile or no time can be told of.
    pub(super) fn nulls_sql(&self) -> String {
        let known = has_id(&self.subject, &self.schema);
        let times =
            if self.has("reached_at") { format!("{known} and \"reached_at\" is null") } else { "false".to_owned() };
        format!(
            "select\n  count(*) filter (where not ({known})) as null_profile_ids,\n  \
             count(*) filter (where {times}) as null_times\nfrom {}",
            name(&self.relation)
        )
    }

    /// What a template may know of `milestone`.
    pub(super) fn shape(&self) -> Shape {
        let own =
            self.schema.fields().iter().filter(|field| ![&self.subject, "occasion"].contains(&field.name().as_str()));
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

/// Reads the rows of an own view, subject by subject.
pub(super) struct ViewReader {
    pass: ViewPass,
    as_of: Timestamp,
    subjects: SubjectReader,
    columns: Vec<(String, usize)>,
    current: Option<(Subject, ProfileFound)>,
    /// Rows whose profile and occasion an earlier row has.
    pub(super) repeated_occasions: u64,
    /// Rows whose level is not a positive number.
    pub(super) invalid_levels: u64,
}

impl ViewReader {
    /// Finds the columns; `None` when the query does not have them.
    pub(super) fn new(pass: &ViewPass, as_of: Timestamp, schema: &SchemaRef, kept: &[&str]) -> Option<Self> {
        let columns = schema.fields().iter().enumerate();
        let columns =
            columns.filter_map(|(index, field)| Some((field.name().strip_prefix("milestone.")?.to_owned(), index)));
        Some(Self {
            pass: pass.clone(),
            as_of,
            subjects: SubjectReader::new(schema, kept)?,
            columns: columns.collect(),
            current: None,
            repeated_occasions: 0,
            invalid_levels: 0,
        })
    }

    /// Reads a batch; complete subjects are added to `found`.
    pub(super) fn read(&mut self, batch: &RecordBatch, found: &mut Vec<ProfileFound>) {
        for row in 0..batch.num_rows() {
            let Some(subject) = self.subjects.subject(batch, row) else {
                continue;
            };
            if self.current.as_ref().is_none_or(|(current, _)| *current != subject) {
                self.finish(found);
                let audience = self.subjects.audience_row(batch, row);
                let is_entity = self.pass.entity.is_some();
                let profile = subject.clone().found(is_entity, audience, vec![self.pass.part]);
                self.current = Some((subject, profile));
            }
            if self.subjects.is_flagged(batch, row) {
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
        let Some((_, current)) = &mut self.current else {
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
        let value = context.get("value").cloned().unwrap_or_default();
        current.found.push(Found {
            part: self.pass.part,
            milestone: name.clone(),
            level: level.map(Level::get),
            occasion,
            reached_at: reached_or_now,
            dated: reached_at.is_some(),
            context: Value::Object(context),
            value,
            wanted: true,
        });
    }

    /// Adds the last subject.
    pub(super) fn finish(&mut self, found: &mut Vec<ProfileFound>) {
        found.extend(self.current.take().map(|(_, profile)| profile));
    }
}
