//! A project on disk with the generated data, its provider, and milepost as processes: started, stopped, killed.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use milepost::clock::monotonic;
use milepost::ledger::Owner;
use milepost::project::LedgerLocation;
use serde_json::Value;

use super::super::project::{Keys, Store};
use super::truth::{Calendar, Truth};
use crate::postgres::Schema;
use crate::providers::fake::Fake;

/// Longer than any run takes, on a machine that does ten other things.
const PATIENCE: Duration = Duration::from_mins(2);

/// How a stage is set.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) store: Store,
    pub(super) keys: Keys,
    pub(super) batch: usize,
    /// A fault's name, or nothing.
    pub(super) fault: &'static str,
    /// How likely it strikes a request.
    pub(super) chance: f64,
    pub(super) people: usize,
    pub(super) seed: u64,
    /// How long the provider takes for an answer.
    pub(super) delay_milliseconds: u64,
    /// The mistake that is brought back.
    pub(super) bug: Option<&'static str>,
    /// Whether batches are taken or refused whole.
    pub(super) strict: bool,
    /// Whether some addresses are refused by the provider.
    pub(super) refuses: bool,
    /// Whether runs read the machine's clock, and are not told the time.
    pub(super) by_the_clock: bool,
}

impl Setting {
    /// Two dozen people, single requests, nothing that goes wrong.
    pub(super) fn plain(store: Store, keys: Keys) -> Self {
        Self {
            store,
            keys,
            batch: 1,
            fault: "",
            chance: 0.3,
            people: 24,
            seed: 7,
            delay_milliseconds: 0,
            bug: None,
            strict: false,
            refuses: false,
            by_the_clock: false,
        }
    }
}

/// Everything one scenario happens on.
pub(super) struct Stage {
    pub(super) setting: Setting,
    pub(super) truth: Truth,
    calendar: Calendar,
    pub(super) fake: Fake,
    pub(super) folder: tempfile::TempDir,
    pub(super) schema: Option<Schema>,
    started: u32,
}

/// A process that ended, and what it left.
#[derive(Debug)]
pub(super) struct Ended {
    /// None when it was killed.
    pub(super) code: Option<i32>,
    /// Requests that reached the provider meanwhile.
    pub(super) requests: u64,
    /// `run_results.json`, when this process wrote one.
    pub(super) results: Option<Value>,
}

