//! What happens to files: absent, foreign, damaged, read-only, copied; and how fast they are.

use std::io::Write as _;
use std::path::Path;

use milepost::clock::monotonic;
use milepost::ledger::{CreatePolicy, DeliveryFilter, LedgerError, LedgerStore, Owner, Settlement, connect, create};
use milepost::model::{DeliveryKey, DeliveryState};
use milepost::project::LedgerLocation;

use super::{Place, at, dispatch, end, key, outcome, owner, request, states};

async fn reach(path: &Path, policy: CreatePolicy) -> Result<Box<dyn LedgerStore>, LedgerError> {
    connect(&LedgerLocation::Sqlite(path.to_owned()), &owner(), policy).await
}

/// The words of a refusal.
async fn refusal(path: &Path) -> String {
    let reached = reach(path, CreatePolicy::WhenMissing).await.map(|_| ());
    reached.expect_err("what is no ledger must be refused").to_string()
}

#[tokio::test]
async fn a_missing_ledger_is_made_only_when_asked_and_never_over_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a/b/ledger.db");
    let location = LedgerLocation::Sqlite(path.clone());
    let missing = reach(&path, CreatePolicy::Never).await.map(|_| ());
    assert!(
        matches!(&missing, Err(error @ LedgerError::Missing { .. }) if error.to_string().contains("milepost ledger create"))
    );
    assert!(!folder.path().join("a").exists(), "looking makes nothing");

    create(&location, &owner()).await.expect("makes it and its folders");
    let first = reach(&path, CreatePolicy::Never).await.expect("opens").identity().delivery_id("j", &key("u", "o"));
    let bytes = std::fs::read(&path).expect("readable");
    assert!(matches!(create(&location, &owner()).await, Err(LedgerError::Exists { .. })));
    assert_eq!(std::fs::read(&path).expect("readable"), bytes);
    let again =
        reach(&path, CreatePolicy::WhenMissing).await.expect("opens").identity().delivery_id("j", &key("u", "o"));
    assert_eq!(first, again, "the key stays");
    let names: Vec<_> = std::fs::read_dir(folder.path().join("a/b"))
        .expect("readable")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("text"))
        .collect();
    assert!(names.iter().all(|name| name.starts_with("ledger.db")), "nothing else is left: {names:?}");

    let other = folder.path().join("other.db");
    let other = connect(&LedgerLocation::Sqlite(other), &owner(), CreatePolicy::WhenMissing).await.expect("makes it");
    assert_ne!(first, other.identity().delivery_id("j", &key("u", "o")), "every ledger has its own key");
}

#[tokio::test]
async fn what_is_no_ledger_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("writable");
        path
    };
    let text = file("text.db", &b"profile_id,email\n".repeat(100));
    assert!(refusal(&text).await.contains("not a SQLite database"));
    assert_eq!(std::fs::read(&text).expect("readable"), b"profile_id,email\n".repeat(100));
    assert!(refusal(&file("empty.db", b"")).await.contains("empty file"));
    assert!(refusal(folder.path()).await.contains("folder"));

    let other = folder.path().join("other.db");
    raw(&other, "create table notes (text text)").await;
    assert!(refusal(&other).await.contains("another program"));
    assert!(!folder.path().join("other.db-wal").exists(), "its journal mode stays");

    let newer = folder.path().join("newer.db");
    create(&LedgerLocation::Sqlite(newer.clone()), &owner()).await.expect("makes it");
    raw(&newer, "update meta set value = '99' where key = 'format_version'").await;
    let words = refusal(&newer).await;
    assert!(words.contains("format 99") && words.contains("upgrade milepost"), "{words}");

    let keyless = folder.path().join("keyless.db");
    create(&LedgerLocation::Sqlite(keyless.clone()), &owner()).await.expect("makes it");
    raw(&keyless, "update meta set value = 'é' where key = 'identity_key'").await;
    assert!(refusal(&keyless).await.contains("damaged"));
}

