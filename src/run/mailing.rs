//! The second half of a run: what earlier runs left in doubt, then the decided mails, through one delivery session.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;

use futures::{StreamExt, stream};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;
use crate::deliver::{ComposeFailure, DeliverError, DeliverySummary, Session, SessionParts, SourceError, Stopped};
use crate::evaluate::{PeriodChoice, Request};
use crate::ledger::{DecisionRecord, Inquiry, Lease, LedgerStore, PendingBatch, Recorded, Settlement, lease_lifetime};
use crate::model::{Candidate, Decision, DeliveryKey, DeliveryState, EmailAddress};
use crate::project::OnUnknown;
use crate::settings::crashpoint;

use super::job_run::JobRun;
use super::spool::Spool;
use super::{Exit, JobReport, JobStatus, Progress, RunError, StopCause};

/// Candidates read from the spool at once.
const CHUNK: usize = 256;
/// Unknown outcomes younger than this fail the run; older ones stay in status.
const UNKNOWN_ALERT: SignedDuration = SignedDuration::from_hours(24);

/// The delivery session of one job, alive from its lease to its end.
pub(super) struct Mailing<'a> {
    run: &'a JobRun<'a>,
    lease: &'a Lease,
    session: Session,
}

impl<'a> Mailing<'a> {
    /// Starts the session: from here on the ledger sees that the run is alive, and signals are heeded.
    pub(super) fn start(run: &'a JobRun<'a>, lease: &'a Lease, total: Arc<std::sync::atomic::AtomicU64>) -> Self {
        let composer = run.prepared.composer.clone();
        let (job, progress) = (lease.job.clone(), run.context.progress.clone());
        let session = Session::start(SessionParts {
            ledger: run.context.ledger.clone(),
            lease: lease.clone(),
            account: run.account.clone(),
            compose: Arc::new(move |candidate, delivery_id, as_of| {
                composer
                    .compose(candidate, delivery_id, as_of)
                    .map_err(|error| ComposeFailure { reason: error.to_string() })
            }),
            as_of: run.context.as_of,
            period: run.period_key(),
            project_checksum: run.context.workspace.project.checksum.clone(),
            clock: run.context.clock,
            shutdown: run.context.stop.shutdown(),
            progress: Arc::new(move |summary: &DeliverySummary| {
                let total = total.load(std::sync::atomic::Ordering::Relaxed);
                progress(Progress::Mailing { job: job.clone(), settled: settled(summary), total });
            }),
        });
        Self { run, lease, session }
    }

    /// Clears up what earlier runs left in doubt, as far as that can be done without mailing anybody twice.
    pub(super) async fn recover(&self, report: &mut JobReport) -> Result<(), RunError> {
        let recovering = async { Ok(self.run.context.ledger.recover(self.lease, Clock::System.now()).await?) };
        let pending = self.unless_stopped(recovering).await?;
        crashpoint!("after_recover");
        let found: u64 = pending.iter().map(|batch| batch.deliveries.len() as u64).sum();
        if found == 0 {
            return Ok(());
        }
        let candidates = if self.run.account.capabilities().idempotency.is_some() {
            self.unless_stopped(Box::pin(self.candidates_in_doubt(&pending))).await?
        } else {
            Vec::new()
        };
        let under_way = self.run.context.stop.mailing();
        let replayed = self.session.replay(pending, candidates).await;
        drop(under_way);
        let summary = self.session.summary();
        report.recovered = outcome_counts(&summary);
        report.recovered.insert("found", found);
        report.requests = summary.requests;
        replayed?;
        crashpoint!("after_replay");
        self.unless_stopped(self.apply_policy(report)).await
    }

