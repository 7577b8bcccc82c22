//! The first half of a run: candidates are evaluated, looked up and decided; nothing is recorded yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::decide::{self, Ahead, Decided, Facts, Lookup, Recipients, Rules};
use crate::deliver::ended;
use crate::evaluate::{CandidateStream, EvaluateError, Request, Tally};
use crate::ledger::{Answers, DecisionRecord, Inquiry, Lease, LedgerStore};
use crate::model::{Candidate, Decision, DeliveryKey, TemplateContext};
use crate::settings::{crashpoint, seeded};
use crate::warehouse::Warehouse;

use super::orphans::Heirs;
use super::plan::PlannedMail;
use super::spool::{Spool, Spooled};
use super::{PreparedJob, RunError};

/// Everything a run decided, counted, with what is to be mailed or recorded kept in order.
pub(super) struct DecidedJob {
    /// Candidates per decision; every decision is listed.
    pub(super) decisions: BTreeMap<&'static str, u64>,
    /// The known ones by their state.
    pub(super) known: BTreeMap<&'static str, u64>,
    /// Rows that could not become candidates.
    pub(super) dropped: BTreeMap<&'static str, u64>,
    /// Mails by period of a recap or by day of milestones.
    pub(super) volumes: BTreeMap<String, u64>,
    /// Which they are, and the first of them, where the run keeps them.
    pub(super) kept: Option<KeptMails>,
    /// Flags and active entities with an audience row.
    pub(super) in_audience: u64,
    /// Rows of the audience, where they were counted.
    pub(super) audience_rows: Option<u64>,
    /// Rows of the list of the suppressed, where there is one.
    pub(super) suppressed_rows: Option<u64>,
    /// Candidates to mail.
    pub(super) mails: Spool,
    /// Decisions to store.
    pub(super) stored: Spool,
}

/// Which candidates are mailed, for plans.
#[derive(Default)]
pub(super) struct KeptMails {
    /// All of them.
    pub(super) mails: Vec<PlannedMail>,
    /// The first ones.
    pub(super) first: Vec<Candidate>,
}

impl KeptMails {
    const FIRST_MAX: usize = 3;

    fn add(&mut self, candidate: &Candidate) {
        if self.first.len() < Self::FIRST_MAX {
            self.first.push(candidate.clone());
        }
        let DeliveryKey { profile_id, occasion } = candidate.key.clone();
        self.mails.push(PlannedMail { profile_id, occasion, variant: candidate.variant.clone() });
    }
}

/// A decision that waits for the guards before it is stored.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredDecision {
    candidate: Candidate,
    decided: Decided,
}

impl Spooled for StoredDecision {}

impl StoredDecision {
    /// What the ledger is to record.
    pub(super) fn record(&self, detected_at: Timestamp) -> Option<DecisionRecord> {
        self.decided.record(&self.candidate, detected_at)
    }
}

/// What deciding a job takes.
#[derive(Clone, Copy)]
pub(super) struct Deciding<'a> {
    /// The job.
    pub(super) prepared: &'a PreparedJob<'a>,
    /// Its tables.
    pub(super) warehouse: &'a Warehouse,
    /// When, for which period and for whom.
    pub(super) request: &'a Request,
    /// What was decided before.
    pub(super) ledger: &'a Arc<dyn LedgerStore>,
    /// The job as the ledger knows it.
    pub(super) lease: &'a Lease,
    /// The rules of the run.
    pub(super) rules: &'a Rules,
}

/// Who looks on while a job is decided.
pub(super) struct Watch<'a, 'b> {
    /// Called with the candidates seen so far.
    pub(super) seen: &'a (dyn Fn(u64) + Sync),
    /// What tells a renamed job from a new one, where something of the job is new.
    pub(super) heirs: Option<&'a mut Heirs<'b>>,
}

/// What takes a chunk of decided candidates.
pub(super) type Take<'a> = &'a mut (dyn FnMut(Vec<(Candidate, Decided)>) -> Result<(), RunError> + Send);

