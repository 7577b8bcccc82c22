//! The engine behind SQL: declared tables and the views of `sql/`, with parameters bound and memory bounded.
//!
//! Guarantees: only declared relations are read, every statement only reads, and opening reads schemas and no rows.
//! Never: knows jobs, mails or the ledger. The engine's types stay inside, Arrow batches excepted.

mod aggregate;
mod calendar;
mod climb_count;
mod climb_log;
mod climb_measure;
mod climb_steps;
mod climbs;
mod distinct;
mod error;
mod expression;
mod function_docs;
mod functions;
mod given;
mod known_values;
mod ledger_tables;
mod local_days;
mod one_pass;
mod ordered_lists;
mod output;
mod parameters;
mod place;
mod row_condition;
mod runtime;
mod scans;
mod session;
mod statement;
mod streaks;
mod tables;
pub mod value;
mod views;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::execution::SessionState;
use jiff::Timestamp;

pub use aggregate::Aggregate;
pub use datafusion::arrow;
pub use error::WarehouseError;
pub use expression::{Expression, ExpressionRole, Scope};
pub use function_docs::{FunctionDoc, function_docs};
pub use known_values::compared_texts;
pub use ledger_tables::LedgerRows;
pub use local_days::LocalUnit;
pub use output::{TableFile, TableRows, WrittenTable};
pub use parameters::{Parameter, Parameters};
pub use row_condition::RowCondition;
pub use runtime::WarehouseOptions;
pub use scans::Scan;
pub use session::{RowStream, Session};
pub use tables::not_a_time;

use crate::model::diagnostic::Diagnostic;
use crate::project::Project;
use known_values::Weight;
use tables::TableFailure;
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
    ledger: ledger_tables::LedgerTables,
    views: Vec<ParsedView>,
    broken: BTreeSet<String>,
    weights: BTreeMap<String, Weight>,
    vars: Parameters,
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
        let state = runtime::session_state(options, &runtime::runtime(options)?);
        let mut warehouse = Self {
            state,
            tables: BTreeMap::new(),
            ledger: no_deliveries()?,
            views: Vec::new(),
            broken: BTreeSet::new(),
            weights: BTreeMap::new(),
            vars: vars_of(project),
        };
        let mut diagnostics = warehouse.open_tables(project).await?;
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

    /// The names of tables and views that can be read.
    pub fn relations(&self) -> impl Iterator<Item = &str> + Clone {
        self.tables.keys().map(String::as_str).chain(self.views.iter().map(|view| view.name.as_str()))
    }

    /// A session under these parameters and the project's `vars`.
    ///
    /// # Errors
    /// When a view does not plan under them.
    pub async fn bind(&self, parameters: &Parameters) -> Result<Session, WarehouseError> {
        let mut session = self.empty_session(self.vars.clone().and(parameters))?;
        for view in &self.views {
            let planned = session.add_view(view).await;
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

    async fn open_tables(&mut self, project: &Project) -> Result<Vec<Diagnostic>, WarehouseError> {
        let mut diagnostics = Vec::new();
        for table in project.tables.values() {
            match tables::open(table, &self.state).await {
                Ok((provider, weight)) => {
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

    /// Plans every view once; keeps those that plan and whose relations do.
    async fn try_views(&mut self, views: Vec<ParsedView>) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        let Ok(mut session) = self.empty_session(self.trial_parameters()) else {
            return diagnostics;
        };
        for view in views {
            if view.relations.iter().any(|name| self.broken.contains(name)) {
                self.broken.insert(view.name);
                continue;
            }
            let planned = match session.add_view(&view).await {
                Ok(()) => session.check_types(&view.name).await,
                Err(error) => Err(error),
            };
            match planned {
                Ok(()) if view.flawed => {
                    self.broken.insert(view.name);
                }
                Ok(()) => self.views.push(view),
                Err(error) => {
                    diagnostics.extend(place::planning_errors(&view.sql, &error));
                    self.broken.insert(view.name);
                }
            }
        }
        diagnostics
    }

    fn empty_session(&self, parameters: Parameters) -> Result<Session, WarehouseError> {
        let context = runtime::with_own_catalog(&self.state)
            .map_err(|error| WarehouseError::from_engine("setting up the warehouse", &error))?;
        for (name, provider) in &self.tables {
            context
                .register_table(TableReference::bare(name.as_str()), Arc::clone(provider))
                .map_err(|error| WarehouseError::from_engine(&format!("table `{name}`"), &error))?;
        }
        ledger_tables::register(&context, &self.ledger)
            .map_err(|error| WarehouseError::from_engine("the ledger's tables", &error))?;
        Ok(Session { context, parameters, unbound: BTreeMap::new() })
    }
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
