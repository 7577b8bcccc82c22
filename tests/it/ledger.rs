//! One suite for every ledger, and what only a file can suffer.

mod allowances;
mod corrections;
mod files;
mod people;
mod server;
mod suite;
mod upkeep;

use std::collections::BTreeMap;

use jiff::Timestamp;
use milepost::ledger::{
    Batch, CreatePolicy, DecisionRecord, Dispatch, Inquiry, Lease, LedgerStore, MemoryLedger, Owner, RunEnd,
    RunRequest, Settlement, connect,
};
use milepost::model::{DeliveryKey, DeliveryState, EmailAddress, Level};
use milepost::project::LedgerLocation;

use crate::postgres::Schema;

/// A ledger and the means to reach it again, as another process would.
enum Place {
    Memory(MemoryLedger),
    Sqlite(tempfile::TempDir),
    Postgres(Schema),
}

impl Place {
    fn every() -> Vec<Self> {
        let own =
            [Self::Memory(MemoryLedger::new(owner())), Self::Sqlite(tempfile::tempdir().expect("a folder for a test"))];
        own.into_iter().chain(Schema::fresh().map(Self::Postgres)).collect()
    }

    fn location(&self) -> LedgerLocation {
        match self {
            Self::Memory(_) => unreachable!("a memory ledger has no location"),
            Self::Sqlite(folder) => LedgerLocation::Sqlite(folder.path().join("deep/ledger.db")),
            Self::Postgres(schema) => schema.location(),
        }
    }

    async fn connect(&self) -> Box<dyn LedgerStore> {
        match self {
            Self::Memory(ledger) => Box::new(ledger.reconnect()),
            Self::Sqlite(_) | Self::Postgres(_) => {
                connect(&self.location(), &owner(), CreatePolicy::WhenMissing).await.expect("the ledger opens")
            }
        }
    }

    /// Reaches the ledger after whoever had it died: where a lease outlives its owner, after the lease has ended.
    async fn connect_after_death(&self) -> Box<dyn LedgerStore> {
        if let Self::Postgres(schema) = self {
            schema.leases_end().await;
        }
        self.connect().await
    }
}

fn owner() -> Owner {
    Owner { project: "acme".into(), environment: Some("staging".into()) }
}

/// Second `second` of the tests' own time.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).expect("an instant")
}

fn key(profile_id: &str, occasion: &str) -> DeliveryKey {
    DeliveryKey { profile_id: profile_id.into(), occasion: occasion.into() }
}

fn request(run_id: &str) -> RunRequest {
    RunRequest {
        run_id: run_id.into(),
        job: "high_five".into(),
        aliases: vec![],
        project: "acme".into(),
        environment: Some("staging".into()),
        marketing: true,
        as_of: at(0),
        now: at(1),
    }
}

fn end(status: &str) -> RunEnd {
    RunEnd {
        status: status.into(),
        now: at(100),
        provider: "local/outbox".into(),
        counts: BTreeMap::from([("mail".into(), 3)]),
        starts: BTreeMap::new(),
        completes_first_run: false,
        volumes: BTreeMap::new(),
        saw_until: None,
    }
}

fn batch(batch_id: &str) -> Batch {
    Batch {
        batch_id: batch_id.into(),
        provider: "main".into(),
        idempotency_key: Some(format!("key-{batch_id}")),
        as_of: at(0),
        period: Some("2026-W46".into()),
        project_checksum: "c0ffee".into(),
        dispatched_at: at(2),
    }
}

fn claim(ledger: &dyn LedgerStore, lease: &Lease, batch_id: &str, place: (u32, &DeliveryKey)) -> Dispatch {
    let (position, key) = place;
    let address = EmailAddress::parse("ann@example.test").expect("an address");
    Dispatch {
        key: key.clone(),
        delivery_id: ledger.identity().delivery_id(&lease.job, key),
        position,
        batch_id: batch_id.into(),
        level: Level::new(50.0),
        reached_at: at(-10),
        detected_at: at(2),
        address_hash: ledger.identity().address_hash(&address),
        variant: None,
        body_hash: format!("body of {position}"),
    }
}

/// Claims one batch of keys.
async fn dispatch(
    ledger: &dyn LedgerStore,
    lease: &Lease,
    batch_id: &str,
    keys: &[DeliveryKey],
) -> Result<(), milepost::ledger::LedgerError> {
    let places = (0..).zip(keys);
    let claims: Vec<Dispatch> = places.map(|place| claim(ledger, lease, batch_id, place)).collect();
    ledger.dispatch(lease, &[batch(batch_id)], &claims).await
}

fn outcome(ledger: &dyn LedgerStore, lease: &Lease, key: &DeliveryKey, state: DeliveryState) -> Settlement {
    Settlement {
        delivery_id: ledger.identity().delivery_id(&lease.job, key),
        state,
        reason: Some("because".into()),
        provider_message_id: Some("re_1".into()),
        at: at(3),
    }
}

fn decision(key: &DeliveryKey, state: DeliveryState) -> DecisionRecord {
    DecisionRecord {
        key: key.clone(),
        state,
        reason: None,
        not_before: None,
        variant: None,
        address_hash: None,
        level: None,
        reached_at: at(-5),
        detected_at: at(4),
    }
}

/// The state of each key as `recorded` tells it.
async fn states(ledger: &dyn LedgerStore, lease: &Lease, keys: &[DeliveryKey]) -> Vec<Option<DeliveryState>> {
    let answers = ledger.recorded(lease, &Inquiry::of_keys(keys)).await.expect("the ledger answers");
    answers.recorded.into_iter().map(|recorded| recorded.map(|recorded| recorded.state)).collect()
}