impl Deciding<'_> {
    /// Evaluates and decides a whole job; `ahead` is what the run decided before it.
    ///
    /// # Errors
    /// When the evaluation fails, the ledger cannot be asked, or the disk is full.
    pub(super) async fn job(
        &self,
        ahead: &mut Ahead,
        keep_mails: bool,
        mut watch: Watch<'_, '_>,
    ) -> Result<DecidedJob, RunError> {
        let mut decided = DecidedJob {
            decisions: Decision::ALL.into_iter().map(|decision| (decision.name(), 0)).collect(),
            known: BTreeMap::new(),
            dropped: BTreeMap::new(),
            volumes: BTreeMap::new(),
            kept: keep_mails.then(KeptMails::default),
            in_audience: 0,
            audience_rows: None,
            suppressed_rows: None,
            mails: Spool::default(),
            stored: Spool::default(),
        };
        let mut seen = 0;
        let day = self.rules.wall.to_string().chars().take(10).collect::<String>();
        let tally = self
            .each(ahead, &mut |chunk| {
                seen += chunk.len() as u64;
                for (candidate, decision) in chunk {
                    if let Some(heirs) = &mut watch.heirs {
                        heirs.note(&candidate);
                    }
                    decided.add(candidate, decision, &day)?;
                }
                crashpoint!("within_decide");
                (watch.seen)(seen);
                Ok(())
            })
            .await?;
        (decided.in_audience, decided.audience_rows) = (tally.in_audience, tally.audience_rows);
        decided.suppressed_rows = tally.suppressed_rows;
        decided.dropped = tally.by_reason().filter(|(_, count)| *count > 0).collect();
        Ok(decided)
    }

    /// Evaluates a whole job and hands over its candidates, decided, in chunks; returns what was seen beside them.
    ///
    /// # Errors
    /// When the evaluation fails, the ledger cannot be asked, or `take` refuses.
    pub(super) async fn each(&self, ahead: &mut Ahead, take: Take<'_>) -> Result<Tally, RunError> {
        let stream = self.prepared.compiled.candidates(self.warehouse, self.request).await?;
        let (read, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let (asked, mut known) = mpsc::channel(CHUNKS_AHEAD);
        // Both end with this function, however that ends.
        let (mut reading, mut asking) = (JoinSet::new(), JoinSet::new());
        reading.spawn(read_ahead(stream, read));
        asking.spawn(self.asking().ask_ahead(chunks, asked));
        while let Some(chunk) = known.recv().await {
            let (mut chunk, facts) = chunk?;
            let decisions = decide::decide(self.rules, &chunk, &facts, ahead);
            for (candidate, decided) in chunk.iter_mut().zip(&decisions) {
                candidate.variant.clone_from(&decided.variant);
            }
            take(chunk.into_iter().zip(decisions).collect())?;
        }
        asking.join_next().await.and_then(ended);
        Ok(reading.join_next().await.and_then(ended).unwrap_or_default())
    }

    /// What the ledger knows of each candidate of a chunk.
    ///
    /// # Errors
    /// When the ledger cannot be asked.
    pub(super) async fn facts(&self, chunk: &[Candidate]) -> Result<Vec<Facts>, RunError> {
        self.asking().facts(chunk).await
    }

    fn asking(&self) -> Asking {
        let spoiled = seeded!("template_hash_in_key").then(|| format!("#{}", format!("{:?}", self.prepared.job).len()));
        let (ledger, lease, rules) = (Arc::clone(self.ledger), self.lease.clone(), self.rules.clone());
        Asking { ledger, lease, rules, spoiled }
    }
}

/// Asks the ledger about candidates, on a thread apart from whoever decides them.
struct Asking {
    ledger: Arc<dyn LedgerStore>,
    lease: Lease,
    rules: Rules,
    /// What a seeded defect adds to every occasion.
    spoiled: Option<String>,
}

type Chunk = Result<Vec<Candidate>, EvaluateError>;
type KnownChunk = Result<(Vec<Candidate>, Vec<Facts>), RunError>;

