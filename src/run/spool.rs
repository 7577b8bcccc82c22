//! Decided candidates between the guards and the waves: in memory while few, in an unnamed file when many.
//!
//! The file has no name on disk, so that nothing of it is left when the process is killed.

use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::SpooledTempFile;

use crate::settings::crashpoint;

/// Bytes kept in memory before the file is used.
const MEMORY_BYTES_MAX: usize = 16 << 20;

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
    pub(super) fn push(&mut self, entry: &impl Serialize) -> std::io::Result<()> {
        serde_json::to_writer(&mut self.file, entry)?;
        crashpoint!("within_spool");
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
    pub(super) fn entries<T: DeserializeOwned>(
        &mut self,
    ) -> std::io::Result<impl Iterator<Item = std::io::Result<T>> + use<'_, T>> {
        crashpoint!("before_spool_read");
        self.file.flush()?;
        let file = self.file.get_mut();
        file.seek(SeekFrom::Start(0))?;
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut line = Vec::new();
        Ok(std::iter::from_fn(move || {
            line.clear();
            match reader.read_until(b'\n', &mut line) {
                Ok(0) => None,
                Ok(_) => Some(serde_json::from_slice(&line).map_err(Into::into)),
                Err(error) => Some(Err(error)),
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_beyond_memory() {
        let mut spool = Spool::default();
        let long = "line\nbreak \u{1F600} ".repeat(1_000);
        for number in 0..2_000u32 {
            spool.push(&(number, &long)).expect("space");
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
