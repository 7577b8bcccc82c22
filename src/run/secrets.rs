//! Secrets that a run would need and that are not set here: one rule for providers, the ledger and tables.

use crate::model::diagnostic::{Diagnostic, Severity};
use crate::project::{LedgerLocation, Project};
use crate::settings::{Secret, SecretError};

/// The code of every finding about a secret that is not set, whoever needs it.
const CODE: &str = "unset-secret";

/// The secrets of the ledger and of the providers in use that cannot be read; none where nothing is to be contacted.
/// Tables tell theirs when they are opened.
pub(super) fn unset(project: &Project, is_offline: bool) -> Vec<Diagnostic> {
    if is_offline {
        return Vec::new();
    }
    let mut findings = Vec::new();
    if let LedgerLocation::Unresolved(finding) = &project.ledger
        && finding.code == CODE
    {
        findings.push((**finding).clone());
    }
    let in_use = |name: &str| project.jobs.iter().any(|job| job.provider.value == name);
    for provider in project.providers.values().filter(|provider| in_use(&provider.name)) {
        for (name, setting) in &provider.settings {
            let Some(reference) = setting.value.value.as_str().filter(|text| is_reference(text)) else { continue };
            // What is no matter of this machine, the provider's own settings say.
            if let Err(error @ (SecretError::Unset { .. } | SecretError::File { .. })) =
                Secret::resolve(reference, &project.root)
            {
                let message = format!("the provider `{}` has no `{name}`: {error}", provider.name);
                let finding = Diagnostic::error(CODE, message, &setting.value.place);
                findings.push(finding.with_help("set it where milepost starts"));
            }
        }
    }
    findings
}

fn is_reference(text: &str) -> bool {
    ["env:", "file:"].iter().any(|prefix| text.starts_with(prefix))
}

/// A secret that is not set where a project is checked may be set where it runs: a warning, unless secrets are asked about.
pub(super) fn weigh(findings: &mut [Diagnostic], are_errors: bool) {
    let severity = if are_errors { Severity::Error } else { Severity::Warning };
    findings.iter_mut().filter(|finding| finding.code == CODE).for_each(|finding| finding.severity = severity);
}
