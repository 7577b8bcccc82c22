//! The harness itself is tested: old mistakes of mailers are brought back one by one, and each must be reported.

use std::io::Write as _;
use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::super::project::{Keys, Store};
use super::scenario::{Blow, Scenario};
use super::stage::{Setting, Stage, block_on};

/// A mistake, the invariant that it breaks, and the scenario that shows it.
struct Case {
    bug: &'static str,
    breaks: &'static str,
    store: Store,
    keys: Keys,
    batch: usize,
    fault: &'static str,
    delay_milliseconds: u64,
    /// Batches are taken or refused whole, and some addresses are refused.
    strict: bool,
    blows: Vec<Blow>,
}

fn case(bug: &'static str, breaks: &'static str, keys: Keys, blows: Vec<Blow>) -> Case {
    Case { bug, breaks, store: Store::Sqlite, keys, batch: 1, fault: "", delay_milliseconds: 0, strict: false, blows }
}

fn cases() -> Vec<Case> {
    let (honoured, ignored) = (Keys::Honoured, Keys::Ignored);
    let edited = vec![Blow::Run, Blow::EditTemplate, Blow::Run];
    vec![
        case("send_before_record", "1", ignored, vec![Blow::Crash("after_response", 3)]),
        Case { fault: "accept_then_500", ..case("server_error_counted_as_refusal", "4", ignored, vec![Blow::Run]) },
        Case { batch: 4, ..case("batch_regrouped_on_retry", "1", honoured, vec![Blow::Crash("after_response", 2)]) },
        Case { fault: "accept_then_500", ..case("fresh_key_on_retry", "1", honoured, vec![Blow::Run]) },
        Case {
            store: Store::Postgres,
            delay_milliseconds: 100,
            ..case("lease_by_wall_clock", "9", ignored, vec![Blow::ClockAheadBeside(2)])
        },
        case("template_hash_in_key", "3", ignored, edited),
        Case { fault: "accept_then_reset", ..case("unknown_counted_as_failed", "1", ignored, vec![Blow::Run]) },
        case("cap_counted_after_dispatch", "3", ignored, vec![Blow::Run]),
        case("missing_ledger_created_silently", "6", ignored, vec![Blow::Run, Blow::LoseLedger]),
        Case { delay_milliseconds: 40, ..case("outcome_lost_on_signal", "5", ignored, vec![Blow::Terminate(4)]) },
        case("as_of_finer_than_the_ledger", "5", honoured, vec![Blow::Crash("after_response", 2)]),
        Case { batch: 4, strict: true, ..case("batch_refusal_settles_all", "4", honoured, vec![Blow::Run]) },
    ]
}

#[test]
fn every_mistake_is_reported_and_nothing_without_it() {
    for Case { bug, breaks, store, keys, batch, fault, delay_milliseconds, strict, blows } in cases() {
        if !Store::every().contains(&store) {
            continue;
        }
        let plain = Setting::plain(store, keys);
        let setting = |bug| Setting { batch, fault, delay_milliseconds, strict, refuses: strict, bug, ..plain.clone() };
        let found = Scenario { setting: setting(Some(bug)), blows: blows.clone() }.play().violations;
        let number = format!("{breaks} ");
        assert!(found.iter().any(|words| words.starts_with(&number)), "{bug} was not reported as {breaks}: {found:?}");
        eprintln!(
            "{bug}: {} violations, such as {}",
            found.len(),
            found.iter().find(|words| words.starts_with(&number)).expect("asked")
        );
        let found = Scenario { setting: setting(None), blows }.play().violations;
        assert!(found.is_empty(), "without {bug}: {found:?}");
    }
}

/// Evidence that was tampered with, and the invariant that must notice.
#[test]
fn what_no_mistake_shows_is_seen_as_well() {
    let tampered: [(&str, fn(&Stage)); 5] = [
        ("3", |stage| change_ledger(stage, "delete from deliveries where state = 'superseded'")),
        ("4", |stage| change_ledger(stage, "update deliveries set state = 'retryable' where state = 'accepted'")),
        ("7", |stage| {
            append(&stage.fake.log, "{\"to\":\"x\",\"subject\":\"documents:9 for profile_1\",\"delivery_id\":\"x\"}\n");
        }),
        ("8", |stage| {
            let text = std::fs::read_to_string(&stage.fake.log).expect("readable");
            std::fs::write(&stage.fake.log, text.replacen("end: ", "end, beside Name999end: ", 1)).expect("written");
        }),
        ("10", |stage| append(&stage.folder.path().join("said/1.err"), "mailed person_1@example.test\n")),
    ];
    for (number, meddle) in tampered {
        let setting = Setting::plain(Store::Sqlite, Keys::Honoured);
        let found = Scenario { setting, blows: Vec::new() }.play_and(meddle).violations;
        let number = format!("{number} ");
        assert!(found.iter().any(|words| words.starts_with(&number)), "{number}was not seen: {found:?}");
    }
}

fn append(path: &Path, line: &str) {
    let mut file = std::fs::OpenOptions::new().append(true).open(path).expect("there");
    file.write_all(line.as_bytes()).expect("written");
}

fn change_ledger(stage: &Stage, sql: &'static str) {
    block_on(async {
        let options = SqliteConnectOptions::new().filename(stage.ledger_file());
        let mut connection = options.connect().await.expect("the ledger opens");
        sqlx::raw_sql(sql).execute(&mut connection).await.expect("changed");
        connection.close().await.expect("closes");
    });
}
