//! Which verb may move a delivery where: the state machine of the model, narrowed to what each verb is for.

use crate::model::DeliveryState;

/// The states a run stores without dispatching.
const RECORDED: [DeliveryState; 9] = [
    DeliveryState::Superseded,
    DeliveryState::Expired,
    DeliveryState::Baselined,
    DeliveryState::InvalidAddress,
    DeliveryState::Suppressed,
    DeliveryState::RenderFailed,
    DeliveryState::SameAddress,
    DeliveryState::HeldOut,
    DeliveryState::Deferred,
];

/// Whether a row in `from` may be claimed.
pub(super) fn may_dispatch(from: Option<DeliveryState>) -> bool {
    DeliveryState::Dispatched.may_follow(from)
}

/// Whether an outcome may move a row: only what was dispatched has one.
pub(super) fn may_settle(from: DeliveryState, to: DeliveryState) -> bool {
    matches!(from, DeliveryState::Dispatched | DeliveryState::Unknown) && to.may_follow(Some(from))
}

/// Whether a decision may be stored over `from`; the same decision again is no change.
pub(super) fn may_record(from: Option<DeliveryState>, to: DeliveryState) -> bool {
    RECORDED.contains(&to) && (from == Some(to) || to.may_follow(from))
}

/// Whether a person may move a row: an unknown outcome by what became known of it, a refusal to be tried again.
pub(super) fn may_correct(from: DeliveryState, to: DeliveryState) -> bool {
    matches!(
        (from, to),
        (DeliveryState::Unknown, DeliveryState::Accepted | DeliveryState::Rejected | DeliveryState::Retryable)
            | (DeliveryState::Rejected, DeliveryState::Retryable)
    )
}

/// Whether a decision that is stored already is written again: a deferral says what the last run found.
pub(super) fn renews(from: Option<DeliveryState>, to: DeliveryState) -> bool {
    from != Some(to) || to == DeliveryState::Deferred
}

/// Of rows of one key under several names of a job the one that counts is the greatest: known before open, and what was
/// withdrawn under an earlier name says nothing about a row under another.
pub(super) fn rank(state: DeliveryState, attempt: u32) -> (bool, bool, u32) {
    let withdrawn = state == DeliveryState::Withdrawn;
    (state.is_known() && !withdrawn, !withdrawn, attempt)
}

/// The states that satisfy `rule`, as a SQL list of literals.
pub(super) fn sql_list(rule: impl Fn(DeliveryState) -> bool) -> String {
    let names = DeliveryState::ALL.into_iter().filter(|state| rule(*state)).map(|state| format!("'{state}'"));
    names.collect::<Vec<_>>().join(", ")
}

/// The (from, to) pairs that satisfy `rule`, as SQL rows of literals.
pub(super) fn sql_pairs(rule: impl Fn(DeliveryState, DeliveryState) -> bool) -> String {
    let every = DeliveryState::ALL.into_iter().flat_map(|from| DeliveryState::ALL.map(|to| (from, to)));
    let pairs = every.filter(|(from, to)| rule(*from, *to)).map(|(from, to)| format!("('{from}', '{to}')"));
    pairs.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_and_decisions_keep_to_their_own() {
        assert_eq!(
            sql_list(|state| may_dispatch(Some(state))),
            "'retryable', 'invalid_address', 'suppressed', 'render_failed', 'deferred'"
        );
        assert!(!may_settle(DeliveryState::Rejected, DeliveryState::Retryable), "a person retries, a run does not");
        assert!(!may_settle(DeliveryState::Retryable, DeliveryState::Superseded));
        for state in
            [DeliveryState::Dispatched, DeliveryState::Accepted, DeliveryState::Unknown, DeliveryState::Retryable]
        {
            assert!(!may_record(None, state));
        }
        assert!(may_record(Some(DeliveryState::Expired), DeliveryState::Expired));
        assert!(!may_record(Some(DeliveryState::Accepted), DeliveryState::Expired));
    }
}
