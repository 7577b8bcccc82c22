//! What happens in the world of a test: a ledger in memory with what earlier runs left, then one run's decisions and mails.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::decide::{Ahead, Decided, Rules};
use crate::evaluate::{PeriodChoice, Request};
use crate::ledger::{
    Batch, DecisionRecord, Dispatch, Lease, Ledger, LedgerAdministration, LedgerStore, MemoryLedger, RunEnd,
    RunRequest, Settlement, SuppressionChange, SuppressionSubject,
};
use crate::model::{Candidate, Decision, DeliveryKey, DeliveryState, Message, SuppressionReason};
use crate::project::{Category, EarlierDelivery, GivenSuppression, JobTest, Project};
use crate::render::RenderError;
use crate::warehouse::Warehouse;

use super::super::decided::Deciding;
use super::super::ledger_access::owner;
use super::super::{PreparedJob, RunError};

/// One candidate's end.
pub(super) struct Ended {
    /// The decision's name.
    pub(super) decision: &'static str,
    /// Why, where the decision alone does not say it.
    pub(super) reason: Option<String>,
    /// The variant, where the message has any.
    pub(super) variant: Option<String>,
    /// The mail, where it is one and could be rendered.
    pub(super) message: Option<Message>,
}

/// Every candidate's end.
pub(super) type Happened = BTreeMap<DeliveryKey, Ended>;

/// Runs the job on a test's rows.
///
/// # Errors
/// What a run would end with.
pub(super) async fn happened(
    project: &Project,
    job: &PreparedJob<'_>,
    test: &JobTest,
    warehouse: &Warehouse,
) -> Result<Happened, RunError> {
    let ledger = Arc::new(MemoryLedger::new(owner(project)));
    let request = |run_id: &str| RunRequest {
        run_id: run_id.to_owned(),
        job: job.job.name.clone(),
        aliases: job.job.aliases.clone(),
        project: project.name.clone(),
        environment: project.environment.clone(),
        marketing: job.job.category == Category::Marketing,
        as_of: test.as_of,
        now: test.as_of,
    };
    let earlier = ledger.open(&request("earlier")).await?;
    remember(&ledger, &earlier, (project, job), test).await?;
    let lease = ledger.look(&request("test")).await?;
    let rules = Rules::new(project, job.job, &lease, (test.as_of, test.as_of));
    let evaluation = Request {
        as_of: test.as_of,
        period: test.period.clone().map_or(PeriodChoice::LatestDue, |period| PeriodChoice::Key(period.value)),
        profiles: None,
    };
    let mut happened = Happened::new();
    let store: Arc<dyn LedgerStore> = ledger.clone();
    let deciding =
        Deciding { prepared: job, warehouse, request: &evaluation, ledger: &store, lease: &lease, rules: &rules };
    deciding
        .each(&mut Ahead::new(&rules), &mut |chunk| {
            for (candidate, decided) in chunk {
                let delivery_id = ledger.identity().delivery_id(&lease.job, &candidate.key);
                happened.insert(candidate.key.clone(), ended(job, &candidate, decided, (&delivery_id, test.as_of)));
            }
            Ok(())
        })
        .await?;
    Ok(happened)
}

fn ended(job: &PreparedJob<'_>, candidate: &Candidate, decided: Decided, (id, as_of): (&str, Timestamp)) -> Ended {
    let ended =
        Ended { decision: decided.decision.name(), reason: decided.reason, variant: decided.variant, message: None };
    if decided.decision != Decision::Mail {
        return ended;
    }
    let rendered: Result<Message, RenderError> = job.composer.compose(candidate, id, as_of);
    match rendered {
        Ok(message) => Ended { message: Some(message), ..ended },
        Err(error) => Ended { decision: crate::project::RENDER_FAILED, reason: Some(error.to_string()), ..ended },
    }
}

