//! Expressions that the engine names alike: it leaves casts out of names, and no two columns of a step may share one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr as EngineExpr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Query, Select, TypedString, Value, Visit, VisitMut, Visitor, VisitorMut,
};

use super::parameters::call;

/// The function's name.
const NAME: &str = "milepost_as_written";

/// Names the casts of every select in which they alone tell two expressions apart.
pub(super) fn tell_apart(query: &mut Query) {
    let _: ControlFlow<()> = query.visit(&mut Selects);
}

struct Selects;

impl VisitorMut for Selects {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let casts = ambiguous_casts(select);
        if !casts.is_empty() {
            let _: ControlFlow<()> = VisitMut::visit(select, &mut Naming { casts: &casts });
        }
        ControlFlow::Continue(())
    }
}

/// The casts inside calls and group keys that are equal without their casts, as text.
fn ambiguous_casts(select: &Select) -> BTreeSet<String> {
    let mut calls = Calls { found: Vec::new() };
    let _: ControlFlow<()> = Visit::visit(select, &mut calls);
    if let GroupByExpr::Expressions(keys, _) = &select.group_by {
        calls.found.extend(keys.iter().cloned());
    }
    let mut alike: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut casts_of: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for expression in calls.found {
        let written = expression.to_string();
        if casts_of.contains_key(&written) {
            continue;
        }
        let mut bare = expression;
        let mut stripping = Stripping { casts: BTreeSet::new() };
        let _: ControlFlow<()> = VisitMut::visit(&mut bare, &mut stripping);
        alike.entry(bare.to_string()).or_default().insert(written.clone());
        casts_of.insert(written, stripping.casts);
    }
    let several = alike.into_values().filter(|written| written.len() > 1).flatten();
    several.filter_map(|written| casts_of.remove(&written)).flatten().collect()
}

/// What is inside a cast that the engine leaves out of names.
fn inside(expression: &Expr) -> Option<Expr> {
    match expression {
        Expr::Cast { expr, .. } => Some(expr.as_ref().clone()),
        Expr::AtTimeZone { timestamp, .. } => Some(timestamp.as_ref().clone()),
        Expr::TypedString(TypedString { value, .. }) => Some(Expr::Value(value.clone())),
        _ => None,
    }
}

struct Calls {
    found: Vec<Expr>,
}

impl Visitor for Calls {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        if matches!(expression, Expr::Function(_)) {
            self.found.push(expression.clone());
        }
        ControlFlow::Continue(())
    }
}

struct Stripping {
    casts: BTreeSet<String>,
}

impl VisitorMut for Stripping {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        while let Some(bare) = inside(expression) {
            self.casts.insert(expression.to_string());
            *expression = bare;
        }
        ControlFlow::Continue(())
    }
}

struct Naming<'a> {
    casts: &'a BTreeSet<String>,
}

impl VisitorMut for Naming<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if inside(expression).is_some() {
            let written = expression.to_string();
            if self.casts.contains(&written) {
                let text = Expr::Value(Value::SingleQuotedString(written).into());
                *expression = call(NAME, vec![expression.clone(), text]);
            }
        }
        ControlFlow::Continue(())
    }
}

/// The function for the warehouse: its first argument, under a name that tells how it was written.
pub(super) fn function() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(AsWritten { signature: Signature::any(2, Volatility::Immutable) }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct AsWritten {
    signature: Signature,
}

impl ScalarUDFImpl for AsWritten {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [value, _] => Ok(value.clone()),
            _ => plan_err!("`{NAME}` takes a value and a text"),
        }
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> Result<FieldRef> {
        match arguments.arg_fields {
            [value, _] => Ok(Arc::clone(value)),
            _ => plan_err!("`{NAME}` takes a value and a text"),
        }
    }

    /// The name is made by now, so the value alone goes on.
    fn simplify(&self, mut arguments: Vec<EngineExpr>, _info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(ExprSimplifyResult::Simplified(arguments.swap_remove(0)))
    }

    fn invoke_with_args(&self, mut arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(arguments.args.swap_remove(0))
    }
}