#[tokio::test]
async fn a_ledger_of_format_1_opens_with_all_it_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("old.db");
    raw(&path, include_str!("format_1.sql")).await;
    let rows = "insert into meta values ('format_version', '1'), ('project', 'acme'), ('environment', 'staging'),
            ('identity_key', '5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a');
        insert into jobs values ('high_five', '2026-01-01T00:00:00.000000Z', '2026-01-02T00:00:00.000000Z', 'main/resend');
        insert into leases values ('high_five', 7, 'r0', '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z', null);
        insert into batches values ('b0', 'main', null, '2026-01-01T00:00:00.000000Z', null, 'c', '2026-01-01T00:00:00.000000Z', 1);
        insert into deliveries values ('high_five', 'u1', 'o', 'd1', 'accepted', null, 50, '2026-01-01T00:00:00.000000Z',
            '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:01.000000Z',
            '2026-01-01T00:00:01.000000Z', 'b0', 0, 1, 'main', 're_1', 'abcdefabcdef', 'body', 'r0', 7),
            ('high_five', 'mailto:ann@example.test', 'o/Ben <ben@example.test>', 'd2', 'accepted', null, 50,
            '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z',
            '2026-01-01T00:00:01.000000Z', '2026-01-01T00:00:01.000000Z', 'b0', 1, 1, 'main', 're_2', 'abcdefabcdef', 'body',
            'r0', 7);";
    raw(&path, rows).await;
    for run in ["r1", "r2"] {
        let ledger = reach(&path, CreatePolicy::Never).await.expect("the old format opens");
        let lease = ledger.open(&request(run)).await.expect("opens");
        assert!(lease.epoch > 7 && !lease.first_run);
        let keys = [key("u1", "o")];
        assert_eq!(states(&*ledger, &lease, &keys).await, [Some(DeliveryState::Accepted)]);
        let keys = [key("mailto:ann@example.test", "o/Ben <ben@example.test>")];
        assert_eq!(states(&*ledger, &lease, &keys).await, [Some(DeliveryState::Accepted)], "found under its hash");
        let all = ledger.deliveries(&DeliveryFilter::default()).await.expect("lists");
        assert!(all.iter().all(|row| !format!("{row:?}").contains("example.test")), "{all:?}");
        let filter = DeliveryFilter { delivery_id: Some("d1".into()), ..DeliveryFilter::default() };
        let rows = ledger.deliveries(&filter).await.expect("lists");
        let row = rows.iter().find(|row| row.profile_id == "u1").expect("the old row");
        assert_eq!(
            (row.level, row.address_hash.as_deref(), row.variant.as_deref()),
            (Some(50.0), Some("abcdefabcdef"), None)
        );
        let deferred = key(run, "o");
        let record = milepost::ledger::DecisionRecord {
            key: deferred.clone(),
            ..super::decision(&deferred, DeliveryState::Deferred)
        };
        ledger.record(&lease, &[record]).await.expect("the new states are known");
    }
}

/// Runs SQL on a file as another program would.
async fn raw(path: &Path, sql: &'static str) {
    use sqlx::Connection as _;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("opens");
    sqlx::raw_sql(sql).execute(&mut connection).await.expect("runs");
    connection.close().await.expect("closes");
}

#[tokio::test]
async fn damage_is_told_apart_from_absence() {
    let place = Place::Sqlite(tempfile::tempdir().expect("a folder"));
    let LedgerLocation::Sqlite(path) = place.location() else { unreachable!("a SQLite place") };
    drop(place.connect().await);
    let mut bytes = std::fs::read(&path).expect("readable");
    bytes[100..8_000].fill(0xff);
    let copy = path.with_file_name("damaged.db");
    std::fs::write(&copy, bytes).expect("writable");
    let words = refusal(&copy).await;
    assert!(words.contains("damaged") && words.contains("backup"), "{words}");

    let orphan = path.with_file_name("orphan.db");
    std::fs::write(path.with_file_name("orphan.db-wal"), b"left over").expect("writable");
    let words = refusal(&orphan).await;
    assert!(words.contains("orphan.db-wal") && !orphan.exists(), "{words}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_lock_that_cannot_be_taken_is_told_with_its_path() {
    let place = Place::Sqlite(tempfile::tempdir().expect("a folder"));
    let LedgerLocation::Sqlite(path) = place.location() else { unreachable!("a SQLite place") };
    let ledger = place.connect().await;
    // A folder in the lock's place stops everybody, also root.
    let lock = path.with_file_name("ledger.db.high_five.lock");
    std::fs::create_dir(&lock).expect("writable");
    let error = ledger.open(&request("r1")).await.expect_err("no lock, no run");
    assert!(matches!(&error, LedgerError::Unavailable { .. }));
    assert!(error.to_string().contains("ledger.db.high_five.lock"), "{error}");
    std::fs::remove_dir(&lock).expect("removable");
    ledger.open(&request("r1")).await.expect("a failed try leaves nothing held");

    let hostile = milepost::ledger::RunRequest { job: "../../evil/\0 job".into(), ..request("r2") };
    ledger.open(&hostile).await.expect("any name is locked beside the ledger");
    assert!(!path.with_file_name("evil").exists());
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("file"), b"x").expect("writable");
    let location = LedgerLocation::Sqlite(folder.path().join("file/ledger.db"));
    let error = create(&location, &owner()).await.expect_err("a file is no folder");
    assert!(matches!(&error, LedgerError::Unavailable { .. }), "{error}");
    assert!(matches!(connect(&location, &owner(), CreatePolicy::Never).await, Err(LedgerError::Unavailable { .. })));
}

