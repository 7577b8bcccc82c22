//! The columns of a Delta table, from the schema in its log.

use datafusion::arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use serde::Deserialize;
use serde_json::Value;

use super::log::MetaData;
use crate::project::{PartitionKind, Table};
use crate::warehouse::type_words::type_words;

/// What the log says of a table's columns.
#[derive(Debug)]
pub(super) struct Columns {
    /// Those in the files, under the names that the files have.
    pub(super) in_files: Vec<Field>,
    /// Those of the partitions, in their order, under the same kind of names.
    pub(super) folders: Vec<Field>,
    /// What the log calls the partitions' values.
    pub(super) folder_names: Vec<String>,
    /// The table's name for each column of the two, where any differs.
    pub(super) names: Option<Vec<(String, String)>>,
}

#[derive(Deserialize)]
struct Described {
    name: String,
    r#type: Value,
    #[serde(default)]
    metadata: Value,
}

#[derive(Deserialize)]
struct Struct {
    fields: Vec<Described>,
}

impl Columns {
    /// Reads them.
    pub(super) fn of(table: &Table, metadata: &MetaData) -> Result<Self, String> {
        let schema: Struct = serde_json::from_str(&metadata.schema_string)
            .map_err(|error| format!("the columns in its log cannot be read: {error}"))?;
        let mapped = metadata.maps_columns();
        let mut found = Self { in_files: Vec::new(), folders: Vec::new(), folder_names: Vec::new(), names: None };
        let mut names = Vec::new();
        for described in &schema.fields {
            let kind = engine_type(&described.r#type, mapped)
                .ok_or_else(|| format!("its column `{}` has a type that is not known here", described.name))?;
            let physical = in_file(described, mapped);
            names.push((physical.to_owned(), described.name.clone()));
            if !metadata.partition_columns.contains(&described.name) {
                found.in_files.push(Field::new(physical, kind, true));
            }
        }
        for partition in &metadata.partition_columns {
            let described = schema.fields.iter().find(|described| described.name == *partition);
            let described = described.ok_or_else(|| format!("its partition `{partition}` is no column"))?;
            let kind = engine_type(&described.r#type, mapped).ok_or("a partition of an unknown type")?;
            found.folders.push(Field::new(in_file(described, mapped), kind, true));
            found.folder_names.push(in_file(described, mapped).to_owned());
        }
        found.names = mapped.then_some(names);
        check_declared(table, metadata, &found)?;
        Ok(found)
    }

    /// The name that files have for a column of the table.
    pub(super) fn in_file<'a>(&'a self, name: &'a str) -> &'a str {
        let names = self.names.iter().flatten();
        names.clone().find(|(_, own)| own == name).map_or(name, |(in_file, _)| in_file)
    }
}

/// Partitions that the project names must be the log's, and of their type.
fn check_declared(table: &Table, metadata: &MetaData, found: &Columns) -> Result<(), String> {
    for declared in &table.partitions {
        let at = metadata.partition_columns.iter().position(|name| *name == declared.name);
        let at = at.ok_or_else(|| format!("it has no partition `{}`, which the project declares", declared.name))?;
        let kind = found.folders[at].data_type();
        let fits = match declared.kind {
            PartitionKind::Date => *kind == DataType::Date32,
            PartitionKind::Month | PartitionKind::Text => *kind == DataType::Utf8,
            PartitionKind::Hour | PartitionKind::Int => kind.is_integer(),
        };
        if !fits {
            return Err(format!(
                "its partition `{}` is {}, which the project declares otherwise",
                declared.name,
                type_words(kind)
            ));
        }
    }
    Ok(())
}

/// The name that files have for a column.
fn in_file(described: &Described, mapped: bool) -> &str {
    let physical = described.metadata.get("delta.columnMapping.physicalName").and_then(Value::as_str);
    physical.filter(|_| mapped).unwrap_or(&described.name)
}

fn engine_type(written: &Value, mapped: bool) -> Option<DataType> {
    if let Some(name) = written.as_str() {
        return primitive(name);
    }
    let part = |key: &str| engine_type(written.get(key)?, mapped);
    match written.get("type")?.as_str()? {
        "struct" => {
            let described: Struct = serde_json::from_value(written.clone()).ok()?;
            let fields = described
                .fields
                .iter()
                .map(|field| Some(Field::new(in_file(field, mapped), engine_type(&field.r#type, mapped)?, true)));
            Some(DataType::Struct(fields.collect::<Option<Fields>>()?))
        }
        "array" => Some(DataType::List(Field::new("element", part("elementType")?, true).into())),
        "map" => {
            let entries = Fields::from(vec![
                Field::new("key", part("keyType")?, false),
                Field::new("value", part("valueType")?, true),
            ]);
            Some(DataType::Map(Field::new("key_value", DataType::Struct(entries), false).into(), false))
        }
        _ => None,
    }
}

fn primitive(name: &str) -> Option<DataType> {
    Some(match name {
        "string" => DataType::Utf8,
        "long" => DataType::Int64,
        "integer" => DataType::Int32,
        "short" => DataType::Int16,
        "byte" => DataType::Int8,
        "float" => DataType::Float32,
        "double" => DataType::Float64,
        "boolean" => DataType::Boolean,
        "binary" => DataType::Binary,
        "date" => DataType::Date32,
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        "timestamp_ntz" => DataType::Timestamp(TimeUnit::Microsecond, None),
        decimal => {
            let (precision, scale) = decimal.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
            DataType::Decimal128(precision.trim().parse().ok()?, scale.trim().parse().ok()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types() {
        assert_eq!(primitive("decimal(38,6)"), Some(DataType::Decimal128(38, 6)));
        assert_eq!(primitive("interval"), None);
        let nested = json!({"type": "struct", "fields": [
            {"name": "tags", "type": {"type": "array", "elementType": "string", "containsNull": true}, "nullable": true, "metadata": {}},
            {"name": "sizes", "type": {"type": "map", "keyType": "string", "valueType": "long", "valueContainsNull": true}, "nullable": true, "metadata": {}},
        ]});
        let found = engine_type(&nested, false).expect("a type").to_string();
        assert!(found.contains("tags") && found.contains("Map"), "{found}");
        let renamed = json!({"type": "struct", "fields": [
            {"name": "a", "type": "long", "nullable": true, "metadata": {"delta.columnMapping.physicalName": "col-1"}},
        ]});
        assert!(engine_type(&renamed, true).expect("a type").to_string().contains("col-1"));
    }
}
