//! Documentation that says what the code does: its tables are compared with the code's own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use milepost::project::{SchemaKind, json_schema};
use milepost::render::filter_docs;
use milepost::run::schema_text;
use milepost::warehouse::{Parameters, function_docs, value};

use crate::cli::milepost;
use crate::evaluate::world::World;

const PROJECT: &[(&str, &str)] = &[("milepost.yml", "project: p\nproviders: {local: {outbox: {dir: outbox}}}\n")];

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_schemas_of_the_repository_are_current() {
    for kind in SchemaKind::ALL {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schema/{}.json", kind.name()));
        let stored = fs::read_to_string(path).unwrap_or_default().replace("\r\n", "\n");
        let name = kind.name();
        assert!(stored == schema_text(kind), "`milepost schema {name} > docs/schema/{name}.json` makes it current");
    }
}

/// Files of a project whose first line names a schema that is there, or that `milepost init` writes.
#[test]
fn yaml_files_name_a_schema_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut named = 0;
    let examples = ["cdnow", "writing-app", "collaboration", "fitness"].map(|name| root.join("examples").join(name));
    let projects = std::iter::once(root.to_path_buf()).chain(examples).map(|project| (project, false));
    for (project, own) in projects.chain([(root.join("examples/starter"), true)]) {
        for (folder, kind) in [("", "project"), ("jobs", "job"), ("jobs/tests", "test")] {
            let folder = project.join(folder);
            for entry in fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
                if entry.extension().is_none_or(|extension| extension != "yml") {
                    continue;
                }
                let text = fs::read_to_string(&entry).expect("readable");
                let first = text.lines().next().unwrap_or_default();
                let schema = first.strip_prefix("# yaml-language-server: $schema=");
                let schema = schema.unwrap_or_else(|| panic!("{}: no schema line", entry.display()));
                assert!(schema.ends_with(&format!("schema/{kind}.json")), "{}: {schema}", entry.display());
                assert!(own || folder.join(schema).is_file(), "{}: {schema} is not there", entry.display());
                named += 1;
            }
        }
    }
    assert!(named > 35, "{named} files were looked at");
}

/// Markdown files of the repository, relative to its root.
const PAGES: &[&str] = &["README.md", "CHANGELOG.md", "docs", "docs/reference", "examples"];

fn pages(root: &Path) -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for place in PAGES {
        let place = root.join(place);
        if place.is_file() {
            pages.push(place);
            continue;
        }
        let entries = fs::read_dir(&place).expect("a folder").map(|entry| entry.expect("an entry").path());
        let page = |path: PathBuf| if path.is_dir() { path.join("README.md") } else { path };
        pages
            .extend(entries.map(page).filter(|page| page.extension().is_some_and(|end| end == "md") && page.is_file()));
    }
    pages
}

/// What a heading is called in a link, as GitHub does it.
fn anchors(page: &str) -> BTreeSet<String> {
    let kept = |letter: &char| letter.is_alphanumeric() || " -_".contains(*letter);
    let anchor = |heading: &str| heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-");
    page.lines().filter(|line| line.starts_with('#')).map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut lost, mut followed) = (String::new(), 0);
    for page in pages(root) {
        let text = fs::read_to_string(&page).expect("a page");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            followed += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { page.clone() } else { page.parent().expect("a folder").join(path) };
            let found = match fs::read_to_string(&target) {
                Ok(text) => anchor.is_empty() || anchors(&text).contains(anchor),
                Err(_) => target.is_dir() && anchor.is_empty(),
            };
            if !found {
                let _ = writeln!(lost, "{}: {link}", page.display());
            }
        }
    }
    assert!(lost.is_empty(), "links that lead nowhere:\n{lost}");
    assert!(followed > 60, "{followed} links were followed");
}

#[test]
fn the_index_names_every_page_and_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let index = fs::read_to_string(root.join("docs/README.md")).expect("the index");
    for page in pages(root) {
        let relative = page.strip_prefix(root).expect("below the root").to_string_lossy().replace('\\', "/");
        let named = match relative.strip_prefix("docs/") {
            Some("README.md") => continue,
            Some(inside) => inside.to_owned(),
            None => format!("../{relative}"),
        };
        let wanted = relative.starts_with("docs/") || relative.starts_with("examples/");
        assert!(!wanted || index.contains(&format!("]({named}")), "docs/README.md does not name {relative}");
    }
}

