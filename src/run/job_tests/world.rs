//! What happens in the world of a test: a ledger in memory with what earlier runs left, then one run's decisions and mails.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::decide::{Decided, Rules};
use crate::evaluate::{PeriodChoice, Request};
use crate::ledger::{
    Batch, Dispatch, Lease, Ledger, LedgerAdministration, MemoryLedger, RunEnd, RunRequest, Settlement,
};
use crate::model::{Candidate, Decision, DeliveryKey, DeliveryState, Message};
use crate::project::{JobTest, Project};
use crate::render::RenderError;
use crate::warehouse::Warehouse;

use super::super::decided::decide_each;
use super::super::ledger_access::owner;
use super::super::{PreparedJob, RunError};

/// One candidate's end.
pub(super) struct Ended {
    /// The decision's name.
    pub(super) decision: &'static str,
    /// Why, where the decision alone does not say it.
    pub(super) reason: Option<String>,
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
    let ledger = MemoryLedger::new(owner(project));
    let request = |run_id: &str| RunRequest {
        run_id: run_id.to_owned(),
        job: job.job.name.clone(),
        aliases: job.job.aliases.clone(),
        project: project.name.clone(),
        environment: project.environment.clone(),
        as_of: test.as_of,
        now: test.as_of,
    };
    let earlier = ledger.open(&request("earlier")).await?;
    remember(&ledger, &earlier, job, test).await?;
    let lease = ledger.look(&request("test")).await?;
    let rules = Rules::new(job.job, &lease, test.as_of, test.as_of);
    let evaluation = Request {
        as_of: test.as_of,
        period: test.period.clone().map_or(PeriodChoice::LatestDue, |period| PeriodChoice::Key(period.value)),
        profiles: None,
    };
    let mut happened = Happened::new();
    decide_each(job, warehouse, &evaluation, (&ledger, &lease, &rules), &mut |chunk| {
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
    let decision = decided.decision.name();
    if decided.decision != Decision::Mail {
        return Ended { decision, reason: decided.reason, message: None };
    }
    let rendered: Result<Message, RenderError> = job.composer.compose(candidate, id, as_of);
    match rendered {
        Ok(message) => Ended { decision, reason: None, message: Some(message) },
        Err(error) => Ended { decision: crate::project::RENDER_FAILED, reason: Some(error.to_string()), message: None },
    }
}

/// Writes what earlier runs left: the start, and accepted deliveries.
async fn remember(ledger: &MemoryLedger, lease: &Lease, job: &PreparedJob<'_>, test: &JobTest) -> Result<(), RunError> {
    let started_at = test.started_at.unwrap_or(Timestamp::MIN);
    let batch = Batch {
        batch_id: "earlier".to_owned(),
        provider: "test".to_owned(),
        idempotency_key: None,
        as_of: test.as_of,
        period: None,
        project_checksum: String::new(),
        dispatched_at: test.as_of,
    };
    let delivery_id = |key: &DeliveryKey| ledger.identity().delivery_id(&lease.job, key);
    let dispatches: Vec<Dispatch> = (0..)
        .zip(&test.earlier)
        .map(|(position, delivery)| Dispatch {
            key: delivery.key.clone(),
            delivery_id: delivery_id(&delivery.key),
            position,
            batch_id: batch.batch_id.clone(),
            level: delivery.level,
            reached_at: delivery.reached_at.unwrap_or(test.as_of),
            detected_at: test.as_of,
            address_hash: String::new(),
            body_hash: String::new(),
        })
        .collect();
    let settlements: Vec<Settlement> = dispatches
        .iter()
        .map(|dispatch| Settlement {
            delivery_id: dispatch.delivery_id.clone(),
            state: DeliveryState::Accepted,
            reason: None,
            provider_message_id: None,
            at: test.as_of,
        })
        .collect();
    if !dispatches.is_empty() {
        ledger.dispatch(lease, &[batch], &dispatches).await?;
        ledger.settle(lease, &settlements).await?;
    }
    // A start at `as_of` is the run of the test itself: nothing was kept before it.
    let is_first_run = test.started_at == Some(test.as_of);
    let starts = if is_first_run {
        BTreeMap::new()
    } else {
        Rules::new(job.job, lease, test.as_of, test.as_of).starts_to_keep()
    };
    let end = RunEnd {
        status: "completed".to_owned(),
        now: test.as_of,
        provider: "test".to_owned(),
        counts: BTreeMap::new(),
        starts: starts.into_keys().map(|part| (part, started_at)).collect(),
        completes_first_run: !is_first_run,
    };
    Ok(ledger.close(lease, &end).await?)
}