/// Writes what earlier runs left: the start, accepted deliveries, suppressions.
async fn remember(
    ledger: &MemoryLedger,
    lease: &Lease,
    (project, job): (&Project, &PreparedJob<'_>),
    test: &JobTest,
) -> Result<(), RunError> {
    for given in &test.suppressions {
        ledger.suppress(&suppression(ledger, given, test.as_of)).await?;
    }
    for (place, delivery) in test.earlier.iter().enumerate() {
        match delivery.job.as_ref().filter(|name| **name != job.job.name) {
            None => accept(ledger, lease, (place, delivery), test.as_of).await?,
            Some(name) => {
                let other = project.jobs.iter().find(|job| job.name == *name);
                let marketing = other.is_none_or(|job| job.category == Category::Marketing);
                let introduction = RunRequest {
                    run_id: format!("earlier {place}"),
                    job: name.clone(),
                    aliases: Vec::new(),
                    project: project.name.clone(),
                    environment: project.environment.clone(),
                    marketing,
                    as_of: test.as_of,
                    now: test.as_of,
                };
                let lease = ledger.open(&introduction).await?;
                accept(ledger, &lease, (place, delivery), test.as_of).await?;
                ledger.close(&lease, &ended_run(test.as_of)).await?;
            }
        }
    }
    let started_at = test.started_at.unwrap_or(Timestamp::MIN);
    // A start at `as_of` is the run of the test itself: nothing was kept before it.
    let is_first_run = test.started_at == Some(test.as_of);
    let mut end = RunEnd { completes_first_run: !is_first_run, ..ended_run(test.as_of) };
    if !is_first_run {
        let starts = Rules::new(project, job.job, lease, (test.as_of, test.as_of)).starts_to_keep();
        end.starts = starts.into_keys().map(|part| (part, started_at)).collect();
    }
    ledger.close(lease, &end).await?;
    Ok(())
}

fn suppression(ledger: &MemoryLedger, given: &GivenSuppression, at: Timestamp) -> SuppressionChange {
    let by_profile = given.profile.clone().map(|profile| match given.reason {
        SuppressionReason::Erase => ledger.identity().erased_profile_id(&profile),
        _ => profile,
    });
    let by_address = given.address.as_ref().map(|address| ledger.identity().address_hash(address));
    let subject = match by_address {
        Some(hash) => SuppressionSubject::Address(hash),
        None => SuppressionSubject::Profile(by_profile.unwrap_or_default()),
    };
    SuppressionChange { subject, reason: Some(given.reason), job: given.job.clone(), origin: "test".to_owned(), at }
}

fn ended_run(at: Timestamp) -> RunEnd {
    RunEnd {
        status: "completed".to_owned(),
        now: at,
        provider: "test".to_owned(),
        counts: BTreeMap::new(),
        starts: BTreeMap::new(),
        completes_first_run: true,
        volumes: BTreeMap::new(),
        saw_until: None,
    }
}

/// One delivery as an earlier run left it: accepted, or waiting.
async fn accept(
    ledger: &MemoryLedger,
    lease: &Lease,
    (place, delivery): (usize, &EarlierDelivery),
    as_of: Timestamp,
) -> Result<(), RunError> {
    let batch = Batch {
        batch_id: format!("earlier {place}"),
        provider: "test".to_owned(),
        idempotency_key: None,
        as_of,
        period: None,
        project_checksum: String::new(),
        dispatched_at: delivery.dispatched_at.unwrap_or(as_of),
    };
    let hash = delivery.address.as_ref().map(|address| ledger.identity().address_hash(address));
    if let Some(not_before) = delivery.not_before {
        let record = DecisionRecord {
            key: delivery.key.clone(),
            state: DeliveryState::Deferred,
            reason: Some(Decision::OutsideWindow.name().to_owned()),
            not_before: Some(not_before),
            variant: None,
            address_hash: hash,
            level: delivery.level,
            reached_at: delivery.reached_at.unwrap_or(as_of),
            detected_at: as_of,
        };
        return Ok(ledger.record(lease, &[record]).await?);
    }
    let dispatch = Dispatch {
        key: delivery.key.clone(),
        delivery_id: ledger.identity().delivery_id(&lease.job, &delivery.key),
        position: 0,
        batch_id: batch.batch_id.clone(),
        level: delivery.level,
        reached_at: delivery.reached_at.unwrap_or(as_of),
        detected_at: batch.dispatched_at,
        address_hash: hash.unwrap_or_default(),
        variant: None,
        body_hash: String::new(),
    };
    let settlement = Settlement {
        delivery_id: dispatch.delivery_id.clone(),
        state: DeliveryState::Accepted,
        reason: None,
        provider_message_id: None,
        at: as_of,
    };
    ledger.dispatch(lease, &[batch], &[dispatch]).await?;
    Ok(ledger.settle(lease, &[settlement]).await?)
}
