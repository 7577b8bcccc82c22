//! Values that their column cannot hold, columns whose files disagree, and doubles that are no numbers.

use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::parquet::arrow::ArrowWriter;

use super::{project, run, subjects};
use crate::evaluate::world::{World, at_period, line};

const AT: i64 = 1_791_626_400_000_000;
const PEOPLE: (&str, &str) = ("people.csv", "profile_id,email\nu1,a@x.test\n");
const TABLES: &str = "  orders: {csv: orders.csv, time: at}\n  people: {csv: people.csv}";

fn recap(metric: &str) -> String {
    format!(
        "job: job\nstart: all\naudience: people\nmessage: {{subject: 'total {{{{ metrics.total.value }}}}', template: \
         t.html}}\nrecap: {{from: orders, period: month, metrics: {{total: {{sql: {metric}}}}}}}\n"
    )
}

fn mail(folder: &Path) -> (Option<i32>, String) {
    run(folder, &["run", "--as-of", "2026-11-02T00:00:00Z", "--replay"])
}

/// 1,000 whole amounts and then what nobody expected.
fn orders(last: &str) -> String {
    let rows = (0..1_000).fold("user_id,at,amount\n".to_owned(), |mut rows, _| {
        let _ = writeln!(rows, "u1,2026-10-10T10:00:00Z,1");
        rows
    });
    format!("{rows}u1,2026-10-10T10:00:00Z,{last}\n")
}

#[test]
fn no_mail_is_made_of_a_column_that_lost_values() {
    for (last, expected) in [
        ("512.50", None),
        ("n/a", None),
        ("99999999999999999999", None),
        ("007", None),
        ("512.00", Some("1512")),
        (" 512 ", Some("1512")),
        ("", Some("1000")),
    ] {
        let folder = project(TABLES, &recap("sum(amount)"), &[PEOPLE, ("orders.csv", &orders(last))]);
        let (code, said) = mail(folder.path());
        if let Some(total) = expected {
            assert_eq!(code, Some(0), "{last}: {said}");
            assert_eq!(subjects(folder.path()), [format!("a@x.test: total {total}")], "{last}");
        } else {
            assert_eq!(code, Some(2), "{last}: {said}");
            assert!(said.contains("orders.amount") && said.contains("orders.csv"), "{said}");
            assert!(subjects(folder.path()).is_empty());
        }
    }
    let declared = TABLES.replace("time: at", "time: at, columns: {amount: double}");
    let folder = project(&declared, &recap("sum(amount)"), &[PEOPLE, ("orders.csv", &orders("512.50"))]);
    assert_eq!(mail(folder.path()).0, Some(0));
    assert_eq!(subjects(folder.path()), ["a@x.test: total 1512.5"]);
}

/// An audience that a view computes is computed once: what was lost then concerns every job that reads it.
#[test]
fn every_job_of_a_computed_audience_hears_of_the_values_it_lost() {
    let people = "select user_id as profile_id, 'a@x.test' as email, sum(amount) as total from orders group by user_id";
    let job = |name: &str| {
        format!(
            "job: {name}\nstart: all\nmail_within: 90 days\naudience: buyers\nmessage: {{subject: 'total {{{{ profile.total }}}}', template: \
             t.html}}\nmilestones:\n  - {{name: bought, from: orders, reaches: [1]}}\n"
        )
    };
    for (last, expected) in [("n/a", None), ("1", Some("total 1001"))] {
        let (rows, second) = (orders(last), job("second"));
        let files = [("orders.csv", rows.as_str()), ("sql/buyers.sql", people), ("jobs/second.yml", &second)];
        let folder = project("  orders: {csv: orders.csv, time: at}", &job("job"), &files);
        let (code, said) = mail(folder.path());
        if let Some(subject) = expected {
            assert_eq!(code, Some(0), "{said}");
            assert_eq!(subjects(folder.path()), [format!("a@x.test: {subject}"), format!("a@x.test: {subject}")]);
        } else {
            assert_eq!(code, Some(2), "{said}");
            for job in ["job", "second"] {
                assert!(said.contains(&format!("the job `{job}` reads values")), "{job}: {said}");
            }
            assert!(said.matches("1 value of `orders.amount`").count() >= 2, "{said}");
            assert!(subjects(folder.path()).is_empty());
        }
    }
}

#[test]
fn what_no_mail_depends_on_is_counted_and_told() {
    let mut people = "profile_id,email,visits,note\n".to_owned();
    for number in 1..=1_000 {
        let _ = writeln!(people, "u{number},a{number}@x.test,1,");
    }
    people += "u1001,z@x.test,many,a word\n";
    let files = [("people.csv", people.as_str()), ("orders.csv", &orders("1"))];
    let job = |subject: &str, only_if: &str| {
        format!(
            "job: job\nstart: all\naudience: people\nmessage: {{subject: '{subject}', template: t.html}}\nmilestones:\n  - {{name: \
             done, from: orders, reaches: [1]{only_if}}}\n"
        )
    };
    let folder = project(TABLES, &job("s", ""), &files);
    let (code, said) = mail(folder.path());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("people.visits") && said.contains("people.note"), "{said}");
    for job in [job("{{ profile.visits | default: 0 }}", ""), job("s", ", only_if: visits > 0")] {
        let folder = project(TABLES, &job, &files);
        let (code, said) = mail(folder.path());
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("people.visits"), "{said}");
    }
}

