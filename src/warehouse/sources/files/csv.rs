//! CSV with a header line: columns go by their names, wherever they stand in a file.

use std::io::Cursor;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray, new_null_array};
use datafusion::arrow::csv::ReaderBuilder;
use datafusion::arrow::csv::reader::{Decoder, Format};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result};

use super::convert::Conversion;
use super::failure::FileFailure;
use super::header;
use super::quotes::Quotes;
use super::text::{BYTE_ORDER_MARK, Rows};
use super::text_kinds::TextKinds;

/// How many rows tell the types of the columns.
const LOOK_ROWS: usize = 1_000;

/// The columns of one file by all of it or, where that `is_cut`, its first lines: ids compare as text, so a column named `id` or ending in `_id` keeps its leading zeros.
pub(super) fn columns(file: &str, head: &[u8], is_cut: bool) -> Result<Schema> {
    let mut quotes = Quotes::new();
    quotes.push(file, head)?;
    if !is_cut {
        quotes.finish(file)?;
    }
    let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
    if head.is_empty() {
        return Ok(Schema::empty());
    }
    header::check(file, &head[..header_length(head).unwrap_or(head.len())])?;
    let columns = seen(head).map_err(|error| {
        // Without its last line, which has no end, it is whole: somebody is about to write the rest.
        let lines = head.iter().rposition(|byte| *byte == b'\n').map_or(&head[..0], |end| &head[..=end]);
        let is_cut = lines.len() < head.len() && !lines.is_empty() && seen(lines).is_ok();
        if is_cut { cut_short(file, &error) } else { in_file(file, &error) }
    })?;
    let fields = columns
        .into_iter()
        .map(|(name, kinds)| if is_id(&name) { Field::new(name, DataType::Utf8, true) } else { kinds.column(&name) });
    Ok(Schema::new(fields.collect::<Vec<_>>()))
}

/// The names of the columns, and what the first rows hold in each.
fn seen(head: &[u8]) -> Result<Vec<(String, TextKinds)>, ArrowError> {
    let (names, _) = Format::default().with_header(true).infer_schema(Cursor::new(head), Some(0))?;
    let texts = names.fields().iter().map(|field| Field::new(field.name(), DataType::Utf8, true));
    let texts = Arc::new(Schema::new(texts.collect::<Vec<_>>()));
    let mut rows = ReaderBuilder::new(texts).with_header(true).with_batch_size(LOOK_ROWS).build(Cursor::new(head))?;
    let mut seen: Vec<_> = names.fields().iter().map(|field| (field.name().clone(), TextKinds::default())).collect();
    if let Some(rows) = rows.next().transpose()? {
        for ((_, kinds), column) in seen.iter_mut().zip(rows.columns()) {
            column.as_string::<i32>().iter().flatten().for_each(|text| kinds.see(text));
        }
    }
    Ok(seen)
}

/// Whether a column is named as ids are.
fn is_id(column: &str) -> bool {
    let name = column.to_lowercase();
    name == "id" || name.ends_with("_id")
}

/// The number that is written as a double without a fraction: `1001` of `1001.0`.
fn whole(text: &str) -> &str {
    let Some((digits, zeros)) = text.split_once('.') else { return text };
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    let is_plain = is_number(digits.strip_prefix('-').unwrap_or(digits)) && (digits == "0" || !digits.starts_with('0'));
    let is_whole = !zeros.is_empty() && zeros.bytes().all(|digit| digit == b'0');
    if is_plain && is_whole { digits } else { text }
}

fn in_file(file: &str, error: &ArrowError) -> DataFusionError {
    FileFailure::Damaged { file: file.to_owned(), format: "CSV file", reason: words(error) }.into()
}

fn words(error: &ArrowError) -> String {
    let text = error.to_string();
    text.split_once("error: ").map_or(text.as_str(), |(_, reason)| reason).to_owned()
}

/// The error of a last line that has no end.
fn cut_short(file: &str, error: &ArrowError) -> DataFusionError {
    let reason = format!("its last line has no end ({})", words(error));
    FileFailure::CutShort { file: file.to_owned(), reason }.into()
}

/// Rows of one file.
pub(super) struct CsvRows {
    columns: SchemaRef,
    conversion: Conversion,
    batch_rows: usize,
    quotes: Quotes,
    state: State,
}

enum State {
    /// The bytes of the header line so far.
    Header(Vec<u8>),
    Body(Body),
}

struct Body {
    decoder: Decoder,
    names: Vec<String>,
    /// Bytes that the decoder did not take yet, and how many of them it did.
    bytes: Vec<u8>,
    taken: usize,
    ended: bool,
}

impl CsvRows {
    pub(super) fn new(columns: &SchemaRef, conversion: Conversion, batch_rows: usize) -> Self {
        let (quotes, state) = (Quotes::new(), State::Header(Vec::new()));
        Self { columns: Arc::clone(columns), conversion, batch_rows, quotes, state }
    }

    fn file(&self) -> &str {
        &self.conversion.reading.file
    }

