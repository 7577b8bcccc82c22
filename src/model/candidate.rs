//! A profile with an occasion: what evaluation found and decisions are made about.

use super::{Level, TemplateContext};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The identity of a delivery: at most one dispatch is ever in doubt or accepted for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeliveryKey {
    /// The profile's id as text.
    pub profile_id: String,
    /// Why this profile is mailed once, such as `campaigns:50` or `2026-W46/acct_7`.
    pub occasion: String,
}

/// What stands before the level, the first day and the entity of an occasion: the milestone's name, a recap's period key,
/// or what an own view calls it.
#[must_use]
pub fn occasion_stem(occasion: &str) -> &str {
    &occasion[..occasion.find([':', '@', '/']).unwrap_or(occasion.len())]
}

/// Why an address or profile must not be mailed, as the project's `suppressed:` table says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    /// `unsubscribed`, `bounce`, `complaint`, ... as the table says, else `suppressed`.
    pub reason: String,
}

/// One candidate, with everything its mail may show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Profile and occasion.
    pub key: DeliveryKey,
    /// The audience's `email`, untrimmed and unchecked.
    pub address: Option<String>,
    /// Which milestone of the job (by position), or 0 for a recap: selects message and ladder.
    pub part: usize,
    /// The milestone's name; `None` for a recap.
    pub milestone: Option<String>,
    /// The level reached; `None` for recaps and own views without levels.
    pub level: Option<f64>,
    /// When the milestone was reached, or when the recap's period became due.
    pub reached_at: Timestamp,
    /// False for an own view without `reached_at`, whose first run baselines everybody.
    pub dated: bool,
    /// The result of `only_if`; true where there is none.
    pub wanted: bool,
    /// What the project's `suppressed:` table says of this profile or address.
    pub suppressed: Option<Suppression>,
    /// Which of the message's variants is mailed; `None` where it has none, and before it is decided.
    #[serde(default)]
    pub variant: Option<String>,
    /// The end of mailing by data alone: the due instant of the next period for recaps.
    pub expires_at: Option<Timestamp>,
    /// The zone that the audience gives the profile, whatever it says.
    pub timezone: Option<String>,
    /// What the template sees beside run-wide values. Not part of the record: it is long, and kept as it was written.
    #[serde(skip)]
    pub context: TemplateContext,
}

impl Candidate {
    /// The level as a checked value.
    #[must_use]
    pub fn level(&self) -> Option<Level> {
        self.level.and_then(Level::new)
    }
}
