//! Calls that Segment or RudderStack collected, as one clean relation: what profiles did, or what is known of them.
//!
//! A [`SegmentTable`] is a query over the files; it sees identities and traits as of an instant, so that later calls change
//! no earlier run. The names of columns are those of the warehouses of both: small letters and `_`.

mod names;
mod sql;

use std::any::Any;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, TableReference};
use datafusion::datasource::ViewTable;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use jiff::Timestamp;

use super::{Opening, Source, TableFailure, files, wrong};
use crate::model::diagnostic::{Diagnostic, Located, Place, SourceFile};
use crate::project::{ColumnKind, FileFormat, SegmentLayout, SegmentRows, Table, TableSource};
use crate::settings::LocalFiles;
use crate::storage;
use crate::warehouse::computed_once::read_once;
use crate::warehouse::known_values::Weight;
use crate::warehouse::parameters::{Parameter, Parameters};
use crate::warehouse::place::column_help;
use crate::warehouse::runtime::with_own_catalog;
use crate::warehouse::session::plan_query;
use crate::warehouse::statement::parse_query;
use crate::warehouse::{AS_OF, WarehouseError};
use names::{Prefix, snake_case};
use sql::Calls;

/// Fields of a call in a log that are text, whatever the first lines hold, and those that are instants.
const TEXTS: [&str; 9] =
    ["type", "messageId", "userId", "anonymousId", "groupId", "previousId", "event", "name", "context_groupId"];
const INSTANTS: [&str; 4] = ["timestamp", "receivedAt", "originalTimestamp", "sentAt"];

/// Opens the files and makes the query.
pub(super) async fn open(
    table: &Table,
    (location, layout, rows): (&Located<String>, SegmentLayout, SegmentRows),
    opening: &Opening<'_>,
) -> Result<Source, TableFailure> {
    let relations = match layout {
        SegmentLayout::S3Logs => vec![("calls".to_owned(), logs(table, location))],
        SegmentLayout::DataLake | SegmentLayout::Warehouse => folders(table, (location, opening.files), rows).await?,
    };
    let prefix = Prefix::of(layout, rows);
    let mut raw = Vec::new();
    let mut weight = Weight::default();
    for (name, described) in relations {
        let (mut provider, mut weighs) = open_files(&described, opening).await?;
        if let Some(typed) = typed(table, &described, &provider.schema(), prefix) {
            (provider, weighs) = open_files(&typed, opening).await?;
        }
        weight = weight.and(weighs);
        if layout == SegmentLayout::S3Logs {
            // Parsing costs most of all, and each query would do it again.
            let read = read_once(&name, provider, opening.misfits);
            provider = read.map_err(|error| wrong(table, &error))?;
        }
        raw.push((name, provider));
    }
    let calls: Vec<Calls> =
        raw.iter().map(|(name, provider)| Calls::new(name, &provider.schema(), prefix, rows)).collect();
    refuse_unknown_columns(table, &calls)?;
    let statement = sql::statement(&calls, rows);
    let parts = Parts { state: opening.state.clone(), raw, statement };
    let bound = parts.bound(Timestamp::MAX).await.map_err(|error| wrong(table, &error))?;
    Ok((Arc::new(SegmentTable { parts: Arc::new(parts), bound }), weight))
}

/// The logs as a table of files.
fn logs(table: &Table, location: &Located<String>) -> Table {
    let texts = TEXTS.into_iter().map(|name| (name, ColumnKind::Text));
    let instants = INSTANTS.into_iter().map(|name| (name, ColumnKind::Timestamp));
    let columns = texts.chain(instants).flat_map(|(name, kind)| {
        // Some senders write small letters and `_` already.
        BTreeSet::from([name.to_owned(), snake_case(name)]).into_iter().map(move |name| (name, kind))
    });
    let columns = columns.map(|(name, kind)| (Located::new(name, table.place.clone()), kind)).collect();
    described(table, FileFormat::Ndjson, location.clone(), columns)
}

fn described(
    table: &Table,
    format: FileFormat,
    location: Located<String>,
    columns: Vec<(Located<String>, ColumnKind)>,
) -> Table {
    let source = TableSource::Files { format, location };
    Table { source, columns, time: None, received: None, dedup: None, ..table.clone() }
}