/// Every key that YAML may hold is explained: a new one cannot be added in silence.
#[test]
fn every_key_stands_in_the_reference() {
    let mut missing = String::new();
    for (kind, name) in
        [(SchemaKind::Project, "project.md"), (SchemaKind::Job, "jobs.md"), (SchemaKind::Test, "tests.md")]
    {
        let page = page(name);
        let schema = json_schema(kind);
        for (record, definition) in schema["definitions"].as_object().expect("definitions") {
            // A job's keys inside `defaults:` are explained with jobs.
            let elsewhere =
                kind == SchemaKind::Project && json_schema(SchemaKind::Job)["definitions"].get(record).is_some();
            for key in definition["properties"].as_object().expect("properties").keys().filter(|_| !elsewhere) {
                let says = [format!("`{key}`"), format!("`{key}:"), format!("{key}: "), format!("{key}:\n")];
                if !says.iter().any(|words| page.contains(words)) {
                    let _ = writeln!(missing, "{name}: `{key}` of {record}");
                }
            }
        }
    }
    assert!(missing.is_empty(), "keys that docs/reference does not explain:\n{missing}");
}

/// The help of a command and of those below it, each with the words that call it.
fn helps(words: &[&str], found: &mut Vec<(String, String)>) {
    let help = milepost(Path::new("."), &[words, &["--help"]].concat()).expect(0).stdout;
    let commands: Vec<String> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .map(str::to_owned)
        .collect();
    for command in commands {
        helps(&[words, &[command.as_str()]].concat(), found);
    }
    found.push((words.join(" "), help));
}

/// Every command and option is explained: a new one cannot be added in silence.
#[test]
fn every_command_and_option_stands_in_the_reference() {
    let pages = page("cli.md") + &page("tests.md");
    let mut found = Vec::new();
    helps(&[], &mut found);
    assert!(found.len() > 14, "{} commands", found.len());
    let mut missing = String::new();
    for (words, help) in found {
        // A command that only holds others is explained by them.
        let explained = help.contains("\nCommands:") || pages.contains(&format!("`milepost {words}"));
        if !explained {
            let _ = writeln!(missing, "milepost {words}");
        }
        let options = help.split("--").skip(1).map(|rest| {
            let end = rest.find(|letter: char| !letter.is_ascii_lowercase() && letter != '-').unwrap_or(rest.len());
            &rest[..end]
        });
        let unknown = options.filter(|option| !option.is_empty() && !pages.contains(&format!("--{option}")));
        for option in unknown.collect::<BTreeSet<_>>() {
            let _ = writeln!(missing, "milepost {words} --{option}");
        }
    }
    assert!(missing.is_empty(), "docs/reference/cli.md does not explain:\n{missing}");
}

#[test]
fn schemas_know_keys_words_and_what_is_required() {
    let job = json_schema(SchemaKind::Job);
    assert_eq!(job["required"], serde_json::json!(["job"]));
    let keys = &job["definitions"]["Job"]["properties"];
    assert_eq!(keys["category"]["enum"], serde_json::json!(["marketing", "transactional"]));
    assert_eq!(keys["audience"]["description"], "The table or view of profiles it may mail.");
    assert_eq!(job["definitions"]["Milestone"]["required"], serde_json::json!(["name"]));
    assert_eq!(job["definitions"]["Milestone"]["additionalProperties"], false);
    assert!(job["definitions"]["Milestone"]["properties"].get("where").is_some(), "keys, not names of fields");
    for kind in SchemaKind::ALL {
        let text = json_schema(kind).to_string();
        for reference in text.split("#/definitions/").skip(1) {
            let name = reference.split('"').next().unwrap_or_default();
            assert!(json_schema(kind)["definitions"][name].is_object(), "{name} of {}", kind.name());
        }
    }
}

#[test]
fn the_reference_of_filters_is_made_from_their_table() {
    let mut table = "| filter | arguments | does | example | gives |\n|---|---|---|---|---|\n".to_owned();
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    for doc in filter_docs() {
        let arguments = if doc.arguments.is_empty() { String::new() } else { format!("`{}`", cell(&doc.arguments)) };
        let (name, about, example, output) = (doc.name, cell(doc.about), cell(doc.example), cell(doc.output));
        let _ = writeln!(table, "| `{name}` | {arguments} | {about} | `{example}` | {output} |");
    }
    assert!(page("templates.md").contains(&table), "docs/reference/templates.md must hold:\n\n{table}");
}

#[tokio::test]
async fn the_examples_of_functions_give_what_they_say() {
    let world = World::of(PROJECT).await;
    let session = world.warehouse.bind(&Parameters::default()).await.expect("a session");
    for doc in function_docs() {
        let rows = session.rows(doc.name, doc.example).await.unwrap_or_else(|error| panic!("{}: {error}", doc.name));
        let shown: Vec<_> =
            rows.iter().filter(|batch| batch.num_rows() > 0).map(|batch| value::text(batch.column(0), 0)).collect();
        assert_eq!(shown, [Some(doc.output.to_owned())], "{}", doc.example);
    }
}

