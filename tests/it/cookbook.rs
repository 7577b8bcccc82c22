//! Every block of docs/cookbook.md works: together they are one project, which is checked strictly, tested and run.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::cli::milepost;

/// A fenced block with the file it stands for, and the section it stands in.
struct Block {
    section: String,
    file: String,
    text: String,
}

fn blocks() -> Vec<Block> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cookbook.md");
    let page = fs::read_to_string(page).expect("the cookbook").replace("\r\n", "\n");
    let (mut blocks, mut section, mut open) = (Vec::new(), String::new(), None::<Block>);
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language_and_file)) => {
                let (_, file) =
                    language_and_file.split_once(' ').unwrap_or_else(|| panic!("{line}: which file is it?"));
                open = Some(Block { section: section.clone(), file: file.to_owned(), text: String::new() });
            }
            (Some(block), None) => block.text.extend([line, "\n"]),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, None) => {
                if let Some(heading) = line.strip_prefix("## ") {
                    heading.clone_into(&mut section);
                }
            }
        }
    }
    assert!(open.is_none(), "the last block is closed");
    blocks
}

fn is_job(block: &Block) -> bool {
    block.file.starts_with("jobs/") && block.file.matches('/').count() == 1
}

#[test]
fn every_recipe_works() {
    let folder = tempfile::tempdir().expect("a folder");
    let blocks = blocks();
    for block in &blocks {
        let path = folder.path().join(&block.file);
        assert!(!path.exists(), "{} stands there twice", block.file);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, &block.text).expect("writable");
    }
    milepost(folder.path(), &["check", "--strict"]).expect(0);
    let tests = milepost(folder.path(), &["test", "--format", "json"]).expect(0).json();
    let given = blocks.iter().filter(|block| block.file.starts_with("jobs/tests/")).count();
    assert_eq!(tests["tests"].as_array().map(Vec::len), Some(given), "{tests}");
    // What can be planned can still fail on rows.
    milepost(folder.path(), &["run", "--as-of", "2026-11-01T06:00:00Z", "--replay", "--dry-run"]).expect(0);
}

#[test]
fn every_section_has_a_job_and_is_listed() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cookbook.md");
    let page = fs::read_to_string(page).expect("the cookbook");
    let sections: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let blocks = blocks();
    let cooked: BTreeSet<&str> =
        blocks.iter().filter(|block| is_job(block)).map(|block| block.section.as_str()).collect();
    let project = "The project of this page";
    let bare: Vec<_> = sections.iter().filter(|section| **section != project && !cooked.contains(*section)).collect();
    assert!(bare.is_empty(), "recipes without a job: {bare:?}");
    assert!(cooked.len() >= 20, "{} recipes", cooked.len());
    for section in sections {
        let anchor = section.to_lowercase().replace('\'', "").replace(' ', "-");
        assert!(page.contains(&format!("](#{anchor})")), "`{section}` is not in the list at the top");
    }
}
