//! The events of a run in a JSON log: counts, seconds and exit codes, no ids and no addresses.

use std::sync::Arc;

use serde_json::{Value, json};

use super::output::Output;
use super::progress::Bar;
use crate::run::{Exit, JobReport, Progress, Report, RunReport};

/// Shows where a run is: in the bar on a terminal, and in the log.
pub(super) fn follow(output: Output, bar: Arc<Bar>) -> Report {
    Arc::new(move |progress| {
        match &progress {
            Progress::Started { run_id, as_of, jobs } => {
                output.log(
                    "INFO",
                    "run_started",
                    json!({ "run_id": run_id, "as_of": as_of.to_string(), "jobs": jobs }),
                );
            }
            Progress::JobStarted { job } => output.log("INFO", "job_started", json!({ "job": job })),
            Progress::JobEnded { report } => job_ended(output, report),
            Progress::Evaluating { .. } | Progress::Mailing { .. } => {}
        }
        bar.show(&progress);
    })
}

fn job_ended(output: Output, job: &JobReport) {
    let level = if job.exit == Exit::Done { "INFO" } else { "ERROR" };
    if job.exit != Exit::Done {
        let (reason, exit_code) = (job.exit.name(), job.exit.code());
        let error = json!({ "job": job.job, "reason": reason, "exit_code": exit_code, "message": job.logged() });
        output.log(level, "error", error);
    }
    output.log(
        level,
        "job_ended",
        json!({
            "job": job.job,
            "status": job.status,
            "period": job.period,
            "provider": job.provider,
            "candidates": job.candidates(),
            "decisions": counted(&job.decisions),
            "outcomes": counted(&job.outcomes),
            "recovered": counted(&job.recovered),
            "dropped": counted(&job.dropped),
            "requests": job.requests,
            "seconds": job.timing_seconds.get("total"),
            "exit_code": job.exit.code(),
        }),
    );
}

fn counted(counts: &std::collections::BTreeMap<&'static str, u64>) -> Value {
    counts
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(name, count)| ((*name).to_owned(), Value::from(*count)))
        .collect()
}

/// The last line of a run.
pub(super) fn run_ended(output: Output, report: &RunReport) {
    let exit = report.exit();
    let (of_code, error) = (exit.code(), exit != Exit::Done && exit != Exit::Empty);
    if let Some(cause) = report.stopped {
        let fields = json!({ "reason": cause.exit().name(), "exit_code": of_code, "message": cause.to_string() });
        output.log("ERROR", "error", fields);
    }
    output.log(
        if error { "ERROR" } else { "INFO" },
        "run_ended",
        json!({
            "run_id": report.run_id,
            "jobs": report.jobs.len(),
            "accepted": report.jobs.iter().map(JobReport::accepted).sum::<u64>(),
            "seconds": report.finished_at.duration_since(report.started_at).as_secs_f64(),
            "exit_code": of_code,
        }),
    );
}
