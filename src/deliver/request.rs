//! One request carried to its end: attempts, waits, and what each answer proves.
//!
//! A message is *open* until something is proven about it. Once an attempt at it ended without proof it is *in doubt*,
//! and from then on a refused connection or a throttling answer proves nothing any more: only the same bytes under the
//! same key can clear it. A batch that is refused whole because of some of its messages is cut in two, and the halves
//! again, until the bad ones are alone; each piece is claimed, and has a key, of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::backoff::{ATTEMPTS_MAX, WAIT_MAX};
use super::brake::Stopped;
use super::breaker::Tally;
use super::probe::Held;
use super::recorder::Outcomes;
use super::sender::Lane;
use crate::clock::{Clock, monotonic};
use crate::ledger::{Batch, Dispatch, Identity, Settlement};
use crate::model::{DeliveryState, Fault, Message, Outcome};
use crate::providers::Attempt;
use crate::settings::{crashpoint, seeded};

/// What is known about one message of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Not attempted, or proven not to be accepted: `Some` says how.
    Open(Option<String>),
    /// May have been accepted.
    Doubt(String),
    /// Settled.
    Closed,
}

/// A dispatched batch with its messages.
pub(super) struct Request {
    pub(super) batch: Batch,
    pub(super) deliveries: Vec<Dispatch>,
    pub(super) messages: Vec<Message>,
    pub(super) known: Vec<Known>,
    /// True when the ledger has the deliveries as unknown already.
    pub(super) replay: bool,
    pub(super) wave: Arc<OwnedSemaphorePermit>,
    /// When the last attempt began, or the request was made.
    pub(super) started: Instant,
}

/// What comes after an attempt.
enum Next {
    Done,
    /// The same bytes under the same key.
    Repeat(Duration),
    /// A new dispatch of what is proven not to be accepted.
    Again(Duration),
    /// A new dispatch of each half.
    Cut,
}

/// The counts of one attempt that are final.
#[derive(Default)]
struct Finals {
    settlements: Vec<Settlement>,
    tally: Tally,
}

/// The id of a batch row: no other dispatch of the ledger has the same.
pub(super) fn batch_id(lane: &Lane, attempt: u32, at: Timestamp, deliveries: &[Dispatch]) -> String {
    let attempt = attempt.to_string();
    let mut parts = vec!["row", lane.lease.run_id.as_str(), &attempt];
    parts.extend(deliveries.iter().map(|delivery| delivery.delivery_id.as_str()));
    lane.ledger.identity().timed_id(at, &parts)
}

/// The key of the bytes that leave: the same messages in the same order have the same, and no others.
pub(super) fn idempotency_key(identity: &Identity, deliveries: &[Dispatch]) -> String {
    let mut parts = vec!["key"];
    parts.extend(deliveries.iter().map(|delivery| delivery.body_hash.as_str()));
    identity.request_id(&parts)
}

/// Whether a key given at `dispatched_at` is still surely honoured: within 90 % of the window.
pub(super) fn key_is_honoured(window: Option<Duration>, dispatched_at: Timestamp, now: Timestamp) -> bool {
    let Some(window) = window else { return false };
    let age = now.duration_since(dispatched_at);
    age >= SignedDuration::ZERO && age.as_secs_f64() < window.as_secs_f64() * 0.9
}

impl Request {
    /// Carries the request to its end, and the pieces into which it is cut; `place` is the first attempt's admission.
    pub(super) async fn carry(self, lane: Lane, place: OwnedSemaphorePermit) {
        let mut pieces = self.attempts(&lane, Some(place)).await;
        while let Some(mut piece) = pieces.pop() {
            crashpoint!("before_piece");
            if !lane.brake.is_free() || !piece.dispatch_again(&lane, 1).await {
                // What is not claimed again is written as retryable already.
                let left = pieces.iter().chain([&piece]);
                return lane.count_retryable(left.map(|piece| piece.messages.len()).sum());
            }
            pieces.extend(piece.attempts(&lane, None).await);
        }
    }