impl Stage {
    pub(super) fn set(setting: Setting) -> Self {
        let calendar = if setting.by_the_clock { Calendar::by_the_clock() } else { Calendar::fixed() };
        let truth = Truth::new(setting.people, setting.seed, (calendar, setting.refuses));
        let (delay, seed) = (setting.delay_milliseconds.to_string(), setting.seed.to_string());
        let chance = format!("{}={}", setting.fault, setting.chance);
        let honours = setting.keys.honoured().to_string();
        let mut flags = vec!["--control", "--honour-keys", &honours, "--delay-ms", &delay, "--seed", &seed];
        if setting.strict {
            flags.push("--strict");
        }
        match setting.fault {
            "" | "tls_failure" => {}
            "refused" => flags.push("--refused"),
            _ => flags.extend(["--fault", &chance]),
        }
        let stage = Self {
            fake: Fake::start(&flags),
            schema: (setting.store == Store::Postgres).then(|| Schema::fresh().expect("only where it is")),
            folder: tempfile::tempdir().expect("a folder"),
            truth,
            calendar,
            setting,
            started: 0,
        };
        stage.write("data/people.csv", &stage.truth.people);
        stage.write("data/events.csv", &stage.truth.events);
        stage.write("data/leavers.csv", &stage.truth.leavers);
        stage.write("key.txt", "re_secret_of_the_test\n");
        stage.write_project(if stage.setting.fault == "tls_failure" { "https" } else { "http" });
        stage.write_job("Documents");
        stage.write(
            "jobs/templates/mail.html",
            "<p>{{ profile.profile_id }}, {{ profile.first_name }}: {{ milestone.value }} so far</p>\
             {% for field in profile %}<p>{{ field[0] }} is {{ field[1] }}</p>{% endfor %}\
             {% for field in milestone.next %}<p>{{ field[0] }}: {{ field[1] }}</p>{% endfor %}\
             <p>{{ postal_address }}</p><a href=\"{{ unsubscribe_url }}\">Leave</a>\n",
        );
        stage.create_ledger();
        stage
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn write_project(&self, scheme: &str) {
        let Setting { keys, batch, fault, .. } = &self.setting;
        let timeout = if matches!(*fault, "accept_then_time_out" | "slow_drip") { "400 ms" } else { "2 seconds" };
        let ledger = self.schema.as_ref().map_or("sqlite:.milepost/ledger.db".to_owned(), Schema::url);
        let (port, honoured) = (self.fake.port, keys.honoured());
        self.write(
            "milepost.yml",
            &format!(
                "project: crash\ntimezone: UTC\nledger: \"{ledger}\"\nsuppressed: leavers\n\
                 caps: [{{max: 1, per: 7 days}}]\n\
                 tables:\n  people: {{csv: data/people.csv}}\n  leavers: {{csv: data/leavers.csv}}\n  \
                 events: {{csv: data/events.csv, time: happened_at}}\n\
                 providers: {{main: {{resend: {{api_key: \"file:key.txt\", base_url: \"{scheme}://127.0.0.1:{port}\", \
                 rate: 2000 per second, in_flight: 3, timeout: {timeout}, batch: {batch}, idempotency: {honoured}}}}}}}\n\
                 defaults: {{provider: main, sender: \"Acme <hello@acme.test>\", postal_address: \"1 Rue X, Paris\"}}\n\
                 unsubscribe: {{url: \"https://acme.test/leave/{{{{ profile.profile_id }}}}\"}}\n"
            ),
        );
    }

    /// The job; `word` stands for what a person may edit in its mails.
    pub(super) fn write_job(&self, word: &str) {
        let start = self.calendar.start();
        self.write(
            "jobs/documents.yml",
            &format!(
                "job: documents\nstart: {{since: {start}}}\naudience: people\nholdout: 10%\npublish: ../published\nmessage:\n  subject: \
                 \"{word}, {{{{ milestone.name }}}}:{{{{ milestone.level }}}} for {{{{ profile.profile_id }}}}\"\n  \
                 template: templates/mail.html\nmilestones:\n  - name: documents\n    event: document_published\n    \
                 profile: profile_id\n    reaches: [1, 3, 5]\n  - name: readers\n    event: document_opened\n    \
                 profile: profile_id\n    reaches: [1]\n"
            ),
        );
    }

    fn create_ledger(&self) {
        let owner = Owner { project: "crash".into(), environment: None };
        let file = || LedgerLocation::Sqlite(self.ledger_file());
        let location = self.schema.as_ref().map_or_else(file, Schema::location);
        block_on(milepost::ledger::create(&location, &owner)).expect("the ledger is made");
    }

    pub(super) fn ledger_file(&self) -> PathBuf {
        self.folder.path().join(".milepost/ledger.db")
    }

    /// The provider behaves from now on.
    pub(super) fn calm(&mut self) {
        if !self.setting.fault.is_empty() {
            self.fake.calm();
        }
        if self.setting.fault == "tls_failure" {
            self.write_project("http");
        }
    }

    fn command(&mut self) -> Command {
        self.prepare(Command::new(env!("CARGO_BIN_EXE_milepost")))
    }

    /// A run behind a shell that limits the size of files to so many blocks of 512 bytes.
    fn limited(&mut self, blocks: u64) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\""), "sh"]);
        command.arg(env!("CARGO_BIN_EXE_milepost"));
        self.prepare(command)
    }

    fn prepare(&mut self, mut command: Command) -> Command {
        self.started += 1;
        let said = |name: &str| {
            let path = self.folder.path().join(format!("said/{}.{name}", self.started));
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::File::create(path).expect("made")
        };
        command
            .args(["run", "--threads", "1", "--confirm", "100000"])
            .current_dir(self.folder.path())
            .env("TOKIO_WORKER_THREADS", "2")
            .env("MILEPOST_BACKOFF_MILLISECONDS", "4")
            .stdin(Stdio::null())
            // A shell that ends wakes what is stopped in its process group.
            .process_group(0)
            .stdout(said("out"))
            .stderr(said("err"));
        for name in ["ENV", "CRASHPOINT", "LEASE_SECONDS", "CLOCK_JUMP", "SEEDED_BUG"] {
            command.env_remove(format!("MILEPOST_{name}"));
        }
        if !self.setting.by_the_clock {
            command.args(["--replay", "--as-of", &self.calendar.now()]);
        }
        if let Some(bug) = self.setting.bug {
            command.env("MILEPOST_SEEDED_BUG", bug);
        }
        command
    }

    /// Starts a run; `change` adds to its environment and arguments.
    pub(super) fn start(&mut self, change: impl FnOnce(&mut Command)) -> Child {
        let mut command = self.command();
        change(&mut command);
        command.spawn().expect("started")
    }

    /// Runs to the end, whichever that is.
    pub(super) fn run(&mut self, change: impl FnOnce(&mut Command)) -> Ended {
        let mut command = self.command();
        self.run_command(&mut command, change)
    }

    /// Runs to the end with hardly any disk.
    pub(super) fn run_limited(&mut self, blocks: u64) -> Ended {
        let mut command = self.limited(blocks);
        self.run_command(&mut command, |_| {})
    }

    fn run_command(&mut self, command: &mut Command, change: impl FnOnce(&mut Command)) -> Ended {
        change(command);
        self.forget_results();
        let before = self.requests();
        let status = wait(command.spawn().expect("started"));
        Ended { code: status.code(), requests: self.requests() - before, results: self.results() }
    }

    fn results_file(&self) -> PathBuf {
        self.folder.path().join("target/milepost/run_results.json")
    }

    /// Takes away what earlier runs wrote.
    pub(super) fn forget_results(&self) {
        let _ = fs::remove_file(self.results_file());
    }

    /// What the last run wrote.
    pub(super) fn results(&self) -> Option<Value> {
        let text = fs::read_to_string(self.results_file()).ok()?;
        Some(serde_json::from_str(&text).expect("results are whole or not there"))
    }

    /// Requests that reached the provider so far; none while it refuses connections.
    pub(super) fn requests(&self) -> u64 {
        if self.fake.listens() { self.fake.requests() } else { 0 }
    }

    /// Lets the hold of a dead run end as time would; a killed process frees a SQLite ledger by itself.
    pub(super) fn let_go(&self) {
        if let Some(schema) = &self.schema {
            block_on(schema.leases_end());
        }
    }

    /// Waits until the provider saw so many more requests; false when the run ended before.
    pub(super) fn until_requests(&self, child: &mut Child, more: u64) -> bool {
        let target = self.requests() + more;
        loop {
            if self.requests() >= target {
                return true;
            }
            if child.try_wait().expect("asked").is_some() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(schema) = &self.schema {
            block_on(schema.remove());
        }
    }
}

/// Runs a future to its end, here.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

/// Sends a signal by name, such as `-TERM`.
pub(super) fn signal(child: &Child, name: &str) {
    let done = Command::new("kill").args([name, &child.id().to_string()]).status().expect("kill runs");
    assert!(done.success(), "{name}");
}

/// The end of a process that must end by itself.
pub(super) fn wait(mut child: Child) -> ExitStatus {
    let started = monotonic();
    loop {
        if let Some(status) = child.try_wait().expect("asked") {
            return status;
        }
        if started.elapsed() > PATIENCE {
            child.kill().expect("killed");
            panic!("a run did not end within {} s", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
