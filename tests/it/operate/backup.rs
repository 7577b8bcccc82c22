//! The ledger as a file that people copy: whole after every command, saved while in use, and recognised when it is old.

use std::fs;
use std::path::Path;

use super::{Shop, files_of};
use crate::cli::{milepost, milepost_with};

const JOB: &str = "job: orders
start: all
milestones: [{name: orders, event: ordered, reaches: [1, 2]}]
message: {subject: Hello, template: templates/any.html}
";

fn shop() -> Shop {
    Shop::with(&[("jobs/orders.yml", JOB)])
}

/// Another project of the same files, with this copy as its ledger and nothing else of the first one.
fn elsewhere(shop: &Shop, copy: &Path) -> Shop {
    let other = self::shop();
    fs::create_dir_all(other.path(".milepost")).expect("made");
    fs::copy(copy, other.path(".milepost/ledger.db")).expect("copied");
    let _ = shop;
    other
}

#[test]
fn a_copy_of_the_file_alone_is_whole_after_every_command_that_writes() {
    let shop = shop();
    let id = |shop: &Shop, state: &str| {
        let rows = shop.ends(0, &["deliveries", "list", "--state", state, "--format", "json"]).json();
        rows[0]["delivery_id"].as_str().expect("an id").to_owned()
    };
    let ledger = shop.path(".milepost/ledger.db");
    let is_whole = |after: &str| {
        let log = fs::metadata(shop.path(".milepost/ledger.db-wal")).map_or(0, |log| log.len());
        assert_eq!(log, 0, "{after}");
    };
    shop.runs(0);
    is_whole("run");
    let restored = elsewhere(&shop, &ledger);
    restored.runs(0);
    assert_eq!(restored.mails(), 0, "everybody is known");
    for arguments in [
        &["halt", "--reason", "a look"][..],
        &["resume"],
        &["suppress", "x@example.test"],
        &["unsuppress", "x@example.test"],
        &["erase", "--profile", "u3"],
        &["ledger", "prune", "--older-than", "1 days"],
        &["ledger", "check"],
    ] {
        shop.ends(0, arguments);
        is_whole(&arguments.join(" "));
    }
    assert!(!id(&shop, "accepted").is_empty());
    shop.ends(0, &["suppress", "ann@example.test"]);
    let restored = elsewhere(&shop, &ledger);
    assert_eq!(restored.ends(0, &["unsuppress", "ann@example.test", "--format", "json"]).json()["lifted"], 1);
}

#[test]
fn a_backup_is_whole_while_the_log_is_full() {
    let shop = shop();
    shop.runs(0);
    shop.write("events.csv", &format!("{}u3,ordered,2026-11-18T05:00:00Z\n", super::EVENTS));
    // Killed between the last commit and the checkpoint: what the run did stands in the log alone.
    let killed = milepost_with(
        shop.folder.path(),
        &["run", "--as-of", super::NOW, "--replay"],
        &[("MILEPOST_CRASHPOINT", "before_checkpoint_sqlite")],
    );
    drop(killed);
    assert!(fs::metadata(shop.path(".milepost/ledger.db-wal")).expect("a log").len() > 0);
    let mails = shop.mails();
    assert_eq!(mails, 4);
    shop.ends(0, &["ledger", "backup", "--to", "saved/copy.db"]);
    let saved = shop.path("saved/copy.db");
    let restored = elsewhere(&shop, &saved);
    restored.runs(0);
    assert_eq!(restored.mails(), 0, "the last run's mails are known");
    restored.ends(0, &["ledger", "check"]);
    shop.ends(2, &["ledger", "backup", "--to", "saved/copy.db"]);
    assert_eq!(files_of(&shop.path("saved")), ["copy.db"], "whole or not at all");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(&saved).expect("there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "it holds the secret behind the ids");
    }
}

#[test]
fn an_older_copy_in_the_same_place_is_recognised() {
    let shop = shop();
    shop.runs(0);
    let (ledger, copy) = (shop.path(".milepost/ledger.db"), shop.path("copy.db"));
    fs::copy(&ledger, &copy).expect("copied");
    shop.write("events.csv", &format!("{}u3,ordered,2026-11-18T05:00:00Z\n", super::EVENTS));
    shop.runs(0);
    assert_eq!(shop.mails(), 4);
    fs::copy(&copy, &ledger).expect("restored");
    for arguments in [&["run", "--as-of", super::NOW, "--replay"][..], &["plan"], &["run", "--dry-run"]] {
        let refused = milepost(shop.folder.path(), arguments).expect(5);
        let words = format!("{}{}", refused.stdout, refused.stderr);
        assert!(words.contains("older than the last run") && words.contains(".lock`"), "{arguments:?}\n{words}");
    }
    let found = shop.ends(1, &["ledger", "check"]).stdout;
    assert!(found.contains("older copy"), "{found}");
    assert_eq!(shop.mails(), 4);
    // On purpose: the notes of the runs that are forgotten are removed.
    shop.remove(".milepost/ledger.db.orders.lock");
    shop.runs(0);
    shop.ends(0, &["ledger", "check"]);
}

#[test]
fn a_new_ledger_in_the_place_of_an_old_one_is_none_that_is_older() {
    let shop = shop();
    shop.runs(0);
    shop.runs(0);
    shop.remove(".milepost/ledger.db");
    shop.runs(0);
}