    /// Tries until everything is settled, or the request has to be cut; returns the pieces, the first of them last.
    async fn attempts(mut self, lane: &Lane, mut place: Option<OwnedSemaphorePermit>) -> Vec<Self> {
        for attempts in 1.. {
            // The process may have been stopped since it was admitted, for longer than the lease lives.
            let admitted = match place.take().filter(|_| lane.is_covered()) {
                Some(place) => Some(place),
                None => lane.admit().await,
            };
            let Some(admitted) = admitted else {
                self.release(lane).await;
                break;
            };
            lane.starts();
            crashpoint!("before_request");
            self.started = monotonic();
            let attempt = Attempt { job: &lane.lease.job, messages: &self.messages, idempotency_key: self.key() };
            let outcomes = lane.account.provider().attempt(attempt).await;
            crashpoint!("after_response");
            if seeded!("send_before_record") {
                let _ = lane.ledger.dispatch(&lane.lease, std::slice::from_ref(&self.batch), &self.deliveries).await;
            }
            lane.count_request();
            lane.answered(admitted, self.started, &outcomes);
            let next = self.judge(lane, outcomes, attempts).await;
            lane.settle_held().await;
            if !matches!(next, Next::Done) {
                lane.account.unfinished(self.started);
            }
            match next {
                Next::Done => break,
                Next::Cut => return self.halves(),
                Next::Repeat(wait) => {
                    crashpoint!("before_repeat");
                    if seeded!("fresh_key_on_retry") {
                        self.batch.idempotency_key = Some(format!("{}-{attempts}", self.batch.batch_id));
                    }
                    if !lane.brake.sleep(wait).await {
                        self.release(lane).await;
                        break;
                    }
                }
                Next::Again(wait) => {
                    if !lane.brake.sleep(wait).await || !self.dispatch_again(lane, attempts + 1).await {
                        lane.count_retryable(self.messages.len());
                        break;
                    }
                }
            }
        }
        Vec::new()
    }

    /// Two requests of half the messages each, neither claimed; the first half is the last of the list.
    fn halves(mut self) -> Vec<Self> {
        let middle = self.messages.len().div_ceil(2);
        let second = Self {
            batch: self.batch.clone(),
            deliveries: self.deliveries.split_off(middle),
            messages: self.messages.split_off(middle),
            known: self.known.split_off(middle),
            replay: self.replay,
            wave: self.wave.clone(),
            started: self.started,
        };
        vec![second, self]
    }

    /// Gives back what never started; what is in doubt stays in doubt.
    pub(super) async fn release(mut self, lane: &Lane) {
        crashpoint!("before_release");
        for known in &mut self.known {
            if *known == Known::Open(None) {
                *known = Known::Open(Some("not_started".to_owned()));
            }
        }
        let finals = self.close();
        self.record(lane, finals.settlements, None).await;
    }

    fn key(&self) -> &str {
        self.batch.idempotency_key.as_deref().unwrap_or(&self.batch.batch_id)
    }

    async fn judge(&mut self, lane: &Lane, outcomes: Vec<Outcome>, attempts: u32) -> Next {
        let mut settled = Finals::default();
        let mut stated: Option<Duration> = None;
        let together = self.messages.len() > 1
            && outcomes.iter().any(|outcome| matches!(outcome, Outcome::RefusedTogether { .. }));
        lane.account.probe.look_at(&outcomes);
        let mut outcomes = outcomes.into_iter();
        for index in 0..self.messages.len() {
            let silent = || Outcome::Unknown { why: "the provider gave no outcome".to_owned() };
            let outcome = outcomes.next().unwrap_or_else(silent);
            if let Outcome::Throttled { retry_after } = &outcome {
                stated = stated.max(*retry_after).or(Some(Duration::ZERO));
            }
            self.learn(lane, index, outcome, &mut settled);
        }
        if let Some(stopped) = lane.account.probe.stops(settled.tally.rejected, together) {
            lane.stop_account(stopped);
        }
        let wait = wait(lane, stated, attempts);
        let window = lane.account.capabilities().idempotency;
        let in_doubt = self.known.iter().any(|known| matches!(known, Known::Doubt(_)));
        let may_go_on = attempts < ATTEMPTS_MAX && lane.brake.is_free();
        if in_doubt && may_go_on && key_is_honoured(window, self.batch.dispatched_at, Clock::System.now()) {
            self.observe_and_record(lane, settled).await;
            return Next::Repeat(wait);
        }
        // What an earlier run left and is now proven not to be accepted is decided anew, by this run.
        let open = !self.replay && self.known.iter().any(|known| matches!(known, Known::Open(_)));
        if !in_doubt && open && together && lane.brake.is_free() {
            return self.give_back(lane, settled, Next::Cut).await;
        }
        if !in_doubt && open && may_go_on {
            return self.give_back(lane, settled, Next::Again(wait)).await;
        }
        let last = self.close();
        settled.tally.unknown += last.tally.unknown;
        settled.tally.given_up = last.tally.given_up;
        settled.settlements.extend(last.settlements);
        self.observe_and_record(lane, settled).await;
        Next::Done
    }

