//! The rules of the house, as tests: layers, one door per heavy crate, small files, a contract line on every module.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules from the ground up; a module may import only from lower layers.
const LAYERS: &[&[&str]] = &[
    &["model", "clock"],
    &["settings"],
    &["storage", "database", "project"],
    &["warehouse", "render", "ledger", "providers"],
    &["evaluate", "decide", "deliver"],
    &["run"],
    &["cli"],
];

/// A crate or path, and the only module that speaks it. Two modules speak to databases: `ledger` to its own, `database`,
/// read-only, to those of others.
const DOORS: &[(&str, &str)] = &[
    ("std::env", "settings"),
    ("object_store", "storage"),
    ("serde_saphyr", "project"),
    ("datafusion", "warehouse"),
    ("datafusion_datasource", "warehouse"),
    ("glob", "storage"),
    ("arrow", "warehouse"),
    ("async_compression", "warehouse"),
    ("tokio_util", "warehouse"),
    ("mrml", "render"),
    ("css_inline", "render"),
    ("html5gum", "render"),
    ("sqlx", "ledger|database"),
    ("reqwest", "providers"),
    ("lettre", "providers"),
    ("clap", "cli"),
    ("indicatif", "cli"),
    ("annotate_snippets", "cli"),
    ("tracing_subscriber", "cli"),
];

/// Crates that must not appear twice in the lock file.
const ONE_VERSION: &[&str] = &["arrow", "datafusion", "object_store", "reqwest", "rustls", "libsqlite3-sys"];

/// Crates that must not appear at all: a second TLS stack.
const REFUSED: &[&str] = &["openssl-sys", "aws-lc-sys"];

/// Calls that read files of this machine, and the modules that may make them: `settings` for everything that a project names,
/// the others for what milepost wrote itself, what somebody typed, or what only lists names.
const FILE_READERS: &[&str] = &["fs::read(", "fs::read_to_string(", "fs::read_dir(", "File::open(", "OpenOptions::"];
const READS_FILES: &[&str] = &[
    "settings/",
    "project/files.rs",
    "storage/local.rs",
    "storage/set/",
    "storage/temporary.rs",
    "storage/upload.rs",
    "ledger/sqlite/",
    "providers/gallery",
    "providers/outbox",
    "render/source.rs",
    "run/plan.rs",
    "run/scaffold.rs",
    "warehouse/runtime.rs",
];

const FILE_LINES_MAX: usize = 500;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Code without comments: what stands after `//` cannot import anything.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(number, line)| (number + 1, line.split_once("//").map_or(line, |(code, _)| code)))
        .filter(|(_, code)| !code.trim().is_empty())
}

fn words_after<'a>(code: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    code.split(prefix).skip(1).map(|rest| {
        let end = rest.find(|character: char| !character.is_alphanumeric() && character != '_').unwrap_or(rest.len());
        &rest[..end]
    })
}

/// Whether `code` names the path `door` as a whole word that is not part of a longer path.
fn speaks(code: &str, door: &str) -> bool {
    let path = format!("{door}::");
    let boundary = |at: usize| {
        code[..at].chars().next_back().is_none_or(|before| !before.is_alphanumeric() && before != '_' && before != ':')
    };
    code.match_indices(&path).any(|(at, _)| boundary(at)) || code.trim() == format!("use {door};")
}

/// Every broken rule of one source file below `src/`.
fn broken_rules(path: &str, text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    let module = path.split('/').next().map_or("", |name| name.trim_end_matches(".rs"));
    let edge = matches!(module, "main" | "lib");
    if !text.starts_with("//!") {
        broken.push(format!("src/{path}: a module opens with a `//!` line that says what it is for"));
    }
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        broken.push(format!("src/{path}: {lines} lines, at most {FILE_LINES_MAX}"));
    }
    let layer = layer_of(module);
    if layer.is_none() && !edge {
        broken.push(format!("src/{path}: `{module}` stands in no layer of tests/it/tidy.rs"));
    }
    for (number, code) in code_lines(text) {
        let reader = FILE_READERS.iter().find(|reader| code.contains(**reader));
        if let Some(reader) = reader.filter(|_| !READS_FILES.iter().any(|allowed| path.starts_with(allowed))) {
            broken.push(format!("src/{path}:{number}: `settings::LocalFiles` is the door to files, not `{reader}..)`"));
        }
        if code.contains("crate::{") {
            broken.push(format!("src/{path}:{number}: one `use crate::module` per module, so that layers show"));
        }
        for import in words_after(code, "crate::").filter(|import| *import != module) {
            let allowed = edge || layer_of(import).is_none_or(|imported| Some(imported) < layer);
            if !allowed {
                broken.push(format!(
                    "src/{path}:{number}: `{module}` may not import `{import}`: it is not in a lower layer"
                ));
            }
        }
        for (door, keeper) in DOORS {
            if !keeper.split('|').any(|keeper| keeper == module) && !edge && speaks(code, door) {
                broken.push(format!("src/{path}:{number}: only `{keeper}` speaks `{door}`"));
            }
        }
    }
    broken
}

#[test]
fn the_house_is_tidy() {
    let source = root().join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    assert!(files.len() > 30, "the source folder was found");
    let mut report = String::new();
    for file in files {
        let relative = file.strip_prefix(&source).expect("a file below src").to_string_lossy().replace('\\', "/");
        let text = fs::read_to_string(&file).expect("readable source");
        for rule in broken_rules(&relative, &text) {
            let _ = writeln!(report, "{rule}");
        }
    }
    assert!(report.is_empty(), "broken rules:\n{report}");
}

#[test]
fn a_crossed_layer_is_found() {
    let crossing = "//! Decides.\nuse crate::run::Report;\nuse crate::ledger::Recorded;\n";
    assert_eq!(
        broken_rules("decide/mod.rs", crossing),
        ["src/decide/mod.rs:2: `decide` may not import `run`: it is not in a lower layer"]
    );
    let sibling = "//! Renders.\nuse crate::{\n    ledger::Ledger,\n};\nfn f() { crate::providers::member(\"x\"); }\n";
    assert_eq!(broken_rules("render/mod.rs", sibling).len(), 2, "a group of imports, and a sibling");
}

#[test]
fn a_second_door_is_found() {
    let second =
        "//! Runs.\nuse datafusion::prelude::SessionContext;\n// use sqlx::Row;\nuse crate::warehouse::arrow::Batch;\n";
    assert_eq!(broken_rules("run/mod.rs", second), ["src/run/mod.rs:2: only `warehouse` speaks `datafusion`"]);
    assert!(broken_rules("warehouse/mod.rs", "//! Queries.\nuse datafusion::arrow::array::Array;\n").is_empty());
    assert_eq!(broken_rules("model/x.rs", "fn f() {}\n").len(), 1, "a module without its contract line");
}

#[test]
fn a_file_that_is_opened_beside_the_door_is_found() {
    let text = "//! Renders.\nfn f() { std::fs::read_to_string(path); }\n";
    assert_eq!(broken_rules("render/mod.rs", text).len(), 1);
    assert!(broken_rules("settings/local_files.rs", text).is_empty());
}

#[test]
fn the_lock_file_holds_one_version_of_what_must_agree() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("a lock file");
    let count = |name: &str| lock.lines().filter(|line| *line == format!("name = \"{name}\"")).count();
    for name in ONE_VERSION {
        assert_eq!(count(name), 1, "{name} must appear once in Cargo.lock");
    }
    for name in REFUSED {
        assert_eq!(count(name), 0, "{name} must not appear in Cargo.lock");
    }
}
