//! The outbox: mails become `.eml` files in a folder, and a page to look at them. Nothing leaves the machine.
//!
//! One file per delivery id, written beside its place and renamed: a second attempt at the same delivery replaces the
//! file by the same bytes, so that nobody gets two. Addresses stand in the mails and the gallery only.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use jiff::Timestamp;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{MultiPart, MultiPartKind, SinglePart, header};

use super::gallery::Gallery;
use super::outbox_folder::{self, write_atomically};
use super::settings::Reader;
use super::{Attempt, Capabilities, Member, Provider, ProviderError, one_line};
use crate::model::{Diagnostic, Fault, Mailbox, Message, Outcome};
use crate::project::ProviderConfig;

/// The family's entry.
pub(super) const MEMBER: Member = Member { kind: "outbox", check, connect };

/// Where mails are written unless `dir` names another folder.
pub(super) const DEFAULT_FOLDER: &str = "outbox";
/// Files are kept until somebody deletes them: a delivery id is honoured for as long as that.
const ALWAYS: Duration = Duration::from_hours(876_000);

struct Outbox {
    folder: PathBuf,
    gallery: Gallery,
    capabilities: Capabilities,
}

fn read(config: &ProviderConfig, root: &Path) -> (PathBuf, Vec<Diagnostic>) {
    let mut reader = Reader::new(config);
    let folder = root.join(reader.folder("dir").unwrap_or(DEFAULT_FOLDER));
    let mut findings = reader.finish();
    if let (true, Some(refused)) = (findings.is_empty(), outbox_folder::refusal(&folder)) {
        let place = config.settings.get("dir").map_or(&config.place, |setting| &setting.value.place);
        let help = "name an empty folder, or one that is not there yet, as `dir:`; runs replace files in it";
        findings.push(Diagnostic::error("foreign-folder", refused, place).with_help(help));
    }
    (folder, findings)
}

fn check(config: &ProviderConfig, root: &Path) -> Vec<Diagnostic> {
    read(config, root).1
}

fn connect(config: &ProviderConfig, root: &Path) -> Result<Box<dyn Provider>, ProviderError> {
    let (folder, findings) = read(config, root);
    if !findings.is_empty() {
        return Err(ProviderError::Settings { provider: config.name.clone(), findings });
    }
    let gallery = Gallery::new(&folder);
    let capabilities = Capabilities {
        batch: 100,
        idempotency: Some(ALWAYS),
        rate: None,
        daily_limit: None,
        in_flight: 2,
        timeout: Duration::from_secs(15),
        leaves_machine: false,
    };
    Ok(Box::new(Outbox { folder, gallery, capabilities }))
}

#[async_trait]
impl Provider for Outbox {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn attempt(&self, attempt: Attempt<'_>) -> Vec<Outcome> {
        let mails: Vec<_> =
            attempt.messages.iter().map(|message| (message.delivery_id.clone(), mime(message))).collect();
        let pages = self.gallery.pages_for(attempt.job, attempt.messages);
        let (folder, size) = (self.folder.clone(), mails.len());
        let written = tokio::task::spawn_blocking(move || {
            // The gallery is a convenience: a page that cannot be written must not hold a mail back.
            let _ = outbox_folder::make(&folder);
            pages.write();
            write_all(&folder, mails)
        });
        written.await.unwrap_or_else(|_| vec![Outcome::Unknown { why: "writing was interrupted".to_owned() }; size])
    }

    async fn finish(&self) -> io::Result<Option<PathBuf>> {
        let gallery = self.gallery.clone();
        tokio::task::spawn_blocking(move || gallery.write_index()).await.map_err(io::Error::other)?
    }
}

/// Writes a batch, then makes the folder's entries durable in one go.
fn write_all(folder: &Path, mails: Vec<(String, Result<Vec<u8>, String>)>) -> Vec<Outcome> {
    let mut outcomes: Vec<_> = mails.into_iter().map(|(id, mail)| write_one(folder, &id, mail)).collect();
    if let Err(error) = std::fs::File::open(folder).and_then(|opened| opened.sync_all()) {
        let why = format!("the outbox folder could not be made durable: {error}");
        for outcome in &mut outcomes {
            if matches!(outcome, Outcome::Accepted { .. }) {
                *outcome = Outcome::Unknown { why: why.clone() };
            }
        }
    }
    outcomes
}

fn write_one(folder: &Path, delivery_id: &str, mail: Result<Vec<u8>, String>) -> Outcome {
    let name = format!("{delivery_id}.eml");
    match mail {
        Err(detail) => Outcome::Rejected { code: "mime".to_owned(), fault: Fault::Message, detail },
        Ok(bytes) => match write_atomically(&folder.join(&name), &bytes) {
            Ok(()) => Outcome::Accepted { provider_id: Some(name) },
            Err(error) => Outcome::NotAccepted { why: format!("the outbox cannot be written: {error}") },
        },
    }
}

/// The mail in RFC 5322 form; everything that is usually random comes from the delivery id.
fn mime(message: &Message) -> Result<Vec<u8>, String> {
    let alternatives = MultiPart::builder()
        .kind(MultiPartKind::Alternative)
        .boundary(format!("milepost-{}", message.delivery_id))
        .singlepart(SinglePart::plain(message.text.clone()))
        .singlepart(SinglePart::html(message.html.clone()));
    let mut builder = lettre::Message::builder()
        .from(mailbox(&message.from)?)
        .to(mailbox(&message.to)?)
        .subject(one_line(&message.subject))
        .date(SystemTime::from(message.date.clamp(Timestamp::UNIX_EPOCH, Timestamp::MAX)))
        .message_id(Some(format!("<{}@milepost.invalid>", message.delivery_id)));
    if let Some(reply_to) = &message.reply_to {
        builder = builder.reply_to(mailbox(reply_to)?);
    }
    for (name, value) in &message.headers {
        let known =
            HeaderName::new_from_ascii(name.clone()).map_err(|_| format!("the header name `{name}` is not valid"))?;
        builder = builder.raw_header(HeaderValue::new(known, one_line(value)));
    }
    let mail = builder.multipart(alternatives).map_err(|error| format!("the mail cannot be written: {error}"))?;
    debug_assert!(mail.headers().get::<header::Date>().is_some());
    Ok(mail.formatted())
}

fn mailbox(mailbox: &Mailbox) -> Result<lettre::message::Mailbox, String> {
    let address = mailbox.address.as_str().parse().map_err(|error| format!("an address cannot be written: {error}"))?;
    Ok(lettre::message::Mailbox::new(mailbox.name.as_deref().map(one_line), address))
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