#[test]
fn the_reference_of_functions_is_made_from_their_table() {
    let mut table = String::new();
    for doc in function_docs() {
        let _ = write!(
            table,
            "## `{}`\n\nGives {}: {}.\n\n```sql\n{};\n-- {}\n```\n\n",
            doc.call, doc.gives, doc.about, doc.example, doc.output
        );
    }
    let page = page("functions.md");
    assert!(page.contains(table.trim_end()), "docs/reference/functions.md must hold:\n\n{table}");
}

#[tokio::test]
async fn functions_bear_nulls_unknown_zones_and_other_types() {
    let world = World::of(PROJECT).await;
    let session = world.warehouse.bind(&Parameters::default()).await.expect("a session");
    for (sql, shown) in [
        ("select local_day(timestamp '2026-01-01T00:00:00Z', 'Mars/Olympus')", None),
        ("select local_day(null, 'UTC')", None),
        ("select local_day(timestamp '2026-01-01T00:00:00Z', null)", None),
        ("select local_day(date '2026-01-01', 'America/New_York')", Some("2025-12-31")),
        (
            "select local_month(arrow_cast('2026-03-31T22:30:00', 'Timestamp(Second, None)'), 'Europe/Paris')",
            Some("2026-04-01"),
        ),
        ("select longest_streak(day) from (values (cast(null as date))) as days (day)", Some("0")),
        (
            "select streak(day, date '2026-01-01') from (values (date '2026-01-02')) as days (day) where false",
            Some("0"),
        ),
    ] {
        let rows = session.rows("a function", sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let shown_here =
            rows.iter().find(|batch| batch.num_rows() > 0).and_then(|batch| value::text(batch.column(0), 0));
        assert_eq!(shown_here.as_deref(), shown, "{sql}");
    }
    for (sql, words) in [
        ("select local_day('2026-01-01')", "takes an instant and a zone"),
        ("select local_day(1.5, 'UTC')", "takes an instant, not double"),
        ("select longest_streak('monday')", "takes days, not text"),
        ("select streak(date '2026-01-01')", "write `streak(day, as_of_day)`"),
    ] {
        let error = session.rows("a function", sql).await.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(words), "{sql}: {error}");
    }
}

/// Groups in many batches, filtered, against counting day by day.
#[tokio::test]
async fn streaks_by_group_agree_with_counting_day_by_day() {
    const SEED: u64 = 20_261_121;
    let mut state = SEED;
    let mut next = |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    let mut days: BTreeMap<u64, BTreeSet<i64>> = BTreeMap::new();
    let mut kept: BTreeMap<u64, BTreeSet<i64>> = BTreeMap::new();
    let mut values = Vec::new();
    for _ in 0..12_000 {
        let (group, day, keep) = (next(600), next(40), next(2) == 0);
        days.entry(group).or_default().insert(day.cast_signed());
        let kept = kept.entry(group).or_default();
        if keep {
            kept.insert(day.cast_signed());
        }
        values.push(format!("({group}, date '2026-02-20' + interval '{day} days', {keep})"));
    }
    let world = World::of(PROJECT).await;
    let session = world.warehouse.bind(&Parameters::default()).await.expect("a session");
    let sql = format!(
        "select \"group\", streak(cast(day as date), date '2026-03-20') filter (where keep) as current, \
         longest_streak(cast(day as date)) as longest from (values {}) as rows (\"group\", day, keep) \
         group by \"group\" order by \"group\"",
        values.join(", ")
    );
    let mut compared = 0;
    for batch in session.rows("streaks", &sql).await.expect("rows") {
        for row in 0..batch.num_rows() {
            let number = |column: usize| value::number(batch.column(column), row).expect("a number") as u64;
            let group = number(0);
            let back_from = |days: &BTreeSet<i64>, end: i64| {
                (0..i64::MAX).take_while(|back| days.contains(&(end - back))).count() as u64
            };
            let kept = &kept[&group];
            let current = if kept.contains(&28) { back_from(kept, 28) } else { back_from(kept, 27) };
            let longest = days[&group].iter().map(|day| back_from(&days[&group], *day)).max().unwrap_or(0);
            assert_eq!((number(1), number(2)), (current, longest), "group {group}, seed {SEED}");
            compared += 1;
        }
    }
    assert_eq!(compared, days.len());
}
