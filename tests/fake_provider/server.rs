//! Requests, keys and answers.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, VecDeque};
use std::hash::{Hash as _, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Failure;
use crate::faults::{Fault, Faults};
use crate::journal::Journal;
use crate::options::Options;
use crate::validation::{BATCH_MAX, key_is_valid, refusal};

/// Everything the fake remembers.
pub(crate) struct FakeProvider {
    honour_keys: bool,
    key_lifetime: Duration,
    strict: bool,
    delay: Duration,
    limit: Option<usize>,
    /// When requests were let through, over the last second.
    recent: Mutex<VecDeque<Instant>>,
    faults: Faults,
    journal: Journal,
    struck: Journal,
    keys: Mutex<HashMap<String, Key>>,
    requests: AtomicU64,
    accepted: AtomicU64,
    next_id: AtomicU64,
}

/// What a key was used for: the body's hash, since when, and the answer once there is one.
struct Key {
    body: u64,
    since: Instant,
    answer: Option<String>,
}

struct Request {
    get: bool,
    path: String,
    key: Option<String>,
    authorised: bool,
    /// The client's secret, which some errors repeat.
    bearer: String,
    /// Whether the good messages of a batch are to be taken without the bad ones.
    permissive: bool,
    body: Vec<u8>,
}

/// What goes over the wire.
enum Reply {
    Whole { status: u16, headers: String, body: String },
    Truncated(String),
    Dripped(String),
    Reset,
    Silence,
}

impl FakeProvider {
    /// A fake with its journal open.
    pub(crate) fn open(options: Options) -> Result<Self, Failure> {
        Ok(Self {
            honour_keys: options.honour_keys,
            key_lifetime: options.key_lifetime,
            strict: options.strict,
            delay: options.delay,
            limit: options.limit,
            recent: Mutex::default(),
            faults: options.faults,
            journal: Journal::open(options.log.as_deref())?,
            struck: Journal::open(options.struck.as_deref())?,
            keys: Mutex::default(),
            requests: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            next_id: AtomicU64::new(1),
        })
    }

    /// No fault strikes any more.
    pub(crate) fn calm(&self) {
        self.faults.calm();
    }

    /// Serves one connection to its end.
    pub(crate) async fn connection(self: Arc<Self>, mut stream: TcpStream) {
        let mut waiting = Vec::new();
        if speaks_tls(&stream).await {
            // An alert that no handshake gets past.
            let _ = stream.write_all(&[0x15, 3, 3, 0, 2, 2, 40]).await;
            return;
        }
        while let Some(request) = read(&mut stream, &mut waiting).await {
            // In a task of its own: once a request has arrived, a client that goes away no longer changes its fate.
            let provider = Arc::clone(&self);
            let Ok(reply) = tokio::spawn(async move { provider.answer(request).await }).await else { return };
            if !write(&mut stream, reply).await {
                return;
            }
        }
    }

    async fn answer(&self, request: Request) -> Reply {
        if request.get {
            let (requests, accepted) = (self.requests.load(Ordering::SeqCst), self.accepted.load(Ordering::SeqCst));
            return whole(200, json!({"requests": requests, "accepted": accepted}));
        }
        self.requests.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(self.delay).await;
        if !request.authorised {
            return error(401, "missing_api_key", "Missing API key in the authorization header");
        }
        let batch = request.path.ends_with("/emails/batch");
        if !batch && !request.path.ends_with("/emails") {
            return error(404, "not_found", "The requested endpoint does not exist");
        }
        let Some(messages) = messages(&request.body, batch) else {
            return error(422, "validation_error", "The body is not valid");
        };
        if request.key.as_ref().is_some_and(|key| !key_is_valid(key)) {
            return error(400, "invalid_idempotency_key", "The key must be between 1-256 chars.");
        }
        if !self.has_room() {
            return throttled("rate_limit_exceeded", "retry-after: 1\r\n");
        }
        self.decide(&request, batch, messages).await
    }

    /// Whether the limit of requests in any second leaves room for one more, which is then taken.
    fn has_room(&self) -> bool {
        let Some(limit) = self.limit else { return true };
        let (now, mut recent) = (now(), self.recent.lock().expect("nobody panics holding it"));
        while recent.front().is_some_and(|first| now.duration_since(*first) >= Duration::from_secs(1)) {
            recent.pop_front();
        }
        let room = recent.len() < limit;
        if room {
            recent.push_back(now);
        }
        room
    }

    async fn decide(&self, request: &Request, batch: bool, messages: Vec<Value>) -> Reply {
        if let Some(earlier) = self.claim(request) {
            return earlier;
        }
        let fault = self.faults.draw();
        if let Some(fault) = fault {
            let struck =
                json!({"fault": fault.name(), "deliveries": messages.iter().map(delivery_id).collect::<Vec<_>>()});
            self.struck.append(line(&struck)).await;
        }
        if fault.is_some_and(|fault| !fault.accepts()) {
            self.forget(request);
            return struck(fault.expect("asked above"), &messages, &request.bearer);
        }
        let (taken, errors) = sorted(&messages, batch);
        let whole = !(batch && request.permissive) || self.strict;
        if let (true, Some(first)) = (whole, errors.first()) {
            self.forget(request);
            return error(422, "validation_error", first["message"].as_str().unwrap_or_default());
        }
        let size = if fault == Some(Fault::PartialBatch) { taken.len().div_ceil(2) } else { taken.len() };
        let ids = self.accept(&taken[..size], request.key.as_deref()).await;
        let mut body = if batch {
            json!({"data": ids.iter().map(|id| json!({"id": id})).collect::<Vec<_>>()})
        } else {
            json!({"id": ids[0]})
        };
        if !errors.is_empty() {
            body["errors"] = errors.into();
        }
        let body = body.to_string();
        self.remember(request, &body);
        match fault {
            Some(Fault::AcceptThenTimeOut) => Reply::Silence,
            Some(Fault::AcceptThenReset) => Reply::Reset,
            Some(Fault::AcceptThen500) => error(500, "internal_server_error", "Something went wrong"),
            Some(Fault::Truncated200) => Reply::Truncated(body),
            Some(Fault::SlowDrip) => Reply::Dripped(body),
            _ => Reply::Whole { status: 200, headers: String::new(), body },
        }
    }

    /// Takes the key for this request, or answers from what the key was used for.
    fn claim(&self, request: &Request) -> Option<Reply> {
        let name = request.key.as_ref().filter(|_| self.honour_keys)?;
        let body = hash(&request.body);
        let mut keys = self.keys.lock().expect("nobody panics holding the keys");
        let now = now();
        match keys.get(name).filter(|key| now.duration_since(key.since) < self.key_lifetime) {
            None => {
                keys.insert(name.clone(), Key { body, since: now, answer: None });
                None
            }
            Some(key) if key.body != body => {
                Some(error(409, "invalid_idempotent_request", "This key was used with another payload"))
            }
            Some(Key { answer: None, .. }) => {
                Some(error(409, "concurrent_idempotent_requests", "A request with this key is under way"))
            }
            Some(Key { answer: Some(answer), .. }) => {
                Some(Reply::Whole { status: 200, headers: String::new(), body: answer.clone() })
            }
        }
    }

    fn forget(&self, request: &Request) {
        if let Some(name) = &request.key {
            self.keys.lock().expect("nobody panics holding the keys").remove(name);
        }
    }

    fn remember(&self, request: &Request, answer: &str) {
        let mut keys = self.keys.lock().expect("nobody panics holding the keys");
        if let Some(key) = request.key.as_ref().and_then(|name| keys.get_mut(name)) {
            key.answer = Some(answer.to_owned());
        }
    }

    /// Takes responsibility: durable in the journal when this returns.
    async fn accept(&self, messages: &[&Value], key: Option<&str>) -> Vec<String> {
        let mut lines = Vec::new();
        let mut ids = Vec::with_capacity(messages.len());
        for message in messages {
            let id = format!("fake-{:08}", self.next_id.fetch_add(1, Ordering::SeqCst));
            lines.extend(line(&json!({
                "id": id, "delivery_id": delivery_id(message), "to": message["to"][0], "key": key,
                "subject": message["subject"], "html": small(&message["html"]), "text": small(&message["text"]),
                "at_us": microseconds(),
            })));
            ids.push(id);
        }
        self.journal.append(lines).await;
        self.accepted.fetch_add(messages.len() as u64, Ordering::SeqCst);
        ids
    }
}

/// The tag by which the sender knows a message.
fn delivery_id(message: &Value) -> &Value {
    let tags = message["tags"].as_array().map_or(&[][..], Vec::as_slice);
    tags.iter().find(|tag| tag["name"] == "delivery_id").map_or(&Value::Null, |tag| &tag["value"])
}

/// A text as the journal keeps it: whole when it is small, else its length.
fn small(text: &Value) -> Value {
    text.as_str().filter(|text| text.len() > 4_096).map_or(text.clone(), |text| text.len().into())
}

fn line(value: &Value) -> Vec<u8> {
    (value.to_string() + "\n").into_bytes()
}

#[expect(clippy::disallowed_methods, reason = "a witness has a clock of its own")]
fn microseconds() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Whether the client opens with a TLS handshake, which the fake does not speak.
async fn speaks_tls(stream: &TcpStream) -> bool {
    let mut first = [0];
    matches!(stream.peek(&mut first).await, Ok(1)) && first == [0x16]
}

/// The messages that are taken, and an error with its place for each of the others.
fn sorted(messages: &[Value], batch: bool) -> (Vec<&Value>, Vec<Value>) {
    let (mut taken, mut errors) = (Vec::new(), Vec::new());
    for (index, message) in messages.iter().enumerate() {
        match refusal(message, batch) {
            None => taken.push(message),
            Some(words) => errors.push(json!({"index": index, "message": words})),
        }
    }
    (taken, errors)
}

#[expect(clippy::disallowed_methods, reason = "the fake shares no code with the library, its clock neither")]
fn now() -> Instant {
    Instant::now()
}

fn struck(fault: Fault, messages: &[Value], bearer: &str) -> Reply {
    let to = messages[0]["to"][0].as_str().unwrap_or_default();
    match fault {
        Fault::Reject422 => error(422, "validation_error", &format!("Invalid `to` field: {to}")),
        Fault::Throttle429 => throttled("rate_limit_exceeded", "retry-after: 0.05\r\n"),
        Fault::Quota429 => throttled("daily_quota_exceeded", "retry-after: 3600\r\n"),
        Fault::Unauthorized401 => error(401, "invalid_api_key", &format!("API key {bearer} is invalid")),
        Fault::BadKey400 => error(400, "validation_error", "API key is invalid"),
        Fault::Domain422 => error(
            422,
            "validation_error",
            "The acme.test domain is not verified. Please, add and verify your domain on https://resend.com/domains",
        ),
        Fault::Testing403 => error(
            403,
            "validation_error",
            "You can only send testing emails to your own email address (owner@example.test). To send emails to other \
             recipients, please verify a domain at resend.com/domains",
        ),
        Fault::Odd422 => error(422, "unheard_of", "Computer says no"),
        Fault::Redirect => {
            let headers = "location: http://127.0.0.1:9/\r\n".to_owned();
            Reply::Whole { status: 307, headers, body: String::new() }
        }
        _ => error(503, "service_unavailable", "Come back later"),
    }
}

fn throttled(name: &str, headers: &str) -> Reply {
    let body = json!({"statusCode": 429, "name": name, "message": "Too many requests"}).to_string();
    Reply::Whole { status: 429, headers: headers.to_owned(), body }
}

fn error(status: u16, name: &str, message: &str) -> Reply {
    whole(status, json!({"statusCode": status, "name": name, "message": message}))
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn whole(status: u16, body: Value) -> Reply {
    Reply::Whole { status, headers: String::new(), body: body.to_string() }
}

fn messages(body: &[u8], batch: bool) -> Option<Vec<Value>> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let messages = if batch { value.as_array()?.clone() } else { vec![value] };
    (!messages.is_empty() && messages.len() <= BATCH_MAX).then_some(messages)
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// The next whole request; `None` when the client is gone or speaks something else.
async fn read(stream: &mut TcpStream, waiting: &mut Vec<u8>) -> Option<Request> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Request::new(&mut headers);
        if let httparse::Status::Complete(head) = parsed.parse(waiting).ok()? {
            let header = |name: &str| {
                let found = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
                std::str::from_utf8(found.value).ok()
            };
            let length: usize = header("content-length").map_or(Ok(0), str::parse).ok()?;
            if waiting.len() >= head + length {
                let bearer = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
                let agent = header("user-agent").is_some_and(|agent| !agent.is_empty());
                let request = Request {
                    get: parsed.method == Some("GET"),
                    path: parsed.path?.to_owned(),
                    key: header("idempotency-key").map(str::to_owned),
                    authorised: agent && bearer.is_some(),
                    bearer: bearer.unwrap_or_default().to_owned(),
                    permissive: header("x-batch-validation") == Some("permissive"),
                    body: waiting[head..head + length].to_vec(),
                };
                waiting.drain(..head + length);
                return Some(request);
            }
        }
        if stream.read_buf(waiting).await.ok()? == 0 {
            return None;
        }
    }
}

/// Writes an answer; false when the connection is over.
async fn write(stream: &mut TcpStream, reply: Reply) -> bool {
    let head = |status: u16, headers: &str, length: usize| {
        format!("HTTP/1.1 {status} Fake\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n")
    };
    match reply {
        Reply::Whole { status, headers, body } => {
            let bytes = head(status, &headers, body.len()) + &body;
            stream.write_all(bytes.as_bytes()).await.is_ok()
        }
        Reply::Truncated(body) => {
            let bytes = head(200, "", body.len()) + &body[..body.len() / 2];
            let _ = stream.write_all(bytes.as_bytes()).await;
            false
        }
        Reply::Dripped(body) => {
            let bytes = head(200, "", body.len()) + &body;
            for byte in bytes.bytes() {
                if stream.write_all(&[byte]).await.is_err() {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            true
        }
        Reply::Reset => {
            // With unread time to linger of zero, closing sends a reset.
            let _ = stream.set_zero_linger();
            false
        }
        Reply::Silence => {
            let mut ignored = [0; 1];
            let _ = stream.read(&mut ignored).await;
            false
        }
    }
}
