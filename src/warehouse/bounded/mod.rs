//! Functions whose results can be far larger than what they are given: their size is known before they are called, and
//! what is too large is refused.
//!
//! Guarantees: no value of such a function is larger than [`VALUE_BYTES_MAX`], no batch of them than its share of the
//! memory limit.

mod arguments;
mod sizes;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, exec_err, resources_err};
use datafusion::execution::FunctionRegistry;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use arguments::Argument;
use sizes::Growth;

/// The largest text or list that a function may make: 16 MB.
const VALUE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Functions and how large their results are.
const GROWING: &[(&str, Growth)] = &[
    ("array_repeat", Growth::RepeatedItem),
    ("array_resize", Growth::Resized),
    ("concat", Growth::Joined),
    ("concat_ws", Growth::Joined),
    ("generate_series", Growth::Series),
    ("lpad", Growth::Padded),
    ("overlay", Growth::Joined),
    ("range", Growth::Series),
    ("regexp_replace", Growth::Measured),
    ("repeat", Growth::Repeated),
    ("replace", Growth::Replaced),
    ("rpad", Growth::Padded),
    ("translate", Growth::Measured),
];

/// Puts bounds on every function that grows; a batch may take `batch_bytes_max`.
pub(super) fn register(state: &mut SessionState, batch_bytes_max: u64) {
    for (name, growth) in GROWING {
        if let Ok(inner) = state.udf(name) {
            let bounded = Bounded { inner, growth: *growth, batch_bytes_max: batch_bytes_max.max(VALUE_BYTES_MAX) };
            // Registering replaces a function of the same name and has no other way to fail.
            let _ = state.register_udf(Arc::new(ScalarUDF::from(bounded)));
        }
    }
}

/// A function that grows, with its bounds.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    growth: Growth,
    batch_bytes_max: u64,
}

impl Bounded {
    /// Refuses results that would be too large.
    fn check(&self, arguments: &[ColumnarValue], rows: usize) -> Result<()> {
        let arguments: Vec<Argument> = arguments.iter().map(Argument::new).collect::<Result<_>>()?;
        // Mostly a bound that costs nothing is enough.
        if self.growth.at_most(&arguments, rows) <= u128::from(VALUE_BYTES_MAX) {
            return Ok(());
        }
        self.check_sizes((0..rows).map(|row| self.growth.of_row(&arguments, row)))
    }

    fn check_sizes(&self, sizes: impl Iterator<Item = u64>) -> Result<()> {
        let mut batch: u64 = 0;
        for size in sizes {
            if size > VALUE_BYTES_MAX {
                let (name, size) = (self.name(), in_words(size));
                return exec_err!(
                    "`{name}` would make a value of {size}, and a value holds {} at most",
                    in_words(VALUE_BYTES_MAX)
                );
            }
            batch = batch.saturating_add(size);
            if batch > self.batch_bytes_max {
                let (name, most) = (self.name(), in_words(self.batch_bytes_max));
                return resources_err!("`{name}` would make more than {most} of values at once");
            }
        }
        Ok(())
    }

    fn check_result(&self, result: &ColumnarValue, rows: usize) -> Result<()> {
        let result = Argument::new(result)?;
        if result.bytes(rows) <= VALUE_BYTES_MAX {
            return Ok(());
        }
        self.check_sizes((0..rows).map(|row| result.size(row)))
    }
}

fn in_words(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1_000)),
        1_000_000..1_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arguments)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(arguments)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arguments)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        if self.growth == Growth::Measured {
            let result = self.inner.invoke_with_args(arguments)?;
            self.check_result(&result, rows)?;
            return Ok(result);
        }
        self.check(&arguments.args, rows)?;
        self.inner.invoke_with_args(arguments)
    }
}