    /// Reads the header if it is whole, and then whatever came with it.
    fn begin(&mut self, ended: bool) -> Result<()> {
        let State::Header(head) = &mut self.state else { return Ok(()) };
        let skip = if head.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        let Some(length) = header_length(&head[skip..]).or_else(|| ended.then_some(head.len() - skip)) else {
            return Ok(());
        };
        let bytes = head.split_off(skip);
        let names = if length == 0 { Vec::new() } else { self.header(&bytes[..length])? };
        let fields: Vec<Field> = names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
        let wanted = |name: &String| self.columns.field_with_name(name).is_ok();
        let read: Vec<usize> = names.iter().enumerate().filter(|(_, name)| wanted(name)).map(|(at, _)| at).collect();
        let decoder = ReaderBuilder::new(Arc::new(Schema::new(fields)))
            .with_header(true)
            .with_batch_size(self.batch_rows)
            .with_projection(read.clone())
            .build_decoder();
        let names = read.into_iter().map(|at| names[at].clone()).collect();
        self.state = State::Body(Body { decoder, names, bytes, taken: 0, ended: false });
        Ok(())
    }

    fn header(&self, line: &[u8]) -> Result<Vec<String>> {
        header::check(self.file(), line)?;
        let inferred = Format::default().with_header(true).infer_schema(Cursor::new(line), Some(0));
        let (schema, _) = inferred.map_err(|error| in_file(self.file(), &error))?;
        Ok(schema.fields().iter().map(|field| field.name().clone()).collect())
    }

    /// Whether a column is text because of its name alone.
    fn is_undeclared_id(&self, field: &Field) -> bool {
        *field.data_type() == DataType::Utf8 && is_id(field.name()) && !self.conversion.declared.has(field.name())
    }

    fn converted(&self, names: &[String], batch: &RecordBatch) -> Result<RecordBatch> {
        let column = |field: &Arc<Field>| -> Result<ArrayRef> {
            match names.iter().position(|name| name == field.name()) {
                Some(at) if self.is_undeclared_id(field) => Ok(whole_ids(batch.column(at))),
                Some(at) => self.conversion.convert(batch.column(at), field),
                None => Ok(new_null_array(field.data_type(), batch.num_rows())),
            }
        };
        let columns = self.columns.fields().iter().map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.columns), columns, &options)?)
    }
}

impl Rows for CsvRows {
    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.quotes.push(&self.conversion.reading.file, bytes)?;
        match &mut self.state {
            State::Header(head) => {
                head.extend_from_slice(bytes);
                self.begin(false)
            }
            State::Body(body) => {
                body.bytes.drain(..body.taken);
                body.taken = 0;
                body.bytes.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    fn finish(&mut self) -> Result<()> {
        self.quotes.finish(&self.conversion.reading.file)?;
        self.begin(true)?;
        if let State::Body(body) = &mut self.state {
            body.ended = true;
        }
        Ok(())
    }

    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let State::Body(body) = &mut self.state else { return Ok(None) };
        let failed = |error: ArrowError| in_file(&self.conversion.reading.file, &error);
        while body.taken < body.bytes.len() {
            let taken = body.decoder.decode(&body.bytes[body.taken..]).map_err(failed)?;
            body.taken += taken;
            if taken == 0 {
                break;
            }
        }
        let is_full = body.decoder.capacity() == 0;
        if body.ended && body.taken == body.bytes.len() && !is_full {
            // An empty piece says that the last line is whole without a line end.
            let file = &self.conversion.reading.file;
            body.decoder.decode(&[]).map_err(|error| cut_short(file, &error))?;
        }
        if !is_full && !body.ended {
            return Ok(None);
        }
        let Some(batch) = body.decoder.flush().map_err(failed)? else { return Ok(None) };
        let names = body.names.clone();
        self.converted(&names, &batch).map(Some)
    }
}

/// Ids as text; those that a program wrote as doubles, since some rows had none, are the whole numbers they were.
fn whole_ids(ids: &ArrayRef) -> ArrayRef {
    let texts = ids.as_string::<i32>();
    if texts.iter().flatten().all(|text| whole(text).len() == text.len()) {
        return Arc::clone(ids);
    }
    Arc::new(texts.iter().map(|text| text.map(whole)).collect::<StringArray>())
}

/// The length of the first line with its end; line ends within quotes are part of it.
fn header_length(bytes: &[u8]) -> Option<usize> {
    let mut quoted = false;
    let end = bytes.iter().position(|byte| {
        quoted ^= *byte == b'"';
        *byte == b'\n' && !quoted
    })?;
    Some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_may_hold_line_ends_within_quotes() {
        assert_eq!(header_length(b"a,b\n1,2\n"), Some(4));
        assert_eq!(header_length(b"\"a\nb\",c\n1,2\n"), Some(8));
        assert_eq!(header_length(b"a,b"), None);
    }

    #[test]
    fn ids_that_a_program_wrote_as_doubles_are_whole() {
        for (written, expected) in
            [("1001.0", "1001"), ("-5.000", "-5"), ("0.0", "0"), ("007", "007"), ("07.0", "07.0"), ("1.50", "1.50")]
        {
            assert_eq!(whole(written), expected);
        }
        assert_eq!((whole("v1.0"), whole(".0"), whole("1."), whole("1.0.0")), ("v1.0", ".0", "1.", "1.0.0"));
    }

    #[test]
    fn types_are_those_that_fit_the_first_rows() {
        let schema =
            columns("f.csv", b"\xef\xbb\xbfuser_id,n,at,empty\n007,1,2026-01-01T00:00:00,\n", false).expect("columns");
        let kinds: Vec<_> = schema.fields().iter().map(|field| (field.name().as_str(), field.data_type())).collect();
        let micros = DataType::Timestamp(datafusion::arrow::datatypes::TimeUnit::Microsecond, None);
        let expected =
            [("user_id", &DataType::Utf8), ("n", &DataType::Int64), ("at", &micros), ("empty", &DataType::Null)];
        assert_eq!(kinds, expected);
    }
}
