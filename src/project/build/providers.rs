//! `providers:` made whole: one kind each, settings kept as written, no secret in plain text.

use std::collections::BTreeMap;

use crate::model::diagnostic::{Diagnostic, Located};
use crate::project::names::is_slug;
use crate::project::node::{Content, Entry, Node};
use crate::project::project::{ProviderConfig, Setting};
use crate::project::read::{Findings, Named, Read, Scalar, wrong_type};

/// Ends of setting names whose values open doors.
const SECRET_NAMES: [&str; 4] = ["api_key", "password", "token", "secret"];

const SHAPE_HELP: &str = "name one kind and its settings, such as `{outbox: {dir: outbox}}`";

/// Builds every provider whose kind can be told.
pub(super) fn build(declared: Named<Node>, findings: &mut Findings) -> BTreeMap<String, ProviderConfig> {
    let mut providers = BTreeMap::new();
    for (name, node) in declared.0 {
        is_slug("provider", &name, findings);
        if let Some(provider) = provider(&name, &node, findings) {
            providers.insert(name.value, provider);
        }
    }
    providers
}

fn provider(name: &Located<String>, node: &Node, findings: &mut Findings) -> Option<ProviderConfig> {
    let Content::Map(kinds) = &node.content else {
        findings.push(wrong_type("a kind with its settings", node).with_help(SHAPE_HELP));
        return None;
    };
    let Some(kind) = kinds.first() else {
        findings.push(Diagnostic::error("missing-key", "the provider has no kind", &name.place).with_help(SHAPE_HELP));
        return None;
    };
    for further in &kinds[1..] {
        let message =
            format!("the provider `{}` has two kinds, `{}` and `{}`", name.value, kind.key.value, further.key.value);
        let help = "give each kind a name of its own; maps of an environment are merged into those above";
        findings.push(Diagnostic::error("two-kinds", message, &further.key.place).with_help(help));
    }
    let mut settings = BTreeMap::new();
    match &kind.value.content {
        Content::Null => {}
        Content::Map(entries) => {
            for entry in entries {
                if let Some(setting) = setting(entry, findings) {
                    settings.insert(entry.key.value.clone(), setting);
                }
            }
        }
        _ => findings.push(wrong_type("a map of settings", &kind.value).with_help(SHAPE_HELP)),
    }
    Some(ProviderConfig { name: name.value.clone(), kind: kind.key.clone(), settings, place: name.place.clone() })
}

fn setting(entry: &Entry, findings: &mut Findings) -> Option<Setting> {
    let value = Scalar::read(&entry.value, findings)?.0;
    let is_secret = SECRET_NAMES.iter().any(|name| entry.key.value.ends_with(name));
    let is_reference = value.as_str().is_some_and(|text| text.starts_with("env:") || text.starts_with("file:"));
    if is_secret && !is_reference {
        let message = format!("`{}` is a secret written in plain text", entry.key.value);
        let help = format!(
            "write `{}: \"env:NAME\"` or `\"file:PATH\"`, and change the secret: it has been seen",
            entry.key.value
        );
        findings.push(Diagnostic::error("plain-secret", message, &entry.key.place).with_help(help));
    }
    Some(Setting { key: entry.key.place.clone(), value: Located::new(value, entry.value.place.clone()) })
}
