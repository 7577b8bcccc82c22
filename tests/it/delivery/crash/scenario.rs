//! One scenario: a stage, blows on it, then runs until all is settled, and the invariants.

use std::process::Child;
use std::time::Duration;

use super::super::project::Store;
use super::evidence::{acceptances, lease_is_held, ledger, struck};
use super::invariants::{History, run_violations, violations};
use super::stage::{Ended, Setting, Stage, block_on, signal, wait};
use super::truth::Dice;

/// Runs after the last blow, until everything is settled at the latest.
const RUNS_MAX: usize = 5;
/// Longer than the provider's timeout, so that requests may start.
const LEASE_SECONDS: &str = "4";

/// What befalls a run.
#[derive(Clone, Debug)]
pub(super) enum Blow {
    /// The process aborts at the Nth passing of a named point.
    Crash(&'static str, u64),
    /// `kill -9` after so many microseconds.
    KillAfter(u64),
    /// `kill -9` once the provider saw so many requests.
    KillAt(u64),
    /// SIGTERM once the provider saw so many requests.
    Terminate(u64),
    /// SIGTERM after so many microseconds: before anything is mailed, most of the time.
    TerminateAfter(u64),
    /// SIGSTOP after so many requests, another run, then SIGCONT.
    Stop(u64),
    /// So many runs at once.
    Overlap(u64),
    /// Files may not grow beyond so many blocks of 512 bytes.
    DiskFull(u64),
    /// The wall clock jumps by seconds after so many readings.
    ClockJump(i64, u64),
    /// Another run whose clock is an hour ahead, while one is alive.
    ClockAheadBeside(u64),
    /// A run to its end.
    Run,
    /// Somebody edits the mail.
    EditTemplate,
    /// The ledger is gone for one run, then restored.
    LoseLedger,
}

#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) setting: Setting,
    pub(super) blows: Vec<Blow>,
}

/// What a scenario came to.
#[derive(Default, Debug)]
pub(super) struct Outcome {
    /// Broken promises.
    pub(super) violations: Vec<String>,
    /// Crash points at which a process died.
    pub(super) reached: Vec<&'static str>,
    /// Processes that were killed, by us or at a crash point.
    pub(super) kills: usize,
    /// Deliveries that met a fault, each time.
    pub(super) faults: usize,
    /// Messages that the provider accepted.
    pub(super) messages: usize,
    /// Messages that are unknown in the end.
    pub(super) unknown: usize,
    /// How each process ended that was waited for: its exit code, none when it was killed.
    pub(super) exits: Vec<Option<i32>>,
}

impl Scenario {
    /// Plays the scenario.
    pub(super) fn play(&self) -> Outcome {
        self.play_and(|_| {})
    }

    /// Plays the scenario, and lets somebody meddle with what it left before that is looked at.
    pub(super) fn play_and(&self, meddle: impl FnOnce(&Stage)) -> Outcome {
        let mut play =
            Play { stage: Stage::set(self.setting.clone()), history: History::default(), outcome: Outcome::default() };
        for blow in &self.blows {
            play.stage.let_go();
            play.strike(blow);
        }
        play.stage.calm();
        play.settle();
        let Play { stage, history, mut outcome } = play;
        meddle(&stage);
        outcome.violations.extend(violations(&stage, &history));
        outcome.messages = acceptances(&stage).len();
        outcome.faults = struck(&stage).values().map(Vec::len).sum();
        outcome.unknown = ledger(&stage).iter().filter(|row| row.state == "unknown").count();
        outcome
    }
}

struct Play {
    stage: Stage,
    history: History,
    outcome: Outcome,
}

