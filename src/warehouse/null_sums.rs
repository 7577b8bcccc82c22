//! `sum` and `avg` as the engine has them, except that they take a column without any value: it has no type, and a table
//! of which nobody knows a value yet must not fail the SQL that will run on it.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::average::Avg;
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, GroupsAccumulator, Operator, ReversedUDAF, SetMonotonicity, Signature,
    StatisticsArgs,
};

/// The functions for the warehouse, in place of the engine's.
pub(super) fn functions() -> [Arc<AggregateUDF>; 2] {
    [
        Arc::new(AggregateUDF::from(OfNothingToo { function: Sum::new(), nothing: DataType::Int64 })),
        Arc::new(AggregateUDF::from(OfNothingToo { function: Avg::new(), nothing: DataType::Float64 })),
    ]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OfNothingToo<F> {
    function: F,
    /// The type of the result over no values.
    nothing: DataType,
}

fn is_nothing(fields: &[FieldRef]) -> bool {
    fields.iter().any(|field| field.data_type().is_null())
}

impl<F: AggregateUDFImpl + PartialEq + Eq + Hash> AggregateUDFImpl for OfNothingToo<F> {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        if arguments.iter().any(DataType::is_null) {
            return Ok(self.nothing.clone());
        }
        self.function.return_type(arguments)
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if is_nothing(arguments.input_fields) {
            let name = format_state_name(arguments.name, "nothing");
            return Ok(vec![Arc::new(Field::new(name, self.nothing.clone(), true))]);
        }
        self.function.state_fields(arguments)
    }

    fn accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if is_nothing(arguments.expr_fields) {
            return Ok(Box::new(Nothing(self.nothing.clone())));
        }
        self.function.accumulator(arguments)
    }

    fn create_sliding_accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if is_nothing(arguments.expr_fields) {
            return Ok(Box::new(Nothing(self.nothing.clone())));
        }
        self.function.create_sliding_accumulator(arguments)
    }

    fn groups_accumulator_supported(&self, arguments: AccumulatorArgs) -> bool {
        !is_nothing(arguments.expr_fields) && self.function.groups_accumulator_supported(arguments)
    }

    fn create_groups_accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        self.function.create_groups_accumulator(arguments)
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        self.function.simplify()
    }

    fn simplify_expr_op_literal(
        &self,
        function: &AggregateFunction,
        argument: &Expr,
        operator: Operator,
        literal: &Expr,
        argument_is_left: bool,
    ) -> Result<Option<Expr>> {
        self.function.simplify_expr_op_literal(function, argument, operator, literal, argument_is_left)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.function.reverse_expr()
    }

    fn is_nullable(&self) -> bool {
        self.function.is_nullable()
    }

    fn value_from_stats(&self, arguments: &StatisticsArgs) -> Option<ScalarValue> {
        self.function.value_from_stats(arguments)
    }

    fn default_value(&self, kind: &DataType) -> Result<ScalarValue> {
        self.function.default_value(kind)
    }

    fn set_monotonicity(&self, kind: &DataType) -> SetMonotonicity {
        self.function.set_monotonicity(kind)
    }
}

/// Over no values: null.
#[derive(Debug)]
struct Nothing(DataType);

impl Accumulator for Nothing {
    fn update_batch(&mut self, _values: &[ArrayRef]) -> Result<()> {
        Ok(())
    }

    fn merge_batch(&mut self, _states: &[ArrayRef]) -> Result<()> {
        Ok(())
    }

    fn retract_batch(&mut self, _values: &[ArrayRef]) -> Result<()> {
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from(&self.0)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}
