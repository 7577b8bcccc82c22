//! One JSON object per line: members of objects within objects are columns named after the whole path, joined by `_`.
//!
//! A list, and an object that is declared `json`, is the text of its JSON. Of a name that one line holds twice the first
//! value that is not null counts.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch, RecordBatchOptions, StringBuilder,
};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::{DataFusionError, Result};
use serde::de::{
    DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer,
    value::SeqAccessDeserializer,
};
use serde_json::Value;

use super::convert::{Conversion, Declared};
use super::failure::FileFailure;
use super::json_digits::number_at;
use super::kinds;
use super::text::{BYTE_ORDER_MARK, Rows};
use crate::warehouse::values::ids::digits_text;

/// Objects deeper than this stay text.
pub(super) const DEPTH_MAX: usize = 8;

/// Between the names of an object and its member.
pub(super) const JOINT: char = '_';

pub(super) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

pub(super) fn broken(file: &str, line: u64, reason: &dyn fmt::Display) -> DataFusionError {
    let text = reason.to_string();
    // What stands in the file is not repeated, and the parser counts lines from the one it was given.
    let text = if text.starts_with("invalid type") { "it is another value".to_owned() } else { text };
    let reason = text.split_once(" at line 1 ").map_or(text.clone(), |(what, column)| format!("{what} at {column}"));
    FileFailure::Line { file: file.to_owned(), line, what: "no JSON object", reason }.into()
}

/// The last line has no end, neither its own nor that of its object.
pub(super) fn cut_short(file: &str, line: u64) -> DataFusionError {
    FileFailure::CutShort { file: file.to_owned(), reason: format!("its last line, {line}, ends within an object") }
        .into()
}

/// Rows of one file.
pub(super) struct JsonRows {
    schema: SchemaRef,
    conversion: Conversion,
    batch_rows: usize,
    cells: Cells,
    /// The beginning of a line whose end is not here yet.
    pending: Vec<u8>,
    line: u64,
    ended: bool,
}

impl JsonRows {
    pub(super) fn new(columns: &SchemaRef, whole: &[String], conversion: Conversion, batch_rows: usize) -> Self {
        Self {
            schema: Arc::clone(columns),
            batch_rows,
            cells: Cells::new(columns, whole, &conversion.declared),
            conversion,
            pending: Vec::new(),
            line: 0,
            ended: false,
        }
    }

    fn read_line(&mut self, line: &[u8]) -> Result<()> {
        self.line += 1;
        let line = if self.line == 1 { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line };
        if is_blank(line) {
            return Ok(());
        }
        let mut parser = serde_json::Deserializer::from_slice(line);
        let read = Members { cells: &mut self.cells, depth: 1 }.deserialize(&mut parser).and_then(|()| parser.end());
        read.map_err(|error| {
            let file = &self.conversion.reading.file;
            if self.ended && error.is_eof() { cut_short(file, self.line) } else { broken(file, self.line, &error) }
        })?;
        self.cells.write_digits(line, &self.schema);
        self.cells.end_row();
        Ok(())
    }

    fn take_batch(&mut self) -> Result<RecordBatch> {
        let rows = std::mem::take(&mut self.cells.rows);
        for (column, field) in self.cells.columns.iter_mut().zip(self.schema.fields()) {
            let lost = std::mem::take(&mut column.misfits);
            let kind = || kinds::name(field.data_type());
            self.conversion.misfits.add(&self.conversion.reading, field.name(), kind, lost);
        }
        let columns = self.cells.columns.iter_mut().zip(self.schema.fields());
        let columns = columns.map(|(column, field)| self.conversion.convert(&column.values.finish(), field));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

impl Rows for JsonRows {
    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end);
            rest = &after[1..];
            if self.pending.is_empty() {
                self.read_line(line)?;
            } else {
                let mut whole = std::mem::take(&mut self.pending);
                whole.extend_from_slice(line);
                self.read_line(&whole)?;
            }
        }
        self.pending.extend_from_slice(rest);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.ended = true;
        let last = std::mem::take(&mut self.pending);
        if is_blank(&last) { Ok(()) } else { self.read_line(&last) }
    }

    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let is_due = self.cells.rows >= self.batch_rows || (self.ended && self.cells.rows > 0);
        if is_due { self.take_batch().map(Some) } else { Ok(None) }
    }
}

