//! A run: the selected jobs, each under its own lease, with one report at the end. Jobs of one provider go one after
//! another, and so do those that must not miss each other's mails; jobs of other providers go beside them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;

use crate::clock::{self, Clock};
use crate::deliver::Account;
use crate::ledger::{self, CreatePolicy, LedgerError, LedgerStore, MemoryLedger, RunEnd, RunRequest};
use crate::model::Check;
use crate::project::{Category, Job, Project};
use crate::providers;
use crate::settings::{crashpoint, seeded};

use super::foreseen::{Foreseen, READING_GRACE, provider_label};
use super::job_run::{JobRun, RunContext, seconds_since};
use super::people::Audiences;
use super::plan::{self, Plan, Planned};
use super::stop::Stop;
use super::workspace::Loaded;
use super::{
    JobReport, JobStatus, RunError, RunReport, TablesRead, Unwritten, Workspace, WorkspaceOptions, ledger_access,
    results,
};

/// How long the end of a run that is to stop may still take: overviews of providers, leases, copies of results.
pub(super) const CLOSING_GRACE: Duration = Duration::from_millis(800);

/// What a run is asked to do.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub struct RunOptions {
    /// Only these jobs.
    pub jobs: Vec<String>,
    /// The logical now; the machine's clock when absent.
    pub as_of: Option<Timestamp>,
    /// The recap's period key; the latest due when absent.
    pub period: Option<String>,
    /// `[start, end)`: recaps have the periods that fell due in it.
    pub interval: Option<(Timestamp, Timestamp)>,
    /// Decide everything, record and mail nothing.
    pub dry_run: bool,
    /// Only this profile.
    pub only: Option<String>,
    /// The most mails of each job.
    pub limit: Option<u64>,
    /// The volume a person agreed to.
    pub confirm: Option<u64>,
    /// Checks that this run may fail.
    pub accept: Vec<Check>,
    /// `as_of` is the wall clock too.
    pub replay: bool,
    /// Keep which mails were decided with the report: for plans.
    pub keep_mails: bool,
    /// Do exactly this, or refuse.
    pub plan: Option<Arc<Plan>>,
    /// A folder or URL that the results are copied to.
    pub result_to: Option<String>,
    /// How long to wait for another run of the same job.
    pub lock_timeout: Duration,
    /// Whether a run that has nothing to do ends with [`super::Exit::Empty`].
    pub tells_empty: bool,
    /// The arguments as they stand in the results.
    pub arguments: serde_json::Value,
}

/// Where a run is.
#[derive(Clone, Debug)]
pub enum Progress {
    /// The project is open, and its jobs begin.
    Started {
        /// The run's id.
        run_id: String,
        /// Its logical now.
        as_of: Timestamp,
        /// How many jobs are selected.
        jobs: usize,
    },
    /// A job begins.
    JobStarted {
        /// The job.
        job: String,
    },
    /// A job ended.
    JobEnded {
        /// What it did.
        report: Box<JobReport>,
    },
    /// Candidates are being decided.
    Evaluating {
        /// The job.
        job: String,
        /// How many so far.
        candidates: u64,
    },
    /// Messages are being delivered.
    Mailing {
        /// The job.
        job: String,
        /// Messages with an outcome.
        settled: u64,
        /// Messages in all.
        total: u64,
    },
}

/// Called with where the run is, from any thread.
pub type Report = Arc<dyn Fn(Progress) + Send + Sync>;

/// Carries out a run and writes its results, also when a job fails. What is done is done: results that cannot be written
/// are part of the report.
///
/// # Errors
/// When the project has errors, the options contradict it, or the ledger or a provider cannot be used at all.
pub async fn run(
    options: &WorkspaceOptions,
    request: &RunOptions,
    stop: Stop,
    progress: Report,
) -> Result<RunReport, RunError> {
    let root = options.root()?;
    let result_to = request.result_to.as_deref().map(|to| results::Copy::to(&options.start, to)).transpose()?;
    let mut ended = Box::pin(as_planned(options, request, &stop, progress)).await;
    crashpoint!("before_results");
    let environment = options.environment.as_deref();
    let written = loop {
        let cause = stop.cause();
        if let Ok(done) = &mut ended {
            // A deadline that found nothing left to do ended nothing.
            done.report.stopped = cause.filter(|cause| cause.is_signal() || done.report.is_cut_short());
        }
        let project = ended.as_ref().ok().map(|done| done.project.name.as_str());
        let origin = results::Origin { root: &root, project, environment, arguments: &request.arguments };
        let written = match &ended {
            Ok(done) => results::write(origin, &done.report),
            Err(error) => results::write_failure(origin, (error, request.jobs.as_slice()), Clock::System.now()),
        };
        stop.keep_last_words(None);
        let written = match (written, &result_to) {
            (Ok(written), Some(copy)) => copy.write_in_time(&written, &stop).await,
            (written, _) => written.map(drop),
        };
        // What came while they were written is written too.
        if stop.cause() == cause {
            break written;
        }
    };
    let unwritten = written.as_ref().err().map(Unwritten::from);
    if let (Err(_), Some(artifact)) = (&ended, &unwritten) {
        // The run's own error is the one that is told.
        tracing::error!(code = "results_unwritten", "{}", artifact.message);
    }
    let mut report = ended?.report;
    report.unwritten.extend(unwritten);
    Ok(report)
}

