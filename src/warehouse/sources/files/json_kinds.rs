//! The columns of NDJSON, by the first lines of a file.

use std::collections::HashMap;

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::Result;
use serde_json::{Number, Value};

use super::ndjson::{DEPTH_MAX, JOINT, broken, cut_short, is_blank};
use super::text::BYTE_ORDER_MARK;
use super::widen::widest;
use crate::warehouse::values::marks;

/// How many lines tell the columns.
const LOOK_LINES: usize = 1_000;

/// The columns of one file.
pub(super) fn columns(file: &str, head: &[u8], whole: &[String]) -> Result<Schema> {
    let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
    let mut columns: Vec<(String, JsonKinds)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let lines = head.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !is_blank(line));
    for (number, line) in lines.take(LOOK_LINES) {
        let value: Value = serde_json::from_slice(line).map_err(|error| {
            let is_last = error.is_eof() && head.ends_with(line);
            if is_last { cut_short(file, number as u64 + 1) } else { broken(file, number as u64 + 1, &error) }
        })?;
        let Value::Object(members) = value else {
            return Err(broken(file, number as u64 + 1, &"it is another value"));
        };
        let mut add = |name: &str, kinds: JsonKinds| {
            if let Some(at) = places.get(name) {
                columns[*at].1.add(&kinds);
            } else {
                places.insert(name.to_owned(), columns.len());
                columns.push((name.to_owned(), kinds));
            }
        };
        for (name, value) in &members {
            look(name, value, whole, 1, &mut add);
        }
    }
    Ok(Schema::new(columns.iter().map(|(name, kinds)| kinds.column(name)).collect::<Vec<_>>()))
}

/// What was seen in one column.
struct JsonKinds {
    kind: DataType,
    /// Whether there are numbers, and the largest of them.
    has_numbers: bool,
    size: f64,
}

impl JsonKinds {
    fn of(kind: DataType) -> Self {
        Self { kind, has_numbers: false, size: 0.0 }
    }

    /// Of a number; a whole one beyond 64 bits is text, as are ids.
    fn of_number(number: &Number) -> Self {
        /// Whole numbers from here on are beyond 64 bits, whatever was written.
        const LARGEST: f64 = 18_446_744_073_709_551_615.0;
        let size = number.as_f64().unwrap_or_default().abs();
        let kind = if number.is_i64() {
            DataType::Int64
        } else if number.is_u64() || size >= LARGEST {
            DataType::Utf8
        } else {
            DataType::Float64
        };
        Self { kind, has_numbers: true, size }
    }

    fn add(&mut self, other: &Self) {
        self.kind = widest(&self.kind, &other.kind);
        self.has_numbers |= other.has_numbers;
        self.size = self.size.max(other.size);
    }

    fn column(&self, name: &str) -> Field {
        let column = Field::new(name, self.kind.clone(), true);
        if !self.has_numbers {
            return column;
        }
        let column = marks::with_size(column, self.size);
        match self.kind {
            DataType::Utf8 => marks::with_mixture(column, "numbers beside other values".to_owned()),
            _ => column,
        }
    }
}

fn look(name: &str, value: &Value, whole: &[String], depth: usize, add: &mut impl FnMut(&str, JsonKinds)) {
    let kind = match value {
        _ if whole.iter().any(|whole| whole == name) => DataType::Utf8,
        Value::Null => DataType::Null,
        Value::Bool(_) => DataType::Boolean,
        Value::Number(number) => return add(name, JsonKinds::of_number(number)),
        Value::Object(members) if depth < DEPTH_MAX => {
            for (member, value) in members {
                look(&format!("{name}{JOINT}{member}"), value, whole, depth + 1, add);
            }
            return;
        }
        Value::String(_) | Value::Array(_) | Value::Object(_) => DataType::Utf8,
    };
    add(name, JsonKinds::of(kind));
}
