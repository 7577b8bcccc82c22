//! The log of a Delta Lake table, read without its store: what its files are called, and what their lines come to.
//!
//! Guarantees: the latest version as a whole, or the reason why not; what a reader must understand and this one does not
//! is refused, never passed over. After the protocol of Delta Lake (delta-io/delta, PROTOCOL.md), reader versions 1 to 3.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Features that a reader of version 3 must understand, and this one does.
const FEATURES: &[&str] = &[
    "columnMapping",
    "deletionVectors",
    "timestampNtz",
    "typeWidening",
    "typeWidening-preview",
    "v2Checkpoint",
    "vacuumProtocolCheck",
];

/// The parts of a log that make its latest version, in the order in which they are read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    /// The files of the latest whole checkpoint, by name; none where there is no checkpoint.
    pub(super) checkpoint: Vec<String>,
    /// The commits after it, by name.
    pub(super) commits: Vec<String>,
}

/// What the names of a log's files come to.
pub(super) fn parts(names: impl IntoIterator<Item = String>) -> Result<Parts, String> {
    let mut commits: BTreeMap<u64, String> = BTreeMap::new();
    let mut checkpoints: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for name in names {
        let Some((digits, rest)) = name.split_once('.') else { continue };
        let Some(version) = digits.parse().ok().filter(|_| digits.len() == 20) else { continue };
        match rest.split('.').collect::<Vec<_>>().as_slice() {
            ["json"] => drop(commits.insert(version, name.clone())),
            // Under one version stand the file of a whole checkpoint, or its parts, or one under a name of its own.
            ["checkpoint", .., "parquet"] => checkpoints.entry(version).or_default().push(name.clone()),
            _ => {}
        }
    }
    let whole = checkpoints.into_iter().rev().find_map(|(version, files)| Some((version, whole(files)?)));
    let (first, checkpoint) = whole.map_or((0, Vec::new()), |(version, files)| (version + 1, files));
    let commits: Vec<(u64, String)> = commits.into_iter().filter(|(version, _)| *version >= first).collect();
    if commits.is_empty() && checkpoint.is_empty() {
        return Err("its folder `_delta_log` has no version".to_owned());
    }
    for (expected, (version, _)) in (first..).zip(&commits) {
        if *version != expected {
            return Err(format!("its log has no version {expected}, and one after it"));
        }
    }
    Ok(Parts { checkpoint, commits: commits.into_iter().map(|(_, name)| name).collect() })
}

/// The files of a checkpoint that is there as a whole.
fn whole(mut files: Vec<String>) -> Option<Vec<String>> {
    files.sort();
    if let Some(single) = files.iter().find(|name| name.split('.').count() == 3) {
        return Some(vec![single.clone()]);
    }
    // `VERSION.checkpoint.PART.PARTS.parquet`
    let parts: Vec<(&String, usize)> = files
        .iter()
        .filter_map(|name| match name.split('.').collect::<Vec<_>>().as_slice() {
            [_, _, _, count, _] => Some((name, count.parse().ok()?)),
            _ => None,
        })
        .collect();
    let (_, count) = parts.first()?;
    let same: Vec<String> = parts.iter().filter(|(_, parts)| parts == count).map(|(name, _)| (*name).clone()).collect();
    if same.len() == *count {
        return Some(same);
    }
    // `VERSION.checkpoint.UUID.parquet`: a second kind, told by what it holds.
    files.into_iter().find(|name| name.split('.').count() == 4).map(|name| vec![name])
}

/// One line of a log.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Action {
    add: Option<Add>,
    remove: Option<Remove>,
    meta_data: Option<MetaData>,
    protocol: Option<Protocol>,
    sidecar: Option<serde::de::IgnoredAny>,
}

/// A data file.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(super) struct Add {
    /// Relative to the table and percent-encoded, or a URL.
    pub(super) path: String,
    /// By column; null for none.
    #[serde(default)]
    pub(super) partition_values: BTreeMap<String, Option<String>>,
    /// Bytes.
    pub(super) size: u64,
    /// Milliseconds since 1970.
    #[serde(default)]
    pub(super) modification_time: i64,
    deletion_vector: Option<serde_json::Value>,
    /// JSON, where the writer counted.
    stats: Option<String>,
}

