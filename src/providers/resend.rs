//! Resend: single and batch requests, with an idempotency key that is honoured for 24 hours.
//!
//! A batch is accepted or refused whole. `concurrent_idempotent_requests` and `invalid_idempotent_request` both say
//! that an earlier request used the key, and not what became of it: the outcome stays unknown.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use url::Url;

use super::http::{Answer, Exchange, HttpAccount};
use super::json_text;
use super::settings::{HttpSettings, Reader};
use super::verdict::{Meaning, Words, verdict, without_addresses};
use super::{Attempt, Capabilities, Member, Provider, ProviderError, one_line};
use crate::model::{Diagnostic, Fault, Mailbox, Message, Outcome};
use crate::project::ProviderConfig;
use crate::settings::Secret;

/// The family's entry.
pub(super) const MEMBER: Member = Member { kind: "resend", check, connect };

const IDEMPOTENCY_WINDOW: Duration = Duration::from_hours(24);

const CODES: &[(&str, Meaning)] = &[
    ("rate_limit_exceeded", Meaning::Throttled),
    ("daily_quota_exceeded", Meaning::Configuration),
    ("monthly_quota_exceeded", Meaning::Configuration),
    ("missing_api_key", Meaning::Configuration),
    ("invalid_api_key", Meaning::Configuration),
    ("restricted_api_key", Meaning::Configuration),
    ("invalid_from_address", Meaning::Configuration),
    ("not_found", Meaning::Configuration),
    ("method_not_allowed", Meaning::Configuration),
    ("concurrent_idempotent_requests", Meaning::Undecided),
    ("invalid_idempotent_request", Meaning::Undecided),
];

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

fn check(config: &ProviderConfig) -> Vec<Diagnostic> {
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
        let key = key.map(|key| (HeaderName::from_static("idempotency-key"), key));
        let single = self.capabilities.batch == 1 && messages.len() == 1;
        let url = if single { &self.single } else { &self.batch };
        let exchange = match body(messages, single) {
            Ok(body) => self.account.post(url.clone(), key, body).await,
            Err(error) => Exchange::NoConnection(format!("the request could not be written: {error}")),
        };
        if let Some(outcome) = verdict(&exchange, CODES, words) {
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

fn accepted_many(answer: &Answer, size: usize) -> Vec<Outcome> {
    let unreadable = || vec![Outcome::Unknown { why: "status 200 with an answer that does not read".to_owned() }; size];
    let Some(items) = answer.body.as_deref().and_then(|body| serde_json::from_slice::<Items>(body).ok()) else {
        return unreadable();
    };
    let mut outcomes: Vec<Option<Outcome>> = vec![None; size];
    for error in items.errors {
        let Some(slot) = outcomes.get_mut(error.index) else { return unreadable() };
        let detail = without_addresses(&error.message);
        *slot = Some(Outcome::Rejected { code: "validation_error".to_owned(), fault: Fault::Message, detail });
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
    data: Vec<Item>,
    #[serde(default)]
    errors: Vec<ItemError>,
}

#[derive(Deserialize)]
struct ItemError {
    index: usize,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Refusal {
    name: Option<String>,
    message: Option<String>,
}

fn words(body: &[u8]) -> Words {
    serde_json::from_slice::<Refusal>(body)
        .map_or_else(|_| Words::default(), |refusal| Words { code: refusal.name, text: refusal.message })
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