#[tokio::test]
async fn a_full_disk_refuses_a_wave_and_the_ledger_goes_on() {
    // Triggers stand for the disk: an error in the midst of a wave, after which SQLite keeps the transaction or has ended it
    // by itself, as it does when a disk is full.
    let disks = [
        "create trigger full before insert on deliveries when new.profile_id = 'u2' begin select raise(abort, 'no room'); end",
        "create trigger full before insert on deliveries when new.profile_id = 'u2' begin select raise(rollback, 'no room'); end",
    ];
    for disk in disks {
        let place = Place::Sqlite(tempfile::tempdir().expect("a folder"));
        let LedgerLocation::Sqlite(path) = place.location() else { unreachable!("a SQLite place") };
        drop(place.connect().await);
        raw(&path, disk).await;
        let ledger = place.connect().await;
        let lease = ledger.open(&request("r1")).await.expect("opens");
        let keys = [key("u1", "o"), key("u2", "o")];
        let error = dispatch(&*ledger, &lease, "b1", &keys).await.expect_err("no room");
        assert!(matches!(&error, LedgerError::Unavailable { reason, .. } if reason.contains("no room")), "{error}");
        assert_eq!(states(&*ledger, &lease, &keys).await, [None, None]);
        dispatch(&*ledger, &lease, "b2", &keys[..1]).await.expect("what fits is claimed");
        ledger.close(&lease, &end("failed")).await.expect("the run can say how it ended");
    }
}

#[tokio::test]
async fn a_call_given_up_midway_is_whole_or_nothing() {
    let place = Place::Sqlite(tempfile::tempdir().expect("a folder"));
    let ledger = place.connect().await;
    let lease = ledger.open(&request("r1")).await.expect("opens");
    for round in 0..40_u32 {
        let keys: Vec<DeliveryKey> =
            (0..200).map(|profile| key(&format!("u{profile}"), &format!("o{round}"))).collect();
        let batch = format!("b{round}");
        let patience = std::time::Duration::from_micros(u64::from(round) * 250);
        let _ = tokio::time::timeout(patience, dispatch(&*ledger, &lease, &batch, &keys)).await;
        let after = [key("after", &format!("o{round}"))];
        dispatch(&*ledger, &lease, &format!("after{round}"), &after).await.expect("the ledger goes on");
        let claimed = states(&*ledger, &lease, &keys).await.iter().flatten().count();
        assert!(claimed == 0 || claimed == keys.len(), "{claimed} of {} in round {round}", keys.len());
    }
}

#[tokio::test]
async fn no_address_is_in_any_byte_of_the_files() {
    let place = Place::Sqlite(tempfile::tempdir().expect("a folder"));
    let LedgerLocation::Sqlite(path) = place.location() else { unreachable!("a SQLite place") };
    let ledger = place.connect().await;
    let lease = ledger.open(&request("r1")).await.expect("opens");
    let keys = [key("ann@example.test", "2026-W46/bob@example.test"), key("cleo@example.test", "o")];
    dispatch(&*ledger, &lease, "b1", &keys).await.expect("claims");
    ledger.settle(&lease, &[outcome(&*ledger, &lease, &keys[0], DeliveryState::Accepted)]).await.expect("settles");
    assert_eq!(states(&*ledger, &lease, &keys).await, [Some(DeliveryState::Accepted), Some(DeliveryState::Dispatched)]);
    let mut bytes = 0;
    for entry in std::fs::read_dir(path.parent().expect("a folder")).expect("readable") {
        let content = std::fs::read(entry.expect("readable").path()).expect("readable");
        bytes += content.len();
        assert!(!content.windows(7).any(|window| window == b"example"));
    }
    assert!(bytes > 10_000, "there was something to search");
}