    /// Moves one message by one outcome.
    fn learn(&mut self, lane: &Lane, index: usize, outcome: Outcome, settled: &mut Finals) {
        let doubted = match &self.known[index] {
            Known::Closed => return,
            Known::Doubt(_) => true,
            Known::Open(_) => false,
        };
        let name = outcome.name();
        self.known[index] = match outcome {
            Outcome::Accepted { provider_id } => {
                let settlement = self.settlement(index, DeliveryState::Accepted, None);
                settled.settlements.push(Settlement { provider_message_id: provider_id, ..settlement });
                Known::Closed
            }
            Outcome::Rejected { code, fault: fault @ (Fault::Configuration | Fault::Quota), detail } => {
                let reason = reason(&code, &detail);
                lane.stop_account(match fault {
                    Fault::Quota => Stopped::Quota { code, detail },
                    _ => Stopped::Configuration { code, detail },
                });
                if doubted { Known::Doubt(reason) } else { Known::Open(Some(reason)) }
            }
            Outcome::RefusedTogether { code, detail }
                if self.messages.len() > 1 && !seeded!("batch_refusal_settles_all") =>
            {
                Known::Open(Some(reason(&code, &detail)))
            }
            Outcome::RefusedTogether { code, detail } => {
                self.refuse(lane, index, (Fault::Message, reason(&code, &detail)), settled)
            }
            Outcome::Rejected { code, fault, detail } => {
                self.refuse(lane, index, (fault, reason(&code, &detail)), settled)
            }
            Outcome::Unknown { why } => Known::Doubt(reason(name, &why)),
            Outcome::Throttled { .. } | Outcome::NotAccepted { .. } if doubted => return,
            Outcome::Throttled { .. } => Known::Open(Some(name.to_owned())),
            Outcome::NotAccepted { why } => Known::Open(Some(reason(name, &why))),
        };
    }

    /// A refusal of one message: final once the provider accepted anything in this run, held back until then.
    fn refuse(&self, lane: &Lane, index: usize, (fault, why): (Fault, String), settled: &mut Finals) -> Known {
        let settlement = self.settlement(index, DeliveryState::Rejected, Some(why));
        settled.tally.rejected += 1;
        if lane.account.probe.passed() || seeded!("batch_refusal_settles_all") {
            settled.settlements.push(settlement);
        } else {
            lane.held.push(Held { settlement, fault });
        }
        Known::Closed
    }

    /// Writes the open ones as retryable before they are waited for, and keeps only them.
    async fn give_back(&mut self, lane: &Lane, settled: Finals, next: Next) -> Next {
        self.observe_and_record(lane, settled).await;
        let open: Vec<bool> = self.known.iter().map(|known| matches!(known, Known::Open(_))).collect();
        let passing = self.close().settlements;
        crashpoint!("before_give_back");
        let (told, written) = oneshot::channel();
        self.send(
            lane,
            Outcomes { settlements: passing, counted: false, written: Some(told), wave: self.wave.clone() },
        )
        .await;
        if written.await.is_err() {
            return Next::Done;
        }
        let keep = |index: &mut usize| {
            *index += 1;
            open[*index - 1]
        };
        let (mut first, mut second) = (0, 0);
        self.deliveries.retain(|_| keep(&mut first));
        self.messages.retain(|_| keep(&mut second));
        self.known = vec![Known::Open(None); self.messages.len()];
        next
    }

