//! The ledger's tables in SQL: `ledger.deliveries` and its like. They are empty until somebody hands over their rows.
//!
//! The warehouse knows their columns, which are those of every ledger, and never the ledger itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, TableReference};
use datafusion::datasource::MemTable;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::prelude::SessionContext;

use super::error::WarehouseError;
use super::output::{Unfinished, parquet_sink};
use super::runtime::add_schema;
use super::{Warehouse, output};
use crate::model::{Cell, Column, ColumnKind, LEDGER_TABLES, LedgerTable};

/// The schema that SQL names them in.
const SCHEMA: &str = "ledger";

/// The tables by their name without the schema.
pub(super) type LedgerTables = BTreeMap<&'static str, Arc<dyn TableProvider>>;

/// The relation of SQL's name, such as `ledger.deliveries`, when there is such a table.
pub(super) fn relation(schema: &str, name: &str) -> Option<String> {
    (schema == SCHEMA && LedgerTable::named(name).is_some()).then(|| format!("{SCHEMA}.{name}"))
}

/// What SQL may call them.
pub(super) fn names() -> impl Iterator<Item = String> {
    LEDGER_TABLES.iter().map(|table| format!("{SCHEMA}.{}", table.name))
}

/// Every table without rows.
pub(super) fn empty() -> Result<LedgerTables, DataFusionError> {
    let one = |table: &LedgerTable| {
        let rows = MemTable::try_new(schema(table.columns), vec![vec![]])?;
        Ok((table.name, Arc::new(rows) as Arc<dyn TableProvider>))
    };
    LEDGER_TABLES.iter().map(one).collect()
}

/// Makes them readable.
pub(super) fn register(context: &SessionContext, tables: &LedgerTables) -> Result<(), DataFusionError> {
    add_schema(context, SCHEMA)?;
    for (name, provider) in tables {
        context.register_table(TableReference::partial(SCHEMA, *name), Arc::clone(provider))?;
    }
    Ok(())
}

fn schema(columns: &[Column]) -> SchemaRef {
    let field = |column: &Column| {
        let kind = match column.kind {
            ColumnKind::Text => DataType::Utf8,
            ColumnKind::Integer => DataType::Int64,
            ColumnKind::Real => DataType::Float64,
            ColumnKind::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        };
        Field::new(column.name, kind, column.is_nullable)
    };
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

impl Warehouse {
    /// The ledger's tables that views read.
    #[must_use]
    pub fn ledger_tables_in_use(&self) -> Vec<&'static LedgerTable> {
        let read: BTreeSet<&String> = self.views.iter().flat_map(|view| &view.relations).collect();
        LEDGER_TABLES.iter().filter(|table| read.contains(&format!("{SCHEMA}.{}", table.name))).collect()
    }

    /// Reads a table of the ledger from a file that [`LedgerRows`] wrote, from now on.
    ///
    /// # Errors
    /// When the file is none.
    pub fn read_ledger_table(&mut self, table: &'static LedgerTable, file: &Path) -> Result<(), WarehouseError> {
        let failed =
            |error: DataFusionError| WarehouseError::from_engine(&format!("table `{SCHEMA}.{}`", table.name), &error);
        let url = ListingTableUrl::parse(file.to_string_lossy()).map_err(failed)?;
        let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension("");
        let config = ListingTableConfig::new(url).with_listing_options(options).with_schema(schema(table.columns));
        self.ledger.insert(table.name, Arc::new(ListingTable::try_new(config).map_err(failed)?));
        Ok(())
    }
}

/// Rows of a table of the ledger on their way into a Parquet file that appears whole or not at all.
pub struct LedgerRows {
    table: &'static LedgerTable,
    schema: SchemaRef,
    sink: Box<dyn output::Sink + Send>,
    file: Unfinished,
    rows: u64,
}

impl LedgerRows {
    /// Begins the file; its folder must exist.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(table: &'static LedgerTable, path: &Path) -> Result<Self, WarehouseError> {
        let file = Unfinished::create(path)?;
        let schema = schema(table.columns);
        let sink = parquet_sink(file.writer()?, &schema).map_err(|reason| file.failed(reason))?;
        Ok(Self { table, schema, sink, file, rows: 0 })
    }

    /// Adds rows; each has a cell for every column.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&mut self, rows: &[Vec<Cell>]) -> Result<(), WarehouseError> {
        let columns = self.table.columns.iter().enumerate();
        let columns = columns.map(|(place, column)| array(column, rows.iter().map(|row| &row[place]))).collect();
        let batch = RecordBatch::try_new(SchemaRef::clone(&self.schema), columns);
        let written = batch.map_err(|error| error.to_string()).and_then(|batch| self.sink.write(&batch));
        self.rows += rows.len() as u64;
        written.map_err(|reason| self.file.failed(reason))
    }

    /// Gives the file its name and says how many rows it has.
    ///
    /// # Errors
    /// When it cannot be written; then no file is left behind.
    pub fn finish(self) -> Result<u64, WarehouseError> {
        self.sink.finish().map_err(|reason| self.file.failed(reason))?;
        self.file.persist()?;
        Ok(self.rows)
    }
}

/// Cells of one column; a cell of another kind than the column's is null.
fn array<'a>(column: &Column, cells: impl Iterator<Item = &'a Cell>) -> ArrayRef {
    match column.kind {
        ColumnKind::Text => Arc::new(
            cells.map(|cell| if let Cell::Text(text) = cell { Some(text) } else { None }).collect::<StringArray>(),
        ),
        ColumnKind::Integer => Arc::new(
            cells
                .map(|cell| if let Cell::Integer(number) = cell { Some(*number) } else { None })
                .collect::<Int64Array>(),
        ),
        ColumnKind::Real => Arc::new(
            cells
                .map(|cell| if let Cell::Real(number) = cell { Some(*number) } else { None })
                .collect::<Float64Array>(),
        ),
        ColumnKind::Instant => {
            let instants =
                cells.map(|cell| if let Cell::Instant(instant) = cell { Some(instant.as_microsecond()) } else { None });
            Arc::new(instants.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
        }
    }
}
