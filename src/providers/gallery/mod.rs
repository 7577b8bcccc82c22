//! The pages that show the mails of an outbox: plain HTML and CSS, no script, no network.
//!
//! The newest mails, at most [`SHOWN_MAX`], have a page of their own in `pages/` and stand in `index.html`. A line about
//! every mail is added to `pages/headings.ndjson`, so that older ones are listed on further pages with their `.eml` files,
//! whatever the size of the outbox: at most [`LISTED_MAX`] lines are read.

mod html;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};

use super::outbox_folder::{HEADINGS, INDEX, PAGES, write_atomically};
use crate::model::Message;

/// The most mails with a page of their own, and of one page of the list.
pub(super) const SHOWN_MAX: usize = 500;
/// The most mails that are listed with what they say; older ones by their files alone.
const LISTED_MAX: usize = 20_000;
/// Bytes of headings that are read at most: about that of [`LISTED_MAX`] mails.
const HEADINGS_BYTES_MAX: u64 = 8 << 20;

/// The pages and the index of one outbox folder.
#[derive(Clone)]
pub(super) struct Gallery {
    folder: PathBuf,
    pages: PathBuf,
    written: Arc<AtomicUsize>,
}

/// What the list says of a mail.
#[derive(Clone, Serialize, Deserialize)]
struct Heading {
    delivery_id: String,
    #[serde(default)]
    job: String,
    subject: String,
    to: String,
    from: String,
    date: String,
}

/// Pages that are made and not yet written, with the lines about all their mails.
pub(super) struct Pages {
    folder: PathBuf,
    pages: Vec<(PathBuf, String)>,
    headings: String,
}

impl Pages {
    /// Writes what can be written.
    pub(super) fn write(self) {
        for (path, page) in self.pages {
            let _ = write_atomically(&path, page.as_bytes());
        }
        // One write, so that lines of two processes do not mix.
        let mut options = std::fs::File::options();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let headings = options.open(self.folder.join(HEADINGS));
        let _ = headings.and_then(|mut file| file.write_all(self.headings.as_bytes()));
    }
}

impl Gallery {
    /// The gallery of an outbox folder.
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), pages: folder.join(PAGES), written: Arc::default() }
    }

    /// Pages for those of the messages that the gallery can still show, and lines about all.
    pub(super) fn pages_for(&self, job: &str, messages: &[Message]) -> Pages {
        let before = self.written.fetch_add(messages.len(), Ordering::Relaxed);
        let room = SHOWN_MAX.saturating_sub(before);
        let mut headings = String::new();
        let mut pages = Vec::with_capacity(room.min(messages.len()));
        for (place, message) in messages.iter().enumerate() {
            let line = serde_json::to_string(&heading_of(job, message)).unwrap_or_default();
            headings += &line;
            headings.push('\n');
            if place < room {
                let path = self.pages.join(format!("{}.html", message.delivery_id));
                pages.push((path, page(&line, message)));
            }
        }
        Pages { folder: self.pages.clone(), pages, headings }
    }

    /// Writes `index.html` and the further pages of the list, removes pages of older mails, and returns the index's path;
    /// an outbox without any mail has none.
    pub(super) fn write_index(&self) -> io::Result<Option<PathBuf>> {
        if !self.pages.exists() {
            return Ok(None);
        }
        let mails = mails_in(&self.folder)?;
        let (listed, unlisted) = self.listed(&mails);
        let shown: BTreeSet<&str> = listed.iter().take(SHOWN_MAX).map(|heading| heading.delivery_id.as_str()).collect();
        let with_page = self.keep_pages(&shown)?;
        let jobs: BTreeSet<&str> = listed.iter().map(|heading| heading.job.as_str()).collect();
        let lists: Vec<&[Heading]> = listed.chunks(SHOWN_MAX).collect();
        let list = html::List { jobs: &jobs, mails: mails.len(), pages: lists.len().max(1), with_page: &with_page };
        for (place, headings) in lists.iter().enumerate().skip(1) {
            let is_last = place + 1 == lists.len();
            let page = list.further(place, headings, if is_last { &unlisted } else { &[] });
            write_atomically(&self.pages.join(html::name_of(place)), page.as_bytes())?;
        }
        if lists.len() > 1 {
            for (place, job) in jobs.iter().enumerate() {
                let theirs: Vec<Heading> = listed.iter().filter(|heading| heading.job == *job).cloned().collect();
                write_atomically(&self.pages.join(html::name_of_job(place)), list.of_job(place, &theirs).as_bytes())?;
            }
        }
        let unlisted = if lists.len() > 1 { &[][..] } else { &unlisted };
        let page = self.folder.join(INDEX);
        write_atomically(&page, list.index(lists.first().copied().unwrap_or_default(), unlisted).as_bytes())?;
        Ok(Some(page))
    }

    /// What is known of the mails that still lie in the folder, the newest first, and the ids of the others.
    fn listed(&self, mails: &BTreeSet<String>) -> (Vec<Heading>, Vec<String>) {
        let mut seen = BTreeSet::new();
        let mut listed: Vec<Heading> = Vec::new();
        // The last line about a mail is the one that counts: a second attempt writes the same again.
        for line in newest_lines(&self.pages.join(HEADINGS)).lines().rev() {
            let Ok(heading) = serde_json::from_str::<Heading>(line) else { continue };
            if listed.len() < LISTED_MAX && mails.contains(&heading.delivery_id) && !seen.contains(&heading.delivery_id)
            {
                seen.insert(heading.delivery_id.clone());
                listed.push(heading);
            }
        }
        // Of one minute, those with a page first: a run writes no more of them than are shown.
        let has_page = |heading: &Heading| self.pages.join(format!("{}.html", heading.delivery_id)).is_file();
        listed.sort_by_cached_key(|heading| {
            (Reverse(heading.date.clone()), !has_page(heading), heading.subject.clone(), heading.delivery_id.clone())
        });
        let unlisted = mails.iter().filter(|id| !seen.contains(*id)).take(LISTED_MAX).cloned().collect();
        (listed, unlisted)
    }

    /// Removes the pages of mails that are not shown, and of lists that are written anew; returns the ids of the others.
    fn keep_pages(&self, shown: &BTreeSet<&str>) -> io::Result<BTreeSet<String>> {
        let mut kept = BTreeSet::new();
        for entry in std::fs::read_dir(&self.pages)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(id) = name.strip_suffix(".html") else { continue };
            if shown.contains(id) {
                kept.insert(id.to_owned());
            } else if is_ours(id) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(kept)
    }
}

