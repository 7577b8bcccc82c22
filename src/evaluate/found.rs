//! What evaluation found about one profile, before it becomes candidates or rows of output.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::audience::AudienceRow;
use crate::model::{Candidate, DeliveryKey};

/// One milestone level a profile reached.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) part: usize,
    pub(super) milestone: String,
    pub(super) level: Option<f64>,
    pub(super) occasion: String,
    pub(super) reached_at: Timestamp,
    pub(super) dated: bool,
    /// What templates see as `milestone`.
    pub(super) context: Value,
    /// The measure at `as_of`; null for own views.
    pub(super) value: Value,
    /// The result of `only_if`.
    pub(super) wanted: bool,
}

/// Everything one pass found about one profile.
#[derive(Clone, Debug)]
pub(super) struct ProfileFound {
    pub(super) profile_id: String,
    /// What was measured, when not the profile.
    pub(super) entity_id: Option<String>,
    /// `None` when the profile is not in the audience.
    pub(super) audience: Option<AudienceRow>,
    pub(super) found: Vec<Found>,
    /// The milestones this pass looks for.
    pub(super) parts: Vec<usize>,
    /// The measure at `as_of`; null for own views.
    pub(super) value: Value,
    /// The highest value so far, which decides the next level.
    pub(super) peak: f64,
}

impl ProfileFound {
    /// The candidates; empty for a profile that is not in the audience.
    pub(super) fn candidates(self) -> Vec<Candidate> {
        let Some(audience) = self.audience else {
            return Vec::new();
        };
        self.found
            .into_iter()
            .map(|found| {
                let mut context = Map::with_capacity(2);
                context.insert("profile".to_owned(), Value::Object(audience.profile.clone()));
                context.insert("milestone".to_owned(), found.context);
                let occasion = match &self.entity_id {
                    Some(entity) => format!("{}/{entity}", found.occasion),
                    None => found.occasion,
                };
                Candidate {
                    key: DeliveryKey { profile_id: self.profile_id.clone(), occasion },
                    address: audience.address.clone(),
                    part: found.part,
                    milestone: Some(found.milestone),
                    level: found.level,
                    reached_at: found.reached_at,
                    dated: found.dated,
                    wanted: found.wanted,
                    suppressed: audience.suppressed.clone(),
                    variant: None,
                    expires_at: None,
                    timezone: timezone(&audience.profile),
                    context: context.into(),
                }
            })
            .collect()
    }
}

/// The zone the audience gives.
pub(super) fn timezone(profile: &Map<String, Value>) -> Option<String> {
    profile.get("timezone").and_then(Value::as_str).map(str::to_owned)
}
