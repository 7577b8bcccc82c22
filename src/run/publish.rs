//! `publish:` of a job: each run writes its flags or its matrix to a place that other tools read.
//!
//! Guarantees: an unusable place is an error before anything is mailed; rows are written once the mails are, under the
//! job's lease, so that of two runs the later one is seen. Never: writes what a restricted run saw, nor over another
//! project's, environment's or job's set.

use serde::Serialize;
use serde_json::{Value, json};

use crate::clock::{self, Clock};
use crate::evaluate::{EvaluateError, FlagColumns, Request};
use crate::settings::crashpoint;
use crate::storage::{Manifest, SetWriter};

use super::job_run::{JobRun, seconds_since};
use super::{JobReport, RunError};

/// What of a set's description says whose it is.
const WHOSE: [&str; 4] = ["holds", "project", "environment", "job"];

/// What a run published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Published {
    /// Where.
    pub to: String,
    /// Rows of this run's flags or matrix.
    pub rows: u64,
    /// Files of the set, with those that earlier runs wrote and that still belong to it.
    pub files: u64,
}

/// A set that a run is to publish.
pub(super) struct Publishing {
    set: SetWriter,
    to: String,
    about: Value,
}

/// Refuses a set of another project, environment or job.
pub(super) fn refuse_strangers(earlier: Option<&Manifest>, about: &Value) -> Result<(), RunError> {
    let Some(earlier) = earlier else { return Ok(()) };
    // A set that `--output` wrote says nothing of its owner, and is anybody's to replace.
    let differing = WHOSE.iter().find(|key| !earlier.about["holds"].is_null() && earlier.about[**key] != about[**key]);
    let Some(key) = differing else { return Ok(()) };
    let said = |value: &Value| value.as_str().map_or_else(|| "none".to_owned(), |text| format!("`{text}`"));
    let (theirs, ours) = (said(&earlier.about[*key]), said(&about[*key]));
    let what = if *key == "holds" { "content" } else { key };
    Err(RunError::Refused {
        message: format!("the set that is published there is of another {what}: {theirs}, and this run's is {ours}"),
        hint: "give each job of each environment a place of its own".to_owned(),
    })
}

impl Publishing {
    /// Looks at the place; `None` when the job publishes nothing, or the run did not look at everybody.
    pub(super) async fn begin(run: &JobRun<'_>) -> Result<Option<Self>, RunError> {
        let job = run.prepared.job;
        let Some(place) = job.publish.as_ref().filter(|_| run.context.options.only.is_none()) else { return Ok(None) };
        let project = &run.context.workspace.project;
        let about = json!({
            "holds": if job.recap().is_some() { "metrics" } else { "flags" },
            "project": project.name,
            "environment": project.environment,
            "job": job.name,
            "as_of": run.context.as_of.to_string(),
            "run_id": run.context.run_id,
        });
        let set = SetWriter::begin(&place.value).await?;
        refuse_strangers(set.earlier(), &about)?;
        Ok(Some(Self { set, to: place.value.clone(), about }))
    }

    /// Computes and publishes. Flags take the place of earlier flags; a matrix that of its own period.
    pub(super) async fn finish(
        mut self,
        run: &JobRun<'_>,
        request: &Request,
        report: &mut JobReport,
    ) -> Result<(), RunError> {
        let started = clock::monotonic();
        let (compiled, warehouse) = (&run.prepared.compiled, &run.context.workspace.warehouse);
        let is_recap = run.prepared.job.recap().is_some();
        let tables = if is_recap {
            compiled.matrices(warehouse, request).await?
        } else {
            vec![compiled.flags(warehouse, request, FlagColumns::Reached).await?]
        };
        if tables.is_empty() {
            return Ok(());
        }
        let mut rows = 0;
        for table in tables {
            rows += table.write_set(&mut self.set).await.map_err(EvaluateError::from)?;
        }
        if is_recap {
            self.set.keep_others()?;
        }
        self.about["written_at"] = Clock::System.now().to_string().into();
        crashpoint!("before_publish");
        let files = self.set.commit(self.about).await?.files.len() as u64;
        crashpoint!("after_publish");
        report.published = Some(Published { to: self.to, rows, files });
        report.timing_seconds.insert("publish", seconds_since(started));
        Ok(())
    }
}