    /// Work that mails nobody, dropped where it stands once the run is to stop, was fenced or its job was halted.
    pub(super) async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, RunError>>,
    ) -> Result<T, RunError> {
        tokio::select! {
            biased;
            lost = self.session.lost() => Err(lost.into()),
            worked = self.run.context.stop.race(work) => worked,
        }
    }

    /// What the job says of outcomes that no evidence can clear: held, mailed again at one's own risk, or taken as
    /// accepted.
    async fn apply_policy(&self, report: &mut JobReport) -> Result<(), RunError> {
        let (state, policy) = match self.run.prepared.job.on_unknown {
            OnUnknown::Hold => return Ok(()),
            OnUnknown::Resend => (DeliveryState::Retryable, "on_unknown: resend"),
            OnUnknown::AssumeAccepted => (DeliveryState::Accepted, "on_unknown: assume_accepted"),
        };
        let now = Clock::System.now();
        // A request of the run that died may still be under way for as long as its timeout.
        let longest = self.run.account.capabilities().timeout + lease_lifetime();
        let settled = SignedDuration::try_from(longest).unwrap_or(UNKNOWN_ALERT);
        let in_doubt = self.run.context.ledger.recover(self.lease, now).await?;
        let old_enough = |batch: &&PendingBatch| now.duration_since(batch.batch.dispatched_at) > settled;
        let settlements: Vec<Settlement> = in_doubt
            .iter()
            .filter(old_enough)
            .flat_map(|batch| &batch.deliveries)
            .map(|delivery| Settlement {
                delivery_id: delivery.delivery_id.clone(),
                state,
                reason: Some(policy.to_owned()),
                provider_message_id: None,
                at: now,
            })
            .collect();
        self.run.context.ledger.settle(self.lease, &settlements).await?;
        if !settlements.is_empty() {
            report.recovered.insert("by_policy", settlements.len() as u64);
        }
        Ok(())
    }

    /// The candidates of batches in doubt, evaluated as they were: at each batch's own `as_of` and period.
    async fn candidates_in_doubt(&self, pending: &[PendingBatch]) -> Result<Vec<Candidate>, RunError> {
        let mut evaluations: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
        let mut wanted: BTreeMap<&DeliveryKey, &Option<String>> = BTreeMap::new();
        for batch in pending {
            let profiles = evaluations.entry((batch.batch.as_of, batch.batch.period.clone())).or_default();
            for delivery in &batch.deliveries {
                profiles.insert(&delivery.key.profile_id);
                wanted.insert(&delivery.key, &delivery.variant);
            }
        }
        let identity = self.run.context.ledger.identity();
        let mut found = Vec::new();
        for ((as_of, period), profiles) in evaluations {
            // A profile id that is an address is stored as its hash, which no query can ask for.
            let readable = profiles.iter().all(|profile| !profile.starts_with("hmac:"));
            let request = Request {
                as_of,
                period: PeriodChoice::of(period.as_deref()),
                profiles: readable.then(|| profiles.into_iter().map(str::to_owned).collect()),
            };
            let warehouse = &self.run.context.workspace.warehouse;
            let mut candidates = self.run.prepared.compiled.candidates(warehouse, &request).await?;
            while let Some(chunk) = candidates.next().await {
                let wanted = chunk?.into_iter().filter_map(|mut candidate| {
                    // The variant that left is the recorded one, whatever the weights are now.
                    let variant = wanted.get(&identity.stored_key(&candidate.key))?;
                    candidate.variant.clone_from(variant);
                    Some(candidate)
                });
                found.extend(wanted);
            }
        }
        Ok(found)
    }

    /// Mails the decided candidates and fills in the report.
    pub(super) async fn mail(&self, mut mails: Spool, report: &mut JobReport) -> Result<(), RunError> {
        let before = self.session.summary();
        let limit = self.run.context.options.limit.unwrap_or(u64::MAX);
        let beyond_limit = mails.len().saturating_sub(limit);
        let under_way = self.run.context.stop.mailing();
        let ended = self.session.mail(source(&mut mails, limit)?).await;
        drop(under_way);
        let after = self.session.summary();
        report.outcomes = difference(&outcome_counts(&after), &outcome_counts(&before));
        if beyond_limit > 0 {
            report.outcomes.insert("beyond_limit", beyond_limit);
        }
        report.requests = after.requests;
        report.reasons.clone_from(&after.reasons);
        report.render_failures.clone_from(&after.render_failures);
        report.rejections.clone_from(&after.rejections);
        ended?;
        if let Some((reason, until)) = after.stopped.as_ref().and_then(|stopped| self.another_day(stopped)) {
            let deferring = self.defer_rest(source(&mut mails, limit)?, reason, until);
            let deferred = self.run.context.stop.race(deferring).await?;
            report.outcomes.insert("deferred", deferred);
        }
        self.conclude(&after, report).await
    }

    /// Why the rest must wait for another day, and for which, where that is what stopped the job.
    fn another_day(&self, stopped: &Stopped) -> Option<(&'static str, Timestamp)> {
        match stopped {
            Stopped::DailyLimit { until } => Some(("daily_limit", *until)),
            Stopped::Quota { .. } => {
                let today = self.run.context.clock.now().to_zoned(TimeZone::UTC).date();
                let tomorrow = today.tomorrow().and_then(|day| day.to_zoned(TimeZone::UTC)).ok()?;
                Some(("provider_quota", tomorrow.timestamp()))
            }
            _ => None,
        }
    }

    /// Writes down who waits for another day: everybody of the run about whom the ledger has nothing yet.
    async fn defer_rest<S>(&self, candidates: S, reason: &str, until: Timestamp) -> Result<u64, RunError>
    where
        S: futures::Stream<Item = Result<Vec<Candidate>, SourceError>> + Send,
    {
        let (ledger, now) = (self.run.context.ledger.as_ref(), self.run.context.clock.now());
        let mut candidates = pin!(candidates);
        let mut deferred = 0;
        while let Some(chunk) = candidates.next().await {
            let chunk = chunk.map_err(DeliverError::Source)?;
            let keys: Vec<DeliveryKey> = chunk.iter().map(|candidate| candidate.key.clone()).collect();
            let found = ledger.recorded(self.lease, &Inquiry::of_keys(&keys)).await?.recorded;
            let waits = |found: &Option<Recorded>| {
                use DeliveryState::{Deferred, InvalidAddress, Suppressed};
                found.as_ref().is_none_or(|found| matches!(found.state, Deferred | InvalidAddress | Suppressed))
            };
            let open = chunk.into_iter().zip(found).filter(|(_, found)| waits(found));
            let record = |(candidate, _): (Candidate, _)| DecisionRecord {
                level: candidate.level(),
                state: DeliveryState::Deferred,
                reason: Some(reason.to_owned()),
                not_before: Some(until),
                address_hash: address_hash(ledger, &candidate),
                reached_at: candidate.reached_at,
                detected_at: now,
                variant: candidate.variant,
                key: candidate.key,
            };
            let records: Vec<DecisionRecord> = open.map(record).collect();
            crashpoint!("before_defer");
            ledger.record(self.lease, &records).await?;
            deferred += records.len() as u64;
        }
        Ok(deferred)
    }

    /// The exit and the words for what did not end as wished.
    async fn conclude(&self, summary: &DeliverySummary, report: &mut JobReport) -> Result<(), RunError> {
        let now = self.run.context.clock.now();
        let alert_since = now.checked_sub(UNKNOWN_ALERT).unwrap_or(now);
        let unknown = self.run.context.ledger.unknown_since(&self.lease.job, alert_since).await?;
        let mut exits = Vec::new();
        if let Some(stopped) = &summary.stopped {
            exits.push(stop(stopped, self.run.context.stop.cause(), report));
        }
        if unknown > 0 {
            exits.push(Exit::Unknown);
            report.message.get_or_insert(format!("{unknown} outcomes are unknown: no answer proves them either way"));
            report.hint.get_or_insert("`milepost deliveries list --state unknown`".to_owned());
        }
        let missed = report.decisions.get(Decision::MissedWindow.name()).copied().unwrap_or(0);
        if missed > 0 {
            exits.push(Exit::Retryable);
            report.message.get_or_insert(format!("{missed} deliveries missed their window: no run was inside it"));
            report.hint.get_or_insert("run hourly, so that every window has a run in it".to_owned());
        }
        if summary.retryable + summary.render_failed > 0 {
            exits.push(Exit::Retryable);
            report
                .message
                .get_or_insert(format!("{} deliveries can be tried again", summary.retryable + summary.render_failed));
        }
        report.exit = Exit::of_all(exits);
        report.status = match &summary.stopped {
            None => JobStatus::Completed,
            Some(Stopped::Interrupted | Stopped::Aborted) => JobStatus::Interrupted,
            Some(_) => JobStatus::Failed,
        };
        Ok(())
    }
}