/// A run that follows its plan, where it has one: decided once before anything leaves, and again as it goes.
async fn as_planned(
    options: &WorkspaceOptions,
    request: &RunOptions,
    stop: &Stop,
    progress: Report,
) -> Result<CarriedOut, RunError> {
    let Some(plan) = &request.plan else { return carry_out(options, request, stop, progress).await };
    let request = plan.run(request);
    match plan::rehearse(options, &request, plan, stop).await? {
        Some(stopped) => Ok(stopped),
        None => carry_out(options, &request, stop, progress).await,
    }
}

/// A run that ended by itself.
pub(super) struct CarriedOut {
    /// Whose it was.
    pub(super) project: Planned,
    /// What it did.
    pub(super) report: RunReport,
}

/// The run without its artifact.
pub(super) async fn carry_out(
    options: &WorkspaceOptions,
    request: &RunOptions,
    stop: &Stop,
    progress: Report,
) -> Result<CarriedOut, RunError> {
    let started_at = Clock::System.now();
    let as_of = request.as_of.unwrap_or(started_at);
    let run_id = run_id()?;
    let loaded = stop.race_after(READING_GRACE, Loaded::read(options)).await?;
    let foreseen = Foreseen::of(&loaded, request, &run_id, (as_of, started_at));
    stop.keep_last_words(foreseen.clone().and_then(|foreseen| results::last_words(options, request, foreseen)));
    let opening = stop.race(Box::pin(open(options, request, loaded, as_of)));
    let (workspace, providers, ledger) = match (opening.await, foreseen) {
        (Err(RunError::Stopped { cause }), Some(foreseen)) => return Ok(foreseen.stopped(cause)),
        (opened, _) => opened?,
    };
    let jobs = workspace.jobs(&request.jobs)?;
    let context = RunContext {
        workspace: &workspace,
        options: request,
        run_id,
        as_of,
        clock: if request.replay { Clock::Fixed(as_of) } else { Clock::System },
        ledger,
        stop,
        progress,
        ahead: tokio::sync::Mutex::default(),
        redirected: std::sync::atomic::AtomicU64::new(0),
        table_facts: super::health::SharedFacts::default(),
        orphans: tokio::sync::OnceCell::new(),
    };
    (context.progress)(Progress::Started { run_id: context.run_id.clone(), as_of, jobs: jobs.len() });
    let mut reports = run_jobs(&context, &jobs, &providers).await;
    // A job that a guard refused may be a removed one under another name: what waits there must stay.
    if reports.iter().all(|report| report.status != JobStatus::Refused) {
        reports.extend(withdraw_removed(&context).await);
    }
    if !request.dry_run {
        let rest = async {
            context.ledger.rest().await;
            Ok(())
        };
        // What is not brought in now is by the next run.
        let _ = stop.race_after(CLOSING_GRACE, rest).await;
    }
    let mut report = RunReport {
        run_id: context.run_id.clone(),
        as_of,
        started_at,
        finished_at: Clock::System.now(),
        jobs: reports,
        tables: TablesRead::of(&workspace.warehouse),
        open: Vec::new(),
        unwritten: Vec::new(),
        stopped: stop.cause(),
        tells_empty: request.tells_empty,
    };
    report.open = finish_providers(&providers, &mut report.jobs, stop).await;
    Ok(CarriedOut { project: Planned::of(&workspace.project), report })
}

/// Everything that a run's jobs need: tables, providers and the ledger.
async fn open(
    options: &WorkspaceOptions,
    request: &RunOptions,
    loaded: Loaded,
    as_of: Timestamp,
) -> Result<(Workspace, Providers, Arc<dyn LedgerStore>), RunError> {
    let mut workspace = Workspace::open_loaded(loaded, options).await?;
    workspace.share_audiences(&request.jobs)?;
    let jobs = workspace.jobs(&request.jobs)?;
    refuse_contradictions(request, &jobs)?;
    let providers = connect_providers(&workspace, &jobs)?;
    let leaves_machine = providers.values().any(|(_, account)| account.capabilities().leaves_machine);
    refuse_replay_without_confirmation(request, leaves_machine)?;
    let ledger = reach_ledger(&workspace, request.dry_run, leaves_machine).await?;
    if let Some(profile) = &request.only {
        refuse_unknown_profile(&workspace, &jobs, (profile, as_of)).await?;
    }
    Ok((workspace, providers, ledger))
}

