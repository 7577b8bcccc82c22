//! A provider that speaks Resend's wire format and misbehaves on command: the witness in tests of delivery.
//!
//! Its own process, sharing no code with the library. What it accepted stands in `--log` with fsync before the answer
//! leaves. Prints `listening on PORT` and serves until it is killed. See `options.rs` for the flags.

#![allow(clippy::print_stdout, reason = "a test program that talks to the test that started it")]

mod fast;
mod faults;
mod journal;
mod options;
mod server;

use std::io::Write as _;
use std::sync::Arc;

use tokio::net::TcpListener;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = options::Options::read(std::env::args().skip(1))?;
    let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
    let port = listener.local_addr()?.port();
    if options.refused {
        // A port nobody listens on: every connection is refused.
        drop(listener);
        announce(port)?;
        return std::future::pending().await;
    }
    announce(port)?;
    if options.fast {
        return fast::serve(listener, options.delay).await;
    }
    let provider = Arc::new(server::FakeProvider::open(options)?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(Arc::clone(&provider).connection(stream));
    }
}

fn announce(port: u16) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "listening on {port}")?;
    stdout.flush()?;
    Ok(())
}