/// Whether a page is a mail's or a list's, by its name: other files in the folder are left alone.
fn is_ours(stem: &str) -> bool {
    let is_id = stem.len() == 32 && stem.bytes().all(|byte| byte.is_ascii_hexdigit());
    let numbered = stem.strip_prefix("list-").or_else(|| stem.strip_prefix("job-"));
    is_id || numbered.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The last whole lines of a file, as far as they are read.
fn newest_lines(path: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = std::fs::File::open(path)?;
        let length = file.metadata()?.len();
        let start = length.saturating_sub(HEADINGS_BYTES_MAX);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(HEADINGS_BYTES_MAX).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(if start == 0 { text } else { text.split_once('\n').map_or_else(String::new, |(_, rest)| rest.to_owned()) })
    };
    read().unwrap_or_default()
}

/// The ids of the mails in a folder.
fn mails_in(folder: &Path) -> io::Result<BTreeSet<String>> {
    let mut mails = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        mails.extend(name.to_str().and_then(|name| name.strip_suffix(".eml")).map(str::to_owned));
    }
    Ok(mails)
}

/// The files of an outbox folder that hold these mails.
pub(super) fn files_of(folder: &Path, delivery_ids: &[String]) -> Vec<PathBuf> {
    let files = delivery_ids
        .iter()
        .flat_map(|id| [folder.join(format!("{id}.eml")), folder.join("pages").join(format!("{id}.html"))]);
    files.filter(|file| file.is_file()).collect()
}

fn heading_of(job: &str, message: &Message) -> Heading {
    let shown = |mailbox: &crate::model::Mailbox| match &mailbox.name {
        Some(name) => format!("{name} <{}>", mailbox.address.as_str()),
        None => mailbox.address.as_str().to_owned(),
    };
    Heading {
        delivery_id: message.delivery_id.clone(),
        job: job.to_owned(),
        subject: shortened(&message.subject),
        to: shown(&message.to),
        from: shown(&message.from),
        date: message.date.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    }
}

/// A mail's HTML behind a byte order mark (files have no charset header) and its heading as a comment.
fn page(heading: &str, message: &Message) -> String {
    // Inside JSON strings these two may stand as escapes; bare, they could end the comment.
    let json = heading.replace('-', "\\u002d").replace('>', "\\u003e");
    format!("\u{feff}<!--{json}-->\n{}", message.html)
}

fn shortened(subject: &str) -> String {
    match subject.char_indices().nth(200) {
        Some((at, _)) => format!("{}…", &subject[..at]),
        None => subject.to_owned(),
    }
}
