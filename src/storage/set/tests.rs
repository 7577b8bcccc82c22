//! Sets in local folders: whole or not at all, whoever dies or comes second.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{SetWriter, partition_folder};
use crate::storage::StorageError;

/// Every file below a folder with its text, the manifest left out.
fn rows(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "parquet") {
                let partition = folder.file_name().expect("a name").to_string_lossy().into_owned();
                found.push((partition, fs::read_to_string(&path).expect("readable")));
            }
        }
    }
    found.sort();
    found
}

fn hidden(folder: &Path) -> usize {
    let names = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    names.filter(|name| name.to_string_lossy().starts_with('.')).count()
}

async fn written(target: &Path, partitions: &[&str], text: &str) -> SetWriter {
    let mut set = SetWriter::begin(&target.to_string_lossy()).await.expect("a place");
    for partition in partitions {
        fs::write(set.file(partition).expect("a file"), text).expect("writable");
        set.add(partition, 1).await.expect("added");
    }
    set
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("flags");
    (folder, target)
}

#[tokio::test]
async fn a_set_appears_whole_and_is_replaced_whole() {
    let (folder, target) = place();
    let first = written(&target, &["k=a", "k=b"], "1").await;
    assert!(!target.exists(), "nothing is seen before the end");
    let manifest = first.commit(json!({"job": "cheers"})).await.expect("published");
    assert_eq!((manifest.sequence, manifest.files.len(), manifest.rows()), (1, 2, 2));
    assert_eq!(rows(&target), [("k=a".into(), "1".into()), ("k=b".into(), "1".into())]);
    let listed: Vec<PathBuf> = manifest.files.iter().map(|file| target.join(&file.path)).collect();

    let second = written(&target, &["k=b"], "2").await;
    assert_eq!(second.earlier(), Some(&manifest));
    assert_eq!(rows(&target).len(), 2, "the first is still there");
    assert_eq!(second.commit(json!({})).await.expect("published").sequence, 2);
    assert_eq!(rows(&target), [("k=b".into(), "2".into())]);
    assert!(listed.iter().all(|file| !file.exists()), "who listed the first set cannot read the second by mistake");
    assert_eq!(hidden(folder.path()), 0, "nothing is left beside it");
}

#[tokio::test]
async fn other_partitions_are_kept_where_asked() {
    let (_folder, target) = place();
    written(&target, &["period=1"], "1").await.commit(json!({})).await.expect("published");
    let mut second = written(&target, &["period=2"], "2").await;
    second.keep_others().expect("kept");
    second.commit(json!({})).await.expect("published");
    let mut third = written(&target, &["period=1"], "3").await;
    third.keep_others().expect("kept");
    assert_eq!(third.commit(json!({})).await.expect("published").files.len(), 2);
    assert_eq!(rows(&target), [("period=1".into(), "3".into()), ("period=2".into(), "2".into())]);
}

#[tokio::test]
async fn a_dead_writer_leaves_nothing_that_is_read_and_the_next_one_clears_up() {
    let (folder, target) = place();
    written(&target, &["k=a"], "1").await.commit(json!({})).await.expect("published");
    drop(written(&target, &["k=a"], "2").await);
    assert_eq!(hidden(folder.path()), 0, "an error leaves nothing");
    // A killed process: its hidden folder stays, and nobody holds its lock.
    fs::create_dir_all(folder.path().join(".flags.unfinished-dead/k=a")).expect("a folder");
    fs::write(folder.path().join(".flags.unfinished-dead/k=a/rows.parquet"), "half").expect("a file");
    let alive = written(&target, &["k=a"], "3").await;
    assert_eq!(hidden(folder.path()), 1, "only the living writer's");
    let other = written(&target, &["k=a"], "4").await;
    assert_eq!(hidden(folder.path()), 2, "a living writer is left alone");
    alive.commit(json!({})).await.expect("published");
    other.commit(json!({})).await.expect("published");
    assert_eq!(rows(&target), [("k=a".into(), "4".into())]);
    assert_eq!(hidden(folder.path()), 0);
}

#[tokio::test]
async fn files_of_others_are_left_alone() {
    let (_folder, target) = place();
    fs::create_dir_all(&target).expect("a folder");
    written(&target, &[""], "1").await.commit(json!({})).await.expect("an empty folder is free");
    for (name, text) in [("_milepost.json", "{}"), ("notes.txt", "mine")] {
        let (_folder, target) = place();
        fs::create_dir_all(&target).expect("a folder");
        fs::write(target.join(name), text).expect("a file");
        let refused = SetWriter::begin(&target.to_string_lossy()).await;
        assert!(matches!(refused, Err(StorageError::Occupied { .. })), "{name}");
    }
    let (_folder, target) = place();
    fs::write(&target, "a file").expect("a file");
    assert!(matches!(SetWriter::begin(&target.to_string_lossy()).await, Err(StorageError::Occupied { .. })));
}

#[tokio::test]
async fn a_link_stays_a_link() {
    let (folder, target) = place();
    let real = folder.path().join("real");
    fs::create_dir_all(&real).expect("a folder");
    std::os::unix::fs::symlink(&real, &target).expect("a link");
    written(&target, &["k=a"], "1").await.commit(json!({})).await.expect("published");
    assert!(target.is_symlink());
    assert_eq!(rows(&real).len(), 1);
}

#[test]
fn a_partition_folder_holds_no_character_of_a_path() {
    assert_eq!(partition_folder("job", "cheers_2-x.y"), "job=cheers_2-x.y");
    assert_eq!(partition_folder("milestone", "a/b ../é"), "milestone=a%2Fb%20..%2F%C3%A9");
}