    /// Claims the remaining deliveries once more; false when that is not to be had.
    async fn dispatch_again(&mut self, lane: &Lane, attempt: u32) -> bool {
        for (position, delivery) in (0..).zip(&mut self.deliveries) {
            delivery.position = position;
        }
        self.batch.dispatched_at = Clock::System.now();
        self.batch.batch_id = batch_id(lane, attempt, self.batch.dispatched_at, &self.deliveries);
        self.batch.idempotency_key = lane.key_for(&self.deliveries);
        for delivery in &mut self.deliveries {
            delivery.batch_id.clone_from(&self.batch.batch_id);
        }
        crashpoint!("before_again");
        let claimed = lane.ledger.dispatch(&lane.lease, std::slice::from_ref(&self.batch), &self.deliveries).await;
        match claimed {
            Ok(()) => {
                crashpoint!("after_again");
                lane.count_dispatched(self.deliveries.len());
                true
            }
            Err(error) => {
                lane.brake.fail(error);
                false
            }
        }
    }

    /// Settles whatever is not closed: proven ones are retryable, the others unknown.
    fn close(&mut self) -> Finals {
        let mut finals = Finals::default();
        for index in 0..self.known.len() {
            match std::mem::replace(&mut self.known[index], Known::Closed) {
                Known::Closed => {}
                Known::Open(why) => {
                    finals.tally.given_up += 1;
                    finals.settlements.push(self.settlement(index, DeliveryState::Retryable, why));
                }
                Known::Doubt(why) => {
                    finals.tally.unknown += 1;
                    let failed = seeded!("unknown_counted_as_failed");
                    let state = if failed { DeliveryState::Retryable } else { DeliveryState::Unknown };
                    finals.settlements.push(self.settlement(index, state, Some(why)));
                }
            }
        }
        finals
    }

    async fn observe_and_record(&self, lane: &Lane, finals: Finals) {
        let Tally { rejected, unknown, given_up } = finals.tally;
        if finals.settlements.is_empty() && rejected + unknown + given_up == 0 {
            return;
        }
        if let Some(reason) = lane.account.observe(self.started, self.messages.len(), &finals.tally) {
            lane.stop_account(reason);
        }
        lane.count_answered(finals.settlements.len());
        crashpoint!("before_outcome");
        self.record(lane, finals.settlements, None).await;
    }

    async fn record(&self, lane: &Lane, mut settlements: Vec<Settlement>, written: Option<oneshot::Sender<()>>) {
        if self.replay {
            let before = settlements.len();
            settlements.retain(|settlement| settlement.state != DeliveryState::Unknown);
            lane.count_still_unknown(before - settlements.len());
        }
        self.send(lane, Outcomes { settlements, counted: true, written, wave: self.wave.clone() }).await;
    }

    async fn send(&self, lane: &Lane, outcomes: Outcomes) {
        // The recorder only goes away when the run is over.
        let _ = lane.outcomes.send(outcomes).await;
    }

    fn settlement(&self, index: usize, state: DeliveryState, reason: Option<String>) -> Settlement {
        let delivery_id = self.messages[index].delivery_id.clone();
        Settlement { delivery_id, state, reason, provider_message_id: None, at: Clock::System.now() }
    }
}

/// How long to wait; a stated delay holds the whole account, and one that is too long stops it.
fn wait(lane: &Lane, stated: Option<Duration>, attempts: u32) -> Duration {
    let backoff = lane.backoff.after(attempts);
    let Some(stated) = stated else { return backoff };
    if stated > WAIT_MAX {
        lane.stop_account(Stopped::Throttled { retry_after: stated });
        return backoff;
    }
    let wait = if stated.is_zero() { backoff } else { stated };
    lane.account.pace.pause(monotonic() + wait);
    wait
}

fn reason(code: &str, detail: &str) -> String {
    if detail.is_empty() { code.to_owned() } else { format!("{code}: {detail}") }
}
