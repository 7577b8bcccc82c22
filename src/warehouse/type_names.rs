//! Names of types that warehouses read in another way than the engine.

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{DataType as WrittenType, ExactNumberInfo};

/// The widest number of binary digits of a `float(n)` that is a single.
const SINGLE_DIGITS_MAX: u64 = 24;

/// `float` is a double, as in every warehouse: the engine would keep seven digits of it.
#[derive(Debug)]
pub(super) struct TypeNames;

impl TypePlanner for TypeNames {
    fn plan_type_field(&self, written: &WrittenType) -> Result<Option<FieldRef>> {
        let kind = match written {
            WrittenType::Float(ExactNumberInfo::None) => DataType::Float64,
            WrittenType::Float(ExactNumberInfo::Precision(digits)) if *digits > SINGLE_DIGITS_MAX => DataType::Float64,
            _ => return Ok(None),
        };
        Ok(Some(FieldRef::new(Field::new("", kind, true))))
    }
}
