//! One HTTP attempt: never retried, never redirected, and its end is told apart by what it proves.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jiff::fmt::rfc2822;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Response, redirect};
use url::Url;

use super::settings::is_loopback;
use crate::clock::Clock;

/// Below the idle timeout of any provider's server, so that a request never meets a connection that is being closed.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// Far above the answer to the largest batch.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum Exchange {
    /// No connection was made: proof that nothing was accepted.
    NoConnection(String),
    /// The request may have arrived and nothing was answered.
    Silence(String),
    /// A status was read.
    Answer(Answer),
}

/// What a provider answered.
#[derive(Debug)]
pub(super) struct Answer {
    /// The HTTP status.
    pub(super) status: u16,
    /// The delay the provider asked for.
    pub(super) retry_after: Option<Duration>,
    /// The body; `None` when it broke off, came too slowly or was too large.
    pub(super) body: Option<Bytes>,
}

/// A client for one provider account.
pub(super) struct HttpAccount {
    client: Client,
}

impl HttpAccount {
    /// A client that sends `headers` with every request and keeps at most `in_flight` idle connections.
    pub(super) fn new(base: &Url, headers: HeaderMap, in_flight: usize, timeout: Duration) -> Result<Self, String> {
        // One request per connection: a reset leaves one request in doubt and not all of them.
        let builder = Client::builder()
            .http1_only()
            .retry(reqwest::retry::never())
            .redirect(redirect::Policy::none())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(in_flight)
            .tcp_nodelay(true)
            .connect_timeout(timeout / 2)
            .timeout(timeout)
            .user_agent(concat!("milepost/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers);
        let builder = if is_loopback(base) { builder.no_proxy() } else { builder };
        builder.build().map(|client| Self { client }).map_err(|error| words(&error))
    }

    /// Posts a JSON body once.
    pub(super) async fn post(&self, url: Url, headers: HeaderMap, body: Vec<u8>) -> Exchange {
        let request = self.client.post(url).headers(headers);
        let request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match request.body(body).send().await {
            Ok(response) => Exchange::Answer(read(response).await),
            Err(error) if error.is_connect() || error.is_builder() => {
                Exchange::NoConnection(format!("no connection: {}", words(&error)))
            }
            Err(error) if error.is_timeout() => Exchange::Silence("no answer in time".to_owned()),
            Err(error) => Exchange::Silence(format!("no answer: {}", words(&error))),
        }
    }
}

async fn read(mut response: Response) -> Answer {
    let status = response.status().as_u16();
    let retry_after = stated_delay(response.headers());
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_BYTES_MAX => body.extend_from_slice(&chunk),
            Ok(None) => return Answer { status, retry_after, body: Some(body.freeze()) },
            Ok(Some(_)) | Err(_) => return Answer { status, retry_after, body: None },
        }
    }
}

fn stated_delay(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    text("retry-after")
        .and_then(|value| delay_of(value, Clock::System))
        .or_else(|| text("ratelimit-reset").and_then(|value| delay_of(value, Clock::System)))
}

/// Seconds, or the time until an HTTP date.
fn delay_of(value: &str, clock: Clock) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let instant = rfc2822::DateTimeParser::new().parse_timestamp(value.trim()).ok()?;
    Some(Duration::try_from(instant.duration_since(clock.now())).unwrap_or(Duration::ZERO))
}

/// The innermost cause without the URL: the outer ones only say that a request failed.
fn words(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if std::ptr::addr_eq(cause, std::ptr::from_ref(error)) {
        return "the request failed".to_owned();
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_seconds_or_dates() {
        let clock = Clock::Fixed("2026-11-21T10:00:00Z".parse().expect("an instant"));
        let cases = [
            ("2", Some(Duration::from_secs(2))),
            ("0.5", Some(Duration::from_millis(500))),
            ("Sat, 21 Nov 2026 10:00:30 GMT", Some(Duration::from_secs(30))),
            ("Sat, 21 Nov 2026 09:00:00 GMT", Some(Duration::ZERO)),
            ("-1", None),
            ("1e300", None),
            ("soon", None),
        ];
        for (value, expected) in cases {
            assert_eq!(delay_of(value, clock), expected, "{value}");
        }
    }
}
