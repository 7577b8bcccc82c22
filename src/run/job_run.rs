//! One job of a run under its lease: recover, decide, guard, record, mail, close.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::clock;
use crate::decide::{self, Ahead, Rules, Volume};
use crate::deliver::Account;
use crate::evaluate::{PeriodChoice, Request};
use crate::ledger::{Inquiry, Lease, LedgerError, LedgerStore, RunEnd, RunRequest};
use crate::model::{Candidate, DeliveryKey, DeliveryState};
use crate::project::{Category, Job};
use crate::settings::crashpoint;

use super::decided::{DecidedJob, Deciding, StoredDecision, Watch, spool_failed};
use super::health::SharedFacts;
use super::mailing::Mailing;
use super::orphans::{Heirs, Orphans};
use super::plan::{PlannedMail, PlannedSample};
use super::publish::Publishing;
use super::runs::{CLOSING_GRACE, Progress, Report};
use super::stop::Stop;
use super::{Exit, JobReport, JobStatus, PreparedJob, RunError, RunOptions, Workspace};

/// Decisions written in one transaction.
const RECORDS_AT_ONCE: usize = 2_000;

/// What all jobs of a run share.
pub(super) struct RunContext<'a> {
    /// The project and its tables.
    pub(super) workspace: &'a Workspace,
    /// What was asked.
    pub(super) options: &'a RunOptions,
    /// The run's id.
    pub(super) run_id: String,
    /// Its logical now.
    pub(super) as_of: Timestamp,
    /// The clock that decides what may be mailed.
    pub(super) clock: clock::Clock,
    /// The ledger.
    pub(super) ledger: Arc<dyn LedgerStore>,
    /// What signals and deadlines ask for.
    pub(super) stop: &'a Stop,
    /// Where the run is.
    pub(super) progress: Report,
    /// What a run that records nothing decided in earlier jobs: the ledger cannot tell their caps.
    pub(super) ahead: tokio::sync::Mutex<Ahead>,
    /// Mails that earlier jobs of the run made to `redirect_to`.
    pub(super) redirected: AtomicU64,
    /// What is known of tables that jobs share.
    pub(super) table_facts: SharedFacts,
    /// Deliveries whose job or milestone the project no longer has; looked up by the first job that is new.
    pub(super) orphans: tokio::sync::OnceCell<Orphans>,
}

/// One job of a run.
pub(super) struct JobRun<'a> {
    pub(super) context: &'a RunContext<'a>,
    pub(super) prepared: &'a PreparedJob<'a>,
    pub(super) account: Arc<Account>,
    pub(super) provider_label: String,
}

