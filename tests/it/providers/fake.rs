//! Starts the fake provider as a process of its own and reads what it accepted.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use milepost::project::ProviderConfig;
use serde_json::Value;

/// A running fake; it ends with this value.
pub(crate) struct Fake {
    process: Child,
    pub(crate) port: u16,
    pub(crate) log: PathBuf,
    said: BufReader<ChildStdout>,
    control: ChildStdin,
    listens: bool,
    folder: tempfile::TempDir,
}

impl Fake {
    /// Starts a fake with a log of its own.
    pub(crate) fn start(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("accepted.jsonl");
        let mut process = Command::new(binary())
            .args(["--log", log.to_str().expect("a readable path")])
            .args(["--struck", folder.path().join("struck.jsonl").to_str().expect("a readable path")])
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the fake starts");
        let mut line = String::new();
        let mut said = BufReader::new(process.stdout.take().expect("piped"));
        said.read_line(&mut line).expect("the fake says its port");
        let port = line.trim().rsplit(' ').next().and_then(|port| port.parse().ok()).expect("a port");
        let control = process.stdin.take().expect("piped");
        Self { process, port, log, said, control, listens: !flags.contains(&"--refused"), folder }
    }

    /// Ends all faults of a fake that was started with `--control`.
    pub(crate) fn calm(&mut self) {
        let mut line = String::new();
        self.control.write_all(b"calm\n").expect("the fake listens to its control");
        self.said.read_line(&mut line).expect("the fake answers");
        assert_eq!(line.trim(), "calm");
        self.listens = true;
    }

    /// False while it refuses connections.
    pub(crate) fn listens(&self) -> bool {
        self.listens
    }

    /// One value per request that met a fault.
    pub(crate) fn struck(&self) -> Vec<Value> {
        lines(&self.folder.path().join("struck.jsonl"))
    }

    /// Where the fake listens.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Settings of a resend provider that talks to this fake, without a rate limit; `changes` add or replace.
    pub(crate) fn resend(&self, root: &Path, changes: &[(&str, Value)]) -> ProviderConfig {
        std::fs::write(root.join("key.txt"), "re_secret_of_the_test\n").expect("the key is written");
        let mut settings: BTreeMap<&str, Value> = BTreeMap::from([
            ("api_key", "file:key.txt".into()),
            ("base_url", self.url().into()),
            ("rate", "unlimited".into()),
        ]);
        settings.extend(changes.iter().cloned());
        super::config("resend", &settings.into_iter().collect::<Vec<_>>())
    }

    /// The requests it got.
    pub(crate) fn requests(&self) -> u64 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the fake listens");
        stream.write_all(b"GET /stats HTTP/1.1\r\nhost: fake\r\n\r\n").expect("asked");
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"}") && stream.read(&mut byte).expect("answered") == 1 {
            answer.push(byte[0]);
        }
        let text = String::from_utf8(answer).expect("text");
        let json = text.split("\r\n\r\n").nth(1).expect("a body");
        serde_json::from_str::<Value>(json).expect("JSON")["requests"].as_u64().expect("a number")
    }

    /// One value per accepted message, in the order of acceptance.
    pub(crate) fn accepted(&self) -> Vec<Value> {
        lines(&self.log)
    }

    /// How often each delivery was accepted.
    pub(crate) fn acceptances(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for line in self.accepted() {
            let delivery_id = line["delivery_id"].as_str().expect("every message is tagged").to_owned();
            *counts.entry(delivery_id).or_default() += 1;
        }
        counts
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    // A line that is still being written is not answered yet: it counts once its end is there.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).expect("a line of the log")).collect()
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The compiled fake; `cargo test` builds it, a run of this suite alone may have to ask for it.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let suite = std::env::current_exe().expect("this program has a path");
        let profile = suite.ancestors().nth(2).expect("target/<profile>/deps/it");
        let path = profile.join("examples").join(format!("fake_provider{}", std::env::consts::EXE_SUFFIX));
        if !path.exists() {
            let release = profile.ends_with("release").then_some("--release");
            let mut build = Command::new(env!("CARGO"));
            build.args(["build", "--locked", "--quiet", "--example", "fake_provider"]).args(release);
            // What cargo says of this package to its tests would make dependencies of dependencies look changed.
            for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_")) {
                if !["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_TERM_COLOR"].contains(&name.as_str()) {
                    build.env_remove(name);
                }
            }
            let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status();
            assert!(built.is_ok_and(|status| status.success()), "the fake provider does not build");
        }
        path
    })
}
