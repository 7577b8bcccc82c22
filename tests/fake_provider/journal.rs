//! The file of accepted messages: durable before anybody is told.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use tokio::sync::{mpsc, oneshot};

use crate::Failure;

type Entry = (Vec<u8>, oneshot::Sender<()>);

/// Appends lines; waiters share an fsync.
pub(crate) struct Journal {
    entries: Option<mpsc::UnboundedSender<Entry>>,
}

impl Journal {
    /// A journal in a file, appended to where it exists; without a file nothing is kept.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self { entries: None }) };
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let (entries, waiting) = mpsc::unbounded_channel();
        std::thread::spawn(move || write(file, waiting));
        Ok(Self { entries: Some(entries) })
    }

    /// Returns once the lines are durable.
    pub(crate) async fn append(&self, lines: Vec<u8>) {
        let Some(entries) = &self.entries else { return };
        let (done, durable) = oneshot::channel();
        entries.send((lines, done)).expect("the writer lives as long as the process");
        durable.await.expect("the writer answers everybody");
    }
}

fn write(mut file: File, mut waiting: mpsc::UnboundedReceiver<Entry>) {
    let mut taken = Vec::new();
    while waiting.blocking_recv_many(&mut taken, 10_000) > 0 {
        let mut lines = Vec::new();
        for (entry, _) in &taken {
            lines.extend_from_slice(entry);
        }
        file.write_all(&lines).expect("the log can be written");
        file.sync_data().expect("the log can be made durable");
        for (_, done) in taken.drain(..) {
            let _ = done.send(());
        }
    }
}