impl JobRun<'_> {
    /// Carries the job out; what stopped it is part of the report.
    pub(super) async fn execute(&self) -> JobReport {
        let mut report = JobReport::new(self.job(), &self.provider_label);
        report.period = self.period_key();
        if let Err(error) = self.carry_out(&mut report).await {
            report.fail(&error);
        }
        report
    }

    pub(super) fn job(&self) -> &Job {
        self.prepared.job
    }

    fn request(&self) -> Request {
        let options = self.context.options;
        Request {
            as_of: self.context.as_of,
            period: match options.interval {
                Some((start, end)) => PeriodChoice::Interval { start, end },
                None => PeriodChoice::of(options.period.as_deref()),
            },
            profiles: options.only.clone().map(|profile| vec![profile]),
        }
    }

    pub(super) fn period_key(&self) -> Option<String> {
        self.prepared.compiled.period(&self.request()).ok().flatten()
    }

    /// True when the run looks at everybody, so that its end may close the job's first run.
    fn is_unrestricted(&self) -> bool {
        let options = self.context.options;
        options.only.is_none() && options.limit.is_none() && !options.dry_run
    }

    /// False when a recap was asked for other periods than the latest that is due.
    pub(super) fn sees_every_period(&self) -> bool {
        self.job().recap().is_none() || self.request().period == PeriodChoice::LatestDue
    }

    async fn carry_out(&self, report: &mut JobReport) -> Result<(), RunError> {
        if self.context.options.dry_run {
            let stop = self.context.stop;
            let lease = stop.race(async { Ok(self.context.ledger.look(&self.introduction()).await?) }).await?;
            let rules = self.rules(&lease);
            let request = self.request();
            stop.race(Box::pin(self.check_tables(&request, report))).await?;
            let decided = stop.race(Box::pin(self.decide(&lease, &rules, report))).await?;
            stop.race(self.find_carried_out(&lease, report)).await?;
            report.status = JobStatus::DryRun;
            stop.race(Box::pin(self.check_decided((&request, &lease), &decided, report))).await?;
            return self.guard(&lease, &decided);
        }
        crashpoint!("before_open");
        let lease = self.acquire().await?;
        crashpoint!("after_open");
        let ended = Box::pin(self.under_lease(&lease, report)).await;
        if let Err(error) = &ended {
            report.fail(error);
        }
        let (ended, volumes) = match ended {
            Ok(volumes) => (Ok(()), volumes),
            Err(error) => (Err(error), BTreeMap::new()),
        };
        crashpoint!("before_close");
        let closing = self.close(&lease, report, volumes);
        let closed = self.context.stop.race_after(CLOSING_GRACE, closing).await;
        crashpoint!("after_close");
        ended.and(closed)
    }

    fn introduction(&self) -> RunRequest {
        let project = &self.context.workspace.project;
        RunRequest {
            run_id: self.context.run_id.clone(),
            job: self.job().name.clone(),
            aliases: self.job().aliases.clone(),
            project: project.name.clone(),
            environment: project.environment.clone(),
            marketing: self.job().category == Category::Marketing,
            as_of: self.context.as_of,
            now: self.context.clock.now(),
        }
    }

    /// Takes the job's lease, waiting for another run as long as `--lock-timeout` says.
    async fn acquire(&self) -> Result<Lease, RunError> {
        const PAUSE: Duration = Duration::from_millis(250);
        let deadline = clock::monotonic() + self.context.options.lock_timeout;
        let stop = self.context.stop;
        loop {
            // A lease that was just given is better given back than left to expire.
            let opening = async { Ok(self.context.ledger.open(&self.introduction()).await) };
            match stop.race_after(CLOSING_GRACE, opening).await? {
                Err(LedgerError::Held { .. }) if clock::monotonic() < deadline => {
                    let pause = async {
                        tokio::time::sleep(PAUSE).await;
                        Ok(())
                    };
                    stop.race(pause).await?;
                }
                answer => return Ok(answer?),
            }
        }
    }

    /// Carries the job out and returns its mails by period or day.
    async fn under_lease(&self, lease: &Lease, report: &mut JobReport) -> Result<BTreeMap<String, u64>, RunError> {
        refuse_halted(lease)?;
        self.refuse_change_of_provider(lease)?;
        let total = Arc::new(AtomicU64::new(0));
        let mailing = Mailing::start(self, lease, total.clone());
        let request = self.request();
        mailing.unless_stopped(Box::pin(self.check_tables(&request, report))).await?;
        let publishing = mailing.unless_stopped(Box::pin(Publishing::begin(self))).await?;
        crashpoint!("before_recover");
        mailing.recover(report).await?;
        crashpoint!("before_decide");
        let rules = self.rules(lease);
        let mut decided = mailing.unless_stopped(Box::pin(self.decide(lease, &rules, report))).await?;
        crashpoint!("after_decide");
        if let Some(plan) = &self.context.options.plan {
            mailing.unless_stopped(self.find_carried_out(lease, report)).await?;
            plan.check_job(&self.job().name, &report.mails, &report.carried_out)?;
        }
        mailing.unless_stopped(Box::pin(self.check_decided((&request, lease), &decided, report))).await?;
        self.guard(lease, &decided)?;
        crashpoint!("after_guard");
        total.store(decided.mail_count(), Ordering::Relaxed);
        let started = clock::monotonic();
        mailing.unless_stopped(self.record(lease, std::mem::take(&mut decided.stored))).await?;
        crashpoint!("after_record");
        let composer = &self.prepared.composer;
        let (clipped, cleaned) = (composer.clipped(), composer.cleaned());
        let mailed = mailing.mail(decided.mails, report).await;
        (report.clipped, report.cleaned) = (composer.clipped() - clipped, composer.cleaned() - cleaned);
        mailed?;
        report.timing_seconds.insert("deliver", seconds_since(started));
        if report.mails.is_empty() && !report.carried_out.is_empty() {
            report.message.get_or_insert("the plan is already carried out".to_owned());
        }
        if let Some(publishing) = publishing {
            let request = self.request();
            mailing.unless_stopped(Box::pin(publishing.finish(self, &request, report))).await?;
        }
        Ok(decided.volumes)
    }

    fn rules(&self, lease: &Lease) -> Rules {
        let clocks = (self.context.as_of, self.context.clock.now());
        Rules::new(&self.context.workspace.project, self.job(), lease, clocks)
    }

    async fn decide(&self, lease: &Lease, rules: &Rules, report: &mut JobReport) -> Result<DecidedJob, RunError> {
        let started = clock::monotonic();
        let job = &self.job().name;
        let progress = &self.context.progress;
        progress(Progress::Evaluating { job: job.clone(), candidates: 0 });
        let request = self.request();
        let deciding = Deciding {
            prepared: self.prepared,
            warehouse: &self.context.workspace.warehouse,
            request: &request,
            ledger: &self.context.ledger,
            lease,
            rules,
        };
        let options = self.context.options;
        // Jobs that count no mails run beside those that do, and must not hold what those counted.
        let shares = options.dry_run && Ahead::counts_mails(rules);
        let kept = if shares { std::mem::take(&mut *self.context.ahead.lock().await) } else { Ahead::default() };
        let mut ahead = kept.next_job(rules);
        let seen = |seen| progress(Progress::Evaluating { job: job.clone(), candidates: seen });
        let look = self.context.workspace.warehouse.watch_misfits();
        let mut heirs = self.heirs(rules).await?;
        let watch = Watch { seen: &seen, heirs: heirs.as_mut() };
        let mut decided = deciding.job(&mut ahead, options.keep_mails, watch).await?;
        if shares {
            *self.context.ahead.lock().await = ahead;
        }
        if let Some(kept) = decided.kept.take() {
            report.samples = kept.first.iter().map(|candidate| self.sample(candidate)).collect();
            report.mails = kept.mails;
        }
        report.decisions.clone_from(&decided.decisions);
        report.known.clone_from(&decided.known);
        report.dropped.clone_from(&decided.dropped);
        report.audience_rows = decided.audience_rows;
        report.suppressed_rows = decided.suppressed_rows;
        report.timing_seconds.insert("evaluate", seconds_since(started));
        self.refuse_lost_values(look)?;
        if let Some(renamed) = heirs.and_then(Heirs::verdict) {
            self.check_name(renamed, report)?;
        }
        Ok(decided)
    }

    /// What tells a renamed job or milestone from a new one; `None` where nothing of the job is new.
    async fn heirs(&self, rules: &Rules) -> Result<Option<Heirs<'_>>, RunError> {
        let context = self.context;
        let new_parts: Vec<&str> = rules.new_parts().map(|part| part.name.as_str()).collect();
        if new_parts.is_empty() {
            return Ok(None);
        }
        let look = || Orphans::of(context.ledger.as_ref(), &context.workspace.project);
        let orphans = context.orphans.get_or_try_init(look).await?;
        Ok(orphans.heirs(self.job(), &new_parts, context.ledger.identity()))
    }

    /// Finds the mails of the plan that an earlier run dispatched: a plan that was carried out in part goes on.
    async fn find_carried_out(&self, lease: &Lease, report: &mut JobReport) -> Result<(), RunError> {
        use DeliveryState::{Accepted, Dispatched, Rejected, Unknown};
        let Some(plan) = &self.context.options.plan else { return Ok(()) };
        for gone in plan.gone(&self.job().name, &report.mails).chunks(RECORDS_AT_ONCE) {
            let keys: Vec<DeliveryKey> = gone.iter().map(|mail| mail.key()).collect();
            let answers = self.context.ledger.recorded(lease, &Inquiry::of_keys(&keys)).await?;
            let dispatched = gone.iter().zip(answers.recorded).filter(|(_, found)| {
                let state = found.as_ref().map(|found| found.state);
                state.is_some_and(|state| matches!(state, Accepted | Dispatched | Rejected | Unknown))
            });
            report.carried_out.extend(dispatched.map(|(mail, _)| PlannedMail::clone(mail)));
        }
        Ok(())
    }

    /// Refuses mails that were made of columns which lost values.
    fn refuse_lost_values(&self, watch: u64) -> Result<(), RunError> {
        let Workspace { project, warehouse, .. } = self.context.workspace;
        let lost = self.prepared.compiled.harmed_by(project, self.job(), warehouse.misfits_since(watch));
        if lost.is_empty() { Ok(()) } else { Err(RunError::LostValues { job: self.job().name.clone(), lost }) }
    }

    /// A mail of a plan: its subject, or why there is none.
    fn sample(&self, candidate: &Candidate) -> PlannedSample {
        let rendered = self.prepared.composer.compose(candidate, &"0".repeat(32), self.context.as_of);
        PlannedSample {
            profile_id: candidate.key.profile_id.clone(),
            occasion: candidate.key.occasion.clone(),
            subject: rendered.map_or_else(|error| error.to_string(), |message| message.subject),
        }
    }

    /// A job whose mails went to the outbox would be silent, or mail everybody, once a real provider takes over.
    fn refuse_change_of_provider(&self, lease: &Lease) -> Result<(), RunError> {
        let Some(last) = &lease.last_provider else { return Ok(()) };
        let was_outbox = last.ends_with("/outbox");
        if was_outbox && self.account.capabilities().leaves_machine {
            return Err(RunError::Refused {
                message: format!(
                    "the job `{}` mailed through `{last}` until now, and this run would mail through `{}`: what went to \
                     files would count as mailed",
                    self.job().name,
                    self.provider_label
                ),
                hint: "give the real provider a ledger of its own: an entry of `environments:` has one, made with \
                       `milepost ledger create --env NAME`"
                    .to_owned(),
            });
        }
        Ok(())
    }

    fn guard(&self, lease: &Lease, decided: &DecidedJob) -> Result<(), RunError> {
        let options = self.context.options;
        let mails = options.limit.map_or(decided.mail_count(), |limit| limit.min(decided.mail_count()));
        let project = &self.context.workspace.project;
        let redirected = self.context.redirected.load(Ordering::Relaxed);
        let volume = Volume {
            usual: self.usual(lease, decided),
            redirects_left: project.redirect_to.as_ref().map(|_| project.redirect_limit.saturating_sub(redirected)),
            first_run: lease.first_run,
            mails,
            limits: self.job().limits,
            confirm: options.confirm,
        };
        decide::guard(&volume).map_err(|refusal| RunError::Guard { job: self.job().name.clone(), refusal })?;
        self.context.redirected.fetch_add(mails, Ordering::Relaxed);
        Ok(())
    }

    /// The median of the last 5 periods of a recap or the last 7 days of milestones, this run's own left out.
    pub(super) fn usual(&self, lease: &Lease, decided: &DecidedJob) -> Option<u64> {
        let last = if self.job().recap().is_some() { 5 } else { 7 };
        let earlier = lease.volumes.iter().filter(|(bucket, _)| !decided.volumes.contains_key(bucket));
        decide::usual(earlier.map(|(_, mails)| *mails).collect(), last)
    }

    async fn record(&self, lease: &Lease, mut stored: super::spool::Spool) -> Result<(), RunError> {
        let now = self.context.clock.now();
        let mut waiting = Vec::new();
        for entry in stored.entries::<StoredDecision>().map_err(|source| spool_failed("read", source))? {
            waiting.extend(entry.map_err(|source| spool_failed("read", source))?.record(now));
            if waiting.len() == RECORDS_AT_ONCE {
                self.context.ledger.record(lease, &waiting).await?;
                waiting.clear();
            }
        }
        Ok(self.context.ledger.record(lease, &waiting).await?)
    }

    /// Writes the run's row and gives the job back; a fenced run has nothing left to give.
    async fn close(
        &self,
        lease: &Lease,
        report: &mut JobReport,
        volumes: BTreeMap<String, u64>,
    ) -> Result<(), RunError> {
        let complete = self.is_unrestricted() && report.status == JobStatus::Completed;
        let end = RunEnd {
            status: report.status.name().to_owned(),
            now: self.context.clock.now(),
            provider: self.provider_label.clone(),
            counts: stored_counts(report).into_iter().chain(self.health_counts(report, complete)).collect(),
            starts: if complete { self.rules(lease).starts_to_keep() } else { BTreeMap::new() },
            completes_first_run: complete,
            volumes: if complete { volumes } else { BTreeMap::new() },
            saw_until: Some(self.context.as_of).filter(|_| complete && self.sees_every_period()),
        };
        match self.context.ledger.close(lease, &end).await {
            Err(LedgerError::Fenced { .. }) if report.exit == Exit::Fenced => Ok(()),
            closed => {
                report.withdrawn = closed?;
                Ok(())
            }
        }
    }
}

/// A halt stands against every job or this one.
fn refuse_halted(lease: &Lease) -> Result<(), RunError> {
    match &lease.halt {
        Some(halt) => Err(LedgerError::Halted { job: lease.job.clone(), reason: halt.reason.clone() }.into()),
        None => Ok(()),
    }
}

/// Decisions and outcomes as the ledger keeps them with the run.
fn stored_counts(report: &JobReport) -> BTreeMap<String, u64> {
    let outcomes = report.outcomes.iter().map(|(name, count)| (format!("outcome_{name}"), *count));
    let decisions = report.decisions.iter().map(|(name, count)| ((*name).to_owned(), *count));
    decisions.chain(outcomes).filter(|(_, count)| *count > 0).collect()
}

/// Seconds since an instant of this process.
pub(super) fn seconds_since(started: Instant) -> f64 {
    clock::monotonic().duration_since(started).as_secs_f64()
}
