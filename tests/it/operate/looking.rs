//! What people look at before and after a run: previews, explanations, differences, secrets.

use std::fs;

use super::{NOW, Shop, files_of};
use crate::cli::milepost_with;

const ORDERS: &str = "job: orders
start: {since: 2026-11-17}
milestones: [{name: orders, event: ordered, reaches: [1, 2], only_if: 'tasks >= 5 and level > 0'}]
message: {subject: 'Order {{ milestone.level }}', template: templates/any.html}
";

const RECAP: &str = "job: digest
start: all
recap: {period: day, compare: [previous], metrics: {orders: {sql: 'count(*)', label: Orders}}, only_if: orders > orders_previous}
message: {subject: Your day, template: templates/recap.html}
";

const RECAP_TEMPLATE: &str = "<p>{{ metrics.orders.label }}: {{ metrics.orders.value }}</p>{% include 'footer.html' %}
{% if metrics.orders.value > 1000000 %}<p>A million</p>{% endif %}
<p>{{ postal_address }}</p><a href='{{ unsubscribe_url }}'>Leave</a>\n";

fn shop() -> Shop {
    Shop::with(&[
        ("jobs/orders.yml", ORDERS),
        ("jobs/digest.yml", RECAP),
        ("jobs/templates/recap.html", RECAP_TEMPLATE),
        ("jobs/templates/footer.html", "<p>Bye</p>"),
    ])
}

#[test]
fn a_preview_without_a_name_shows_whom_a_run_would_mail() {
    let shop = shop();
    let asked = ["preview", "orders", "--as-of", NOW, "--replay", "--format", "json"];
    let shown = shop.ends(0, &asked).json();
    // u1 has too few tasks, and everybody's first order is before the start.
    assert_eq!((&shown["mails"][0]["profile_id"], &shown["mails"][0]["occasion"]), (&"u2".into(), &"orders:2".into()));
    assert_eq!(shown["mails"][0]["decision"], "mail");
    assert_eq!(shown["remarks"].as_array().map(Vec::len), Some(0));
    shop.runs(0);
    assert_eq!(shop.mails(), 1, "and that is the only one who was");

    let again = shop.ends(0, &asked).json();
    assert_eq!(again["mails"][0]["decision"], "skipped", "who comes nearest");
    let remark = again["remarks"][0].as_str().expect("a remark");
    assert!(remark.contains("would mail nobody now") && remark.contains("1 known"), "{remark}");
}

#[test]
fn a_preview_says_why_a_run_would_not_mail() {
    let shop = shop();
    let of = |profile: &str, as_of: &str| {
        shop.ends(0, &["preview", "orders", "--profile", profile, "--as-of", as_of, "--replay"]).stdout
    };
    let skipped = of("u1", NOW);
    assert!(skipped.contains("skipped: `only_if: tasks >= 5 and level > 0` with"), "{skipped}");
    assert!(of("u3", NOW).contains("baselined: it was reached before"));
    let expired = of("ben@example.test", "2026-12-20T00:00:00Z");
    assert!(expired.contains("orders:2\na run would not mail it now: expired"), "by its address\n{expired}");
    assert_eq!(of("u2", NOW).matches("a run would not mail it now").count(), 1, "the first order was before the start");
    shop.write("events.csv", "user_id,event,timestamp\n");
    let nobody = shop.ends(0, &["preview", "orders", "--as-of", NOW]);
    assert!(nobody.stderr.contains("nobody in the audience `people` reached anything yet"), "{}", nobody.stderr);
}

#[test]
fn previews_have_files_of_their_own_and_go_with_their_job() {
    let shop = shop();
    shop.write("people.csv", "profile_id,email,plan,tasks\na/b,ann@example.test,full,9\na_b,ben@example.test,full,9\n");
    shop.write(
        "events.csv",
        "user_id,event,timestamp\na/b,ordered,2026-11-17T08:10:00Z\na_b,ordered,2026-11-17T08:10:00Z\n",
    );
    for profile in ["a/b", "a_b"] {
        shop.ends(0, &["preview", "--profile", profile, "--as-of", NOW]);
    }
    let folder = shop.path("target/milepost/preview");
    let of = |job: &str| files_of(&folder).into_iter().filter(|name| name.starts_with(job)).count();
    assert_eq!((of("orders-"), of("digest-")), (2, 2), "{:?}", files_of(&folder));
    fs::write(folder.join("digest-mine.html"), "not by a preview").expect("written");
    shop.remove("jobs/digest.yml");
    shop.ends(0, &["preview", "orders", "--profile", "a/b", "--as-of", NOW]);
    assert_eq!((of("orders-"), of("digest-")), (2, 1), "{:?}", files_of(&folder));
    assert!(folder.join("digest-mine.html").is_file());
}

#[test]
fn an_explanation_has_the_predicate_and_what_it_saw() {
    let shop = shop();
    let explain =
        |profile: &str, job: &str| shop.ends(0, &["explain", profile, job, "--as-of", NOW, "--replay"]).stdout;
    let told = explain("u1", "orders");
    let found = "yes: `only_if: tasks >= 5 and level > 0` with `level = 2`, `tasks = 4`";
    assert!(told.contains(found), "{told}");
    let told = explain("u2", "orders");
    assert!(told.contains("no: `only_if: tasks >= 5 and level > 0` with `level = 2`, `tasks = 7`"), "{told}");
    let told = explain("u1", "digest");
    assert!(told.contains("`only_if: orders > orders_previous` with `orders = 1`, `orders_previous = 1`"), "{told}");
}