impl Add {
    /// Rows, where the writer counted them.
    pub(super) fn rows(&self) -> Option<u64> {
        serde_json::from_str::<Statistics>(self.stats.as_deref()?).ok()?.num_records
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statistics {
    num_records: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Remove {
    path: String,
}

/// The table's columns and settings.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(super) struct MetaData {
    /// JSON.
    pub(super) schema_string: String,
    /// In the order of the folders.
    #[serde(default)]
    pub(super) partition_columns: Vec<String>,
    #[serde(default)]
    configuration: BTreeMap<String, Option<String>>,
}

impl MetaData {
    /// Whether files name the columns otherwise than the table does.
    pub(super) fn maps_columns(&self) -> bool {
        let mode = self.configuration.get("delta.columnMapping.mode").and_then(Option::as_deref);
        mode.is_some_and(|mode| mode != "none")
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Protocol {
    min_reader_version: u32,
    #[serde(default)]
    reader_features: Option<Vec<String>>,
}

/// A version of a table.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    files: BTreeMap<String, Add>,
    metadata: Option<MetaData>,
    protocol: Option<Protocol>,
}

impl Snapshot {
    /// Takes the lines of the next file of the log.
    pub(super) fn take(&mut self, lines: &[u8]) -> Result<(), String> {
        let mut added = Vec::new();
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            let action: Action = serde_json::from_slice(line).map_err(|error| error.to_string())?;
            if action.sidecar.is_some() {
                return Err("it has a checkpoint with side files, which this version does not read".to_owned());
            }
            if let Some(remove) = action.remove {
                self.files.remove(&remove.path);
            }
            added.extend(action.add);
            self.metadata = action.meta_data.or(self.metadata.take());
            self.protocol = action.protocol.or(self.protocol.take());
        }
        // A file whose deleted rows changed is removed and added by one commit, in either order.
        self.files.extend(added.into_iter().map(|add| (add.path.clone(), add)));
        Ok(())
    }

    /// The files and the columns, unless this reader does not understand them.
    pub(super) fn finish(self) -> Result<(Vec<Add>, MetaData), String> {
        let protocol = self.protocol.unwrap_or_default();
        if protocol.min_reader_version > 3 {
            return Err(format!("it wants a reader of version {}", protocol.min_reader_version));
        }
        let features = protocol.reader_features.unwrap_or_default();
        if let Some(unknown) = features.iter().find(|feature| !FEATURES.contains(&feature.as_str())) {
            return Err(format!("it uses `{unknown}`, which this version does not read"));
        }
        let metadata = self.metadata.ok_or("its log names no columns")?;
        let files: Vec<Add> = self.files.into_values().collect();
        if files.iter().any(|file| file.deletion_vector.is_some()) {
            return Err("some of its files have deletion vectors, which this version does not read: \
                        `REORG TABLE ... APPLY (PURGE)` writes such files anew"
                .to_owned());
        }
        Ok((files, metadata))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Result<Parts, String> {
        parts(names.iter().map(|name| (*name).to_owned()))
    }

    fn commit(version: u64) -> String {
        format!("{version:020}.json")
    }

    #[test]
    fn the_latest_whole_checkpoint_and_what_follows() {
        let checkpoint = |version: u64, rest: &str| format!("{version:020}.checkpoint{rest}.parquet");
        let (first, second) = (checkpoint(2, ".0000000001.0000000002"), checkpoint(2, ".0000000002.0000000002"));
        let torn = checkpoint(3, ".0000000001.0000000002");
        let names = [commit(0), commit(1), commit(2), commit(3), commit(4), first.clone(), second.clone(), torn];
        let names: Vec<&str> = names.iter().map(String::as_str).chain(["_last_checkpoint", "x.crc"]).collect();
        let found = of(&names).expect("whole");
        assert_eq!(found, Parts { checkpoint: vec![first, second], commits: vec![commit(3), commit(4)] });
        let single = checkpoint(1, "");
        let found = of(&[&single, &commit(0), &commit(2)]).expect("whole");
        assert_eq!(found, Parts { checkpoint: vec![single], commits: vec![commit(2)] });
    }

    #[test]
    fn a_log_with_a_hole_is_refused() {
        assert!(of(&[&commit(0), &commit(2)]).expect_err("a hole").contains("no version 1"));
        assert!(of(&[&commit(1)]).expect_err("a hole").contains("no version 0"));
        assert!(of(&["_last_checkpoint"]).expect_err("empty").contains("no version"));
    }

    const HEAD: &str = r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}
        {"metaData":{"id":"x","format":{"provider":"parquet","options":{}},"schemaString":"{}","partitionColumns":["day"],"configuration":{}}}
        {"commitInfo":{"timestamp":1}}"#;

    fn add(path: &str, vector: &str) -> String {
        format!(
            r#"{{"add":{{"path":"{path}","partitionValues":{{"day":null}},"size":1,"modificationTime":1,"dataChange":true,"deletionVector":{vector}}}}}"#
        )
    }

    fn files(commits: &[&str]) -> Result<Vec<String>, String> {
        let mut snapshot = Snapshot::default();
        commits.iter().try_for_each(|commit| snapshot.take(commit.as_bytes()))?;
        Ok(snapshot.finish()?.0.into_iter().map(|add| add.path).collect())
    }

    #[test]
    fn files_that_were_removed_are_gone() {
        let (first, second) = (add("a", "null"), add("b", "null"));
        let removed = r#"{"remove":{"path":"a","dataChange":true}}"#;
        assert_eq!(files(&[HEAD, &first, &second, removed]), Ok(vec!["b".to_owned()]));
        let moved = format!("{}\n{removed}", add("a", "null"));
        assert_eq!(files(&[HEAD, &first, &moved]), Ok(vec!["a".to_owned()]), "one commit may do both, in either order");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let vector = add("a", r#"{"storageType":"u","pathOrInlineDv":"x","sizeInBytes":1,"cardinality":1}"#);
        assert!(files(&[HEAD, &vector]).expect_err("deleted rows").contains("deletion vectors"));
        let strange =
            r#"{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["timestampNtz","rot13"]}}"#;
        assert!(files(&[HEAD, strange]).expect_err("a feature").contains("`rot13`"));
        assert!(files(&[HEAD, r#"{"protocol":{"minReaderVersion":4,"minWriterVersion":7}}"#]).is_err());
        assert!(files(&["{\"add\""]).is_err());
        assert!(files(&[&add("a", "null")]).expect_err("no metadata").contains("no columns"));
    }
}
