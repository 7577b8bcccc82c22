//! Whom a pass measures, and how that joins the audience: the profile itself, or an entity with several recipients.

use jiff::tz::TimeZone;

use super::audience::{Audience, AudienceReader, AudienceRow};
use super::found::ProfileFound;
use super::sql::{PROFILES, with};
use crate::model::diagnostic::Located;
use crate::project::{Entity, EventRows};
use crate::warehouse::arrow::array::{Array, AsArray, RecordBatch, StringArray};
use crate::warehouse::arrow::datatypes::SchemaRef;
use crate::warehouse::value;

/// The audience column with a profile's zone.
pub(super) const ZONE_COLUMN: &str = "timezone";

/// Which side of the join with the audience is kept whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// Every flag, also of subjects that are not in the audience.
    Flags,
    /// Every audience row, also without flags.
    Audience,
}

/// The rows to measure and the entity they are measured for; an entity that is the `profile:` column is the profile.
pub(super) fn resolve(rows: &EventRows, entity: Option<&Entity>) -> (EventRows, Option<Located<String>>) {
    let Some(entity) = entity else {
        return (rows.clone(), None);
    };
    let source = &entity.source.value;
    let is_profile = match &rows.profile {
        Some(profile) => profile.value == *source,
        None => ["user_id", "profile_id"].contains(&source.as_str()) && entity.audience.value == *source,
    };
    let rows = EventRows { profile: Some(entity.source.clone()), ..rows.clone() };
    let is_profile = is_profile || entity.audience.value == "profile_id";
    (rows, (!is_profile).then(|| entity.audience.clone()))
}

/// How a pass joins the audience under one request.
pub(super) struct Join<'a> {
    /// The audience, of the pass's entity.
    pub(super) audience: &'a Audience,
    pub(super) keep: Keep,
    /// Whether only some profiles are asked for.
    pub(super) restricted: bool,
}

impl Join<'_> {
    /// The condition that keeps subjects the request asks for; `id` is the subject's id as text.
    pub(super) fn restriction(&self, id: &str) -> Option<String> {
        self.restricted.then(|| match self.audience.entity {
            Some(_) => format!("{id} in (select entity_id from audience_rows)"),
            None => format!("{id} in (${PROFILES})"),
        })
    }

    /// The whole query: tables that end in `flag_rows` with a `subject_id`, joined and in order.
    pub(super) fn query(&self, tables: Vec<String>, order: &str) -> String {
        let audience_key = if self.audience.entity.is_some() { "entity_id" } else { "audience_id" };
        let (join, keys) = match (self.keep, &self.audience.entity) {
            (Keep::Flags, None) => ("flag_rows\nleft join audience_rows", "subject_id"),
            (Keep::Flags, Some(_)) => ("flag_rows\nleft join audience_rows", "subject_id, audience_id"),
            (Keep::Audience, None) => ("audience_rows\nleft join flag_rows", "audience_id"),
            (Keep::Audience, Some(_)) => ("audience_rows\nleft join flag_rows", "audience_id, entity_id"),
        };
        let query = format!(
            "select *\nfrom {join} on audience_rows.{audience_key} = flag_rows.subject_id\norder by {keys}{order}"
        );
        with(&[self.audience.tables(self.restricted), tables].concat(), &query)
    }
}

/// Tells which subject and which audience row a joined row is about.
pub(super) struct SubjectReader {
    subject_id: usize,
    audience: AudienceReader,
}

/// A subject and one of its recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    /// The profile's or entity's id.
    id: String,
    /// The recipient; `None` when there is none.
    audience_id: Option<String>,
}

impl SubjectReader {
    /// Finds the columns, keeping those of the audience that are named; `None` when the query does not have them.
    pub(super) fn new(schema: &SchemaRef, kept: &[&str]) -> Option<Self> {
        let audience = AudienceReader::new(schema)?;
        let audience = if kept.is_empty() { audience } else { audience.keeping_columns(kept) };
        Some(Self { subject_id: schema.index_of("subject_id").ok()?, audience })
    }

    /// Whether a row has a flag, beside an audience row without any.
    pub(super) fn is_flagged(&self, batch: &RecordBatch, row: usize) -> bool {
        batch.column(self.subject_id).is_valid(row)
    }

    /// The ids of subjects and of recipients, where both are plain text and no subject is null.
    pub(super) fn ids<'a>(&self, batch: &'a RecordBatch) -> Option<(&'a StringArray, &'a StringArray)> {
        let (subjects, recipients) = (batch.column(self.subject_id), self.audience.ids(batch));
        let (subjects, recipients) = (subjects.as_string_opt::<i32>()?, recipients.as_string_opt::<i32>()?);
        (subjects.null_count() == 0).then_some((subjects, recipients))
    }

    /// Whom a row is about.
    pub(super) fn subject(&self, batch: &RecordBatch, row: usize) -> Option<Subject> {
        let audience_id = self.audience.id(batch, row);
        let id = value::text(batch.column(self.subject_id), row)
            .or_else(|| self.audience.entity(batch, row))
            .or_else(|| audience_id.clone())?;
        Some(Subject { id, audience_id })
    }

    /// The recipient; `None` where the join found none.
    pub(super) fn audience_row(&self, batch: &RecordBatch, row: usize) -> Option<AudienceRow> {
        self.audience.row(batch, row)
    }
}

impl Subject {
    /// Whether something was found about this subject and recipient.
    pub(super) fn is_of(&self, found: &ProfileFound) -> bool {
        let profile = self.audience_id.as_ref().unwrap_or(&self.id);
        *profile == found.profile_id && found.entity_id.as_ref().is_none_or(|entity| *entity == self.id)
    }

    /// Nothing found yet about this subject and recipient.
    pub(super) fn found(self, is_entity: bool, audience: Option<AudienceRow>, parts: Vec<usize>) -> ProfileFound {
        ProfileFound {
            entity_id: is_entity.then(|| self.id.clone()),
            profile_id: self.audience_id.unwrap_or(self.id),
            audience,
            found: Vec::new(),
            parts,
            value: serde_json::Value::Null,
            peak: 0.0,
        }
    }
}

/// Whose calendar counts.
#[derive(Clone, Debug)]
pub(super) struct Zones {
    /// The project's zone.
    pub(super) project: TimeZone,
    /// Whether the audience says a zone per profile, and profiles are what is measured.
    pub(super) per_profile: bool,
}

impl Zones {
    /// The zone of a recipient.
    pub(super) fn of(&self, audience: Option<&AudienceRow>) -> TimeZone {
        let named = audience.filter(|_| self.per_profile).and_then(|row| row.profile.get(ZONE_COLUMN)?.as_str());
        named.and_then(|name| TimeZone::get(name).ok()).unwrap_or_else(|| self.project.clone())
    }

    /// The project's zone by name.
    pub(super) fn project_name(&self) -> &str {
        self.project.iana_name().unwrap_or("UTC")
    }
}
