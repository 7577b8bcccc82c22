//! What is laid under and over: job defaults, and the environments of `milepost.yml`.

use serde_json::{Value, json};

use super::json_schema::Definitions;
use super::names::is_slug;
use super::node::{Content, Node};
use super::read::{Findings, Read, quoted, wrong_type};
use super::schema::{JobFields, ProjectFields};
use crate::model::diagnostic::{Diagnostic, Located, did_you_mean};

/// Keys that make a job what it is, so that no two jobs may share them.
const NEVER_DEFAULTS: [&str; 4] = ["job", "aliases", "milestones", "recap"];

/// `defaults:`, checked like a job and kept as it is written: each job is laid over it.
#[derive(Clone, Debug)]
pub(super) struct Defaults(pub(super) Node);

impl Read for Defaults {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        JobFields::read(node, findings)?;
        for entry in node.entries().iter().filter(|entry| NEVER_DEFAULTS.contains(&entry.key.value.as_str())) {
            let message = format!("`{}` belongs to one job and cannot be a default", entry.key.value);
            findings.push(
                Diagnostic::error("not-a-default", message, &entry.key.place).with_help("move it into a file of jobs/"),
            );
        }
        let mut kept = node.clone();
        if let Content::Map(entries) = &mut kept.content {
            entries.retain(|entry| !NEVER_DEFAULTS.contains(&entry.key.value.as_str()));
        }
        Some(Self(kept))
    }

    fn schema(definitions: &mut Definitions) -> Value {
        JobFields::schema(definitions)
    }
}

/// `environments:`, every one checked whether it is chosen or not; what they say is laid over the tree by [`choose`].
#[derive(Clone, Debug)]
pub(super) struct Environments;

impl Read for Environments {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Content::Map(entries) = &node.content else {
            findings.push(wrong_type("a map of environments", node));
            return None;
        };
        for entry in entries {
            let overlay = match entry.value.content {
                Content::Null => Node { content: Content::Map(Vec::new()), place: entry.key.place.clone() },
                _ => entry.value.clone(),
            };
            if let Some(nested) = overlay.entries().iter().find(|nested| nested.key.value == "environments") {
                let message = "an environment cannot hold environments";
                findings.push(Diagnostic::error("nested-environments", message, &nested.key.place));
            }
            is_slug("environment", &entry.key, findings);
            ProjectFields::read(&overlay, findings);
        }
        Some(Self)
    }

    fn schema(definitions: &mut Definitions) -> Value {
        json!({ "type": "object", "additionalProperties": { "anyOf": [{ "type": "null" }, ProjectFields::schema(definitions)] } })
    }
}

/// An environment as `milepost.yml` defines it.
pub(super) struct Chosen {
    /// Its name, where it is written.
    pub(super) name: Located<String>,
    /// Whether it names a ledger of its own.
    pub(super) own_ledger: bool,
}

/// The root of `milepost.yml` with the named environment laid over it.
pub(super) fn choose(root: &Node, environment: Option<&str>, findings: &mut Findings) -> (Node, Option<Chosen>) {
    let Some(wanted) = environment else {
        return (root.clone(), None);
    };
    let known = root.get("environments").map(Node::entries).unwrap_or_default();
    let Some(entry) = known.iter().find(|entry| entry.key.value == wanted) else {
        let names: Vec<&str> = known.iter().map(|entry| entry.key.value.as_str()).collect();
        let list = if names.is_empty() {
            "milepost.yml declares no environments".to_owned()
        } else {
            format!("milepost.yml knows {}", names.join(", "))
        };
        let help = did_you_mean(wanted, names).map_or_else(|| list.clone(), |near| format!("{near} {list}"));
        let place = known.first().map_or(&root.place, |entry| &entry.key.place);
        let message = format!("there is no environment {}", quoted(wanted));
        findings.push(Diagnostic::error("unknown-environment", message, place).with_help(help));
        return (root.clone(), None);
    };
    let chosen = Chosen { name: entry.key.clone(), own_ledger: entry.value.get("ledger").is_some() };
    let mut overlay = entry.value.clone();
    if let Content::Map(entries) = &mut overlay.content {
        entries.retain(|entry| entry.key.value != "environments");
        (root.overlaid(&overlay), Some(chosen))
    } else {
        (root.clone(), Some(chosen))
    }
}
