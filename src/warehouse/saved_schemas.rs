//! The columns of every table as a text that is committed with the project: what `check --offline` knows of tables, and
//! what an online check compares them with.
//!
//! Guarantees: the same tables give the same text; a text that cannot be read is an error and never an empty schema. Types
//! are the engine's words, which it reads back; of a member of a struct whose name holds a quotation mark it does not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde_json::{Map, Value};

use crate::model::diagnostic::Diagnostic;
use crate::project::Project;

/// The name of the file, beside `milepost.yml`.
pub const SCHEMAS_FILE: &str = "milepost.schemas.json";
/// What a column's type ends in when it is never null.
const NOT_NULL: &str = " not null";
/// What the file says of itself.
const ABOUT: &str = "the columns of every table, written by `milepost check --save-schemas`";

/// The schemas of tables by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavedSchemas(BTreeMap<String, SchemaRef>);

/// Why the text is none.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotSchemas(String);

impl SavedSchemas {
    pub(super) fn new(schemas: BTreeMap<String, SchemaRef>) -> Self {
        Self(schemas)
    }

    /// The schema of a table.
    pub(super) fn get(&self, table: &str) -> Option<&SchemaRef> {
        self.0.get(table)
    }

    /// True when every table of the project is there.
    #[must_use]
    pub fn covers(&self, project: &Project) -> bool {
        project.tables.keys().all(|table| self.0.contains_key(table))
    }

    /// How many tables there are.
    #[must_use]
    pub fn tables(&self) -> usize {
        self.0.len()
    }

    /// The text: JSON, a line for each column, in the tables' order of columns.
    #[must_use]
    pub fn to_text(&self) -> String {
        let tables = self.0.iter().map(|(name, schema)| {
            let columns = schema.fields().iter().map(|field| (field.name().clone(), Value::String(written(field))));
            (name.clone(), Value::Object(columns.collect()))
        });
        let document: Map<String, Value> = [
            ("about".to_owned(), Value::String(ABOUT.to_owned())),
            ("tables".to_owned(), Value::Object(tables.collect())),
        ]
        .into_iter()
        .collect();
        format!("{:#}\n", Value::Object(document))
    }

    /// Reads the text.
    ///
    /// # Errors
    /// When it is not what [`Self::to_text`] writes.
    pub fn of_text(text: &str) -> Result<Self, NotSchemas> {
        let document: Value = serde_json::from_str(text).map_err(|error| NotSchemas(error.to_string()))?;
        let Some(tables) = document["tables"].as_object() else {
            return Err(NotSchemas("it has no map `tables`".to_owned()));
        };
        let mut schemas = BTreeMap::new();
        for (name, columns) in tables {
            let columns = columns.as_object().ok_or_else(|| NotSchemas(format!("`{name}` is no map of columns")))?;
            let fields: Result<Vec<Field>, NotSchemas> = columns.iter().map(|column| read(name, column)).collect();
            schemas.insert(name.clone(), Arc::new(Schema::new(fields?)) as SchemaRef);
        }
        Ok(Self(schemas))
    }

    /// A warning for each table of the project whose columns are not those that were saved.
    #[must_use]
    pub fn changes(&self, project: &Project, real: &Self) -> Vec<Diagnostic> {
        let mut findings = Vec::new();
        for (name, schema) in &real.0 {
            let Some(table) = project.tables.get(name) else { continue };
            let message = match self.0.get(name) {
                None => format!("the columns of table `{name}` are not saved in {SCHEMAS_FILE}"),
                Some(saved) => match differences(saved, schema) {
                    Some(changes) => format!("table `{name}` is not as saved in {SCHEMAS_FILE}: {changes}"),
                    None => continue,
                },
            };
            let help = "`milepost check --save-schemas` saves what is there now, if it is as it should be";
            findings.push(Diagnostic::warning("schema-changed", message, &table.place).with_help(help));
        }
        findings
    }
}

fn written(field: &Field) -> String {
    format!("{}{}", field.data_type(), if field.is_nullable() { "" } else { NOT_NULL })
}

fn read(table: &str, (name, kind): (&String, &Value)) -> Result<Field, NotSchemas> {
    let unknown = || NotSchemas(format!("`{kind}` of `{table}.{name}` is no type"));
    let text = kind.as_str().ok_or_else(unknown)?;
    let (text, nullable) = text.strip_suffix(NOT_NULL).map_or((text, true), |text| (text, false));
    let kind: DataType = text.parse().map_err(|_| unknown())?;
    Ok(Field::new(name, kind, nullable))
}

/// What became of the columns, in words; `None` when nothing did.
fn differences(saved: &SchemaRef, real: &SchemaRef) -> Option<String> {
    let mut changes = Vec::new();
    for field in real.fields() {
        match saved.field_with_name(field.name()) {
            Err(_) => changes.push(format!("`{}` is new", field.name())),
            Ok(before) if written(before) != written(field) => {
                changes.push(format!("`{}` was {} and is {}", field.name(), written(before), written(field)));
            }
            Ok(_) => {}
        }
    }
    let names: BTreeSet<&String> = real.fields().iter().map(|field| field.name()).collect();
    let gone = saved.fields().iter().filter(|field| !names.contains(field.name()));
    changes.extend(gone.map(|field| format!("`{}` is gone", field.name())));
    (!changes.is_empty()).then(|| changes.join(", "))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::TimeUnit;

    use super::*;

    fn saved(fields: Vec<Field>) -> SavedSchemas {
        SavedSchemas::new(BTreeMap::from([("events".to_owned(), Arc::new(Schema::new(fields)) as SchemaRef)]))
    }

    #[test]
    fn every_type_reads_as_it_was_written() {
        let item = Arc::new(Field::new("item", DataType::Utf8, true));
        let kinds = [
            DataType::Null,
            DataType::Boolean,
            DataType::Int8,
            DataType::UInt64,
            DataType::Float32,
            DataType::Utf8,
            DataType::LargeUtf8,
            DataType::Utf8View,
            DataType::Binary,
            DataType::Date32,
            DataType::Time64(TimeUnit::Microsecond),
            DataType::Timestamp(TimeUnit::Nanosecond, None),
            DataType::Timestamp(TimeUnit::Millisecond, Some("Europe/Paris".into())),
            DataType::Decimal128(38, 6),
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            DataType::List(Arc::clone(&item)),
            DataType::Struct(vec![Field::new("a b", DataType::Int64, false)].into()),
        ];
        let fields = kinds.into_iter().enumerate().map(|(at, kind)| Field::new(format!("c{at}"), kind, at % 2 == 0));
        let schemas = saved(fields.collect());
        assert_eq!(SavedSchemas::of_text(&schemas.to_text()).expect("readable"), schemas);
    }

    #[test]
    fn another_text_is_refused() {
        for text in ["", "{}", "{\"tables\": {\"a\": 1}}", "{\"tables\": {\"a\": {\"b\": \"Whatever\"}}}"] {
            assert!(SavedSchemas::of_text(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_changed_is_said() {
        let field = |name: &str, kind| Field::new(name, kind, true);
        let before = vec![field("a", DataType::Int64), field("b", DataType::Utf8), field("c", DataType::Utf8)];
        let now = vec![field("c", DataType::Utf8), field("a", DataType::Utf8), field("d", DataType::Utf8)];
        let (before, now) = (Arc::new(Schema::new(before)), Arc::new(Schema::new(now)));
        assert_eq!(differences(&before, &now).as_deref(), Some("`a` was Int64 and is Utf8, `d` is new, `b` is gone"));
        assert_eq!(differences(&now, &now), None);
    }
}