/// Providers by their name in the project, each with a label such as `local/outbox`.
type Providers = BTreeMap<String, (String, Arc<Account>)>;

fn refuse_contradictions(request: &RunOptions, jobs: &[&Job]) -> Result<(), RunError> {
    let without_period = jobs.iter().find(|job| job.recap().is_none());
    if let (Some(period), Some(job)) = (&request.period, without_period) {
        return Err(RunError::Usage {
            message: format!("`--period {period}` needs a recap, and the job `{}` has milestones", job.name),
            hint: "name the recap: `milepost run JOB --period KEY`".to_owned(),
        });
    }
    if jobs.is_empty() {
        return Err(RunError::Usage {
            message: "the project has no jobs".to_owned(),
            hint: "write one to `jobs/NAME.yml`; `milepost init` in an empty folder shows two".to_owned(),
        });
    }
    Ok(())
}

/// `--only` somebody whom no audience of these jobs has is a slip of the fingers.
async fn refuse_unknown_profile(
    workspace: &Workspace,
    jobs: &[&Job],
    (profile, as_of): (&str, Timestamp),
) -> Result<(), RunError> {
    let mut prepared = Vec::with_capacity(jobs.len());
    for job in jobs {
        // A job with errors fails by itself, beside the others.
        prepared.extend(workspace.prepare(job).await.map(|(job, _)| job));
    }
    Audiences::of(workspace, &prepared, as_of).refuse_unknown(profile).await
}

fn refuse_replay_without_confirmation(request: &RunOptions, leaves_machine: bool) -> Result<(), RunError> {
    if request.replay && leaves_machine && request.confirm.is_none() && !request.dry_run {
        return Err(RunError::Refused {
            message: "`--replay` would mail real people what was current in the past".to_owned(),
            hint: "use an outbox provider, or agree to a number with `--confirm N`".to_owned(),
        });
    }
    Ok(())
}

fn connect_providers(workspace: &Workspace, jobs: &[&Job]) -> Result<Providers, RunError> {
    let project = &workspace.project;
    let mut connected = Providers::new();
    for job in jobs {
        let Some(config) = project.providers.get(&job.provider.value) else { continue };
        if !connected.contains_key(&config.name) {
            let label = provider_label(project, job);
            let provider = Arc::from(providers::connect(config, &project.root)?);
            connected.insert(config.name.clone(), (label, Arc::new(Account::new(&config.name, provider))));
        }
    }
    Ok(connected)
}

/// The project's ledger; made only while nothing leaves the machine. A dry run without one looks at an empty one in
/// memory.
async fn reach_ledger(
    workspace: &Workspace,
    dry_run: bool,
    leaves_machine: bool,
) -> Result<Arc<dyn LedgerStore>, RunError> {
    let project = &workspace.project;
    let owner = ledger_access::owner(project);
    let policy = if (leaves_machine && !seeded!("missing_ledger_created_silently")) || dry_run {
        CreatePolicy::Never
    } else {
        CreatePolicy::WhenMissing
    };
    match ledger::connect(&project.ledger, &owner, policy).await {
        Err(LedgerError::Missing { .. }) if dry_run => Ok(Arc::new(MemoryLedger::new(owner))),
        connected => Ok(Arc::from(connected?)),
    }
}

async fn run_jobs(context: &RunContext<'_>, jobs: &[&Job], providers: &Providers) -> Vec<JobReport> {
    let queues = queues(&context.workspace.project, jobs);
    let running = queues.iter().map(|queue| run_queue(context, queue, providers));
    let mut reports: Vec<(usize, JobReport)> = join_all(running).await.into_iter().flatten().collect();
    reports.sort_by_key(|(place, _)| *place);
    reports.into_iter().map(|(_, report)| report).collect()
}

/// Jobs that go one after another, with their places in the run: a provider that stalls holds its own jobs only. Jobs
/// that count the same mails, for caps or the limit of a redirect, must see what those before them did.
fn queues<'a>(project: &Project, jobs: &[&'a Job]) -> Vec<Vec<(usize, &'a Job)>> {
    let mut queues: BTreeMap<Option<&str>, Vec<(usize, &Job)>> = BTreeMap::new();
    for (place, job) in jobs.iter().enumerate() {
        let counted =
            project.redirect_to.is_some() || (!project.caps.is_empty() && job.category == Category::Marketing);
        let queue = (!counted).then_some(job.provider.value.as_str());
        queues.entry(queue).or_default().push((place, job));
    }
    queues.into_values().collect()
}

