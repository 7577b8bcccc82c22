//! What is known of each candidate of a chunk, and how it is asked for: who is settled already needs no further question.

use jiff::Timestamp;

use super::case::Case;
use super::{Ahead, Rules};
use crate::ledger::{Answers, Identity, Inquiry, Recipient, RecipientFacts, Recorded};
use crate::model::{Candidate, EmailAddress};

/// What is known of one candidate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What the ledger has, as [`super::Lookup::merge`] gave it.
    pub recorded: Option<Recorded>,
    /// HMAC of the normalised address; `None` without a valid one, and where nobody asked.
    pub address_hash: Option<String>,
    /// What stands against mailing it.
    pub recipient: RecipientFacts,
}

impl Facts {
    /// Nothing but what the ledger has.
    #[must_use]
    pub fn of(recorded: Option<Recorded>) -> Self {
        Self { recorded, ..Self::default() }
    }
}

/// The candidates of a chunk that may be mailed, and what to ask the ledger about them.
#[derive(Clone, Debug)]
pub struct Recipients {
    places: Vec<usize>,
    inquiry: Inquiry,
    facts: Vec<Facts>,
}

impl Recipients {
    /// Those that are neither known, baselined nor skipped.
    #[must_use]
    pub fn new(rules: &Rules, candidates: &[Candidate], recorded: Vec<Option<Recorded>>, identity: &Identity) -> Self {
        let facts: Vec<Facts> = recorded.into_iter().map(Facts::of).collect();
        let mut recipients = Self { places: Vec::new(), inquiry: Inquiry::default(), facts };
        let ahead = Ahead::default();
        for (place, candidate) in candidates.iter().enumerate() {
            let Some(facts) = recipients.facts.get(place) else { continue };
            let case = Case { rules, candidate, facts, ahead: &ahead, higher: None, repeated: false };
            if case.settle().is_some() {
                continue;
            }
            let address = candidate.address.as_deref().and_then(EmailAddress::parse);
            let address_hash = address.map(|address| identity.address_hash(&address));
            recipients.places.push(place);
            recipients.inquiry.recipients.push(Recipient { key: candidate.key.clone(), address_hash });
        }
        if rules.marketing {
            let longest = rules.caps.iter().map(|cap| cap.per).max();
            recipients.inquiry.dispatched_since =
                longest.map(|longest| rules.wall.checked_sub(longest).unwrap_or(Timestamp::MIN));
        }
        recipients
    }

    /// What to ask [`crate::ledger::Ledger::recorded`]; nothing when everybody is settled.
    #[must_use]
    pub fn inquiry(&self) -> Option<&Inquiry> {
        Some(&self.inquiry).filter(|inquiry| !inquiry.recipients.is_empty())
    }

    /// The facts of every candidate, with the answers.
    #[must_use]
    pub fn facts(mut self, answers: Answers) -> Vec<Facts> {
        let answered = answers.recipients.into_iter().chain(std::iter::repeat_with(RecipientFacts::default));
        for ((place, recipient), answer) in self.places.into_iter().zip(self.inquiry.recipients).zip(answered) {
            self.facts[place].address_hash = recipient.address_hash;
            self.facts[place].recipient = answer;
        }
        self.facts
    }
}