/// The wanted columns of the rows so far.
struct Cells {
    columns: Vec<Column>,
    places: HashMap<String, usize>,
    /// What the names of wanted columns begin with, up to each joint: other objects need not be looked into.
    prefixes: HashSet<String>,
    /// The path to the value that is read.
    path: String,
    rows: usize,
    /// Whether any column of the row that is read waits for the digits of a number.
    awaits_digits: bool,
}

struct Column {
    values: Values,
    /// Whether the row that is read has its value.
    cell: Cell,
    /// Whether objects are text.
    whole: bool,
    /// Whether somebody says what it is.
    declared: bool,
    misfits: u64,
}

/// The value of a column in the row that is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Cell {
    #[default]
    Missing,
    Given,
    /// It is a number of which a double holds not every digit.
    AwaitsDigits,
}

enum Values {
    Text(StringBuilder),
    Int(Int64Builder),
    Double(Float64Builder),
    Truth(BooleanBuilder),
}

impl Cells {
    fn new(columns: &SchemaRef, whole: &[String], declared: &Declared) -> Self {
        let mut prefixes = HashSet::new();
        let mut places = HashMap::new();
        for (at, field) in columns.fields().iter().enumerate() {
            let name = field.name();
            prefixes.extend(name.match_indices(JOINT).map(|(joint, _)| name[..=joint].to_owned()));
            places.insert(name.clone(), at);
        }
        let columns = columns.fields().iter().map(|field| Column {
            values: match field.data_type() {
                DataType::Int64 => Values::Int(Int64Builder::new()),
                DataType::Float64 => Values::Double(Float64Builder::new()),
                DataType::Boolean => Values::Truth(BooleanBuilder::new()),
                _ => Values::Text(StringBuilder::new()),
            },
            cell: Cell::Missing,
            whole: whole.contains(field.name()),
            declared: declared.has(field.name()),
            misfits: 0,
        });
        Self { columns: columns.collect(), places, prefixes, path: String::new(), rows: 0, awaits_digits: false }
    }

    /// Numbers in columns of text, with the digits that the line has.
    fn write_digits(&mut self, line: &[u8], schema: &SchemaRef) {
        if !std::mem::take(&mut self.awaits_digits) {
            return;
        }
        for (column, field) in self.columns.iter_mut().zip(schema.fields()) {
            if column.cell == Cell::AwaitsDigits
                && let Values::Text(builder) = &mut column.values
            {
                builder.append_option(number_at(line, field.name(), JOINT).map(digits_text));
            }
        }
    }

    fn end_row(&mut self) {
        for column in &mut self.columns {
            if std::mem::take(&mut column.cell) == Cell::Missing {
                column.values.append_null();
            }
        }
        self.rows += 1;
    }
}

/// A value that is no object, and no list.
enum Plain<'a> {
    Text(&'a str),
    Int(i64),
    /// Beyond the whole numbers of 64 bits that have a sign.
    Large(u64),
    Double(f64),
    Truth(bool),
}

impl Column {
    fn give(&mut self, value: &Plain<'_>) {
        if self.cell != Cell::Missing {
            return;
        }
        if let (Plain::Double(_), Values::Text(_)) = (value, &self.values) {
            self.cell = Cell::AwaitsDigits;
            return;
        }
        self.cell = Cell::Given;
        if !self.values.append(value, self.declared) {
            self.values.append_null();
            self.misfits += 1;
        }
    }
}

impl Values {
    fn append_null(&mut self) {
        match self {
            Self::Text(builder) => builder.append_null(),
            Self::Int(builder) => builder.append_null(),
            Self::Double(builder) => builder.append_null(),
            Self::Truth(builder) => builder.append_null(),
        }
    }