#[test]
fn a_sqlite_column_that_holds_other_values_than_it_says_makes_no_mail() {
    let folder = project(
        "  orders: {sqlite: {file: orders.db, table: orders}, time: at}\n  people: {csv: people.csv}",
        &recap("sum(amount)"),
        &[PEOPLE],
    );
    let database = folder.path().join("orders.db");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        use sqlx::{Connection, Executor};
        let url = format!("sqlite://{}?mode=rwc", database.display());
        let mut connection = sqlx::SqliteConnection::connect(&url).await.expect("a database");
        let rows = "create table orders (user_id text, at timestamp, amount integer); insert into orders values \
                    ('u1', '2026-10-10', 1), ('u1', '2026-10-10', 512.5)";
        connection.execute(rows).await.expect("rows");
        connection.close().await.expect("closed");
    });
    let (code, said) = mail(folder.path());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("orders.amount"), "{said}");
    assert!(subjects(folder.path()).is_empty());
}

fn write(path: &Path, scores: ArrayRef) {
    let rows = scores.len();
    let columns: [(&str, ArrayRef); 3] = [
        ("user_id", Arc::new(StringArray::from(vec!["u1"; rows]))),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![AT; rows]).with_timezone("UTC"))),
        ("score", scores),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("rows");
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    let mut writer = ArrowWriter::try_new(File::create(path).expect("a file"), batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("rows");
    writer.close().expect("a file");
}

const SCORES: &str = "  orders: {parquet: orders/, time: at}\n  people: {csv: people.csv}";

fn mixed(tables: &str, job: &str, more: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = project(tables, job, &[&[PEOPLE][..], more].concat());
    write(&folder.path().join("orders/a.parquet"), Arc::new(Int64Array::from(vec![9, 1_000])));
    write(&folder.path().join("orders/b.parquet"), Arc::new(StringArray::from(vec!["20"])));
    folder
}

#[tokio::test]
async fn a_column_whose_files_disagree_is_told_and_neither_ordered_nor_added() {
    for metric in [
        "max(score)",
        "min(score)",
        "greatest(max(score), '5')",
        "count(*) filter (where score > '10')",
        "max(trim(score))",
        "max(lower(score))",
        "max(replace(score, ',', ''))",
        "max(score || '')",
        "max(id_text(score))",
        "max(case when score is not null then score end)",
        "max(case when user_id = 'u1' then 'x' else coalesce(score, '') end)",
        "array_max(array_agg(score order by at))",
        "array_sort(array_agg(score order by at))[1]",
        "list_sort(array_agg(score order by at), 'DESC')[1]",
        "array_agg(distinct score order by score)[1]",
        "last_value(score order by score)",
        "last_value(user_id order by lower(score))",
        "count(*) filter (where struct(score, 'a') > struct('5', 'a'))",
        "count(*) filter (where '5' between score and '7')",
    ] {
        let folder = mixed(SCORES, &recap(&format!("\"{metric}\"")), &[]);
        let (world, findings) = World::survey(folder.path()).await;
        let told = findings.iter().map(line).collect::<Vec<_>>().join("\n");
        for part in ["mixed-types", "`score`", "int in `", "a.parquet`", "text in `", "b.parquet`"] {
            assert!(told.contains(part), "{part}: {told}");
        }
        let refused = world.findings("job").await.join("\n");
        assert!(refused.contains("mixed-types") && refused.contains("columns: {score: double}"), "{metric}: {refused}");
        let (code, said) = mail(folder.path());
        assert_eq!(code, Some(2), "{metric}: {said}");
    }
    for (metric, expected) in [
        ("count(score)", "3"),
        ("max(cast(score as double))", "1000"),
        ("count(distinct score)", "3"),
        ("max(length(score))", "4"),
        ("max(case when score = '9' then 'yes' else 'no' end)", "yes"),
        ("max(cast(score as varchar))", "9"),
        ("array_max(array_agg(cast(score as int) order by at))", "1000"),
        ("max(user_id)", "u1"),
    ] {
        let folder = mixed(SCORES, &recap(&format!("\"{metric}\"")), &[]);
        assert_eq!(mail(folder.path()).0, Some(0), "{metric}");
        assert_eq!(subjects(folder.path()), [format!("a@x.test: total {expected}")]);
    }
    let declared = SCORES.replace("time: at", "time: at, columns: {score: int}");
    let folder = mixed(&declared, &recap("max(score)"), &[]);
    assert_eq!(mail(folder.path()).0, Some(0));
    assert_eq!(subjects(folder.path()), ["a@x.test: total 1000"]);
}

