//! Decided candidates between the guards and the waves: in memory while few, in an unnamed file when many.
//!
//! The file has no name on disk, so that nothing of it is left when the process is killed.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::SpooledTempFile;

use crate::model::{Candidate, TemplateContext};
use crate::settings::crashpoint;

/// Bytes kept in memory before the file is used.
const MEMORY_BYTES_MAX: usize = 16 << 20;

/// What a spool keeps: a record on one line, and on the next one what is written down already.
pub(super) trait Spooled: Serialize + DeserializeOwned {
    /// What was written down, without line breaks; nothing by default.
    fn written(&self) -> serde_json::Result<Cow<'_, [u8]>> {
        Ok(Cow::Borrowed(&[]))
    }

    /// The record with what was written down.
    #[must_use]
    fn with_written(self, _written: &[u8]) -> Self {
        self
    }
}

impl Spooled for Candidate {
    fn written(&self) -> serde_json::Result<Cow<'_, [u8]>> {
        self.context.written()
    }

    fn with_written(self, written: &[u8]) -> Self {
        Self { context: TemplateContext::Written(written.to_vec()), ..self }
    }
}

/// A queue that is written to its end, then read from its start, as often as needed.
pub(super) struct Spool {
    file: BufWriter<SpooledTempFile>,
    count: u64,
}

impl Default for Spool {
    fn default() -> Self {
        Self { file: BufWriter::with_capacity(1 << 16, SpooledTempFile::new(MEMORY_BYTES_MAX)), count: 0 }
    }
}

impl Spool {
    /// Adds an entry.
    ///
    /// # Errors
    /// When the disk is full.
    pub(super) fn push(&mut self, entry: &impl Spooled) -> std::io::Result<()> {
        serde_json::to_writer(&mut self.file, entry)?;
        crashpoint!("within_spool");
        self.file.write_all(b"\n")?;
        self.file.write_all(&entry.written()?)?;
        self.file.write_all(b"\n")?;
        self.count += 1;
        Ok(())
    }

    /// How many entries there are.
    #[must_use]
    pub(super) fn len(&self) -> u64 {
        self.count
    }

    /// The entries in the order in which they were added.
    ///
    /// # Errors
    /// When the file cannot be written out or read.
    pub(super) fn entries<T: Spooled>(
        &mut self,
    ) -> std::io::Result<impl Iterator<Item = std::io::Result<T>> + use<'_, T>> {
        crashpoint!("before_spool_read");
        self.file.flush()?;
        let file = self.file.get_mut();
        file.seek(SeekFrom::Start(0))?;
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut line = Vec::new();
        Ok(std::iter::from_fn(move || entry(&mut reader, &mut line).transpose()))
    }
}

/// The next entry; `None` at the end.
fn entry<T: Spooled>(reader: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<Option<T>> {
    line.clear();
    if reader.read_until(b'\n', line)? == 0 {
        return Ok(None);
    }
    let record: T = serde_json::from_slice(line)?;
    line.clear();
    reader.read_until(b'\n', line)?;
    let written = line.strip_suffix(b"\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    Ok(Some(record.with_written(written)))
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Spooled for (u32, String) {
        fn written(&self) -> serde_json::Result<Cow<'_, [u8]>> {
            Ok(Cow::Owned(self.0.to_string().into_bytes()))
        }

        fn with_written(self, written: &[u8]) -> Self {
            assert_eq!(written, self.0.to_string().as_bytes());
            self
        }
    }

    #[test]
    fn keeps_order_beyond_memory() {
        let mut spool = Spool::default();
        let long = "line\nbreak \u{1F600} ".repeat(1_000);
        for number in 0..2_000u32 {
            spool.push(&(number, long.clone())).expect("space");
        }
        assert_eq!(spool.len(), 2_000);
        let entries: Vec<(u32, String)> =
            spool.entries().expect("readable").collect::<Result<_, _>>().expect("whole entries");
        assert_eq!(entries.len(), 2_000);
        assert!(
            entries.iter().enumerate().all(|(at, (number, text))| u32::try_from(at) == Ok(*number) && *text == long)
        );
    }
}
