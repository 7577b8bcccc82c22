//! The same project from local files and from an S3 endpoint.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::examples::example;

/// A mock of S3 in its own process, ended when dropped.
pub(crate) struct S3 {
    server: Child,
    endpoint: String,
}

impl S3 {
    /// Starts the server; where it is not installed, says that nothing was read from S3, which CI does not allow.
    pub(crate) fn start_or_skip() -> Option<Self> {
        let s3 = Self::start();
        if s3.is_none() {
            assert!(std::env::var_os("CI").is_none(), "CI must have moto_server (pip install 'moto[s3,server]')");
            eprintln!("skipped: moto_server is not installed, so nothing was read from S3");
        }
        s3
    }

    /// The usual variables of AWS that lead here.
    pub(crate) fn environment(&self) -> [(&'static str, &str); 4] {
        [
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_REGION", "eu-west-3"),
            ("AWS_ACCESS_KEY_ID", "testing"),
            ("AWS_SECRET_ACCESS_KEY", "testing"),
        ]
    }

    fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
        let mut command = Command::new("moto_server");
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
        let server = command.spawn().ok()?;
        let s3 = Self { server, endpoint: format!("http://127.0.0.1:{port}") };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_mins(1), "the S3 mock does not answer");
            std::thread::yield_now();
        }
        Some(s3)
    }

    /// Makes a bucket or an object; the mock checks no signatures.
    pub(crate) async fn put(&self, path: &str, body: Vec<u8>) {
        let request = reqwest::Client::new().put(format!("{}/{path}", self.endpoint)).body(body);
        let answer = request.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl S3 {
    /// An object's bytes; `None` where there is none.
    async fn get(&self, path: &str) -> Option<Vec<u8>> {
        // What the library writes is private; the mock wants a signature and checks none.
        let signature =
            "AWS4-HMAC-SHA256 Credential=testing/20260101/eu-west-3/s3/aws4_request, SignedHeaders=host, Signature=0";
        let request =
            reqwest::Client::new().get(format!("{}/{path}", self.endpoint)).header("Authorization", signature);
        let answer = request.send().await.expect("an answer");
        if !answer.status().is_success() {
            return None;
        }
        Some(answer.bytes().await.expect("a body").to_vec())
    }

    /// The keys of a bucket.
    async fn keys(&self, bucket: &str) -> Vec<String> {
        let listing = self.get(&format!("{bucket}?list-type=2")).await.expect("a bucket");
        let listing = String::from_utf8(listing).expect("text");
        let keys = listing.split("<Key>").skip(1);
        keys.filter_map(|rest| Some(rest.split_once("</Key>")?.0.to_owned())).collect()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() { copy(&path, &target) } else { fs::copy(&path, &target).map(|_| ()).expect("a copy") }
    }
}

/// Runs the binary on a project, with the usual AWS variables where there is an endpoint.
fn output(project: &Path, arguments: &[&str], s3: Option<&S3>) -> String {
    let (code, text) = ended(project, arguments, s3);
    assert_eq!(code, Some(0), "{text}");
    text
}

/// The exit code, and standard output, or standard error where that is empty.
fn ended(project: &Path, arguments: &[&str], s3: Option<&S3>) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_milepost"));
    command.arg("--project").arg(project).args(arguments).args(["--format", "json"]);
    if let Some(s3) = s3 {
        command.envs(s3.environment());
    }
    let output = command.output().expect("the binary runs");
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    (output.status.code(), String::from_utf8(text).expect("text"))
}

/// A copy of the shop without its data, whose table lies in the mock.
async fn shop(s3: &S3) -> tempfile::TempDir {
    let local = example("cdnow");
    s3.put("shop", Vec::new()).await;
    let data = fs::read(local.join("data/purchases.parquet")).expect("the data");
    s3.put("shop/cdnow/purchases/purchases.parquet", data).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    copy(&local, folder.path());
    fs::remove_dir_all(folder.path().join("data")).expect("no local data");
    folder
}

#[tokio::test]
async fn the_same_project_from_an_s3_endpoint() {
    let Some(s3) = S3::start_or_skip() else { return };
    let local = example("cdnow");
    let folder = shop(&s3).await;
    let file = folder.path().join("milepost.yml");
    let text = fs::read_to_string(&file).expect("the project file");
    for location in [
        "s3://shop/cdnow/purchases/",
        "s3://shop/cdnow/purchases/*.parquet",
        "s3://shop/cdnow/purchases/purchases.parquet",
    ] {
        fs::write(&file, text.replace("data/purchases.parquet", &format!("\"{location}\""))).expect("a file");
        for arguments in [
            ["flags", "purchase_milestones", "--as-of", "1998-07-01T00:00:00Z"],
            ["metrics", "month_in_review", "--as-of", "1998-07-01T00:00:00Z"],
        ] {
            let from_s3 = output(folder.path(), &arguments, Some(&s3));
            assert_eq!(from_s3, output(&local, &arguments, None), "{location}: {arguments:?}");
            assert!(from_s3.len() > 1_000_000, "the table has all its rows");
        }
    }
}

