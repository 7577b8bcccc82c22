//! What the documented API refuses: addresses, fields, tags, headers, keys. Written from its reference, not from the library.

use serde_json::Value;

/// The most messages of a batch and the most characters of a key.
pub(crate) const BATCH_MAX: usize = 100;
const KEY_MAX: usize = 256;

/// The documented words about an address that is none.
const FORMAT: &str = "The email address needs to follow the `email@example.com` or `Name <email@example.com>` format.";

/// Whether a key may be used.
pub(crate) fn key_is_valid(key: &str) -> bool {
    (1..=KEY_MAX).contains(&key.chars().count())
}

/// Why a message is refused; `None` when it is taken.
pub(crate) fn refusal(message: &Value, in_batch: bool) -> Option<String> {
    let Some(fields) = message.as_object() else { return Some("The email is not an object.".to_owned()) };
    let text = |name: &str| fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if !text("from").is_some_and(is_mailbox) {
        return Some(format!("Invalid `from` field. {FORMAT}"));
    }
    let to: Vec<&str> = match &message["to"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().map(|one| one.as_str().unwrap_or_default()).collect(),
        _ => return Some("Missing `to` field.".to_owned()),
    };
    if !(1..=50).contains(&to.len()) || !to.iter().all(|one| is_mailbox(one) && !is_never_taken(one)) {
        return Some(format!("Invalid `to` field. {FORMAT}"));
    }
    if text("subject").is_none() {
        return Some("Missing `subject` field.".to_owned());
    }
    if text("html").is_none() && text("text").is_none() {
        return Some("Missing `html` or `text` field.".to_owned());
    }
    if fields.get("reply_to").is_some_and(|reply| !reply.as_str().is_some_and(is_mailbox)) {
        return Some(format!("Invalid `reply_to` field. {FORMAT}"));
    }
    if in_batch && ["attachments", "scheduled_at"].iter().any(|name| fields.contains_key(*name)) {
        return Some("The `attachments` and `scheduled_at` fields are not supported in batches.".to_owned());
    }
    let headers = fields.get("headers").map_or(Some(0), |headers| headers.as_object().map(|_| 0));
    let lines = fields.get("headers").and_then(Value::as_object).into_iter().flatten();
    if headers.is_none()
        || !lines.into_iter().all(|(name, value)| is_token(name) && value.as_str().is_some_and(is_line))
    {
        return Some("Invalid `headers` field.".to_owned());
    }
    let tags = fields.get("tags").map_or(Some(&[][..]), |tags| tags.as_array().map(Vec::as_slice));
    let is_tag = |tag: &Value| ["name", "value"].iter().all(|part| tag[*part].as_str().is_some_and(is_word));
    if !tags.is_some_and(|tags| tags.iter().all(is_tag)) {
        return Some("Tags should only contain ASCII letters, numbers, underscores, or dashes.".to_owned());
    }
    None
}

/// Addresses that look well to everybody else and are refused here: those whose domain ends in `.invalid`.
fn is_never_taken(mailbox: &str) -> bool {
    mailbox.trim_end_matches('>').ends_with(".invalid")
}

fn is_mailbox(text: &str) -> bool {
    let address = match text.strip_suffix('>') {
        Some(named) => named.rsplit_once('<').map_or("", |(_, address)| address),
        None => text,
    };
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    let plain = |part: &str| {
        part.is_ascii()
            && !part.contains(|letter: char| {
                letter.is_whitespace() || letter.is_control() || "<>()\",;:@[]".contains(letter)
            })
    };
    let label = |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
    (1..=64).contains(&local.len())
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && plain(local)
        && plain(domain)
        && domain.len() <= 253
        && domain.contains('.')
        && domain.split('.').all(label)
        && is_line(text)
}

fn is_line(text: &str) -> bool {
    !text.contains(['\r', '\n'])
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn is_word(text: &str) -> bool {
    (1..=256).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}
