//! A provider that speaks Resend's wire format, as strict as its documents, and misbehaves on command: the witness in tests of delivery.
//!
//! Its own process, sharing no code with the library. What it accepted stands in `--log` with fsync before the answer
//! leaves. Prints `listening on PORT` and serves until it is killed. See `options.rs` for the flags.

mod fast;
mod faults;
mod journal;
mod options;
mod server;
mod validation;

use std::io::Write as _;
use std::sync::Arc;

use tokio::net::TcpSocket;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = options::Options::read(std::env::args().skip(1))?;
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], options.port).into())?;
    let port = socket.local_addr()?.port();
    let (refused, control) = (options.refused, options.control);
    if refused {
        // A port that is taken and nobody listens on: every connection is refused.
        announce(port)?;
        calmed(control).await?;
    }
    let listener = socket.listen(1024)?;
    if refused {
        say("calm")?;
    } else {
        announce(port)?;
    }
    if options.fast {
        return fast::serve(listener, options.delay).await;
    }
    let provider = Arc::new(server::FakeProvider::open(options)?);
    if control && !refused {
        let provider = Arc::clone(&provider);
        tokio::spawn(async move {
            calmed(control).await?;
            provider.calm();
            say("calm")
        });
    }
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(Arc::clone(&provider).connection(stream));
    }
}

/// Returns once the test says so; without control never.
async fn calmed(control: bool) -> Result<(), Failure> {
    let heard = || std::io::stdin().lines().map_while(Result::ok).any(|line| line == "calm");
    if control && tokio::task::spawn_blocking(heard).await? {
        return Ok(());
    }
    std::future::pending().await
}

fn announce(port: u16) -> Result<(), Failure> {
    say(&format!("listening on {port}"))
}

fn say(line: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()?;
    Ok(())
}