const JOBS: [(&str, &str); 2] = [("purchase_milestones", "flags"), ("month_in_review", "metrics")];
const RUN: [&str; 5] = ["run", "--as-of", "1998-07-01T06:00:00Z", "--replay", "--confirm=100000"];

/// Lets both jobs of the shop publish to these places.
fn publish(project: &Path, places: [&str; 2]) {
    for ((job, _), place) in JOBS.into_iter().zip(places) {
        let file = project.join(format!("jobs/{job}.yml"));
        let text = fs::read_to_string(&file).expect("a job");
        let text: String =
            text.lines().filter(|line| !line.starts_with("publish:")).map(|line| format!("{line}\n")).collect();
        fs::write(&file, format!("{text}publish: \"{place}\"\n")).expect("a job");
    }
}

/// What a published set says of itself, and that every file it names is there, whole.
fn read_set(folder: &Path) -> serde_json::Value {
    let text = fs::read_to_string(folder.join("_milepost.json")).expect("a published set");
    let manifest: serde_json::Value = serde_json::from_str(&text).expect("a document");
    for file in manifest["files"].as_array().expect("files") {
        let path = folder.join(file["path"].as_str().expect("a path"));
        let bytes = fs::read(&path).expect("a file that is named is there");
        assert_eq!((bytes.len() as u64, &bytes[..4]), (file["bytes"].as_u64().expect("a size"), &b"PAR1"[..]));
    }
    manifest
}

fn count(manifest: &serde_json::Value) -> u64 {
    let files = manifest["files"].as_array().expect("files");
    files.iter().map(|file| file["rows"].as_u64().expect("a count")).sum()
}

/// Rows that a command lists.
fn listed(project: &Path, command: &str, job: &str, endpoint: Option<&S3>) -> u64 {
    let text = output(project, &[command, job, "--as-of", RUN[2]], endpoint);
    serde_json::from_str::<Vec<serde_json::Value>>(&text).expect("a list").len() as u64
}

#[test]
fn a_run_publishes_its_flags_and_its_matrix() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let project = folder.path();
    copy(&example("cdnow"), project);
    publish(project, ["../published/flags", "../published/months/"]);
    let results_to = project.join("results/here");
    let (code, text) = ended(project, &[&RUN[..], &["--result-to", &results_to.to_string_lossy()]].concat(), None);
    assert!(matches!(code, Some(0 | 3)), "{text}");
    let results: serde_json::Value = serde_json::from_str(&text).expect("results");
    let copied = fs::read(results_to.join("run_results.json")).expect("a copy");
    assert_eq!(copied, fs::read(project.join("target/milepost/run_results.json")).expect("results"));

    let places = ["flags", "months"].map(|name| project.join("published").join(name));
    for ((job, command), place) in JOBS.into_iter().zip(&places) {
        let manifest = read_set(place);
        assert_eq!((&manifest["about"]["job"], &manifest["about"]["holds"]), (&job.into(), &command.into()));
        assert_eq!(count(&manifest), listed(project, command, job, None), "{job}");
        let jobs = results["jobs"].as_array().expect("jobs");
        let report = jobs.iter().find(|report| report["job"] == job).expect("the job");
        assert_eq!(report["published"]["rows"], count(&manifest));
    }

    // The month before: its partition comes beside the first; the flags of then take the place of those of now.
    let before = read_set(&places[0]);
    ended(project, &["run", "--as-of", "1998-06-01T06:00:00Z", "--replay", "--confirm=100000"], None);
    let months = read_set(&places[1]);
    let partitions: Vec<_> = months["files"].as_array().expect("files").iter().map(|file| &file["partition"]).collect();
    assert_eq!(partitions, ["period_key=1998-05", "period_key=1998-06"]);
    assert!(count(&read_set(&places[0])) < count(&before));

    // One person's run and a rehearsal publish nothing; another environment's set is not replaced.
    let seen = fs::read(places[0].join("_milepost.json")).expect("a set");
    ended(project, &[&RUN[..], &["--only", "1"]].concat(), None);
    ended(project, &[&RUN[..], &["--dry-run"]].concat(), None);
    assert_eq!(fs::read(places[0].join("_milepost.json")).expect("a set"), seen);
    let settings = project.join("milepost.yml");
    let text = fs::read_to_string(&settings).expect("a project");
    fs::write(&settings, format!("{text}\nenvironments: {{trial: {{}}}}\n")).expect("a project");
    let (code, text) = ended(project, &[&RUN[..], &["--env", "trial", "purchase_milestones"]].concat(), None);
    assert_eq!(code, Some(5), "{text}");
    assert!(text.contains("another environment"), "{text}");
    assert_eq!(fs::read(places[0].join("_milepost.json")).expect("a set"), seen);

    // A place with somebody's files is refused before anybody is mailed.
    fs::create_dir_all(project.join("mine")).expect("a folder");
    fs::write(project.join("mine/notes.txt"), "x").expect("a file");
    publish(project, ["../mine", "../published/months"]);
    let (code, text) = ended(project, &[&RUN[..], &["purchase_milestones"]].concat(), None);
    assert_eq!(code, Some(2), "{text}");
    assert_eq!(fs::read_dir(project.join("mine")).expect("a folder").count(), 1);

    for (places, code) in [(["../one", "../jobs/../one/"], "shared-place"), (["../a/*", "../b"], "bad-location")] {
        publish(project, places);
        let (exit, text) = ended(project, &["check"], None);
        assert_eq!(exit, Some(2), "{text}");
        assert!(text.contains(code), "{text}");
    }
}

