//! Functions that grow stop at their bound, with what was asked for in the words.

use datafusion::prelude::SessionContext;

use super::super::{WarehouseOptions, runtime};

fn context() -> SessionContext {
    let options =
        WarehouseOptions { threads: Some(2), memory_limit_bytes: Some(256_000_000), ..WarehouseOptions::default() };
    SessionContext::new_with_state(runtime::session_state(&options, &runtime::runtime(&options).expect("a runtime")))
}

async fn answer(sql: &str) -> Result<String, String> {
    let frame = context().sql(sql).await.map_err(|error| error.to_string())?;
    let batches = frame.collect().await.map_err(|error| error.to_string())?;
    let column = batches[0].column(0);
    Ok(super::super::value::json(column, 0).to_string())
}

/// What is too large is refused before it is made, as a constant and from columns.
#[tokio::test]
async fn values_that_would_be_too_large_are_refused() {
    for call in [
        "repeat('x', 2000000000)",
        "repeat('x', cast(2000000000 as bigint) * v)",
        "repeat(t, 2000000000)",
        "lpad('x', 2000000000, 'y')",
        "rpad(t, 2000000000)",
        "replace(repeat('x', 1000000), 'x', repeat('y', 1000000))",
        "replace(repeat(t, 1000000), 'x', repeat('y', 1000000))",
        "concat(repeat('x', 9000000), repeat('x', 9000000))",
        "concat_ws(repeat('x', 9000000), 'a', 'b', 'c')",
        "array_repeat('x', 2000000000)",
        "array_repeat(t, 2000000000)",
        "range(0, 1000000000000)",
        "generate_series(1, 1000000000000)",
        "generate_series(0, v * 1000000000000)",
        "generate_series(date '0001-01-01', date '9999-01-01', interval '1 second')",
        "array_resize([1], 2000000000, 0)",
        "regexp_replace(repeat('x', 5000000), 'x', 'yyyyy', 'g')",
        "translate(repeat('x', 9000000), 'x', 'é') || ''",
    ] {
        let sql = format!("select length(cast({call} as varchar)) from (values (1, 'x')) as r (v, t)");
        match answer(&sql).await {
            Err(error) => assert!(error.contains("would make"), "{call}: {error}"),
            Ok(length) => panic!("{call}: {length}"),
        }
    }
}

/// Many values that are each small enough count too.
#[tokio::test]
async fn batches_that_would_be_too_large_are_refused() {
    let sql = "select max(length(repeat('x', 1000000 + cast(value % 2 as int)))) from generate_series(1, 5000)";
    let error = answer(sql).await.expect_err("too large");
    assert!(error.contains("at once"), "{error}");
}

#[tokio::test]
async fn what_fits_is_made() {
    for (call, expected) in [
        ("repeat('ab', 3)", "\"ababab\""),
        ("length(repeat('x', 16000000))", "16000000"),
        ("lpad('x', 3, 'yz')", "\"yzx\""),
        ("lpad(cast(null as varchar), 3, 'yz')", "null"),
        ("replace('a,b', ',', '; ')", "\"a; b\""),
        ("concat('a', 1, null, 'b')", "\"a1b\""),
        ("concat_ws('-', 'a', null, 'b')", "\"a-b\""),
        ("array_repeat(1, 3)", "[1,1,1]"),
        ("list_repeat('x', 2)", "[\"x\",\"x\"]"),
        ("range(1, 4)", "[1,2,3]"),
        ("range(10, 1, -4)", "[10,6,2]"),
        ("generate_series(1, 3)", "[1,2,3]"),
        ("array_length(generate_series(date '2026-01-01', date '2026-12-31', interval '1 month'))", "12"),
        ("regexp_replace('aXbX', 'X', '-', 'g')", "\"a-b-\""),
        ("translate('abc', 'ab', 'xy')", "\"xyc\""),
        ("overlay('abc' placing 'x' from 2 for 1)", "\"axc\""),
    ] {
        assert_eq!(answer(&format!("select {call}")).await.as_deref(), Ok(expected), "{call}");
    }
}