impl Play {
    fn strike(&mut self, blow: &Blow) {
        match *blow {
            Blow::Crash(point, passing) => self.crash(point, passing),
            Blow::KillAfter(microseconds) => {
                let child = self.start();
                std::thread::sleep(Duration::from_micros(microseconds));
                self.kill(child);
            }
            Blow::KillAt(requests) => {
                let mut child = self.start();
                self.stage.until_requests(&mut child, requests);
                self.kill(child);
            }
            Blow::Terminate(requests) => self.terminate(requests),
            Blow::TerminateAfter(microseconds) => self.terminate_after(microseconds),
            Blow::Stop(requests) => self.stop(requests),
            Blow::Overlap(runs) => self.overlap(runs),
            Blow::DiskFull(blocks) => {
                let ended = self.stage.run_limited(blocks);
                self.outcome.exits.push(ended.code);
                if ended.code != Some(0) && ended.code != Some(4) {
                    self.history.crashes += 1;
                }
            }
            Blow::ClockJump(seconds, readings) => {
                self.history.clock_jumped = true;
                let jump = format!("{seconds}@{readings}");
                self.run(|command| {
                    command.env("MILEPOST_CLOCK_JUMP", jump).env("MILEPOST_LEASE_SECONDS", "6");
                });
            }
            Blow::ClockAheadBeside(requests) => self.beside(requests),
            Blow::Run => drop(self.run(|_| {})),
            Blow::EditTemplate => self.stage.write_job("Your writing"),
            Blow::LoseLedger => self.lose_ledger(),
        }
    }

    fn start(&mut self) -> Child {
        self.stage.start(|_| {})
    }

    /// A run to its end, compared with the ledger and the provider.
    fn run(&mut self, change: impl FnOnce(&mut std::process::Command)) -> Ended {
        let before = ledger(&self.stage);
        let ended = self.stage.run(change);
        self.outcome.exits.push(ended.code);
        self.outcome.violations.extend(run_violations(&self.stage, &self.history, &before, &ended));
        ended
    }

    fn crash(&mut self, point: &'static str, passing: u64) {
        let slow = matches!(point, "before_renewal" | "after_renewal");
        let ended = self.run(|command| {
            command.env("MILEPOST_CRASHPOINT", format!("{point}:{passing}"));
            if slow {
                command.env("MILEPOST_LEASE_SECONDS", "4");
            }
        });
        if ended.code.is_none() {
            self.outcome.reached.push(point);
            self.outcome.kills += 1;
            self.history.crashes += 1;
        }
    }

    fn kill(&mut self, mut child: Child) {
        let _ = child.kill();
        let code = wait(child).code();
        self.outcome.exits.push(code);
        if code.is_none() {
            self.outcome.kills += 1;
            self.history.crashes += 1;
        }
    }

    /// A drained run leaves nothing in doubt, so it counts as no crash.
    fn terminate(&mut self, requests: u64) {
        let mut child = self.start();
        if self.stage.until_requests(&mut child, requests) {
            signal(&child, "-TERM");
        }
        let code = wait(child).code();
        self.outcome.exits.push(code);
        let dispatched = ledger(&self.stage).iter().filter(|row| row.state == "dispatched").count();
        // Told so early that it did not listen yet, it ended as any program would, and had done nothing.
        if dispatched > 0 || (code.is_none() && requests > 0) {
            self.outcome.violations.push(format!("9 terminated with {code:?}: {dispatched} are still dispatched"));
        }
    }

    /// Told to end while it opens, plans or evaluates: it says so, with a row for its job, and nothing is in doubt.
    fn terminate_after(&mut self, microseconds: u64) {
        self.stage.forget_results();
        let child = self.start();
        std::thread::sleep(Duration::from_micros(microseconds));
        signal(&child, "-TERM");
        let code = wait(child).code();
        self.outcome.exits.push(code);
        // Before it listens it ends as any program would; it may have been done already.
        if code == Some(143) {
            let results = self.stage.results().unwrap_or_default();
            let jobs = results["results"].as_array().map_or(0, Vec::len);
            if jobs != 1 || results["exit_code"] != 143 {
                self.outcome.violations.push(format!("9 terminated early: {jobs} jobs in the results: {results}"));
            }
        } else if !matches!(code, None | Some(0 | 2 | 3 | 4 | 7)) {
            self.outcome.violations.push(format!("9 terminated early with {code:?}"));
        }
        let dispatched = ledger(&self.stage).iter().filter(|row| row.state == "dispatched").count();
        if dispatched > 0 {
            self.outcome
                .violations
                .push(format!("9 terminated early with {code:?}: {dispatched} are still dispatched"));
        }
    }