/// Says why nothing further left, and how that counts.
fn stop(stopped: &Stopped, cause: Option<StopCause>, report: &mut JobReport) -> Exit {
    let cause = cause.unwrap_or(StopCause::Terminated);
    let goes_on = cause.hint();
    let (exit, message, hint) = match stopped {
        Stopped::Interrupted | Stopped::Aborted => (cause.exit(), cause.to_string(), Some(goes_on.as_str())),
        Stopped::Quota { code, detail } => (
            Exit::Retryable,
            format!("the provider's quota is spent ({code}): {detail}"),
            Some("the rest is deferred: run again once there is more"),
        ),
        Stopped::DailyLimit { until } => (
            Exit::Retryable,
            format!("the provider's `daily_limit` is used up until {until}"),
            Some("the rest is deferred: run again then"),
        ),
        Stopped::Configuration { code, detail } => (
            Exit::Invalid,
            format!("the provider refuses this account ({code}): {detail}"),
            Some("mend its key, sender or plan, then run again: nothing is lost"),
        ),
        Stopped::RefusedAll { requests, code, detail } => (
            Exit::Invalid,
            format!(
                "the provider refused everything, {requests} requests, and accepted nothing ({code}): {detail}; this is \
                 taken for the account's fault or the project's, and nobody is settled"
            ),
            Some("mend what it says, then run again: nothing is lost"),
        ),
        Stopped::Throttled { retry_after } => (
            Exit::Retryable,
            format!("the provider asks to wait {} s", retry_after.as_secs()),
            Some("run again after that"),
        ),
        Stopped::Breaker { why } => (
            if report.outcomes.get("unknown").is_some_and(|unknown| *unknown > 0) {
                Exit::Unknown
            } else {
                Exit::Refused
            },
            match most_frequent(&report.reasons) {
                Some(reason) => format!("stopped, since going on would make it worse: {why}; most often: {reason}"),
                None => format!("stopped, since going on would make it worse: {why}"),
            },
            Some("see the reasons in target/milepost/run_results.json"),
        ),
        Stopped::Unreachable { why } => (
            Exit::Unavailable,
            format!("the provider cannot be reached: {why}"),
            Some("run again later: nothing is lost"),
        ),
        Stopped::Fenced => (Exit::Fenced, "a later run took over".to_owned(), None),
        Stopped::Ledger => (Exit::Unavailable, "the ledger failed".to_owned(), None),
    };
    report.message = Some(message);
    report.hint = hint.map(str::to_owned);
    exit
}

