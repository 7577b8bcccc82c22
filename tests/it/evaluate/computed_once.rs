//! An audience that a view computes: computed once for all queries of all jobs, and the same people as without.

use milepost::model::Candidate;

use super::world::{World, at, at_period};

const PROJECT: &str = "
project: test
tables:
  events: {csv: events.csv, time: happened_at}
  visits: {csv: visits.csv, time: happened_at}
providers:
  local: {outbox: {dir: outbox}}
defaults: {provider: local, sender: 'Acme <a@acme.test>', postal_address: here}
unsubscribe: {url: 'https://acme.test/leave'}
";

const EVENTS: &str = "user_id,event,happened_at
ann,edited,2026-01-01T10:00:00Z
ann,edited,2026-01-02T10:00:00Z
ben,edited,2026-01-02T10:00:00Z
";

const VISITS: &str = "user_id,account_id,pages,happened_at
ann,a,3,2025-12-01T10:00:00Z
ann,a,4,2025-12-02T10:00:00Z
ben,a,5,2026-02-03T10:00:00Z
cid,b,6,2025-12-02T10:00:00Z
";

/// Who visited: the only relation that reads `visits`.
const VISITORS: &str = "select user_id as profile_id, user_id || '@x.test' as email, account_id, sum(pages) as pages
from visits where happened_at <= $as_of group by user_id, account_id";

fn job(name: &str, rest: &str) -> String {
    format!(
        "job: {name}\nstart: all\naudience: visitors\nmessage: {{subject: '{{{{ profile.pages }}}}', template: t.html}}\n{rest}\n"
    )
}

async fn world(visitors: &str) -> World {
    let count = job("count", "milestones:\n  - {name: edits, event: edited, reaches: [1, 2], only_if: pages > 3}");
    let quiet = job("quiet", "milestones:\n  - {name: quiet, inactive: 5 days}");
    let month = job(
        "month",
        "recap: {period: month, entity: account_id, metrics: {edits: {label: Edits, sql: count(*)}}, from: acted, time: happened_at}",
    );
    World::of(&[
        ("milepost.yml", PROJECT),
        ("events.csv", EVENTS),
        ("visits.csv", VISITS),
        ("sql/visitors.sql", visitors),
        ("sql/acted.sql", "select user_id, event, happened_at, 'a' as account_id from events"),
        ("jobs/t.html", "<p>{{ unsubscribe_url }} {{ postal_address }}</p>"),
        ("jobs/count.yml", &count),
        ("jobs/quiet.yml", &quiet),
        ("jobs/month.yml", &month),
    ])
    .await
}

/// What each job decides at two instants, and how many bytes of files were read for it.
async fn decided(world: &World) -> (Vec<Vec<String>>, u64) {
    let mut decisions = Vec::new();
    let before = world.warehouse.meter().bytes();
    for as_of in ["2026-02-05T00:00:00Z", "2026-02-01T00:00:00Z"] {
        for name in ["count", "quiet", "month"] {
            let request = if name == "month" { at_period(as_of, "2026-01") } else { at(as_of) };
            let job = world.compile(name).await;
            let mut stream = job.candidates(&world.warehouse, &request).await.expect("candidates");
            let mut candidates: Vec<Candidate> = Vec::new();
            while let Some(chunk) = futures::StreamExt::next(&mut stream).await {
                candidates.extend(chunk.expect("a chunk"));
            }
            decisions.push(candidates.iter().map(|candidate| format!("{candidate:?}")).collect());
        }
    }
    (decisions, world.warehouse.meter().bytes() - before)
}

#[tokio::test]
async fn an_audience_that_a_view_computes_is_computed_once_for_all_jobs() {
    let (expected, read) = decided(&world(VISITORS).await).await;
    let mut world = world(VISITORS).await;
    world.warehouse.compute_once(["visitors".to_owned()].iter());
    let (found, read_first) = decided(&world).await;
    assert_eq!(found, expected);
    assert!(found.iter().all(|candidates| !candidates.is_empty()), "{found:#?}");
    assert_ne!(found[0], found[3], "the instant says who is in the audience");
    let (found, read_again) = decided(&world).await;
    assert_eq!(found, expected);
    let once_per_instant = 2 * VISITS.len() as u64;
    assert_eq!(read_first - read_again, once_per_instant);
    assert!(read > read_first, "{read} bytes, and {read_first} where it is computed once");
}

/// An interval has no place in a file, and its view is read as it is.
#[tokio::test]
async fn an_audience_that_no_file_holds_is_read_as_any_other() {
    let spans = "sum(pages) as pages, max(happened_at) - min(happened_at) as span, interval '1 month' as every";
    let (expected, _) = decided(&world(VISITORS).await).await;
    let mut world = world(&VISITORS.replace("sum(pages) as pages", spans)).await;
    world.warehouse.compute_once(["visitors".to_owned()].iter());
    let people = |decisions: &[Vec<String>]| decisions.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(people(&decided(&world).await.0), people(&expected));
}