async fn run_queue(
    context: &RunContext<'_>,
    queue: &[(usize, &Job)],
    providers: &Providers,
) -> Vec<(usize, JobReport)> {
    let mut reports = Vec::with_capacity(queue.len());
    for (place, job) in queue {
        let Some((label, account)) = providers.get(&job.provider.value) else { continue };
        if let Some(cause) = context.stop.cause() {
            let mut report = JobReport::new(job, label);
            report.skip(cause);
            reports.push((*place, report));
            continue;
        }
        (context.progress)(Progress::JobStarted { job: job.name.clone() });
        let started = clock::monotonic();
        let mut report = match context.stop.race(Box::pin(context.workspace.prepare_valid(job))).await {
            Ok(prepared) => {
                let (account, provider_label) = (account.clone(), label.clone());
                let run = JobRun { context, prepared: &prepared, account, provider_label };
                Box::pin(run.execute()).await
            }
            Err(error) => {
                let mut report = JobReport::new(job, label);
                report.fail(&error);
                report
            }
        };
        report.timing_seconds.insert("total", seconds_since(started));
        (context.progress)(Progress::JobEnded { report: Box::new(report.clone()) });
        reports.push((*place, report));
    }
    reports
}

/// What waits in jobs that the project no longer has: a run of everybody by everything closes it.
async fn withdraw_removed(context: &RunContext<'_>) -> Vec<JobReport> {
    let options = context.options;
    let complete = options.jobs.is_empty() && options.only.is_none() && options.limit.is_none() && !options.dry_run;
    if !complete || context.stop.cause().is_some() {
        return Vec::new();
    }
    let project = &context.workspace.project;
    let names: Vec<&String> =
        project.jobs.iter().flat_map(|job| std::iter::once(&job.name).chain(&job.aliases)).collect();
    let deferring = match context.stop.race(async { Ok(context.ledger.deferring_jobs().await?) }).await {
        Ok(jobs) => jobs,
        Err(RunError::Stopped { .. }) => return Vec::new(),
        Err(error) => return vec![failed("jobs that are gone", &error)],
    };
    let mut reports = Vec::new();
    for job in deferring.iter().filter(|job| !names.contains(job)) {
        let mut report = JobReport::named(job, REMOVED);
        match context.stop.race_after(CLOSING_GRACE, withdraw(context, job)).await {
            Ok(withdrawn) => report.withdrawn = withdrawn,
            Err(RunError::Stopped { .. }) => return reports,
            Err(error) => report.fail(&error),
        }
        reports.push(report);
    }
    reports
}

/// Where the provider of a job stands in reports, of a job that is gone.
const REMOVED: &str = "removed from the project";

fn failed(job: &str, error: &RunError) -> JobReport {
    let mut report = JobReport::named(job, REMOVED);
    report.fail(error);
    report
}

async fn withdraw(context: &RunContext<'_>, job: &str) -> Result<u64, RunError> {
    let project = &context.workspace.project;
    let introduction = RunRequest {
        run_id: context.run_id.clone(),
        job: job.to_owned(),
        aliases: Vec::new(),
        project: project.name.clone(),
        environment: project.environment.clone(),
        marketing: true,
        as_of: context.as_of,
        now: context.clock.now(),
    };
    let lease = context.ledger.open(&introduction).await?;
    let end = RunEnd {
        status: "completed".to_owned(),
        now: context.clock.now(),
        provider: lease.last_provider.clone().unwrap_or_default(),
        counts: BTreeMap::new(),
        starts: BTreeMap::new(),
        completes_first_run: false,
        volumes: BTreeMap::new(),
        saw_until: Some(context.as_of),
    };
    Ok(context.ledger.close(&lease, &end).await?)
}

/// Lets providers write what they keep for people, and returns what to open.
async fn finish_providers(providers: &Providers, jobs: &mut [JobReport], stop: &Stop) -> Vec<String> {
    let mut open = Vec::new();
    for (label, account) in providers.values() {
        let used = |job: &&mut JobReport| {
            job.provider == *label && !matches!(job.status, JobStatus::DryRun | JobStatus::Skipped)
        };
        let mut users: Vec<_> = jobs.iter_mut().filter(used).collect();
        if users.is_empty() {
            continue;
        }
        let finished = stop.race_after(CLOSING_GRACE, async { Ok(account.provider().finish().await) });
        match finished.await.unwrap_or(Ok(None)) {
            Ok(page) => open.extend(page.map(|page| page.display().to_string())),
            Err(error) => users.iter_mut().for_each(|job| {
                job.message.get_or_insert(format!("the provider `{label}` could not write its overview: {error}"));
            }),
        }
    }
    open
}

fn run_id() -> Result<String, RunError> {
    let bytes: [u8; 16] = clock::random_bytes().map_err(|source| RunError::File {
        path: "the system's random numbers".to_owned(),
        action: "read",
        source,
    })?;
    Ok(bytes.iter().fold(String::with_capacity(32), |mut text, byte| {
        use std::fmt::Write as _;
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
