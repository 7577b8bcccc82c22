//! The ledger alone: claims a second, and a ledger that knows many already. `benches/ledger.sh` runs both.
//!
//! `ledger rates LOCATION` prints rows a second, for requests of one message and of a hundred; `ledger seed LOCATION PROJECT JOB N` records N deliveries as accepted.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use milepost::clock::{Clock, monotonic};
use milepost::ledger::{
    Batch, CreatePolicy, Dispatch, Inquiry, Lease, LedgerStore, Owner, RunEnd, RunRequest, Settlement, connect,
};
use milepost::model::{DeliveryKey, DeliveryState, EmailAddress};
use milepost::project::LedgerLocation;
use milepost::settings::Secret;

/// Deliveries claimed in one transaction, as a fast run does.
const WAVE: usize = 2_000;
const RATED: usize = 200_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["rates", location] => rates(location).await,
        ["seed", location, project, job, count] => seed(location, (project, job), count.parse()?).await,
        _ => Err("usage: ledger rates LOCATION | ledger seed LOCATION PROJECT JOB N".into()),
    }
}

async fn open(location: &str, project: &str, job: &str) -> Result<(Box<dyn LedgerStore>, Lease), Box<dyn Error>> {
    let place = match location.strip_prefix("sqlite:") {
        Some(path) => LedgerLocation::Sqlite(path.into()),
        None => LedgerLocation::Postgres(Secret::new(location.to_owned())),
    };
    let owner = Owner { project: project.to_owned(), environment: None };
    let ledger = connect(&place, &owner, CreatePolicy::WhenMissing).await?;
    let now = Clock::System.now();
    let request = RunRequest {
        run_id: "0".repeat(32),
        job: job.to_owned(),
        aliases: vec![],
        project: project.to_owned(),
        environment: None,
        marketing: true,
        as_of: now,
        now,
    };
    let lease = ledger.open(&request).await?;
    Ok((ledger, lease))
}

/// Messages of one request: one, as many providers want it, and as many as Resend takes.
const SIZES: [usize; 2] = [1, 100];

/// A wave in requests of `size` messages.
fn wave(
    ledger: &dyn LedgerStore,
    lease: &Lease,
    profiles: std::ops::Range<usize>,
    size: usize,
) -> (Vec<Batch>, Vec<Dispatch>) {
    let now = Clock::System.now();
    let mut batches: Vec<Batch> = Vec::new();
    let first = profiles.start;
    let one = |profile: usize| {
        let address = EmailAddress::parse(&format!("person_{profile}@example.test")).expect("an address");
        let address_hash = ledger.identity().address_hash(&address);
        let key = DeliveryKey { profile_id: format!("profile_{profile}"), occasion: "high_five".into() };
        let delivery_id = ledger.identity().delivery_id(&lease.job, &key);
        if (profile - first).is_multiple_of(size) {
            batches.push(Batch {
                batch_id: ledger.identity().timed_id(now, &[&delivery_id]),
                provider: "local".into(),
                idempotency_key: None,
                as_of: now,
                period: None,
                project_checksum: "0".repeat(64),
                dispatched_at: now,
            });
        }
        Dispatch {
            key,
            delivery_id,
            position: u32::try_from((profile - first) % size).unwrap_or(0),
            batch_id: batches.last().map(|batch| batch.batch_id.clone()).unwrap_or_default(),
            level: None,
            reached_at: now,
            detected_at: now,
            address_hash,
            variant: None,
            // As long as that of a body.
            body_hash: "0".repeat(32),
        }
    };
    let claims = profiles.map(one).collect();
    (batches, claims)
}

fn accepted(claims: &[Dispatch]) -> Vec<Settlement> {
    let at = Clock::System.now();
    let one = |claim: &Dispatch| Settlement {
        delivery_id: claim.delivery_id.clone(),
        state: DeliveryState::Accepted,
        reason: None,
        provider_message_id: Some(format!("<{}@acme.test>", claim.delivery_id)),
        at,
    };
    claims.iter().map(one).collect()
}

async fn rates(location: &str) -> Result<(), Box<dyn Error>> {
    let (ledger, lease) = open(location, "rates", "high_five").await?;
    for (turn, size) in SIZES.into_iter().enumerate() {
        rate(&*ledger, &lease, (turn * RATED, size), location).await?;
    }
    Ok(())
}

/// Claims and settles [`RATED`] deliveries from `first` on in requests of `size` messages.
async fn rate(
    ledger: &dyn LedgerStore,
    lease: &Lease,
    (first, size): (usize, usize),
    location: &str,
) -> Result<(), Box<dyn Error>> {
    let mut spent = [Duration::ZERO; 3];
    for first in (first..first + RATED).step_by(WAVE) {
        let (batches, claims) = wave(ledger, lease, first..first + WAVE, size);
        let keys: Vec<DeliveryKey> = claims.iter().map(|claim| claim.key.clone()).collect();
        let begun = monotonic();
        ledger.recorded(lease, &Inquiry::of_keys(&keys)).await?;
        spent[0] += begun.elapsed();
        let begun = monotonic();
        ledger.dispatch(lease, &batches, &claims).await?;
        spent[1] += begun.elapsed();
        let outcomes = accepted(&claims);
        let begun = monotonic();
        ledger.settle(lease, &outcomes).await?;
        spent[2] += begun.elapsed();
    }
    let [looked_up, claimed, settled] = spent.map(|spent| RATED as f64 / spent.as_secs_f64());
    let kind = if location.starts_with("sqlite:") { "SQLite" } else { "PostgreSQL" };
    println!(
        "{kind:<12} {size:>3} a request {claimed:>9.0} claims/s  {settled:>9.0} outcomes/s  {looked_up:>9.0} look-ups/s"
    );
    Ok(())
}

async fn seed(location: &str, (project, job): (&str, &str), count: usize) -> Result<(), Box<dyn Error>> {
    let (ledger, lease) = open(location, project, job).await?;
    for first in (1..=count).step_by(WAVE) {
        let (batches, claims) = wave(&*ledger, &lease, first..(first + WAVE).min(count + 1), 1);
        ledger.dispatch(&lease, &batches, &claims).await?;
        ledger.settle(&lease, &accepted(&claims)).await?;
    }
    let end = RunEnd {
        status: "completed".into(),
        now: Clock::System.now(),
        provider: "local/outbox".into(),
        counts: BTreeMap::new(),
        starts: BTreeMap::new(),
        completes_first_run: true,
        volumes: BTreeMap::new(),
        saw_until: None,
    };
    ledger.close(&lease, &end).await?;
    Ok(())
}
