//! Stable shares of people: who is held out, and which variant somebody gets. The same inputs give the same answer for
//! ever, on every machine, and analysts can recompute it: docs/reference/jobs.md says how.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::model::Candidate;
use crate::project::Job;

/// Hexadecimal digits of the hash that make the number: as many as a double holds exactly.
const DIGITS: usize = 13;

/// A number from 0 (included) to 1 that is as good as random for every list of parts: the first 13 hexadecimal digits of
/// the SHA-256 of the parts joined by line feeds, divided by 16^13.
fn share_of(parts: &[&str]) -> f64 {
    let digest = Sha256::digest(parts.join("\n").as_bytes());
    let digits = digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    let number = u64::from_str_radix(&digits[..DIGITS], 16).expect("thirteen hexadecimal digits");
    number as f64 / 16_f64.powi(13)
}

/// Where a profile stands in the holdout of a job, from 0 to 1.
pub(super) fn holdout_share(project: &str, job: &str, profile_id: &str) -> f64 {
    share_of(&["holdout", project, job, profile_id])
}

/// Whether a profile belongs to the holdout of a job.
pub(super) fn is_held_out(project: &str, job: &str, profile_id: &str, share: f64) -> bool {
    holdout_share(project, job, profile_id) < share
}

/// What a variant is chosen by.
pub(super) struct Choice<'a> {
    /// The project.
    pub(super) project: &'a str,
    /// The job.
    pub(super) job: &'a str,
    /// The milestone that declares the variants; empty when the job does.
    pub(super) salt: &'a str,
    /// The profile.
    pub(super) profile_id: &'a str,
}

/// The variant of a profile: names with weights split 0 to 1 in declared order. `None` where there are none.
pub(super) fn variant_of<'a>(choice: &Choice<'_>, variants: &'a [(String, f64)]) -> Option<&'a str> {
    let total: f64 = variants.iter().map(|(_, weight)| weight).sum();
    let point = share_of(&["variant", choice.project, choice.job, choice.salt, choice.profile_id]) * total;
    let mut end = 0.0;
    let found = variants.iter().find(|(_, weight)| {
        end += weight;
        point < end
    });
    found.or(variants.last()).map(|(name, _)| name.as_str())
}

/// The variant that a profile has by its hash alone; `None` where the candidate's message has none.
#[must_use]
pub fn variant_for(project: &str, job: &Job, candidate: &Candidate) -> Option<String> {
    let message = *job.messages().get(candidate.part)?;
    let written = message.variants.list.iter();
    let variants: Vec<_> = written.map(|variant| (variant.name.clone(), variant.weight)).collect();
    let (salt, profile_id) = (&message.variants.salt, &candidate.key.profile_id);
    variant_of(&Choice { project, job: &job.name, salt, profile_id }, &variants).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_the_documentation() {
        // By another program: int(sha256("\n".join(parts)).hexdigest()[:13], 16) / 16**13
        let shares = [
            (holdout_share("lumen", "campaign_milestones", "u1"), 0.856_510_279_739_115_4),
            (holdout_share("lumen", "campaign_milestones", "\u{c4}"), 0.676_744_728_364_676_8),
            (share_of(&["variant", "lumen", "campaign_milestones", "first_campaign", "u1"]), 0.952_230_801_155_832_3),
        ];
        for (found, expected) in shares {
            assert!((found - expected).abs() < 1e-15, "{found} {expected}");
        }
        let held: Vec<bool> =
            (0..20_000).map(|number| is_held_out("lumen", "job", &format!("u{number}"), 0.05)).collect();
        let count = held.iter().filter(|held| **held).count();
        assert!((850..1150).contains(&count), "{count} of 20,000");
    }

    #[test]
    fn a_greater_share_keeps_everybody_of_a_smaller_one() {
        for number in 0..2_000 {
            let id = format!("u{number}");
            assert!(!is_held_out("p", "j", &id, 0.05) || is_held_out("p", "j", &id, 0.1), "{id}");
        }
    }

    #[test]
    fn variants_split_by_weight_and_by_milestone() {
        let variants = [("a".to_owned(), 1.0), ("b".to_owned(), 3.0)];
        let chosen = |salt: &str, number: u32| {
            let profile_id = format!("u{number}");
            let choice = Choice { project: "p", job: "j", salt, profile_id: &profile_id };
            variant_of(&choice, &variants).map(str::to_owned)
        };
        let of_a = (0..20_000).filter(|number| chosen("", *number).as_deref() == Some("a")).count();
        assert!((4_700..5_300).contains(&of_a), "{of_a} of 20,000");
        let same = (0..20_000).filter(|number| chosen("", *number) == chosen("first", *number)).count();
        assert!((12_000..13_000).contains(&same), "independent of each other: {same}");
        let choice = Choice { project: "p", job: "j", salt: "", profile_id: "u1" };
        assert_eq!(variant_of(&choice, &[]), None);
    }
}
