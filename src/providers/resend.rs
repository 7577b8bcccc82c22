//! Resend: single and batch requests, with an idempotency key that is honoured for 24 hours.
//!
//! Batches are sent with `x-batch-validation: permissive`: the good messages of a batch are taken and the others named, each
//! with its error. A batch that is refused whole all the same is a verdict on none of its messages.
//! `concurrent_idempotent_requests` and `invalid_idempotent_request` both say that an earlier request used the key, and not
//! what became of it: the outcome stays unknown.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use url::Url;

use super::http::{Answer, Exchange, HttpAccount};
use super::json_text;
use super::settings::{HttpSettings, Reader};
use super::verdict::{Meaning, Vocabulary, Words, verdict, verdict_on_item};
use super::{Attempt, Capabilities, Member, Provider, ProviderError, one_line};
use crate::model::{Diagnostic, Mailbox, Message, Outcome};
use crate::project::ProviderConfig;
use crate::settings::Secret;

/// The family's entry.
pub(super) const MEMBER: Member = Member { kind: "resend", check, connect };

const IDEMPOTENCY_WINDOW: Duration = Duration::from_hours(24);

/// What the documented codes mean, whatever status they come with. `validation_error` is missing: it is said of keys,
/// domains, senders and recipients alike, under 400, 401, 403 and 422, and its words tell which.
const VOCABULARY: Vocabulary = Vocabulary {
    codes: &[
        ("rate_limit_exceeded", Meaning::Throttled),
        ("daily_quota_exceeded", Meaning::Quota),
        ("monthly_quota_exceeded", Meaning::Quota),
        ("missing_api_key", Meaning::Configuration),
        ("invalid_api_key", Meaning::Configuration),
        ("restricted_api_key", Meaning::Configuration),
        ("suspended_api_key", Meaning::Configuration),
        ("inactive_api_key", Meaning::Configuration),
        ("invalid_scope", Meaning::Configuration),
        ("invalid_permission", Meaning::Configuration),
        ("invalid_from_address", Meaning::Configuration),
        ("invalid_access", Meaning::Configuration),
        ("invalid_region", Meaning::Configuration),
        ("invalid_idempotency_key", Meaning::Configuration),
        ("security_error", Meaning::Configuration),
        ("not_found", Meaning::Configuration),
        ("method_not_allowed", Meaning::Configuration),
        ("invalid_to_address", Meaning::Address),
        ("invalid_attachment", Meaning::Message),
        ("concurrent_idempotent_requests", Meaning::Undecided),
        ("invalid_idempotent_request", Meaning::Undecided),
    ],
    phrases: &[("only send emails from", Meaning::Configuration), ("own email address", Meaning::Configuration)],
    read: words,
};

struct Resend {
    account: HttpAccount,
    capabilities: Capabilities,
    single: Url,
    batch: Url,
}

struct Settings<'a> {
    api_key: Option<&'a str>,
    http: HttpSettings,
}

fn read(config: &ProviderConfig) -> (Settings<'_>, Vec<Diagnostic>) {
    let mut reader = Reader::new(config);
    let api_key = reader.secret("api_key");
    let defaults = HttpSettings {
        base_url: Url::parse("https://api.resend.com").expect("the address of the API is a URL"),
        batch: 100,
        rate: Some(5.0),
        daily_limit: None,
        in_flight: 8,
        timeout: Duration::from_secs(15),
        idempotency: true,
    };
    let http = HttpSettings::take(&mut reader, defaults);
    (Settings { api_key, http }, reader.finish())
}

fn check(config: &ProviderConfig, _root: &Path) -> Vec<Diagnostic> {
    read(config).1
}

fn connect(config: &ProviderConfig, root: &Path) -> Result<Box<dyn Provider>, ProviderError> {
    let provider = || config.name.clone();
    let (settings, findings) = read(config);
    let (Some(reference), true) = (settings.api_key, findings.is_empty()) else {
        return Err(ProviderError::Settings { provider: provider(), findings });
    };
    let key = Secret::resolve(reference, root).map_err(|source| ProviderError::Secret {
        provider: provider(),
        setting: "api_key",
        source,
    })?;
    let unavailable = |reason| ProviderError::Unavailable { provider: provider(), reason };
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", key.expose().trim()))
        .map_err(|_| unavailable("its api_key holds characters that no key has".to_owned()))?;
    bearer.set_sensitive(true);
    let HttpSettings { base_url, batch, rate, daily_limit, in_flight, timeout, idempotency } = settings.http;
    let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer)]);
    let account = HttpAccount::new(&base_url, headers, in_flight, timeout).map_err(unavailable)?;
    Ok(Box::new(Resend {
        account,
        single: below(&base_url, &["emails"]),
        batch: below(&base_url, &["emails", "batch"]),
        capabilities: Capabilities {
            batch,
            idempotency: idempotency.then_some(IDEMPOTENCY_WINDOW),
            rate,
            daily_limit,
            in_flight,
            timeout,
            leaves_machine: true,
        },
    }))
}

fn below(base: &Url, path: &[&str]) -> Url {
    let mut url = base.clone();
    url.path_segments_mut().expect("http URLs have a path").pop_if_empty().extend(path);
    url
}

