//! `message:` made whole: a milestone's parts over the job's, templates found on disk, headers that may be set.

use std::path::{Component, Path, PathBuf};

use crate::model::diagnostic::{Diagnostic, Located, Place, did_you_mean};
use crate::project::files;
use crate::project::job::MessageSpec;
use crate::project::read::{Findings, Named, quoted, report_missing};
use crate::project::restraint::Variants;
use crate::project::schema::MessageFields;

/// Headers that milepost or the provider writes.
const RESERVED_HEADERS: [&str; 15] = [
    "from",
    "to",
    "cc",
    "bcc",
    "sender",
    "subject",
    "reply-to",
    "date",
    "message-id",
    "mime-version",
    "return-path",
    "received",
    "dkim-signature",
    "list-unsubscribe",
    "list-unsubscribe-post",
];

/// Builds a message from its layers: each part is that of the first one that has it. `place` is where a part that none
/// has is reported.
pub(super) fn build(
    layers: &[&Located<MessageFields>],
    root: &Path,
    place: &Place,
    findings: &mut Findings,
) -> Option<MessageSpec> {
    let levels: Vec<&MessageFields> = layers.iter().map(|message| &message.value).collect();
    let given: Vec<&'static str> = levels.iter().flat_map(|message| message.given.iter().copied()).collect();
    let subject_help = "write `message: {subject: \"...\", template: templates/NAME.mjml}` here or for the whole job";
    report_missing(&given, "subject", subject_help, place, findings);
    report_missing(&given, "template", subject_help, place, findings);
    let subject = levels.iter().find_map(|message| message.subject.clone());
    let template = levels.iter().find_map(|message| message.template.as_ref());
    let template = template.map(|written| locate_template(written, &["mjml", "html"], root, findings));
    let text = levels.iter().find_map(|message| message.text.as_ref());
    let text = text.map(|written| locate_template(written, &["txt"], root, findings));
    let headers = headers(&levels, findings);
    Some(MessageSpec {
        subject: subject?,
        template: template?,
        text,
        preheader: levels.iter().find_map(|message| message.preheader.clone()),
        reply_to: levels.iter().find_map(|message| message.reply_to.clone()).map(|mailbox| mailbox.value),
        headers,
        variants: Variants::default(),
    })
}

/// The absolute path of a template, which is written relative to the file that names it.
fn locate_template(
    written: &Located<String>,
    extensions: &[&str],
    root: &Path,
    findings: &mut Findings,
) -> Located<PathBuf> {
    let place = &written.place;
    let folder = Path::new(&place.file.path).parent().unwrap_or(Path::new(""));
    let relative = folder.join(&written.value);
    let path = root.join(&relative);
    let located = Located::new(path.clone(), place.clone());
    if leaves(&relative) {
        let finding =
            Diagnostic::error("outside-project", format!("{} lies outside the project", quoted(&written.value)), place);
        findings.push(finding.with_help("everything a job needs lies in its project; copy the file there"));
        return located;
    }
    if !extensions.iter().any(|extension| files::has_extension(&written.value, extension)) {
        let message = format!("{} does not end in .{}", quoted(&written.value), extensions.join(" or ."));
        findings
            .push(Diagnostic::error("template-kind", message, place).with_help("the ending says how it is compiled"));
    }
    if !path.is_file() {
        let known = files::walk(&root.join(folder), "");
        let templates =
            known.iter().filter(|name| extensions.iter().any(|extension| files::has_extension(name, extension)));
        let help = did_you_mean(&written.value, templates.map(String::as_str)).unwrap_or_else(|| {
            let from = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            format!("paths are relative to the file that names them; this one counts from `{}`", from.display())
        });
        let message = format!("there is no file {}", quoted(&written.value));
        findings.push(Diagnostic::error("missing-file", message, place).with_help(help));
    }
    located
}

fn leaves(relative: &Path) -> bool {
    let mut depth = 0_i32;
    for part in relative.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::ParentDir => depth -= 1,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return true,
        }
        if depth < 0 {
            return true;
        }
    }
    false
}

fn headers(levels: &[&MessageFields], findings: &mut Findings) -> Vec<(String, Located<String>)> {
    let mut headers: Vec<(String, Located<String>)> = Vec::new();
    for message in levels {
        let Some(Located { value: Named(entries), .. }) = &message.headers else { continue };
        let mut own: Vec<(String, Located<String>)> = Vec::new();
        for (name, value) in entries {
            if !header_is_fit(name, value, findings) {
                continue;
            }
            let earlier = own.iter_mut().find(|(earlier, _)| earlier.eq_ignore_ascii_case(&name.value));
            match earlier {
                None => own.push((name.value.clone(), value.clone())),
                // The defaults spell it otherwise than the job: the job's is laid over it like any other key.
                Some(earlier) if earlier.1.place.file != value.place.file => {
                    *earlier = (name.value.clone(), value.clone());
                }
                Some(_) => {
                    let message = format!("the header {} is given twice", quoted(&name.value));
                    findings.push(
                        Diagnostic::error("duplicate-key", message, &name.place).with_help("keep one of the two"),
                    );
                }
            }
        }
        own.retain(|(name, _)| !headers.iter().any(|(earlier, _)| earlier.eq_ignore_ascii_case(name)));
        headers.extend(own);
    }
    headers
}

fn header_is_fit(name: &Located<String>, value: &Located<String>, findings: &mut Findings) -> bool {
    let lower = name.value.to_ascii_lowercase();
    let is_token =
        !lower.is_empty() && lower.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    let finding = if !is_token {
        let message = format!("{} cannot be the name of a header", quoted(&name.value));
        Diagnostic::error("bad-header", message, &name.place).with_help("use letters, digits and `-`")
    } else if RESERVED_HEADERS.contains(&lower.as_str()) || lower.starts_with("content-") {
        let message = format!("the header `{}` is written by milepost itself", name.value);
        Diagnostic::error("reserved-header", message, &name.place)
            .with_help("use `sender`, `reply_to`, `subject` or `unsubscribe`, or take it out")
    } else if value.value.contains(char::is_control) {
        Diagnostic::error("bad-header", "a header's value stands on one line", &value.place)
            .with_help("take the line breaks out")
    } else {
        return true;
    };
    findings.push(finding);
    false
}
