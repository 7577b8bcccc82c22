//! `providers:` made whole: one kind each, settings kept as written for the provider to read.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::model::diagnostic::{Diagnostic, Located};
use crate::project::names::is_slug;
use crate::project::project::ProviderConfig;
use crate::project::read::{Findings, Named};
use crate::project::secrets::{PROVIDER_HELP, ProviderKind, ProviderText};
use crate::settings::{LocalFiles, SecretError, is_variable_allowed};

/// The setting that names a folder of this machine.
const FOLDER: &str = "dir";
/// What it names where it is not there.
const DEFAULT_FOLDER: &str = "outbox";

/// Builds every provider whose kind can be told.
pub(super) fn build(
    root: &Path,
    declared: Named<ProviderText>,
    findings: &mut Findings,
) -> BTreeMap<String, ProviderConfig> {
    let mut providers = BTreeMap::new();
    let files = LocalFiles::of_project(root);
    for (name, written) in declared.0 {
        is_slug("provider", &name, findings);
        if let Some(provider) = provider(&name, written, findings) {
            if !provider.settings.contains_key(FOLDER) {
                let folder = Located::new(Value::from(DEFAULT_FOLDER), provider.place.clone());
                findings.extend(elsewhere(&files, root, &folder));
            }
            for setting in provider.settings.iter().filter(|(name, _)| *name == FOLDER).map(|(_, setting)| setting) {
                findings.extend(elsewhere(&files, root, &setting.value));
            }
            for setting in provider.settings.values() {
                findings.extend(not_allowed(&setting.value));
            }
            providers.insert(name.value, provider);
        }
    }
    providers
}

/// A finding for a folder that the project may not write to.
fn elsewhere(files: &LocalFiles, root: &Path, folder: &Located<Value>) -> Option<Diagnostic> {
    let path = root.join(folder.value.as_str()?.trim());
    let refusal = files.admit_path(&path).err()?;
    let finding = Diagnostic::error("path-outside", refusal.to_string(), &folder.place);
    Some(finding.with_optional_help(refusal.help().map(str::to_owned)))
}

/// A finding for a variable that the project may not read.
fn not_allowed(reference: &Located<Value>) -> Option<Diagnostic> {
    let name = reference.value.as_str()?.strip_prefix("env:")?;
    if name.is_empty() || is_variable_allowed(name) {
        return None;
    }
    let error = SecretError::NotAllowed { name: name.to_owned() };
    Some(Diagnostic::error("secret-not-allowed", error.to_string(), &reference.place))
}

fn provider(name: &Located<String>, written: ProviderText, findings: &mut Findings) -> Option<ProviderConfig> {
    let mut kinds = written.0.into_iter();
    let Some(kind) = kinds.next() else {
        let finding = Diagnostic::error("missing-key", "the provider has no kind", &name.place);
        findings.push(finding.with_help(PROVIDER_HELP));
        return None;
    };
    for further in kinds {
        let message =
            format!("the provider `{}` has two kinds, `{}` and `{}`", name.value, kind.name.value, further.name.value);
        let help = "give each kind a name of its own; maps of an environment are merged into those above";
        findings.push(Diagnostic::error("two-kinds", message, &further.name.place).with_help(help));
    }
    let ProviderKind { name: kind, settings } = kind;
    Some(ProviderConfig { name: name.value.clone(), kind, settings, place: name.place.clone() })
}