impl Asking {
    /// Asks about one chunk while the one before it is decided.
    async fn ask_ahead(self, mut chunks: mpsc::Receiver<Chunk>, known: mpsc::Sender<KnownChunk>) {
        while let Some(chunk) = chunks.recv().await {
            let chunk = match chunk {
                Ok(chunk) => self.with_facts(chunk).await,
                Err(error) => Err(error.into()),
            };
            if known.send(chunk).await.is_err() {
                return;
            }
        }
    }

    async fn with_facts(&self, mut chunk: Vec<Candidate>) -> KnownChunk {
        if let Some(spoiled) = &self.spoiled {
            for candidate in &mut chunk {
                candidate.key.occasion += spoiled;
            }
        }
        let facts = self.facts(&chunk).await?;
        Ok((chunk, facts))
    }

    async fn facts(&self, chunk: &[Candidate]) -> Result<Vec<Facts>, RunError> {
        let Self { ledger, lease, rules, .. } = self;
        let lookup = Lookup::new(rules, chunk);
        let answers = ledger.recorded(lease, &Inquiry::of_keys(lookup.keys())).await?;
        let recorded = lookup.merge(answers.recorded);
        let anchored = ledger.anchored(lease, lookup.stems()).await?;
        let recorded = lookup.merge_anchored(rules, chunk, recorded, &anchored);
        let recipients = Recipients::new(rules, chunk, recorded, ledger.identity());
        let answers = match recipients.inquiry() {
            Some(inquiry) => ledger.recorded(lease, inquiry).await?,
            None => Answers::default(),
        };
        Ok(recipients.facts(answers))
    }
}

/// How many chunks wait before the ledger is asked, and after it.
const CHUNKS_AHEAD: usize = 1;

/// Candidates are read on one thread while the ledger is asked on another and the disk is written on a third.
async fn read_ahead(mut stream: CandidateStream, chunks: mpsc::Sender<Chunk>) -> Tally {
    while let Some(chunk) = stream.next().await {
        if chunks.send(chunk).await.is_err() {
            break;
        }
    }
    stream.tally()
}

impl DecidedJob {
    /// How many are to be mailed.
    pub(super) fn mail_count(&self) -> u64 {
        self.mails.len()
    }

    fn add(&mut self, candidate: Candidate, decided: Decided, day: &str) -> Result<(), RunError> {
        *self.decisions.entry(decided.decision.name()).or_default() += 1;
        if decided.decision == Decision::Known {
            *self.known.entry(known_state(decided.reason.as_deref())).or_default() += 1;
        }
        let spooled = if decided.decision == Decision::Mail {
            let bucket = candidate.milestone.as_ref().map_or_else(|| period_of(&candidate), |_| day);
            match self.volumes.get_mut(bucket) {
                Some(count) => *count += 1,
                None => drop(self.volumes.insert(bucket.to_owned(), 1)),
            }
            if let Some(kept) = &mut self.kept {
                kept.add(&candidate);
            }
            self.mails.push(&candidate)
        } else if decided.stored.is_some() {
            // A stored decision needs the key and the times, never what the mail would have shown.
            let candidate = Candidate { context: TemplateContext::default(), address: None, ..candidate };
            self.stored.push(&StoredDecision { candidate, decided })
        } else {
            Ok(())
        };
        spooled.map_err(|source| spool_failed("written", source))
    }
}

/// The key of a recap's period: what stands before the entity in the occasion.
fn period_of(candidate: &Candidate) -> &str {
    let occasion = &candidate.key.occasion;
    occasion.split_once('/').map_or(occasion.as_str(), |(period, _)| period)
}

/// The disk is full or broken.
pub(super) fn spool_failed(action: &'static str, source: std::io::Error) -> RunError {
    RunError::File { path: "the temporary file of decided candidates".to_owned(), action, source }
}

/// The state behind `known`, as a name that lives as long as the program.
fn known_state(reason: Option<&str>) -> &'static str {
    reason.and_then(crate::model::DeliveryState::from_name).map_or("repeated_in_run", crate::model::DeliveryState::name)
}
