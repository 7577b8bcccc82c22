//! Values that open doors: read as references to the environment or a file, refused as plain text, in every
//! environment of the project and before anything is merged.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::json_schema::Definitions;
use super::node::{Content, Node};
use super::project::Setting;
use super::read::{Findings, Read, Scalar, wrong_type};
use crate::model::diagnostic::{Diagnostic, Located};

/// Ends of setting names whose values open doors.
const SECRET_NAMES: [&str; 4] = ["api_key", "password", "token", "secret"];

/// What a provider's shape must be.
pub(super) const PROVIDER_HELP: &str = "name one kind and its settings, such as `{outbox: {dir: outbox}}`";

/// Whether a text names a secret instead of being one.
pub(super) fn is_reference(text: &str) -> bool {
    text.starts_with("env:") || text.starts_with("file:")
}

/// `ledger:` as written.
#[derive(Clone, Debug)]
pub(super) struct LedgerText(pub(super) String);

impl Read for LedgerText {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let text = String::read(node, findings)?.trim().to_owned();
        if !is_reference(&text) && has_password(&text) {
            let message = "the ledger's password is written in plain text";
            let help = "write `env:NAME` or `file:PATH`, and change the password: it has been seen";
            findings.push(Diagnostic::error("plain-secret", message, &node.place).with_help(help));
        }
        Some(Self(text))
    }

    fn schema(_definitions: &mut Definitions) -> Value {
        json!({ "type": "string" })
    }
}

fn has_password(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| {
        url.password().is_some_and(|password| !password.is_empty())
            || url.query_pairs().any(|(key, _)| key == "password")
    })
}

/// One provider as written: its kinds, which must be one once everything is merged.
#[derive(Clone, Debug)]
pub(super) struct ProviderText(pub(super) Vec<ProviderKind>);

/// A kind of provider and its settings.
#[derive(Clone, Debug)]
pub(super) struct ProviderKind {
    /// The family member's name.
    pub(super) name: Located<String>,
    /// Its settings by name.
    pub(super) settings: BTreeMap<String, Setting>,
}

impl Read for ProviderText {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Content::Map(kinds) = &node.content else {
            findings.push(wrong_type("a kind with its settings", node).with_help(PROVIDER_HELP));
            return None;
        };
        let kinds = kinds.iter();
        let kinds =
            kinds.map(|kind| ProviderKind { name: kind.key.clone(), settings: settings(&kind.value, findings) });
        Some(Self(kinds.collect()))
    }

    fn schema(definitions: &mut Definitions) -> Value {
        let settings = json!({ "type": ["object", "null"], "additionalProperties": Scalar::schema(definitions) });
        json!({ "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": settings })
    }
}

fn settings(node: &Node, findings: &mut Findings) -> BTreeMap<String, Setting> {
    let Content::Map(entries) = &node.content else {
        if !matches!(node.content, Content::Null) {
            findings.push(wrong_type("a map of settings", node).with_help(PROVIDER_HELP));
        }
        return BTreeMap::new();
    };
    let mut settings = BTreeMap::new();
    for entry in entries {
        let Some(Scalar(value)) = Scalar::read(&entry.value, findings) else { continue };
        if is_plain_secret(&entry.key.value, &value) {
            let name = &entry.key.value;
            let message = format!("`{name}` is a secret written in plain text");
            let help =
                format!("write `{name}: \"env:NAME\"` or `\"file:PATH\"`, and change the secret: it has been seen");
            findings.push(Diagnostic::error("plain-secret", message, &entry.key.place).with_help(help));
        }
        let value = Located::new(value, entry.value.place.clone());
        settings.insert(entry.key.value.clone(), Setting { key: entry.key.place.clone(), value });
    }
    settings
}

fn is_plain_secret(name: &str, value: &Value) -> bool {
    SECRET_NAMES.iter().any(|secret| name.ends_with(secret)) && !value.as_str().is_some_and(is_reference)
}