    /// A stopped run: taken over from on PostgreSQL, still the holder on SQLite.
    fn stop(&mut self, requests: u64) {
        let lease = |command: &mut std::process::Command| {
            command.env("MILEPOST_LEASE_SECONDS", LEASE_SECONDS);
        };
        let mut first = self.stage.start(lease);
        if !self.stage.until_requests(&mut first, requests) {
            wait(first);
            return;
        }
        let seen = self.stage.requests();
        signal(&first, "-STOP");
        // It may have given its job back just before.
        let held = lease_is_held(&self.stage);
        let waits = self.stage.setting.store == Store::Postgres;
        let second = self.stage.run(|command| {
            lease(command);
            if waits {
                command.args(["--lock-timeout", "20s"]);
            }
        });
        signal(&first, "-CONT");
        let first = wait(first).code();
        self.outcome.exits.extend([first, second.code]);
        let expected = match self.stage.setting.store {
            Store::Sqlite => second.code == Some(75) && first != Some(6),
            Store::Postgres => second.code != Some(75) && first == Some(6),
        };
        if held && !expected {
            let words = format!(
                "9 stopped: the first ended with {first:?} after {seen} requests, the second with {:?} after {} more of {}",
                second.code,
                second.requests,
                self.stage.requests(),
            );
            self.outcome.violations.push(words);
        }
        self.history.crashes += usize::from(self.stage.setting.store == Store::Postgres);
    }

    fn overlap(&mut self, runs: u64) {
        let mut dice = Dice(self.stage.setting.seed);
        let children: Vec<Child> = (0..runs)
            .map(|_| {
                let waits = dice.below(2) == 0;
                self.stage.start(|command| {
                    if waits {
                        command.args(["--lock-timeout", "60s"]);
                    }
                })
            })
            .collect();
        let codes: Vec<_> = children.into_iter().map(|child| wait(child).code()).collect();
        self.outcome.exits.extend(&codes);
        let orderly = |code: &Option<i32>| matches!(code, Some(0 | 2 | 3 | 4 | 7 | 75));
        if !codes.iter().all(orderly) || codes.iter().all(|code| *code == Some(75)) {
            self.outcome.violations.push(format!("9 runs at once ended with {codes:?}"));
        }
    }

    /// A live lease is respected, whatever another machine's clock says.
    fn beside(&mut self, requests: u64) {
        let mut first = self.start();
        if self.stage.until_requests(&mut first, requests) {
            let second = self.stage.run(|command| {
                command.env("MILEPOST_CLOCK_JUMP", "3600");
            });
            self.outcome.exits.push(second.code);
            if second.code != Some(75) && first.try_wait().expect("asked").is_none() {
                self.outcome.violations.push(format!("9 a run beside a live one ended with {:?}", second.code));
            }
        }
        let first = wait(first).code();
        self.outcome.exits.push(first);
        if first == Some(6) {
            self.outcome.violations.push("9 a live run was taken over from".to_owned());
        }
    }

    fn lose_ledger(&mut self) {
        let file = self.stage.ledger_file();
        let aside = file.with_extension("aside");
        match &self.stage.schema {
            Some(schema) => block_on(schema.rename(true)),
            None => std::fs::rename(&file, &aside).expect("moved"),
        }
        let ended = self.stage.run(|_| {});
        self.outcome.exits.push(ended.code);
        if ended.code != Some(7) || ended.requests > 0 {
            let words = format!("6 without a ledger: exit {:?}, {} requests", ended.code, ended.requests);
            self.outcome.violations.push(words);
        }
        match &self.stage.schema {
            Some(schema) => block_on(schema.rename(false)),
            None => std::fs::rename(&aside, &file).expect("moved back"),
        }
    }

    /// Runs until all is settled (11), then once more, which must make no request (6).
    fn settle(&mut self) {
        let mut codes = Vec::new();
        loop {
            self.stage.let_go();
            let ended = self.run(|_| {});
            codes.push(ended.code);
            let open = ledger(&self.stage)
                .iter()
                .filter(|row| matches!(row.state.as_str(), "dispatched" | "retryable"))
                .count();
            if matches!(ended.code, Some(0 | 4)) && open == 0 {
                break;
            }
            if codes.len() == RUNS_MAX {
                self.outcome.violations.push(format!("11 not settled after runs that ended with {codes:?}"));
                return;
            }
        }
        let again = self.run(|_| {});
        // What is unknown under a key that is honoured is asked for again, and nothing new comes of it.
        let replays = self.stage.setting.keys.honoured() && again.code == Some(4);
        if (again.requests > 0 && !replays) || again.code != codes.last().copied().flatten() {
            let words = format!("6 another run made {} requests and ended with {:?}", again.requests, again.code);
            self.outcome.violations.push(words);
        }
    }
}
