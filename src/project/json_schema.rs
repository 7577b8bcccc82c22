//! JSON Schema of `milepost.yml`, jobs and job tests, made from the declarations that read them, for editors.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::job_tests::JobTestFields;
use super::read::Read;
use super::schema::{JobFields, ProjectFields};

/// Keys without which a map means nothing, by the record's name. A job and a project are also laid over others, so what
/// they need is said at the root of a file.
const REQUIRED: &[(&str, &[&str])] = &[
    ("EarlierFields", &["profile", "occasion"]),
    ("ExpectedFields", &["profile", "occasion"]),
    ("MilestoneFields", &["name"]),
    ("MetricFields", &["sql"]),
    ("CapFields", &["max", "per"]),
    ("SinceFields", &["since"]),
    ("SuppressionFields", &["reason"]),
    ("UnsubscribeFields", &["url"]),
    ("VariantFields", &["name"]),
    ("WindowFields", &["hours"]),
];

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaKind {
    /// `milepost.yml`.
    Project,
    /// One file of `jobs/`.
    Job,
    /// One file of `jobs/tests/`.
    Test,
}

impl SchemaKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Project, Self::Job, Self::Test];

    /// The word on the command line and the name of the file without `.json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Job => "job",
            Self::Test => "test",
        }
    }
}

/// The JSON Schema (draft 7) of a kind of file.
#[must_use]
pub fn json_schema(kind: SchemaKind) -> Value {
    let mut definitions = Definitions::default();
    let (root, title, required) = match kind {
        SchemaKind::Project => (ProjectFields::schema(&mut definitions), "milepost.yml", json!(["project"])),
        SchemaKind::Job => (JobFields::schema(&mut definitions), "a milepost job", json!(["job"])),
        SchemaKind::Test => (JobTestFields::schema(&mut definitions), "a milepost job test", json!(["job", "as_of"])),
    };
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": title,
        "allOf": [root],
        "required": required,
        "definitions": definitions.0,
    })
}

/// The maps that a schema refers to, by name.
#[derive(Default)]
pub(super) struct Definitions(BTreeMap<String, Value>);

/// One key of a record: its name, its documentation by line, and the schema of its value.
pub(super) type Field = (&'static str, &'static [&'static str], fn(&mut Definitions) -> Value);

impl Definitions {
    /// Defines a record once and refers to it; records may hold themselves.
    pub(super) fn record(&mut self, record: &'static str, docs: &[&str], fields: &[Field]) -> Value {
        let name = record.trim_end_matches("Fields").to_owned();
        let reference = json!({ "$ref": format!("#/definitions/{name}") });
        if self.0.contains_key(&name) {
            return reference;
        }
        self.0.insert(name.clone(), Value::Null);
        let properties: Map<String, Value> =
            fields.iter().map(|(key, docs, schema)| ((*key).to_owned(), described(schema(self), docs))).collect();
        let mut definition = json!({
            "type": "object",
            "description": one_line(docs),
            "properties": properties,
            "additionalProperties": false,
        });
        if let Some((_, keys)) = REQUIRED.iter().find(|(required, _)| *required == record) {
            definition["required"] = json!(keys);
        }
        self.0.insert(name, definition);
        reference
    }
}

/// A schema with its documentation; beside a reference draft 7 would not look at it.
fn described(schema: Value, docs: &[&str]) -> Value {
    let mut described = match schema {
        Value::Object(fields) if !fields.contains_key("$ref") => fields,
        other => Map::from_iter([("allOf".to_owned(), json!([other]))]),
    };
    described.insert("description".to_owned(), Value::String(one_line(docs)));
    Value::Object(described)
}

fn one_line(docs: &[&str]) -> String {
    docs.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}
