//! What every delivery test stands on: a ledger that can be reached again, sessions, and the invariants.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::stream;
use jiff::Timestamp;
use milepost::clock::Clock;
use milepost::deliver::{
    Account, Compose, ComposeFailure, DeliverError, DeliverySummary, Session, SessionParts, Shutdown, SourceError,
};
use milepost::ledger::{
    CreatePolicy, DeliveryFilter, Inquiry, Lease, LedgerError, LedgerStore, MemoryLedger, Owner, PendingBatch,
    RunRequest, connect,
};
use milepost::model::{Candidate, DeliveryKey, DeliveryState, Mailbox, Message, TemplateContext};
use milepost::project::{LedgerLocation, ProviderConfig};
use milepost::providers;
use tokio::sync::watch;

use crate::postgres::Schema;
use crate::providers::fake::Fake;

/// A ledger that outlives the runs that use it.
pub(super) enum House {
    Memory(MemoryLedger),
    Sqlite(tempfile::TempDir),
    Postgres(Schema),
}

/// One run of the job: its ledger handle, lease and session.
pub(super) struct Run {
    pub(super) ledger: Arc<dyn LedgerStore>,
    pub(super) lease: Lease,
    pub(super) session: Session,
    pub(super) signals: watch::Sender<Shutdown>,
}

fn owner() -> Owner {
    Owner { project: "acme".into(), environment: None }
}

pub(super) fn as_of() -> Timestamp {
    "2026-11-01T06:00:00Z".parse().expect("an instant")
}

impl House {
    pub(super) fn memory() -> Self {
        Self::Memory(MemoryLedger::new(owner()))
    }

    pub(super) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().expect("a folder"))
    }

    /// In a file where there is no server.
    pub(super) fn postgres() -> Self {
        Schema::fresh().map_or_else(Self::sqlite, Self::Postgres)
    }

    pub(super) async fn ledger(&self) -> Arc<dyn LedgerStore> {
        let location = match self {
            Self::Memory(ledger) => return Arc::new(ledger.reconnect()),
            Self::Sqlite(folder) => LedgerLocation::Sqlite(folder.path().join("ledger.db")),
            Self::Postgres(schema) => schema.location(),
        };
        Arc::from(connect(&location, &owner(), CreatePolicy::WhenMissing).await.expect("the ledger opens"))
    }

    /// Lets a dead run's hold on the job end: by itself, or as time would end it.
    async fn let_go(&self) {
        match self {
            Self::Memory(_) | Self::Sqlite(_) => tokio::task::yield_now().await,
            Self::Postgres(schema) => schema.leases_end().await,
        }
    }

    /// Takes the job and starts a session, as a new process would.
    pub(super) async fn run(&self, account: &Arc<Account>, compose: Arc<Compose>) -> Run {
        static RUNS: AtomicU32 = AtomicU32::new(1);
        let ledger = self.ledger().await;
        let request = RunRequest {
            run_id: format!("{:032x}", RUNS.fetch_add(1, Ordering::Relaxed)),
            job: "high_five".into(),
            aliases: vec![],
            project: "acme".into(),
            environment: None,
            marketing: true,
            as_of: as_of(),
            now: Clock::System.now(),
        };
        // The tasks of a dropped session end a moment after it, and with them their hold on the job.
        let lease = loop {
            match ledger.open(&request).await {
                Ok(lease) => break lease,
                Err(LedgerError::Held { .. }) => self.let_go().await,
                Err(error) => panic!("the job cannot be taken: {error}"),
            }
        };
        let (signals, shutdown) = watch::channel(Shutdown::No);
        let session = Session::start(SessionParts {
            ledger: ledger.clone(),
            lease: lease.clone(),
            account: account.clone(),
            compose,
            as_of: as_of(),
            period: None,
            project_checksum: "checksum".into(),
            clock: Clock::System,
            shutdown,
            progress: Arc::new(|_: &DeliverySummary| {}),
        });
        Run { ledger, lease, session, signals }
    }

    /// The state of every delivery by its id.
    pub(super) async fn states(&self) -> BTreeMap<String, DeliveryState> {
        let rows = self.ledger().await.deliveries(&DeliveryFilter::default()).await.expect("rows");
        rows.into_iter().map(|row| (row.delivery_id, row.state)).collect()
    }
}

impl Run {
    pub(super) async fn mail(&self, candidates: Vec<Candidate>) -> Result<DeliverySummary, DeliverError> {
        let chunks: Vec<Result<Vec<Candidate>, SourceError>> =
            candidates.chunks(150).map(|chunk| Ok(chunk.to_vec())).collect();
        self.session.mail(stream::iter(chunks)).await
    }