/// The reason with the greatest count.
fn most_frequent(reasons: &BTreeMap<String, u64>) -> Option<&str> {
    reasons.iter().max_by_key(|(_, count)| **count).map(|(reason, _)| reason.as_str())
}

/// How others find that the address has the occasion already.
fn address_hash(ledger: &dyn LedgerStore, candidate: &Candidate) -> Option<String> {
    let address = EmailAddress::parse(candidate.address.as_deref()?)?;
    Some(ledger.identity().address_hash(&address))
}

/// The spooled candidates in chunks, at most `limit` of them.
fn source(
    mails: &mut Spool,
    limit: u64,
) -> Result<impl futures::Stream<Item = Result<Vec<Candidate>, SourceError>> + Send + use<'_>, RunError> {
    let failed = |source| super::decided::spool_failed("read", source);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut entries = mails.entries::<Candidate>().map_err(failed)?.take(limit);
    Ok(stream::iter(std::iter::from_fn(move || {
        let chunk: Result<Vec<Candidate>, std::io::Error> = entries.by_ref().take(CHUNK).collect();
        match chunk {
            Ok(candidates) if candidates.is_empty() => None,
            Ok(candidates) => Some(Ok(candidates)),
            Err(error) => Some(Err(SourceError::from(error))),
        }
    })))
}

fn settled(summary: &DeliverySummary) -> u64 {
    summary.accepted + summary.rejected + summary.retryable + summary.unknown + summary.render_failed
}

fn outcome_counts(summary: &DeliverySummary) -> BTreeMap<&'static str, u64> {
    [
        ("accepted", summary.accepted),
        ("rejected", summary.rejected),
        ("retryable", summary.retryable),
        ("unknown", summary.unknown),
        ("render_failed", summary.render_failed),
    ]
    .into_iter()
    .filter(|(_, count)| *count > 0)
    .collect()
}

fn difference(
    after: &BTreeMap<&'static str, u64>,
    before: &BTreeMap<&'static str, u64>,
) -> BTreeMap<&'static str, u64> {
    let less = |(name, count): (&&'static str, &u64)| (*name, count - before.get(name).copied().unwrap_or(0));
    after.iter().map(less).filter(|(_, count)| *count > 0).collect()
}