/// Each folder of a lake that has rows for this relation, by the name of its table.
async fn folders(
    table: &Table,
    (location, files): (&Located<String>, &LocalFiles),
    rows: SegmentRows,
) -> Result<Vec<(String, Table)>, TableFailure> {
    let base = format!("{}/", location.value.trim_end_matches('/'));
    let opened = storage::open(&base, files).map_err(|error| super::files::not_opened(&error, &location.place))?;
    let listed = opened.files().await.map_err(|error| {
        let reason = format!("table `{}`: {error}", table.name);
        TableFailure::Unreachable(WarehouseError::Unavailable { reason })
    })?;
    let first = |path: &str| path.split_once('/').map(|(folder, _)| folder.to_owned());
    let names: BTreeSet<String> =
        listed.files.iter().filter_map(|file| first(opened.relative(&file.location))).collect();
    let names: Vec<(String, String)> = names
        .into_iter()
        .map(|folder| (folder.split_once('=').map_or(folder.as_str(), |(_, name)| name).to_owned(), folder))
        .collect();
    let found: Vec<(String, Table)> = names
        .iter()
        .filter(|(name, _)| sql::is_wanted(name, rows))
        .map(|(name, folder)| {
            let place = Located::new(format!("{base}{folder}/"), location.place.clone());
            (name.clone(), described(table, FileFormat::Parquet, place, Vec::new()))
        })
        .collect();
    if found.is_empty() {
        let seen = names.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
        let wanted = if rows == SegmentRows::Events { "tracks or a table of an event" } else { "identifies" };
        let message = format!("there is no {wanted} at `{}`", location.value);
        let help = if seen.is_empty() { "it has no folders".to_owned() } else { format!("its folders are {seen}") };
        return Err(Diagnostic::error("table-missing", message, &location.place).with_help(help).into());
    }
    Ok(found)
}

async fn open_files(table: &Table, opening: &Opening<'_>) -> Result<Source, TableFailure> {
    let TableSource::Files { format, location } = &table.source else { return Err(TableFailure::Wrong(Vec::new())) };
    files::open(table, *format, location, opening).await
}

/// The same files with the declared types, once their own names of the columns are known; `None` where that changes nothing.
fn typed(table: &Table, described: &Table, schema: &SchemaRef, prefix: Prefix) -> Option<Table> {
    let fields = schema.fields().iter();
    let columns: Vec<(Located<String>, ColumnKind)> = fields
        .filter_map(|field| {
            let declared = prefix
                .column(field.name())
                .and_then(|name| table.columns.iter().find(|(declared, _)| declared.value == name))
                .map(|(declared, kind)| (declared.place.clone(), *kind));
            // The first lines had no value, and later ones may have any.
            let open = (*field.data_type() == DataType::Null).then(|| (table.place.clone(), ColumnKind::Text));
            let (place, kind) = declared.or(open)?;
            Some((Located::new(field.name().clone(), place), kind))
        })
        .collect();
    if columns.is_empty() {
        return None;
    }
    Some(Table { columns: described.columns.iter().cloned().chain(columns).collect(), ..described.clone() })
}

fn refuse_unknown_columns(table: &Table, calls: &[Calls]) -> Result<(), TableFailure> {
    let known: BTreeSet<&str> = calls.iter().flat_map(Calls::own_columns).collect();
    let unknown = table.columns.iter().filter(|(declared, _)| !known.contains(declared.value.as_str()));
    let findings: Vec<Diagnostic> = unknown
        .map(|(declared, _)| {
            let message = format!("no call of table `{}` has `{}`", table.name, declared.value);
            let help = column_help(&declared.value, known.iter().copied());
            Diagnostic::error("unknown-column", message, &declared.place).with_optional_help(help)
        })
        .collect();
    if findings.is_empty() { Ok(()) } else { Err(TableFailure::Wrong(findings)) }
}

/// What a query is made of.
struct Parts {
    state: SessionState,
    raw: Vec<(String, Arc<dyn TableProvider>)>,
    statement: String,
}

impl Parts {
    /// The query with its instant.
    async fn bound(&self, as_of: Timestamp) -> Result<Arc<ViewTable>, DataFusionError> {
        let context = with_own_catalog(&self.state)?;
        for (name, provider) in &self.raw {
            context.register_table(TableReference::bare(name.as_str()), Arc::clone(provider))?;
        }
        let source = Arc::new(SourceFile { path: String::new(), text: self.statement.clone() });
        let place = Place::new(&source, 0..self.statement.len());
        let query = parse_query(&Located::new(self.statement.clone(), place))
            .map_err(|finding| DataFusionError::Plan(finding.message))?;
        let parameters = Parameters::default().with(AS_OF, Parameter::Instant(as_of));
        let plan = plan_query(&context.state(), query, &parameters).await?;
        Ok(Arc::new(ViewTable::new(plan, None)))
    }
}

/// A relation over calls.
pub(in crate::warehouse) struct SegmentTable {
    parts: Arc<Parts>,
    bound: Arc<ViewTable>,
}

impl SegmentTable {
    /// The provider as it is at an instant, when it is one of these.
    pub(in crate::warehouse) async fn at(
        provider: &Arc<dyn TableProvider>,
        as_of: Timestamp,
    ) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let any: &dyn Any = provider.as_ref();
        let Some(table) = any.downcast_ref::<Self>() else { return Ok(None) };
        let bound = table.parts.bound(as_of).await?;
        Ok(Some(Arc::new(Self { parts: Arc::clone(&table.parts), bound })))
    }
}

impl fmt::Debug for SegmentTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.parts.statement)
    }
}

#[async_trait]
impl TableProvider for SegmentTable {
    fn schema(&self) -> SchemaRef {
        self.bound.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        self.bound.get_logical_plan()
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        self.bound.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        self.bound.scan(state, projection, filters, limit).await
    }
}

/// Columns of files by the name they have here.
pub(super) type ByName = BTreeMap<String, Vec<String>>;
