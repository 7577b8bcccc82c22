//! A Parquet file read as its table has its columns: missing ones are null, others are widened or converted.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, TryCastExpr};
use datafusion::physical_expr_adapter::{DefaultPhysicalExprAdapter, PhysicalExprAdapter, PhysicalExprAdapterFactory};
use jiff::tz::TimeZone;

use super::convert::{Conversion, Converted};
use super::failure::FileFailure;
use super::widen::{fits, plain};
use crate::model::EpochUnit;
use crate::warehouse::type_words::{in_type_words, type_words};

/// Makes adapters for one file.
#[derive(Clone, Debug)]
pub(super) struct Drift {
    pub(super) conversion: Arc<Conversion>,
}

/// What to do with a column whose type in a file is not the table's.
#[derive(Clone, Debug)]
enum Treatment {
    /// Nothing gets lost: the engine's own cast, which it can prune by, perhaps by way of another type.
    Cast(Option<DataType>),
    /// Values that do not fit are null and counted.
    Convert,
    /// Nothing sensible can be read.
    Refuse { found: String },
}

impl PhysicalExprAdapterFactory for Drift {
    fn create(&self, logical: SchemaRef, physical: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let mut treated = HashMap::new();
        // The engine's adapter sees the file's own type where this one takes over.
        let fields = logical.fields().iter().map(|field| {
            let Ok(found) = physical.field_with_name(field.name()) else { return Arc::clone(field) };
            let Some(treatment) = self.treatment(found.data_type(), field) else {
                return Arc::clone(field);
            };
            treated.insert(field.name().clone(), (Arc::clone(field), treatment));
            Arc::new(found.clone())
        });
        let fields: Vec<FieldRef> = fields.collect();
        let engine = DefaultPhysicalExprAdapter::new(Arc::new(Schema::new(fields)), physical);
        Ok(Arc::new(Adapter { engine, treated, conversion: Arc::clone(&self.conversion) }))
    }
}

impl Drift {
    /// `None` for what the engine's adapter does well.
    fn treatment(&self, found: &DataType, column: &Field) -> Option<Treatment> {
        let wanted = column.data_type();
        let from = plain(found);
        // Doubles that are no numbers are null.
        if wanted.is_floating() && from.is_floating() {
            return Some(Treatment::Convert);
        }
        if from == *wanted {
            return None;
        }
        if from.is_nested() || wanted.is_nested() {
            let alike = std::mem::discriminant(&from) == std::mem::discriminant(wanted);
            return (!alike).then(|| Treatment::Refuse { found: found.to_string() });
        }
        let becomes_instant = matches!(wanted, DataType::Timestamp(_, Some(_)))
            && matches!(from, DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64);
        if becomes_instant && self.conversion.zone != TimeZone::UTC {
            return Some(Treatment::Convert);
        }
        match (&from, wanted) {
            // The engine's cast fails on what is out of range; a time out of range is no time.
            (DataType::Timestamp(..), DataType::Timestamp(..)) => Some(Treatment::Cast(None)),
            (from, DataType::Timestamp(..)) if from.is_integer() => {
                let unit = self.conversion.declared.epoch(column.name());
                Some(unit.map_or(Treatment::Convert, |unit| Treatment::Cast(Some(epoch_type(unit)))))
            }
            _ if fits(&from, wanted) => None,
            _ => Some(Treatment::Convert),
        }
    }
}

/// Numbers of a unit since 1970, as the engine has them.
fn epoch_type(unit: EpochUnit) -> DataType {
    let unit = match unit {
        EpochUnit::Seconds => TimeUnit::Second,
        EpochUnit::Milliseconds => TimeUnit::Millisecond,
        EpochUnit::Microseconds => TimeUnit::Microsecond,
        EpochUnit::Nanoseconds => TimeUnit::Nanosecond,
    };
    DataType::Timestamp(unit, Some("UTC".into()))
}

#[derive(Debug)]
struct Adapter {
    engine: DefaultPhysicalExprAdapter,
    treated: HashMap<String, (FieldRef, Treatment)>,
    conversion: Arc<Conversion>,
}

impl PhysicalExprAdapter for Adapter {
    fn rewrite(&self, expression: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let adapted = self.engine.rewrite(expression)?;
        if self.treated.is_empty() {
            return Ok(adapted);
        }
        adapted.transform_up(|expression| self.treat(expression)).data()
    }
}

impl Adapter {
    fn treat(&self, expression: Arc<dyn PhysicalExpr>) -> Result<Transformed<Arc<dyn PhysicalExpr>>> {
        let column = expression.downcast_ref::<Column>();
        let Some((column, (target, treatment))) =
            column.and_then(|column| Some((column, self.treated.get(column.name())?)))
        else {
            return Ok(Transformed::no(expression));
        };
        Ok(Transformed::yes(match treatment {
            Treatment::Cast(by_way_of) => {
                let whole = |inner: Arc<dyn PhysicalExpr>, kind: &DataType| -> Arc<dyn PhysicalExpr> {
                    Arc::new(TryCastExpr::new(inner, kind.clone()))
                };
                let inner = by_way_of.iter().fold(Arc::clone(&expression), whole);
                whole(inner, target.data_type())
            }
            Treatment::Convert => Arc::new(Converted {
                column: Arc::clone(&expression),
                target: Arc::clone(target),
                conversion: Arc::clone(&self.conversion),
            }),
            Treatment::Refuse { found } => {
                return Err(FileFailure::Nested {
                    file: self.conversion.reading.file.to_string(),
                    column: column.name().to_owned(),
                    found: in_type_words(found),
                    expected: type_words(target.data_type()),
                }
                .into());
            }
        }))
    }
}