#[test]
fn an_address_stands_for_its_profile_and_is_not_repeated() {
    let shop = shop();
    let told = shop.ends(0, &["explain", " ANN@example.test", "--as-of", NOW]).stdout;
    assert!(told.starts_with("u1 as of") && !told.to_lowercase().contains("ann@"), "{told}");
    let unknown = shop.ends(1, &["explain", "nobody@example.test", "-vv"]);
    assert!(!unknown.stderr.contains("nobody@"), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("no profile has this address"), "{}", unknown.stderr);
    shop.write("people.csv", &format!("{}u4,ann@example.test,full,1\n", super::PEOPLE));
    let several = shop.ends(2, &["explain", "ann@example.test"]).stderr;
    assert!(several.contains("u1, u4") && !several.contains("ann@"), "{several}");
}

#[test]
fn what_is_left_of_a_forgotten_person_is_named() {
    let shop = shop();
    shop.runs(0);
    shop.ends(0, &["preview", "--profile", "u2", "--as-of", NOW]);
    shop.ends(1, &["erase", "--profile", "u22"]);
    assert!(shop.ends(0, &["deliveries", "list"]).stdout.contains("u2"), "nothing was written");
    let forgotten = shop.ends(0, &["erase", "--profile", "u2"]).stdout;
    for words in [".eml", "outbox/pages/", "target/milepost/preview/", "not looked at", "backups"] {
        assert!(forgotten.contains(words), "{words}\n{forgotten}");
    }
    shop.ends(0, &["erase", "--profile", "u22", "--unknown"]);
    shop.ends(0, &["suppress", "--profile", "u23", "--unknown"]);
}

/// The first project as the base of a comparison with the second, at an instant at which nobody is mailed.
fn difference(base: &Shop, changed: &Shop) -> String {
    let base = base.folder.path().to_string_lossy().into_owned();
    changed.ends(0, &["diff", "--base", &base, "--as-of", "2026-12-20T00:00:00Z"]).stdout
}

#[test]
fn a_difference_shows_what_a_message_says_otherwise_though_nobody_is_mailed() {
    let base = shop();
    assert!(
        difference(&base, &shop()).contains("No mail reads otherwise: templates, subjects and labels are the same.")
    );
    let recap = |from: &str, to: &str| ("jobs/templates/recap.html", RECAP_TEMPLATE.replace(from, to));
    let cases = [
        (("jobs/orders.yml", ORDERS.replace("Order {{", "Your order {{")), "orders", &["Order 1", "Your order 1"][..]),
        (
            ("jobs/digest.yml", RECAP.replace("label: Orders", "label: Purchases")),
            "digest",
            &["-Orders: 5", "+Purchases: 5"],
        ),
        (
            ("jobs/templates/footer.html", "<p>So long</p>".to_owned()),
            "digest",
            &["-Bye", "+So long", "footer.html changed"],
        ),
        (
            ("jobs/templates/any.html", super::TEMPLATE.replace("Well done", "Great")),
            "orders",
            &["-Well done", "+Great"],
        ),
        (recap("A million", "Seven digits"), "digest", &["recap.html changed", "Seven digits", "a branch that none"]),
        (recap("<p>{{ metrics", "<p class='x'>{{ metrics"), "digest", &["the HTML part alone differs"]),
        (("milepost.yml", super::SETTINGS.replace("here", "1 Rue X")), "orders", &["-here", "+1 Rue X"]),
    ];
    for ((path, text), job, words) in cases {
        let changed = shop();
        changed.write(path, &text);
        let told = difference(&base, &changed).replace("- ", "-").replace("+ ", "+");
        assert!(told.contains(&format!("### {job}")), "{path}\n{told}");
        for words in words {
            assert!(told.contains(words), "{path}: {words}\n{told}");
        }
        assert!(!told.contains("No mail reads otherwise"), "{told}");
    }
}

#[test]
fn secrets_that_are_not_set_are_told_alike_whoever_needs_them() {
    let shop = shop();
    let real = super::SETTINGS
        .replace(
            "  people: {csv: people.csv}",
            "  people: {csv: people.csv}\n  crm: {postgres: {url: 'env:MILEPOST_SHOP_CRM', table: t}}",
        )
        .replace(
            "  local: {outbox: {dir: outbox}}",
            "  local: {resend: {api_key: 'env:MILEPOST_SHOP_KEY'}}\n  idle: {resend: {api_key: 'env:MILEPOST_SHOP_IDLE'}}",
        )
        .replace("project: shop", "project: shop\nledger: env:MILEPOST_SHOP_LEDGER");
    shop.write("milepost.yml", &real);
    let needed = ["MILEPOST_SHOP_CRM", "MILEPOST_SHOP_KEY", "MILEPOST_SHOP_LEDGER"];
    let warned = shop.ends(0, &["check"]).stderr;
    for name in needed {
        let finding = format!("`{name}` is not set");
        assert!(warned.contains("warning[unset-secret]") && warned.contains(&finding), "{name}\n{warned}");
    }
    assert!(!warned.contains("MILEPOST_SHOP_IDLE"), "no job uses it\n{warned}");
    let refused = shop.ends(2, &["check", "--secrets"]).stderr;
    assert_eq!(refused.matches("error[unset-secret]").count(), 3, "{refused}");
    shop.ends(2, &["run"]);
    let set = [("MILEPOST_SHOP_KEY", "x"), ("MILEPOST_SHOP_LEDGER", "sqlite:.milepost/l.db")];
    let some = milepost_with(shop.folder.path(), &["check", "--secrets"], &set).expect(2).stderr;
    assert_eq!(some.matches("error[unset-secret]").count(), 1, "{some}");
}
