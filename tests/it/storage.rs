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
    let mut command = Command::new(env!("CARGO_BIN_EXE_milepost"));
    command.arg("--project").arg(project).args(arguments).args(["--format", "json"]);
    if let Some(s3) = s3 {
        command.envs(s3.environment());
    }
    let output = command.output().expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test]
async fn the_same_project_from_an_s3_endpoint() {
    let Some(s3) = S3::start_or_skip() else { return };
    let local = example("cdnow");
    s3.put("shop", Vec::new()).await;
    let data = fs::read(local.join("data/purchases.parquet")).expect("the data");
    s3.put("shop/cdnow/purchases/purchases.parquet", data).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    copy(&local, folder.path());
    fs::remove_dir_all(folder.path().join("data")).expect("no local data");
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
