//! The engine behind SQL: declared tables and the views of `sql/`, with parameters bound and memory bounded.
//!
//! Guarantees: only declared relations are read, every statement only reads, and opening reads schemas and no rows.
//! Never: knows jobs, mails or the ledger. The engine's types stay inside, Arrow batches excepted.

mod aggregate;
mod alike;
mod bounded;
mod calendar;
mod climb;
mod computed_once;
mod copies;
mod distinct;
mod distinct_pairs;
mod engine;
mod error;
mod expression;
mod first_copies;
mod first_copies_step;
mod function_docs;
mod functions;
mod given;
mod habits;
mod known_values;
mod lateral;
mod ledger_tables;
mod left_out;
mod local_days;
mod memory;
mod null_sums;
mod one_pass;
mod ordered_lists;
mod output;
mod parameters;
mod parquet_writer;
mod place;
mod repeats;
mod row_condition;
mod runtime;
mod saved_schemas;
mod scans;
mod session;
mod set_output;
mod sources;
mod statement;
mod streaks;
mod syntax;
mod threads;
mod total_order;
mod trial;
mod type_names;
mod type_words;
pub mod value;
mod values;
mod views;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::datasource::empty::EmptyTable;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use jiff::Timestamp;

pub use aggregate::Aggregate;
pub use climb::ClimbCell;
pub use datafusion::arrow;
pub use error::WarehouseError;
pub use expression::{Expression, ExpressionRole, Scope};
pub use function_docs::{FunctionDoc, function_docs};
pub use known_values::compared_texts;
pub use ledger_tables::LedgerRows;
pub use left_out::LeftOut;
pub use local_days::LocalUnit;
pub use output::{TableFile, TableRows, WrittenTable};
pub use parameters::{Parameter, Parameters};
pub use row_condition::RowCondition;
pub use runtime::WarehouseOptions;
pub use saved_schemas::{NotSchemas, SCHEMAS_FILE, SavedSchemas};
pub use scans::{Scan, TableReading};
pub use session::{RowStream, Session};
pub use sources::misfits::Misfit;
pub use sources::not_a_time;
pub use type_words::type_words;
pub use values::ids::{has_id, id_text, is_id};

use crate::model::diagnostic::Diagnostic;
use crate::project::Project;
use crate::storage::Meter;
use computed_once::ComputedOnce;
use known_values::Weight;
use left_out::LeftOutFiles;
use sources::misfits::Misfits;
use sources::segment::SegmentTable;
use sources::{Opening, TableFailure};
use views::ParsedView;

/// Parameters that every run has.
pub const AS_OF: &str = "as_of";
/// The first instant of a recap's period.
pub const PERIOD_START: &str = "period_start";
/// The first instant after a recap's period.
pub const PERIOD_END: &str = "period_end";

/// Opened tables and inspected views of one project.
pub struct Warehouse {
    state: SessionState,
    tables: BTreeMap<String, Arc<dyn TableProvider>>,
    schemas: BTreeMap<String, SchemaRef>,
    ledger: ledger_tables::LedgerTables,
    views: Vec<ParsedView>,
    broken: BTreeSet<String>,
    weights: BTreeMap<String, Weight>,
    meter: Arc<Meter>,
    misfits: Misfits,
    left_out: LeftOutFiles,
    vars: Parameters,
    query_timeout: Option<Duration>,
    computed_once: ComputedOnce,
}

impl Warehouse {
    /// Opens every table and checks every view; findings come all at once, and what is broken is left out.
    ///
    /// # Errors
    /// When a store cannot be reached: try again later.
    pub async fn open(
        project: &Project,
        options: &WarehouseOptions,
    ) -> Result<(Self, Vec<Diagnostic>), WarehouseError> {
        Self::open_with(project, options, None).await
    }

    /// The same with tables that have the columns of these schemas and no rows: nothing is contacted.
    ///
    /// # Errors
    /// When the engine cannot be set up.
    pub async fn open_offline(
        project: &Project,
        options: &WarehouseOptions,
        saved: &SavedSchemas,
    ) -> Result<(Self, Vec<Diagnostic>), WarehouseError> {
        Self::open_with(project, options, Some(saved)).await
    }