#[tokio::test]
async fn a_view_that_orders_such_a_column_is_refused_where_it_does() {
    let job = "job: job\nstart: all\naudience: people\nmessage: {subject: s, template: t.html}\nmilestones:\n  - {name: best, from: \
               best}\n";
    let rest = "as value from orders group by user_id";
    let head = "select user_id as profile_id, max(at) as reached_at, ";
    for (view, refused) in [
        (format!("{head}max(score) {rest}"), true),
        (
            format!(
                "with cased as (select *, case when score <> '' then score end as found from orders) {head}max(found) as value from cased group by user_id"
            ),
            true,
        ),
        (
            format!(
                "select profile_id, reached_at, array_max(scores) as value from ({head}array_agg(score order by at) as scores from orders group by user_id)"
            ),
            true,
        ),
        (
            format!(
                "{head}max(found) as value from (select user_id, at, lower(score) as found from orders union all select user_id, at, 'x' from orders) group by user_id"
            ),
            true,
        ),
        (format!("{head}max(found) as value from lowered group by user_id"), true),
        (
            format!(
                "{head}max(b.score) as value from people join orders as b on profile_id = user_id group by user_id"
            ),
            true,
        ),
        (
            format!(
                "{head}max(profile_id) as value from people join orders as b on profile_id = user_id group by user_id"
            ),
            false,
        ),
        (format!("{head}(select max(trim(o.score)) from orders as o) as value from orders group by user_id"), true),
        (format!("{head}max(cast(score as double)) {rest}"), false),
        (format!("{head}count(score) {rest}"), false),
    ] {
        let lowered = ("sql/lowered.sql", "select user_id, at, lower(score) as found from orders");
        let folder = mixed(SCORES, job, &[("sql/best.sql", &view), lowered]);
        let (_, findings) = World::survey(folder.path()).await;
        let told = findings.iter().map(line).collect::<Vec<_>>().join("\n");
        let is_told = told.contains("sql/best.sql:1:") && told.contains("text is ordered by its letters");
        assert_eq!(is_told, refused, "{view}: {told}");
    }
}

#[tokio::test]
async fn texts_among_numbers_of_one_file_are_not_ordered_either() {
    let orders =
        "user_id,at,amount\nu1,2026-10-10T10:00:00Z,9\nu1,2026-10-10T10:00:00Z,1000\nu1,2026-10-10T10:00:00Z,n/a\n";
    let folder = project(TABLES, &recap("max(amount)"), &[PEOPLE, ("orders.csv", orders)]);
    let (world, findings) = World::survey(folder.path()).await;
    assert!(findings.is_empty(), "nothing is wrong with the table: {findings:?}");
    assert!(world.findings("job").await.join("\n").contains("mixed-types"));
}

#[tokio::test]
async fn doubles_that_are_no_numbers_are_null_everywhere() {
    let scores = || {
        let values = [Some(1.5), Some(f64::NAN), None, Some(f64::INFINITY), Some(f64::NEG_INFINITY), Some(4.0)];
        Arc::new(Float64Array::from(values.to_vec())) as ArrayRef
    };
    for (metric, expected) in [
        ("sum(score)", "5.5"),
        ("max(score)", "4.0"),
        ("min(score)", "1.5"),
        ("avg(score)", "2.75"),
        ("count(score)", "2"),
        ("count(*) filter (where score > 2)", "1"),
    ] {
        let folder = project(SCORES, &recap(&format!("\"{metric}\"")), &[PEOPLE]);
        write(&folder.path().join("orders/a.parquet"), scores());
        let world = World::open(folder.path()).await;
        let rows = world.metrics("job", &at_period("2026-11-02T00:00:00Z", "2026-10")).await;
        assert_eq!(rows, [format!("u1,2026-10,{expected}")], "{metric}");
        let lost = world.warehouse.take_misfits();
        assert!(lost.len() == 1 && lost[0].not_numbers && lost[0].values == 3, "{lost:?}");
        let (code, said) = mail(folder.path());
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("3 values of `orders.score`, NaN or infinite"), "{said}");
    }
    let ladder = "job: job\nstart: all\naudience: people\nmessage: {subject: s, template: t.html}\nmilestones:\n  - \
                  {name: sum, from: orders, measure: sum(score), reaches: [5]}\n  - {name: top, from: orders, measure: \
                  max(score), reaches: [4]}\n";
    let folder = project(SCORES, ladder, &[PEOPLE]);
    write(&folder.path().join("orders/a.parquet"), scores());
    let (code, said) = run(folder.path(), &["flags", "job", "--as-of", "2026-11-02T00:00:00Z", "--format", "json"]);
    assert_eq!(code, Some(0), "{said}");
    for flag in ["\"sum\"", "\"top\"", "5.5"] {
        assert!(said.contains(flag), "{flag}: {said}");
    }
}
