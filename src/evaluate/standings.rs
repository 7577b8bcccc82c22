//! Where profiles are on the ladders of a job, also below the first level.

use serde_json::Value;

use super::error::EvaluateError;
use super::flag_reader::FlagReader;
use super::ladder::outlook;
use super::request::{Request, Tally};
use super::subject::Keep;
use super::{CompiledJob, Plan, parameters};
use crate::warehouse::Warehouse;

/// One profile on one ladder.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// The profile.
    pub profile_id: String,
    /// What is measured, when not the profile.
    pub entity_id: Option<String>,
    /// The milestone.
    pub milestone: String,
    /// The measure at `as_of`; null for the greatest value of no rows.
    pub value: Value,
    /// `{level, remaining}`, as templates see it; null above the last level.
    pub next: Value,
    /// From 0 to 1.
    pub progress: Value,
}

/// The standings of the profiles a request names, pass by pass; meant for few.
pub(super) async fn of(
    job: &CompiledJob,
    warehouse: &Warehouse,
    request: &Request,
) -> Result<Vec<Standing>, EvaluateError> {
    let mut job = job.clone();
    job.narrow(&[]);
    let Plan::Milestones(passes) = &job.plan else {
        return Ok(Vec::new());
    };
    let restricted = request.profiles.is_some();
    job.check_audience(&warehouse.bind(&parameters(request)).await?, restricted, &mut Tally::default()).await?;
    let mut standings = Vec::new();
    for pass in passes.iter().filter(|pass| !pass.ladders().is_empty()) {
        let mut reader =
            FlagReader::new(&job, std::slice::from_ref(pass), warehouse, request, Keep::Audience).await?.uncounted();
        while let Some(profiles) = reader.next().await? {
            for profile in profiles {
                for ladder in pass.ladders() {
                    let value = profile.value.as_f64().unwrap_or_default();
                    let (next, progress) = outlook(&ladder.levels, value, profile.peak);
                    standings.push(Standing {
                        profile_id: profile.profile_id.clone(),
                        entity_id: profile.entity_id.clone(),
                        milestone: ladder.name.clone(),
                        value: profile.value.clone(),
                        next,
                        progress,
                    });
                }
            }
        }
    }
    Ok(standings)
}
