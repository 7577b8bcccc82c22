//! The rules of names.

use super::read::{Findings, quoted};
use crate::model::diagnostic::{Diagnostic, Located};

/// Names end up in keys, paths and tables; longer ones are slips.
const MAX_NAME_BYTES: usize = 100;

/// Whether a name is made of small letters, digits, `_` and `-`; a finding when it is not.
pub(super) fn is_slug(what: &str, name: &Located<String>, findings: &mut Findings) -> bool {
    let fits = name.value.bytes().all(|byte| is_snake(byte) || byte == b'-');
    check(what, name, fits, "small letters, digits, `_` and `-`", findings)
}

/// Whether a name is made of small letters, digits and `_`; a finding when it is not.
pub(super) fn is_word(what: &str, name: &Located<String>, findings: &mut Findings) -> bool {
    check(what, name, name.value.bytes().all(is_snake), "small letters, digits and `_`", findings)
}

/// Whether a name can stand in SQL without quotes; a finding when it cannot.
pub(super) fn is_identifier(what: &str, name: &Located<String>, findings: &mut Findings) -> bool {
    let fits = name.value.bytes().all(is_snake) && !name.value.starts_with(|first: char| first.is_ascii_digit());
    check(what, name, fits, "small letters, digits and `_`, not beginning with a digit", findings)
}

fn is_snake(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
}

fn check(what: &str, name: &Located<String>, fits: bool, rule: &str, findings: &mut Findings) -> bool {
    let fits = fits && !name.value.is_empty() && name.value.len() <= MAX_NAME_BYTES;
    if !fits {
        let article = if what.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        let message = format!("{} cannot be the name of {article} {what}", quoted(&name.value));
        let help = format!("use {rule}, at most {MAX_NAME_BYTES} of them");
        findings.push(Diagnostic::error("bad-name", message, &name.place).with_help(help));
    }
    fits
}