    async fn open_with(
        project: &Project,
        options: &WarehouseOptions,
        saved: Option<&SavedSchemas>,
    ) -> Result<(Self, Vec<Diagnostic>), WarehouseError> {
        let state = runtime::session_state(options, &runtime::runtime(options)?);
        let mut warehouse = Self {
            state,
            tables: BTreeMap::new(),
            schemas: BTreeMap::new(),
            ledger: no_deliveries()?,
            views: Vec::new(),
            broken: BTreeSet::new(),
            weights: BTreeMap::new(),
            meter: Arc::default(),
            misfits: Misfits::default(),
            left_out: LeftOutFiles::default(),
            vars: vars_of(project),
            query_timeout: options.query_timeout,
            computed_once: ComputedOnce::default(),
        };
        let mut diagnostics = warehouse.open_tables(project, saved).await?;
        let known: BTreeSet<String> = warehouse.trial_parameters().names().map(str::to_owned).collect();
        let (views, findings) = views::arrange(project, &warehouse.state, &known, &mut warehouse.broken);
        diagnostics.extend(findings);
        diagnostics.extend(warehouse.try_views(views).await);
        Ok((warehouse, diagnostics))
    }

    /// True when a relation is declared but broken, so that its findings are reported already.
    #[must_use]
    pub fn is_broken(&self, relation: &str) -> bool {
        self.broken.contains(relation)
    }

    /// What was read of files so far, their ends that tell columns included.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Values that were read as null since they are not of their column's type, since this was last asked.
    #[must_use]
    pub fn take_misfits(&self) -> Vec<Misfit> {
        self.misfits.take()
    }

    /// Files that lie at the tables' locations and are not read, as far as they were listed.
    #[must_use]
    pub fn left_out(&self) -> Vec<LeftOut> {
        self.left_out.all()
    }

    /// Begins to watch for such values: [`Warehouse::misfits_since`] tells what is met from now on.
    #[must_use]
    pub fn watch_misfits(&self) -> u64 {
        self.misfits.watch()
    }

    /// Values that were read as null since a watch began.
    #[must_use]
    pub fn misfits_since(&self, watch: u64) -> Vec<Misfit> {
        self.misfits.since(watch)
    }

    /// The names of tables and views that can be read.
    pub fn relations(&self) -> impl Iterator<Item = &str> + Clone {
        self.tables.keys().map(String::as_str).chain(self.views.iter().map(|view| view.name.as_str()))
    }

    /// The declared tables that a table or view reads, through whatever views.
    #[must_use]
    pub fn tables_behind(&self, relation: &str) -> BTreeSet<String> {
        self.relations_behind(relation).into_iter().filter(|name| self.tables.contains_key(name)).collect()
    }

    /// A table or view, and everything it reads through whatever views.
    fn relations_behind(&self, relation: &str) -> BTreeSet<String> {
        let (mut seen, mut waiting) = (BTreeSet::new(), vec![relation.to_owned()]);
        while let Some(name) = waiting.pop() {
            if let Some(view) = self.views.iter().find(|view| view.name == name).filter(|_| !seen.contains(&name)) {
                waiting.extend(view.relations.iter().cloned());
            }
            seen.insert(name);
        }
        seen
    }

    /// A session under these parameters and the project's `vars`.
    ///
    /// # Errors
    /// When a view does not plan under them.
    pub async fn bind(&self, parameters: &Parameters) -> Result<Session, WarehouseError> {
        self.bound(parameters, Rows::All).await
    }

    /// The same over tables that have their columns and no rows: nothing is contacted.
    ///
    /// # Errors
    /// When a view does not plan under them.
    pub async fn bind_rowless(&self, parameters: &Parameters) -> Result<Session, WarehouseError> {
        self.bound(parameters, Rows::None).await
    }

    async fn bound(&self, parameters: &Parameters, rows: Rows) -> Result<Session, WarehouseError> {
        let parameters = self.vars.clone().and(parameters);
        let mut session = self.empty_session(parameters.clone(), rows).await?;
        for view in &self.views {
            let computed_once = |plan: &LogicalPlan| match rows {
                Rows::All => self.computed_once(view, plan, &parameters),
                Rows::None => None,
            };
            let planned = session.add_view(view, computed_once).await;
            planned.map_err(|error| WarehouseError::from_engine(&format!("view `{}`", view.name), &error))?;
        }
        Ok(session)
    }