#[tokio::test]
async fn sets_and_files_in_an_s3_endpoint() {
    let Some(s3) = S3::start_or_skip() else { return };
    let folder = shop(&s3).await;
    let (project, endpoint) = (folder.path(), Some(&s3));
    let file = project.join("milepost.yml");
    let text = fs::read_to_string(&file).expect("the project file");
    fs::write(&file, text.replace("data/purchases.parquet", "\"s3://shop/cdnow/purchases/\"")).expect("a file");
    s3.put("out", Vec::new()).await;
    publish(project, ["s3://out/flags", "s3://out/months/"]);

    // What a killed first writer left is nothing, and goes.
    s3.put("out/flags/_sets/1-dead/milestone=x/rows-1-dead.parquet", b"half".to_vec()).await;
    for (sequence, results) in [(1, "s3://out/runs"), (2, "s3://out/runs/"), (3, "s3://out/runs")] {
        let (code, text) = ended(project, &[&RUN[..], &["--result-to", results]].concat(), endpoint);
        assert!(matches!(code, Some(0 | 3)), "{text}");
        for ((job, command), place) in JOBS.into_iter().zip(["out/flags", "out/months"]) {
            let manifest = s3.get(&format!("{place}/_milepost.json")).await.expect("a published set");
            let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("a document");
            assert_eq!(manifest["sequence"], sequence);
            if sequence == 1 {
                assert_eq!(count(&manifest), listed(project, command, job, endpoint), "{job}");
            }
            for file in manifest["files"].as_array().expect("files") {
                let path = file["path"].as_str().expect("a path").replace('%', "%25");
                let bytes = s3.get(&format!("{place}/{path}")).await.expect("a file that is named is there");
                assert_eq!((bytes.len() as u64, &bytes[..4]), (file["bytes"].as_u64().expect("a size"), &b"PAR1"[..]));
            }
        }
    }
    let keys = s3.keys("out").await;
    assert!(keys.iter().all(|key| !key.contains("dead")), "{keys:?}");
    assert!(keys.contains(&"runs/run_results.json".to_owned()), "{keys:?}");
    let sets: std::collections::BTreeSet<_> =
        keys.iter().filter_map(|key| key.strip_prefix("flags/_sets/")?.split('-').next()).collect();
    assert_eq!(sets.into_iter().collect::<Vec<_>>(), ["2", "3"], "the current set and the one before");

    output(project, &["export", "--to", "s3://out/ledger"], endpoint);
    assert!(s3.get("out/ledger/_milepost.json").await.is_some());
    let (code, text) = ended(project, &["export", "--to", "s3://shop/cdnow"], endpoint);
    assert_eq!(code, Some(2), "{text}");
    for (name, parts) in
        [("one.parquet", "out/one.parquet"), ("f/one.csv", "out/f/one.csv"), ("all/", "out/all/_milepost.json")]
    {
        let to = format!("s3://out/{name}");
        output(project, &["flags", JOBS[0].0, "--as-of", RUN[2], "--output", &to], endpoint);
        assert!(s3.get(parts).await.is_some(), "{parts}");
    }
    let (code, text) = ended(project, &["export", "--to", "s3://no-such-bucket/x"], endpoint);
    assert_eq!(code, Some(7), "{text}");
}
