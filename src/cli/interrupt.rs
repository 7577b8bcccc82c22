//! Signals: the first asks a run to drain, the second to stop at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::deliver::Shutdown;
use crate::run::Exit;

/// Listens for SIGINT and SIGTERM for the rest of the process; the receiver shows what is asked, `exit` says why.
///
/// # Errors
/// When the system refuses to register a handler.
pub(super) fn listen() -> std::io::Result<(watch::Receiver<Shutdown>, watch::Receiver<Option<Exit>>)> {
    let (ask, asked) = watch::channel(Shutdown::No);
    let (say_why, why) = watch::channel(None);
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        loop {
            let exit = tokio::select! {
                _ = interrupts.recv() => Exit::Interrupted,
                _ = terminations.recv() => Exit::Terminated,
            };
            say_why.send_if_modified(|why| why.replace(exit).is_none());
            ask.send_modify(|shutdown| {
                *shutdown = if *shutdown == Shutdown::No { Shutdown::Drain } else { Shutdown::Abort };
            });
        }
    });
    Ok((asked, why))
}