#[async_trait]
impl Provider for Resend {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn attempt(&self, attempt: Attempt<'_>) -> Vec<Outcome> {
        let messages = attempt.messages;
        let key = self.capabilities.idempotency.and_then(|_| HeaderValue::from_str(attempt.idempotency_key).ok());
        let mut headers = HeaderMap::new();
        headers.extend(key.map(|key| (HeaderName::from_static("idempotency-key"), key)));
        let single = self.capabilities.batch == 1 && messages.len() == 1;
        if !single {
            headers.insert("x-batch-validation", HeaderValue::from_static("permissive"));
        }
        let url = if single { &self.single } else { &self.batch };
        let exchange = match body(messages, single) {
            Ok(body) => self.account.post(url.clone(), headers, body).await,
            Err(error) => Exchange::NoConnection(format!("the request could not be written: {error}")),
        };
        if let Some(outcome) = verdict(&exchange, &VOCABULARY, messages.len()) {
            return vec![outcome; messages.len()];
        }
        let Exchange::Answer(answer) = exchange else { return vec![silence(); messages.len()] };
        if single { vec![accepted_one(&answer)] } else { accepted_many(&answer, messages.len()) }
    }
}

fn silence() -> Outcome {
    Outcome::Unknown { why: "no answer".to_owned() }
}

fn accepted_one(answer: &Answer) -> Outcome {
    let item = answer.body.as_deref().and_then(|body| serde_json::from_slice::<Item>(body).ok());
    Outcome::Accepted { provider_id: item.map(|item| item.id) }
}

/// An answer about each message: errors name the place of theirs, and the others follow in order.
fn accepted_many(answer: &Answer, size: usize) -> Vec<Outcome> {
    let unreadable = || vec![Outcome::Unknown { why: "status 200 with an answer that does not read".to_owned() }; size];
    let Some(items) = answer.body.as_deref().and_then(|body| serde_json::from_slice::<Items>(body).ok()) else {
        return unreadable();
    };
    let mut outcomes: Vec<Option<Outcome>> = vec![None; size];
    for error in items.errors {
        let Some(slot) = outcomes.get_mut(error.index) else { return unreadable() };
        let words = Words { code: error.name.or(Some("validation_error".to_owned())), text: Some(error.message) };
        *slot = Some(verdict_on_item(answer, &VOCABULARY, &words));
    }
    if outcomes.iter().filter(|slot| slot.is_none()).count() != items.data.len() {
        return unreadable();
    }
    let mut ids = items.data.into_iter();
    let accepted = |id: Option<Item>| Outcome::Accepted { provider_id: id.map(|item| item.id) };
    outcomes.into_iter().map(|slot| slot.unwrap_or_else(|| accepted(ids.next()))).collect()
}

#[derive(Deserialize)]
struct Item {
    id: String,
}

#[derive(Deserialize)]
struct Items {
    #[serde(default)]
    data: Vec<Item>,
    #[serde(default)]
    errors: Vec<ItemError>,
}

#[derive(Deserialize)]
struct ItemError {
    index: usize,
    name: Option<String>,
    #[serde(default)]
    message: String,
}

/// The code and the text of an error, whatever else stands beside them.
fn words(body: &[u8]) -> Words {
    let Ok(error) = serde_json::from_slice::<Value>(body) else { return Words::default() };
    let text = |name: &str| match error.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    };
    Words { code: text("name"), text: text("message").or_else(|| text("error")) }
}

fn body(messages: &[Message], single: bool) -> serde_json::Result<Vec<u8>> {
    let size = messages.iter().map(|message| message.html.len() + message.text.len() + 1_024).sum::<usize>();
    let mut bytes = Vec::with_capacity(size + size / 8);
    if let ([message], true) = (messages, single) {
        push_mail(&mut bytes, message)?;
        return Ok(bytes);
    }
    bytes.push(b'[');
    for (position, message) in messages.iter().enumerate() {
        if position > 0 {
            bytes.push(b',');
        }
        push_mail(&mut bytes, message)?;
    }
    bytes.push(b']');
    Ok(bytes)
}

fn push_mail(bytes: &mut Vec<u8>, message: &Message) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *bytes, &Envelope::of(message))?;
    // The two long texts follow inside the same object.
    bytes.pop();
    for (name, text) in [(&b",\"html\":"[..], &message.html), (b",\"text\":", &message.text)] {
        bytes.extend_from_slice(name);
        json_text::push(bytes, text);
    }
    bytes.push(b'}');
    Ok(())
}

/// A mail without its texts.
#[derive(Serialize)]
struct Envelope<'a> {
    from: Address<'a>,
    to: [Address<'a>; 1],
    subject: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<Address<'a>>,
    #[serde(skip_serializing_if = "Headers::is_empty")]
    headers: Headers<'a>,
    tags: [Tag<'a>; 1],
}

impl<'a> Envelope<'a> {
    fn of(message: &'a Message) -> Self {
        Self {
            from: Address(&message.from),
            to: [Address(&message.to)],
            subject: &message.subject,
            reply_to: message.reply_to.as_ref().map(Address),
            headers: Headers(&message.headers),
            tags: [Tag { name: "delivery_id", value: &message.delivery_id }],
        }
    }
}

#[derive(Serialize)]
struct Tag<'a> {
    name: &'a str,
    value: &'a str,
}

struct Address<'a>(&'a Mailbox);

impl Serialize for Address<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let address = self.0.address.as_str();
        let Some(name) = &self.0.name else { return serializer.serialize_str(address) };
        let mut quoted = String::with_capacity(name.len() + address.len() + 6);
        quoted.push('"');
        for character in one_line(name).chars() {
            if matches!(character, '"' | '\\') {
                quoted.push('\\');
            }
            quoted.push(character);
        }
        serializer.collect_str(&format_args!("{quoted}\" <{address}>"))
    }
}

struct Headers<'a>(&'a [(String, String)]);

impl Headers<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
#[path = "resend_tests.rs"]
mod tests;
