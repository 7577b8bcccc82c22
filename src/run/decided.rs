//! The first half of a run: candidates are evaluated, looked up and decided; nothing is recorded yet.

use std::collections::BTreeMap;

use futures::StreamExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decide::{self, Decided, Lookup, Rules};
use crate::evaluate::{Request, Tally};
use crate::ledger::{DecisionRecord, Lease, LedgerStore};
use crate::model::{Candidate, Decision};
use crate::warehouse::Warehouse;

use super::spool::Spool;
use super::{PreparedJob, RunError};

/// Everything a run decided, counted, with what is to be mailed or recorded kept in order.
pub(super) struct DecidedJob {
    /// Candidates per decision; every decision is listed.
    pub(super) decisions: BTreeMap<&'static str, u64>,
    /// The known ones by their state.
    pub(super) known: BTreeMap<&'static str, u64>,
    /// Rows that could not become candidates.
    pub(super) dropped: BTreeMap<&'static str, u64>,
    /// Candidates to mail.
    pub(super) mails: Spool,
    /// Decisions to store.
    pub(super) stored: Spool,
}

/// A decision that waits for the guards before it is stored.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredDecision {
    candidate: Candidate,
    decision: Decision,
    reason: Option<String>,
}

impl StoredDecision {
    /// What the ledger is to record.
    pub(super) fn record(&self, detected_at: Timestamp) -> Option<DecisionRecord> {
        let decided = Decided { decision: self.decision, reason: self.reason.clone(), stored: true };
        decided.record(&self.candidate, detected_at)
    }
}

/// Evaluates and decides a whole job.
///
/// # Errors
/// When the evaluation fails, the ledger cannot be asked, or the disk is full.
pub(super) async fn decide_job(
    prepared: &PreparedJob<'_>,
    warehouse: &Warehouse,
    request: &Request,
    known_to: (&dyn LedgerStore, &Lease, &Rules),
    candidates_seen: &(dyn Fn(u64) + Sync),
) -> Result<DecidedJob, RunError> {
    let mut decided = DecidedJob {
        decisions: Decision::ALL.into_iter().map(|decision| (decision.name(), 0)).collect(),
        known: BTreeMap::new(),
        dropped: BTreeMap::new(),
        mails: Spool::default(),
        stored: Spool::default(),
    };
    let mut seen = 0;
    let tally = decide_each(prepared, warehouse, request, known_to, &mut |chunk| {
        seen += chunk.len() as u64;
        for (candidate, decision) in chunk {
            decided.add(candidate, decision)?;
        }
        candidates_seen(seen);
        Ok(())
    })
    .await?;
    decided.dropped = tally.by_reason().filter(|(_, count)| *count > 0).collect();
    Ok(decided)
}

/// What takes a chunk of decided candidates.
pub(super) type Take<'a> = &'a mut (dyn FnMut(Vec<(Candidate, Decided)>) -> Result<(), RunError> + Send);

/// Evaluates a whole job and hands over its candidates, decided, in chunks; returns what was seen beside them.
///
/// # Errors
/// When the evaluation fails, the ledger cannot be asked, or `take` refuses.
pub(super) async fn decide_each(
    prepared: &PreparedJob<'_>,
    warehouse: &Warehouse,
    request: &Request,
    (ledger, lease, rules): (&dyn LedgerStore, &Lease, &Rules),
    take: Take<'_>,
) -> Result<Tally, RunError> {
    let mut stream = prepared.compiled.candidates(warehouse, request).await?;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        let lookup = Lookup::new(rules, &chunk);
        let recorded = lookup.merge(ledger.recorded(lease, lookup.keys()).await?);
        let anchored = ledger.anchored(lease, lookup.stems()).await?;
        let recorded = lookup.merge_anchored(rules, &chunk, recorded, &anchored);
        let decisions = decide::decide(rules, &chunk, &recorded);
        take(chunk.into_iter().zip(decisions).collect())?;
    }
    Ok(stream.tally())
}

impl DecidedJob {
    /// How many are to be mailed.
    pub(super) fn mail_count(&self) -> u64 {
        self.mails.len()
    }

    fn add(&mut self, candidate: Candidate, decided: Decided) -> Result<(), RunError> {
        *self.decisions.entry(decided.decision.name()).or_default() += 1;
        if decided.decision == Decision::Known {
            *self.known.entry(known_state(decided.reason.as_deref())).or_default() += 1;
        }
        let spooled = match decided.decision {
            Decision::Mail => self.mails.push(&candidate),
            decision if decided.stored => {
                // A stored decision needs the key and the times, never what the mail would have shown.
                let candidate = Candidate { context: serde_json::Map::new(), address: None, ..candidate };
                self.stored.push(&StoredDecision { candidate, decision, reason: decided.reason })
            }
            _ => Ok(()),
        };
        spooled.map_err(|source| spool_failed("written", source))
    }
}

/// The disk is full or broken.
pub(super) fn spool_failed(action: &'static str, source: std::io::Error) -> RunError {
    RunError::File { path: "the temporary file of decided candidates".to_owned(), action, source }
}

/// The state behind `known`, as a name that lives as long as the program.
fn known_state(reason: Option<&str>) -> &'static str {
    reason.and_then(crate::model::DeliveryState::from_name).map_or("repeated_in_run", crate::model::DeliveryState::name)
}