#[tokio::test]
async fn two_jobs_write_at_once_from_two_handles() {
    let place = Place::Sqlite(tempfile::tempdir().expect("a folder"));
    let handles = [place.connect().await, place.connect().await];
    let runs = handles.iter().zip(["one", "two"]).map(|(ledger, job)| async move {
        let request = milepost::ledger::RunRequest { job: job.into(), ..request(job) };
        let lease = ledger.open(&request).await.expect("opens");
        for wave in 0..20 {
            let keys: Vec<DeliveryKey> =
                (0..50).map(|profile| key(&format!("u{profile}"), &format!("w{wave}"))).collect();
            dispatch(&**ledger, &lease, &format!("{job}{wave}"), &keys).await.expect("claims");
        }
        ledger.counts(job).await.expect("counts")[&DeliveryState::Dispatched]
    });
    assert_eq!(futures::future::join_all(runs).await, [1_000, 1_000]);
}

#[tokio::test]
async fn a_hundred_thousand_claims_in_waves() {
    const WAVE: usize = 2_000;
    let place = Place::Sqlite(tempfile::tempdir().expect("a folder"));
    let ledger = place.connect().await;
    let lease = ledger.open(&request("r1")).await.expect("opens");
    let keys: Vec<DeliveryKey> =
        (0..100_000).map(|profile| key(&format!("profile_{profile:07}"), "campaigns:50")).collect();
    let mut spent = [std::time::Duration::ZERO; 3];
    for (wave, keys) in keys.chunks(WAVE).enumerate() {
        let begun = monotonic();
        assert!(states(&*ledger, &lease, keys).await.iter().all(Option::is_none));
        spent[0] += begun.elapsed();
        let begun = monotonic();
        dispatch(&*ledger, &lease, &format!("b{wave}"), keys).await.expect("claims");
        spent[1] += begun.elapsed();
        let outcomes: Vec<Settlement> =
            keys.iter().map(|key| outcome(&*ledger, &lease, key, DeliveryState::Accepted)).collect();
        let begun = monotonic();
        ledger.settle(&lease, &outcomes).await.expect("settles");
        spent[2] += begun.elapsed();
    }
    assert_eq!(ledger.counts("high_five").await.expect("counts")[&DeliveryState::Accepted], 100_000);
    let rates = spent.map(|spent| (100_000.0 / spent.as_secs_f64()).round());
    let shown = format!("rows/s in waves of {WAVE}: recorded {}, dispatch {}, settle {}", rates[0], rates[1], rates[2]);
    writeln!(std::io::stdout(), "{shown}").expect("a test's output is open");
    // Far below what any disk gives, far above what one statement per row would.
    assert!(rates.iter().all(|rate| *rate > 2_000.0), "{rates:?}");
    let begun = monotonic();
    assert!(ledger.recover(&lease, at(9)).await.expect("recovers").is_empty());
    assert!(begun.elapsed().as_secs() < 5, "recovery looks only at what is in doubt");

    // Ids are found in segments of rows: in the first, the last, and on both sides of their borders.
    for place in [0, 8_190, 8_191, 8_192, 65_535, 65_536, 99_999] {
        let wanted = Some(ledger.identity().delivery_id(&lease.job, &keys[place]));
        let filter = DeliveryFilter { delivery_id: wanted, ..DeliveryFilter::default() };
        let found = ledger.deliveries(&filter).await.expect("lists");
        let profiles: Vec<&str> = found.iter().map(|row| row.profile_id.as_str()).collect();
        assert_eq!(profiles, [keys[place].profile_id.as_str()]);
    }
}

#[tokio::test]
async fn an_owner_without_environment_is_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let location = LedgerLocation::Sqlite(folder.path().join("ledger.db"));
    let plain = Owner { project: "acme".into(), environment: None };
    let ledger = connect(&location, &plain, CreatePolicy::WhenMissing).await.expect("makes it");
    assert_eq!(ledger.owner(), &plain);
    drop(ledger);
    let named = Owner { project: "acme".into(), environment: Some(String::new()) };
    assert!(matches!(connect(&location, &named, CreatePolicy::Never).await, Err(LedgerError::Foreign { .. })));
}
