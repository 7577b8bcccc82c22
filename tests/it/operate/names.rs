//! Names that nobody knows are errors wherever one is typed, with the nearest that is known.

use super::{NOW, Shop};
use crate::cli::milepost;

const ORDERS: &str = "job: orders
start: all
milestones: [{name: orders, event: ordered, reaches: [1, 2]}]
message: {subject: Hello, template: templates/any.html}
";

const RECAP: &str = "job: digest
start: all
recap: {period: day, metrics: {orders: {sql: 'count(*)'}}}
message: {subject: Your day, template: templates/any.html}
";

fn shop() -> Shop {
    let shop = Shop::with(&[("jobs/orders.yml", ORDERS), ("jobs/digest.yml", RECAP)]);
    shop.runs(0);
    shop
}

#[test]
fn unknown_jobs_are_refused_by_every_command_that_takes_one() {
    let shop = shop();
    let base = shop.folder.path().to_string_lossy().into_owned();
    let commands: &[&[&str]] = &[
        &["check", "ordres"],
        &["compile", "ordres"],
        &["run", "ordres"],
        &["plan", "ordres"],
        &["diff", "--base", &base, "ordres"],
        &["diff", "--base", &base, "orders", "ordres"],
        &["preview", "ordres"],
        &["flags", "ordres"],
        &["metrics", "ordres"],
        &["test", "ordres"],
        &["explain", "u1", "ordres"],
        &["status", "ordres"],
        &["halt", "ordres"],
        &["resume", "ordres"],
        &["deliveries", "list", "--job", "ordres"],
        &["deliveries", "resolve", "accepted", "--job", "ordres", "--reason", "x"],
        &["deliveries", "retry", "--job", "ordres", "--reason", "x"],
        &["suppress", "x@example.test", "--reason", "unsubscribed", "--job", "ordres"],
        &["unsuppress", "x@example.test", "--job", "ordres"],
    ];
    for arguments in commands {
        let ran = shop.ends(2, arguments);
        assert!(ran.stderr.contains("`ordres`") && ran.stderr.contains("`orders`"), "{arguments:?}\n{}", ran.stderr);
        let json = shop.ends(2, &[*arguments, &["--format", "json"]].concat()).json();
        assert_eq!(json["exit_code"], 2, "{arguments:?}");
    }
}

#[test]
fn other_names_are_refused_too() {
    let shop = shop();
    for (arguments, near) in [
        (&["deliveries", "list", "--state", "acepted"][..], "`accepted`"),
        (&["deliveries", "list", "--milestone", "oders"], "`orders`"),
        (&["deliveries", "list", "--job", "digest", "--milestone", "orders"], "there are"),
        (&["suppress", "x@example.test", "--reason", "bounced"], "`bounce`"),
        (&["check", "--env", "prod"], "prod"),
        (&["deliveries", "show", "0123"], "0123"),
    ] {
        let ran = shop.ends(2, arguments);
        assert!(ran.stderr.contains(near), "{arguments:?}\n{}", ran.stderr);
    }
}

#[test]
fn unknown_profiles_end_with_1_and_the_nearest_ids() {
    let shop = shop();
    for arguments in [
        &["explain", "u11"][..],
        &["preview", "--profile", "u11"],
        &["deliveries", "list", "--profile", "u11"],
        &["run", "--only", "u11"],
        &["run", "--only", "u11", "--dry-run"],
        &["suppress", "--profile", "u11"],
        &["erase", "--profile", "u11"],
        &["deliveries", "retry", "--profile", "u11", "--reason", "x"],
    ] {
        let ran = shop.ends(1, arguments);
        assert!(ran.stderr.contains("`u11`") && ran.stderr.contains("`u1`"), "{arguments:?}\n{}", ran.stderr);
    }
    let far = shop.ends(1, &["explain", "somebody-else-altogether"]).stderr;
    assert!(!far.contains("did you mean"), "{far}");
}

#[test]
fn what_the_ledger_knows_can_be_asked_for_when_the_project_has_it_no_longer() {
    let shop = shop();
    shop.ends(0, &["halt", "digest"]);
    shop.remove("jobs/digest.yml");
    let listed = shop.ends(0, &["deliveries", "list", "--job", "digest"]).stdout;
    assert!(listed.contains("2026-11-17"), "{listed}");
    shop.ends(0, &["deliveries", "list", "--job", "digest", "--milestone", "2026-11-17"]);
    shop.ends(0, &["resume", "digest"]);
    shop.ends(2, &["resume", "digest"]);
    shop.write("people.csv", "profile_id,email,plan,tasks\nu1,ann@example.test,full,4\n");
    assert!(shop.ends(0, &["explain", "u2"]).stdout.contains("accepted"), "somebody who left the audience");
    shop.ends(0, &["deliveries", "list", "--profile", "u2"]);
    let renamed = ORDERS.replace("job: orders", "job: purchases\naliases: [orders]");
    shop.remove("jobs/orders.yml");
    shop.write("jobs/purchases.yml", &renamed);
    let ran = shop.ends(2, &["run", "orders", "--as-of", NOW]);
    assert!(ran.stderr.contains("`purchases`"), "{}", ran.stderr);
    shop.ends(0, &["deliveries", "list", "--job", "purchases"]);
}

#[test]
fn somebody_without_deliveries_has_none() {
    let shop = shop();
    shop.write("people.csv", &format!("{}u4,dora@example.test,full,1\n", super::PEOPLE));
    assert!(shop.ends(0, &["deliveries", "list", "--profile", "u4"]).stdout.contains("no deliveries"));
    shop.ends(0, &["suppress", "--profile", "u4"]);
}

#[test]
fn a_job_that_does_not_load_is_shown_with_its_finding() {
    let shop = shop();
    for (broken, words) in [
        (ORDERS.replace("milestones:", "milestone:"), "milestone"),
        (ORDERS.replace("reaches: [1, 2]", "reaches: []"), "reaches"),
        ("job: orders\n  : [".to_owned(), "orders.yml"),
        ("job: orders\nmessage: {}\n".to_owned(), "orders.yml"),
    ] {
        shop.write("jobs/orders.yml", &broken);
        let ran = shop.ends(2, &["check", "orders"]);
        assert!(ran.stderr.contains(words) && !ran.stderr.contains("is named"), "{broken}\n{}", ran.stderr);
        let ran = shop.ends(2, &["check", "nobody"]);
        assert!(ran.stderr.contains("`nobody`") && ran.stderr.contains("orders.yml"), "{broken}\n{}", ran.stderr);
        let ran = shop.ends(2, &["check", "digest"]);
        assert!(ran.stderr.contains("orders.yml"), "what does not load is always said\n{}", ran.stderr);
    }
    // The file's name and the job's may differ.
    shop.remove("jobs/orders.yml");
    shop.write("jobs/a.yml", &ORDERS.replace("milestones:", "milestone:"));
    let ran = milepost(shop.folder.path(), &["check", "orders"]).expect(2);
    assert!(!ran.stderr.contains("is named"), "{}", ran.stderr);
}
