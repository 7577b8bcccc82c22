//! Settings of providers as typed values: every finding has its place, and unknown keys are refused.
//!
//! Reads what YAML holds and never the environment: secrets stay references until a provider connects.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;
use url::{Host, Url};

use crate::model::diagnostic::{Diagnostic, Located, did_you_mean};
use crate::project::{ProviderConfig, Setting};
use crate::settings::is_host_allowed;

/// An answer must come within a run's lease, of which a heartbeat may already have used a third.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Takes settings out of a provider's entry one by one and collects what is wrong with them.
pub(super) struct Reader<'a> {
    config: &'a ProviderConfig,
    taken: Vec<&'static str>,
    findings: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    /// Nothing taken yet.
    pub(super) fn new(config: &'a ProviderConfig) -> Self {
        Self { config, taken: Vec::new(), findings: Vec::new() }
    }

    /// All findings, with one for each setting that nobody took.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        for (name, setting) in &self.config.settings {
            if !self.taken.contains(&name.as_str()) {
                let message = format!("the provider `{}` has no setting `{name}`", self.config.kind.value);
                let advice = did_you_mean(name, self.taken.iter().copied())
                    .unwrap_or_else(|| format!("known are {}", listed(&self.taken)));
                self.findings.push(Diagnostic::error("unknown-key", message, &setting.key).with_help(advice));
            }
        }
        self.findings
    }

    /// A text, where the setting is there.
    pub(super) fn text(&mut self, name: &'static str) -> Option<Located<&'a str>> {
        let setting = self.take(name)?;
        match &setting.value.value {
            Value::String(text) => Some(Located::new(text.as_str(), setting.value.place.clone())),
            _ => self.wrong(setting, name, "a text"),
        }
    }

    /// A folder's path, not empty.
    pub(super) fn folder(&mut self, name: &'static str) -> Option<&'a str> {
        let text = self.text(name)?;
        if text.value.trim().is_empty() || text.value.contains('\0') {
            self.findings.push(Diagnostic::error("wrong-value", format!("`{name}` must name a folder"), &text.place));
            return None;
        }
        Some(text.value)
    }

    /// A reference to a secret; the setting must be there.
    pub(super) fn secret(&mut self, name: &'static str) -> Option<&'a str> {
        if !self.config.settings.contains_key(name) {
            self.taken.push(name);
            let message = format!("the provider `{}` needs `{name}`", self.config.name);
            let finding = Diagnostic::error("missing-key", message, &self.config.place);
            self.findings.push(finding.with_help(format!("add `{name}: \"env:NAME\"` or `{name}: \"file:PATH\"`")));
            return None;
        }
        let text = self.text(name)?;
        let named =
            ["env:", "file:"].iter().any(|prefix| text.value.len() > prefix.len() && text.value.starts_with(prefix));
        if !named {
            let message = format!("`{name}` is a secret and must not stand here as plain text");
            let finding = Diagnostic::error("plain-secret", message, &text.place);
            self.findings
                .push(finding.with_help("write `env:NAME` or `file:PATH`, and change the secret if it was committed"));
            return None;
        }
        Some(text.value)
    }

    /// A whole number from 1 to `most`.
    pub(super) fn count(&mut self, name: &'static str, most: usize) -> Option<usize> {
        let setting = self.take(name)?;
        let number = setting.value.value.as_u64().and_then(|number| usize::try_from(number).ok());
        match number {
            Some(number) if (1..=most).contains(&number) => Some(number),
            _ => self.wrong(setting, name, &format!("a whole number from 1 to {most}")),
        }
    }

    /// True or false.
    pub(super) fn boolean(&mut self, name: &'static str) -> Option<bool> {
        let setting = self.take(name)?;
        match setting.value.value {
            Value::Bool(value) => Some(value),
            _ => self.wrong(setting, name, "`true` or `false`"),
        }
    }

    /// Requests per second: `5 per second`, `300 per minute`, or `unlimited` for no limit.
    pub(super) fn rate(&mut self, name: &'static str) -> Option<Option<f64>> {
        let setting = self.take(name)?;
        match setting.value.value.as_str().and_then(parse_rate) {
            Some(rate) => Some(rate),
            None => self.wrong(setting, name, "such as `5 per second`, `300 per minute` or `unlimited`"),
        }
    }

    /// How long to wait for an answer: seconds as a number, or such as `15 seconds`.
    pub(super) fn timeout(&mut self, name: &'static str) -> Option<Duration> {
        let setting = self.take(name)?;
        let parsed = match &setting.value.value {
            Value::String(text) => text.parse::<SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok()),
            Value::Number(number) => number.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            _ => None,
        };
        match parsed {
            Some(wait) if wait >= Duration::from_millis(100) && wait <= LONGEST_TIMEOUT => Some(wait),
            _ => self.wrong(setting, name, "such as `15 seconds`, at most 20 seconds"),
        }
    }

    /// An address to which paths are added: https, or plain http on this machine only.
    ///
    /// The provider's secret goes there, so it is the provider's `own` host, this machine, or a host that whoever starts
    /// the process allowed.
    pub(super) fn base_url(&mut self, name: &'static str, own: &Url) -> Option<Url> {
        let text = self.text(name)?;
        let url = Url::parse(text.value).ok().filter(|url| url.host().is_some() && url.query().is_none());
        if let Some(url) =
            url.as_ref().filter(|url| url.scheme() == "https" && !is_loopback(url) && url.host() != own.host())
        {
            let host = url.host_str().unwrap_or_default();
            if !is_host_allowed(host) {
                let message = format!("`{name}` would show the provider's key to `{host}`, which is not the provider");
                let finding = Diagnostic::error("host-not-allowed", message, &text.place);
                let help = format!("allow it where milepost starts: `--allow-host {host}`, or MILEPOST_ALLOW_HOSTS");
                self.findings.push(finding.with_help(help));
                return None;
            }
        }
        match url {
            Some(url) if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)) => Some(url),
            Some(url) if url.scheme() == "http" => {
                let message = format!("`{name}` must be https: the key would cross the network readable by anybody");
                self.findings.push(Diagnostic::error("wrong-value", message, &text.place));
                None
            }
            _ => {
                let message = format!("`{name}` must be a URL such as `https://api.example.test`");
                self.findings.push(Diagnostic::error("wrong-value", message, &text.place));
                None
            }
        }
    }

    fn take(&mut self, name: &'static str) -> Option<&'a Setting> {
        self.taken.push(name);
        self.config.settings.get(name)
    }

    fn wrong<T>(&mut self, setting: &Setting, name: &str, expected: &str) -> Option<T> {
        let message = format!("`{name}` must be {expected}");
        self.findings.push(Diagnostic::error("wrong-type", message, &setting.value.place));
        None
    }
}