    /// Recovers, replays, then mails those that may be mailed: what a whole run does.
    pub(super) async fn whole(&self, candidates: Vec<Candidate>) -> DeliverySummary {
        let pending = self.recover().await;
        self.session.replay(pending, candidates.clone()).await.expect("replayed");
        let open = self.open(candidates).await;
        self.mail(open).await.expect("mailed")
    }

    /// The candidates that the ledger does not know.
    pub(super) async fn open(&self, candidates: Vec<Candidate>) -> Vec<Candidate> {
        let keys: Vec<_> = candidates.iter().map(|candidate| candidate.key.clone()).collect();
        let asked = Inquiry::of_keys(&keys);
        let recorded = self.ledger.recorded(&self.lease, &asked).await.expect("recorded").recorded;
        let open = |(_, found): &(_, Option<milepost::ledger::Recorded>)| {
            found.as_ref().is_none_or(|recorded| !recorded.state.is_known())
        };
        candidates.into_iter().zip(recorded).filter(open).map(|(candidate, _)| candidate).collect()
    }

    pub(super) async fn recover(&self) -> Vec<PendingBatch> {
        self.ledger.recover(&self.lease, Clock::System.now()).await.expect("recovered")
    }
}

/// An account whose breaker pauses for a moment only.
pub(super) fn quick_breaker(entry: &ProviderConfig, root: &Path) -> Arc<Account> {
    let provider = providers::connect(entry, root).expect("the provider connects");
    Arc::new(Account::new("main", Arc::from(provider)).with_breaker_pause(std::time::Duration::from_millis(100)))
}

/// An account for a provider as the project would name it.
pub(super) fn account(entry: &ProviderConfig, root: &Path) -> Arc<Account> {
    let provider = providers::connect(entry, root).expect("the provider connects");
    Arc::new(Account::new("main", Arc::from(provider)))
}

pub(super) fn candidates(count: u32) -> Vec<Candidate> {
    let candidate = |number| Candidate {
        key: DeliveryKey { profile_id: format!("profile_{number}"), occasion: "campaigns:10".into() },
        address: Some(format!("person_{number}@example.test")),
        part: 0,
        milestone: Some("campaigns".into()),
        level: Some(10.0),
        reached_at: as_of(),
        dated: true,
        wanted: true,
        suppressed: None,
        variant: None,
        expires_at: None,
        timezone: None,
        context: TemplateContext::default(),
    };
    (1..=count).map(candidate).collect()
}

/// Makes a small mail; `wording` stands for the template.
pub(super) fn wording(wording: &'static str) -> Arc<Compose> {
    Arc::new(move |candidate, delivery_id, as_of| {
        let address = candidate.address.clone().unwrap_or_default();
        if address.starts_with("broken_") {
            return Err(ComposeFailure { reason: "division by zero".into() });
        }
        Ok(Message {
            delivery_id: delivery_id.to_owned(),
            from: Mailbox::parse("Acme <hello@acme.test>").expect("valid"),
            to: Mailbox::parse(&address).expect("valid"),
            reply_to: None,
            subject: format!("{wording}, {}", candidate.key.profile_id),
            html: format!("<p>{wording}, {}</p>", candidate.key.profile_id),
            text: format!("{wording}, {}", candidate.key.profile_id),
            headers: vec![],
            date: as_of,
        })
    })
}

/// The promises that hold after every scenario, whatever went wrong.
pub(super) async fn assert_promises(house: &House, fake: &Fake, expected: usize, case: &str) {
    let (states, accepted) = (house.states().await, fake.acceptances());
    let twice: Vec<_> = accepted.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{case}: accepted more than once: {twice:?}");
    assert_eq!(states.len(), expected, "{case}: every key is in exactly one state");
    let claimed: BTreeSet<_> = states.keys().collect();
    assert!(accepted.keys().all(|id| claimed.contains(id)), "{case}: every accepted message was dispatched before");
    for (id, state) in &states {
        match state {
            DeliveryState::Accepted => assert!(accepted.contains_key(id), "{case}: {id} was never accepted"),
            DeliveryState::Unknown | DeliveryState::Dispatched => {}
            other => assert!(!accepted.contains_key(id), "{case}: {id} is {other} and was accepted"),
        }
    }
    for line in fake.accepted() {
        let subject = line["subject"].as_str().expect("a subject");
        let profile = subject.rsplit(' ').next().expect("a profile").replace("profile_", "person_");
        assert!(
            line["to"].as_str().is_some_and(|to| to == format!("{profile}@example.test")),
            "{case}: a message carries another's data: {line}"
        );
    }
}

pub(super) fn count(states: &BTreeMap<String, DeliveryState>, state: DeliveryState) -> usize {
    states.values().filter(|found| **found == state).count()
}