    /// The parameters of views under inspection: any instants do.
    fn trial_parameters(&self) -> Parameters {
        [AS_OF, PERIOD_START, PERIOD_END].into_iter().fold(self.vars.clone(), |parameters, name| {
            parameters.with(name, Parameter::Instant(Timestamp::UNIX_EPOCH))
        })
    }

    /// The columns of every table that could be opened.
    #[must_use]
    pub fn schemas(&self) -> SavedSchemas {
        SavedSchemas::new(self.schemas.clone())
    }

    async fn open_tables(
        &mut self,
        project: &Project,
        saved: Option<&SavedSchemas>,
    ) -> Result<Vec<Diagnostic>, WarehouseError> {
        let mut diagnostics = Vec::new();
        for table in project.tables.values() {
            let opening = Opening {
                state: &self.state,
                meter: &self.meter,
                misfits: &self.misfits,
                left_out: &self.left_out,
                files: &project.files,
                project,
            };
            let opened = match saved {
                Some(saved) => sources::as_saved(table, saved),
                None => sources::open_source(table, &opening).await,
            };
            if let Ok((provider, _)) = &opened {
                self.schemas.insert(table.name.clone(), provider.schema());
            }
            match opened.and_then(|source| sources::finish(table, source)) {
                Ok((provider, weight)) => {
                    diagnostics.extend(sources::mixed_columns(table, &provider.schema()));
                    self.weights.insert(table.name.clone(), weight);
                    self.tables.insert(table.name.clone(), provider);
                }
                Err(TableFailure::Unreachable(error)) => return Err(error),
                Err(TableFailure::Wrong(findings)) => {
                    self.broken.insert(table.name.clone());
                    diagnostics.extend(findings);
                }
            }
        }
        Ok(diagnostics)
    }

    /// Tries every view over relations without rows; keeps those that a run can read and whose relations are kept.
    async fn try_views(&mut self, views: Vec<ParsedView>) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        let Ok(session) = self.empty_session(self.trial_parameters(), Rows::None).await else {
            return diagnostics;
        };
        for view in views {
            if view.relations.iter().any(|name| self.broken.contains(name)) {
                self.broken.insert(view.name);
                continue;
            }
            match trial::query(&session, &view.sql, &view.query, view.flawed).await {
                Ok(columns) if !view.flawed && session.add_rowless(&view.name, &columns).is_ok() => {
                    self.views.push(view);
                }
                tried => {
                    diagnostics.extend(tried.err().unwrap_or_default());
                    self.broken.insert(view.name);
                }
            }
        }
        diagnostics
    }

    async fn empty_session(&self, parameters: Parameters, rows: Rows) -> Result<Session, WarehouseError> {
        let context = runtime::with_own_catalog(&self.state)
            .map_err(|error| WarehouseError::from_engine("setting up the warehouse", &error))?;
        for (name, provider) in &self.tables {
            let failed = |error| WarehouseError::from_engine(&format!("table `{name}`"), &error);
            if rows == Rows::None {
                let table = Arc::new(EmptyTable::new(provider.schema()));
                context.register_table(TableReference::bare(name.as_str()), table).map_err(failed)?;
                continue;
            }
            // What is known of people depends on the instant; rows of other tables carry their own.
            let bound = match parameters.get(AS_OF) {
                Some(Parameter::Instant(as_of)) => SegmentTable::at(provider, *as_of).await.map_err(failed)?,
                _ => None,
            };
            let provider = bound.unwrap_or_else(|| Arc::clone(provider));
            context.register_table(TableReference::bare(name.as_str()), provider).map_err(failed)?;
        }
        ledger_tables::register(&context, &self.ledger)
            .map_err(|error| WarehouseError::from_engine("the ledger's tables", &error))?;
        Ok(Session { context, parameters, unbound: BTreeMap::new(), query_timeout: self.query_timeout })
    }
}

/// Which rows the tables of a session have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rows {
    All,
    None,
}

/// The ledger's tables without rows.
fn no_deliveries() -> Result<ledger_tables::LedgerTables, WarehouseError> {
    ledger_tables::empty().map_err(|error| WarehouseError::from_engine("the ledger's tables", &error))
}

fn vars_of(project: &Project) -> Parameters {
    project.vars.iter().fold(Parameters::default(), |parameters, (name, value)| {
        parameters.with(name, Parameter::Scalar(value.clone()))
    })
}
