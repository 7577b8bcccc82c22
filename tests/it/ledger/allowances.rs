//! What a provider account may take is shared by everybody who uses a ledger, and given out once.

use milepost::ledger::{Ask, Granted, Lease, LedgerError, LedgerStore, RunRequest};

use super::{Place, end, request};

fn ask(provider: &str, messages: u64, rate: Option<f64>, daily_limit: Option<u64>) -> Ask {
    Ask { provider: provider.into(), messages, batch: 10, rate, daily_limit }
}

/// A process with a job of its own.
struct Process {
    ledger: Box<dyn LedgerStore>,
    lease: Lease,
}

impl Process {
    async fn of(place: &Place, job: &str) -> Self {
        let ledger = place.connect().await;
        let lease = ledger.open(&RunRequest { job: job.into(), ..request(job) }).await.expect("opens");
        Self { ledger, lease }
    }

    async fn allow(&self, ask: &Ask) -> Granted {
        self.ledger.allow(&self.lease, ask).await.expect("answers")
    }
}

#[tokio::test]
async fn what_is_left_of_a_day_is_shared_and_given_out_once() {
    for place in Place::every() {
        let (one, other) = (Process::of(&place, "one").await, Process::of(&place, "other").await);
        let wave = ask("main", 40, None, Some(100));
        let granted = [one.allow(&wave).await, other.allow(&wave).await, one.allow(&wave).await];
        assert_eq!(granted.map(|granted| granted.messages), [40, 40, 20]);
        assert_eq!(other.allow(&wave).await.messages, 0);
        assert_eq!(other.allow(&ask("second", 40, None, Some(100))).await.messages, 40, "each account has its own");
        assert_eq!(other.allow(&ask("main", 40, None, Some(110))).await.messages, 10, "a limit may be raised");
        assert_eq!(other.allow(&ask("main", 40, None, None)).await.messages, 40);
    }
}

#[tokio::test]
async fn waves_of_two_processes_follow_one_another() {
    for place in Place::every() {
        let (one, other) = (Process::of(&place, "one").await, Process::of(&place, "other").await);
        // Ten requests, one per second: far longer than the test.
        let wave = ask("main", 100, Some(1.0), None);
        let first = one.allow(&wave).await;
        let (second, third) = tokio::join!(one.allow(&wave), other.allow(&wave));
        assert_eq!(first.start_in.as_secs(), 0);
        let mut waits = [second.start_in.as_secs(), third.start_in.as_secs()];
        waits.sort_unstable();
        assert!((5..=10).contains(&waits[0]) && (15..=20).contains(&waits[1]), "{waits:?}");
        assert_eq!(other.allow(&ask("main", 100, None, None)).await.start_in.as_secs(), 0, "no rate, no wait");
    }
}

#[tokio::test]
async fn a_run_that_lost_its_job_is_given_nothing() {
    for place in Place::every() {
        let process = Process::of(&place, "one").await;
        process.ledger.close(&process.lease, &end("completed")).await.expect("closes");
        let refused = process.ledger.allow(&process.lease, &ask("main", 1, None, Some(1))).await;
        assert!(matches!(refused, Err(LedgerError::Fenced { .. })), "{refused:?}");
        let next = Process::of(&place, "one").await;
        assert_eq!(next.allow(&ask("main", 1, None, Some(1))).await.messages, 1);
    }
}
