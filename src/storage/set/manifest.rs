//! `_milepost.json`: which files are the current set.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What tells the document from somebody else's.
const FORMAT: &str = "milepost-set";
/// The version of its shape.
const VERSION: u64 = 1;

/// A published set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// How many sets were published here, this one included.
    pub sequence: u64,
    /// Whose it is and what it holds, as its writer says.
    pub about: Value,
    /// Its files, in the order of their paths.
    pub files: Vec<SetFile>,
}

/// One file of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetFile {
    /// Relative to the set's location.
    pub path: String,
    /// `key=value/...`; empty for the only partition.
    pub partition: String,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
}

impl Manifest {
    /// Rows in all files.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// The document.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let document = json!({
            "format": FORMAT, "version": VERSION, "sequence": self.sequence, "about": self.about, "files": self.files,
        });
        format!("{document:#}\n").into_bytes()
    }

    /// Reads the document; `None` when it is none, or of a version that is not known here.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let document: Value = serde_json::from_slice(bytes).ok()?;
        if document["format"] != FORMAT || document["version"] != VERSION {
            return None;
        }
        Some(Self {
            sequence: document["sequence"].as_u64()?,
            about: document["about"].clone(),
            files: serde_json::from_value(document["files"].clone()).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_reads_as_it_was_written_and_others_do_not() {
        let file = SetFile { path: "a=1/rows.parquet".into(), partition: "a=1".into(), rows: 2, bytes: 3 };
        let manifest = Manifest { sequence: 7, about: json!({"job": "cheers"}), files: vec![file] };
        assert_eq!(Manifest::of_bytes(&manifest.to_bytes()), Some(manifest));
        for other in ["", "{}", "[]", "{\"format\": \"milepost-set\", \"version\": 2, \"sequence\": 1, \"files\": []}"]
        {
            assert_eq!(Manifest::of_bytes(other.as_bytes()), None, "{other}");
        }
    }
}