    /// False for a value that is not of this type.
    fn append(&mut self, value: &Plain<'_>, declared: bool) -> bool {
        match self {
            Self::Text(builder) => match value {
                Plain::Text(text) => builder.append_value(text),
                Plain::Int(number) => builder.append_value(number.to_string()),
                Plain::Large(number) => builder.append_value(number.to_string()),
                Plain::Double(number) => builder.append_value(Value::from(*number).to_string()),
                Plain::Truth(truth) => builder.append_value(truth.to_string()),
            },
            Self::Int(builder) => match whole_number(value, declared) {
                Some(number) => builder.append_value(number),
                None => return false,
            },
            Self::Double(builder) => match double(value) {
                Some(number) => builder.append_value(number),
                None => return false,
            },
            Self::Truth(builder) => match truth(value) {
                Some(truth) => builder.append_value(truth),
                None => return false,
            },
        }
        true
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Int(builder) => Arc::new(builder.finish()),
            Self::Double(builder) => Arc::new(builder.finish()),
            Self::Truth(builder) => Arc::new(builder.finish()),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "whole and within 2^63, as checked")]
fn whole_number(value: &Plain<'_>, declared: bool) -> Option<i64> {
    match value {
        Plain::Int(number) => Some(*number),
        Plain::Large(_) => None,
        Plain::Double(number) => (number.fract() == 0.0 && number.abs() < 9.2e18).then_some(*number as i64),
        Plain::Truth(truth) => Some(i64::from(*truth)),
        // `007` is no 7 where nobody says so.
        Plain::Text(text) if !declared && matches!(text.trim().as_bytes(), [b'0', b'0'..=b'9', ..]) => None,
        Plain::Text(text) => text.trim().parse().ok(),
    }
}

fn double(value: &Plain<'_>) -> Option<f64> {
    match value {
        Plain::Int(number) => Some(*number as f64),
        Plain::Large(number) => Some(*number as f64),
        Plain::Double(number) => Some(*number),
        Plain::Truth(truth) => Some(f64::from(u8::from(*truth))),
        Plain::Text(text) => text.trim().parse().ok(),
    }
}

fn truth(value: &Plain<'_>) -> Option<bool> {
    match value {
        Plain::Truth(truth) => Some(*truth),
        Plain::Int(0) => Some(false),
        Plain::Int(1) => Some(true),
        Plain::Text(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Plain::Text(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Reads the members of the object at the current path.
struct Members<'a> {
    cells: &'a mut Cells,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let stem = self.cells.path.len();
        while members.next_key_seed(Name(&mut self.cells.path))?.is_some() {
            let column = self.cells.places.get(&self.cells.path).copied();
            self.cells.path.push(JOINT);
            let is_prefix = self.cells.prefixes.contains(&self.cells.path);
            if column.is_none() && !is_prefix {
                members.next_value::<IgnoredAny>()?;
            } else {
                members.next_value_seed(Member { cells: &mut *self.cells, column, depth: self.depth })?;
            }
            self.cells.path.truncate(stem);
        }
        Ok(())
    }
}

/// Adds a name to the path.
struct Name<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<(), E> {
        self.0.push_str(name);
        Ok(())
    }
}

/// Reads one value; the path ends with a joint.
struct Member<'a> {
    cells: &'a mut Cells,
    column: Option<usize>,
    depth: usize,
}

impl Member<'_> {
    fn give(self, value: &Plain<'_>) {
        if let Some(at) = self.column {
            self.cells.columns[at].give(value);
            self.cells.awaits_digits |= self.cells.columns[at].cell == Cell::AwaitsDigits;
        }
    }
}

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.give(&Plain::Truth(value));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.give(&Plain::Int(value));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.give(&i64::try_from(value).map_or(Plain::Large(value), Plain::Int));
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.give(&Plain::Double(value));
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.give(&Plain::Text(value));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<(), A::Error> {
        if self.column.is_none() {
            return IgnoredAny.visit_seq(items).map(|_| ());
        }
        let value: Value = serde::Deserialize::deserialize(SeqAccessDeserializer::new(items))?;
        self.give(&Plain::Text(&value.to_string()));
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<(), A::Error> {
        let is_text = self.depth >= DEPTH_MAX || self.column.is_some_and(|at| self.cells.columns[at].whole);
        if is_text {
            let value: Value = serde::Deserialize::deserialize(MapAccessDeserializer::new(members))?;
            self.give(&Plain::Text(&value.to_string()));
            return Ok(());
        }
        if let Some(at) = self.column {
            let column = &mut self.cells.columns[at];
            column.misfits += u64::from(column.cell == Cell::Missing);
        }
        Members { cells: self.cells, depth: self.depth + 1 }.visit_map(members)
    }
}
