//! Conditions on rows that are not in any table: asked of batches one by one.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;

use super::error::WarehouseError;
use super::expression::Scope;
use super::session::Session;
use super::statement::parse_expression;
use crate::model::diagnostic::{Located, Place};

/// A condition with its parameters bound.
#[derive(Clone, Debug)]
pub struct RowCondition {
    what: String,
    expression: Arc<dyn PhysicalExpr>,
}

impl Session {
    /// Readies a checked condition; `what` names it in errors.
    ///
    /// # Errors
    /// When it does not plan.
    pub async fn row_condition(&self, what: &str, sql: &str, scope: Scope<'_>) -> Result<RowCondition, WarehouseError> {
        let file = Arc::new(crate::model::SourceFile { path: String::new(), text: sql.to_owned() });
        let snippet = Located::new(sql.to_owned(), Place::new(&file, 0..sql.len()));
        let failed = |error: &DataFusionError| WarehouseError::from_engine(what, error);
        let tree = parse_expression(&snippet).map_err(|finding| failed(&DataFusionError::Plan(finding.message)))?;
        let plan = self.plan_of(&tree, scope).await.map_err(|error| failed(&error))?;
        let LogicalPlan::Projection(projection) = plan else {
            return Err(failed(&DataFusionError::Plan("it is no condition on single rows".to_owned())));
        };
        let [expression] = projection.expr.as_slice() else {
            return Err(failed(&DataFusionError::Plan("it is no single condition".to_owned())));
        };
        let schema = projection.input.schema();
        let state = self.context.state();
        // Some functions exist only to be simplified away, which planning a whole query would do.
        let context = SimplifyContext::builder()
            .with_schema(Arc::clone(schema))
            .with_config_options(Arc::clone(state.config_options()))
            .build();
        let expression =
            ExprSimplifier::new(context).simplify(expression.clone().unalias()).map_err(|error| failed(&error))?;
        let expression = state.create_physical_expr(expression, schema).map_err(|error| failed(&error))?;
        Ok(RowCondition { what: what.to_owned(), expression })
    }
}

impl RowCondition {
    /// Whether it holds for each row of a batch with the scope's columns; null is false.
    ///
    /// # Errors
    /// When it fails on data, such as a division by zero.
    pub fn holds(&self, batch: &RecordBatch) -> Result<Vec<bool>, WarehouseError> {
        let failed = |error: &DataFusionError| WarehouseError::from_engine(&self.what, error);
        let values = self.expression.evaluate(batch).map_err(|error| failed(&error))?;
        let values = values.into_array(batch.num_rows()).map_err(|error| failed(&error))?;
        let values = cast(&values, &DataType::Boolean).map_err(|error| failed(&error.into()))?;
        Ok(values.as_boolean().iter().map(|value| value == Some(true)).collect())
    }
}
