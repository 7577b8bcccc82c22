//! `providers:` made whole: one kind each, settings kept as written for the provider to read.

use std::collections::BTreeMap;

use crate::model::diagnostic::{Diagnostic, Located};
use crate::project::names::is_slug;
use crate::project::project::ProviderConfig;
use crate::project::read::{Findings, Named};
use crate::project::secrets::{PROVIDER_HELP, ProviderKind, ProviderText};

/// Builds every provider whose kind can be told.
pub(super) fn build(declared: Named<ProviderText>, findings: &mut Findings) -> BTreeMap<String, ProviderConfig> {
    let mut providers = BTreeMap::new();
    for (name, written) in declared.0 {
        is_slug("provider", &name, findings);
        if let Some(provider) = provider(&name, written, findings) {
            providers.insert(name.value, provider);
        }
    }
    providers
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