/// What the settings of every HTTP provider have in common.
#[derive(Clone, Debug)]
pub(super) struct HttpSettings {
    /// Where the API is.
    pub(super) base_url: Url,
    /// Messages of one request.
    pub(super) batch: usize,
    /// Requests per second.
    pub(super) rate: Option<f64>,
    /// Messages of one day in UTC.
    pub(super) daily_limit: Option<u64>,
    /// Requests under way at once.
    pub(super) in_flight: usize,
    /// The longest wait for an answer.
    pub(super) timeout: Duration,
    /// Whether the provider honours a key.
    pub(super) idempotency: bool,
}

impl HttpSettings {
    /// Takes the shared settings, keeping the provider's defaults for the rest; `batch` of the defaults is the most.
    pub(super) fn take(reader: &mut Reader<'_>, defaults: Self) -> Self {
        Self {
            base_url: reader.base_url("base_url", &defaults.base_url).unwrap_or(defaults.base_url),
            batch: reader.count("batch", defaults.batch).unwrap_or(defaults.batch),
            rate: reader.rate("rate").unwrap_or(defaults.rate),
            daily_limit: reader
                .count("daily_limit", 1_000_000_000)
                .map_or(defaults.daily_limit, |count| Some(count as u64)),
            in_flight: reader.count("in_flight", 1_000).unwrap_or(defaults.in_flight),
            timeout: reader.timeout("timeout").unwrap_or(defaults.timeout),
            idempotency: reader.boolean("idempotency").unwrap_or(defaults.idempotency),
        }
    }
}

/// Whether a URL stays on this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn parse_rate(text: &str) -> Option<Option<f64>> {
    if text.trim() == "unlimited" {
        return Some(None);
    }
    let (number, unit) = text.split_once(" per ")?;
    let seconds = match unit.trim() {
        "second" => 1.0,
        "minute" => 60.0,
        "hour" => 3_600.0,
        _ => return None,
    };
    let rate = number.trim().parse::<f64>().ok()? / seconds;
    (rate.is_finite() && (0.001..=1_000_000.0).contains(&rate)).then_some(Some(rate))
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_read_as_people_write_them() {
        let cases = [
            ("5 per second", Some(Some(5.0))),
            ("300 per minute", Some(Some(5.0))),
            ("0.5 per second", Some(Some(0.5))),
            ("unlimited", Some(None)),
            ("0 per second", None),
            ("-1 per second", None),
            ("NaN per second", None),
            ("5/s", None),
            ("5 per fortnight", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_rate(text), expected, "{text}");
        }
    }

    #[test]
    fn loopback_is_told_from_names_that_look_like_it() {
        for (text, expected) in [
            ("http://127.0.0.1:80", true),
            ("http://[::1]:80", true),
            ("http://localhost", true),
            ("http://localhost.example.test", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(text).expect("a URL")), expected, "{text}");
        }
    }
}
