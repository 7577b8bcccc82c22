//! The page that shows the newest mails of an outbox: plain HTML and CSS, no script, no network.
//!
//! Every mail shown has a page of its own in `pages/` that opens with a comment holding what the list says, so that the
//! index is rebuilt from at most [`SHOWN_MAX`] first lines, whatever the size of the outbox.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::outbox_folder::{INDEX, PAGES, write_atomically};
use crate::model::Message;

/// The most mails the gallery shows.
pub(super) const SHOWN_MAX: usize = 500;

/// A first line longer than this is not ours.
const HEADING_BYTES_MAX: u64 = 64 * 1024;

/// The pages and the index of one outbox folder.
#[derive(Clone)]
pub(super) struct Gallery {
    folder: PathBuf,
    pages: PathBuf,
    written: Arc<AtomicUsize>,
}

/// What the list says of a mail.
#[derive(Serialize, Deserialize)]
struct Heading {
    delivery_id: String,
    subject: String,
    to: String,
    from: String,
    date: String,
}

/// Pages that are made and not yet written.
pub(super) struct Pages(Vec<(PathBuf, String)>);

impl Pages {
    /// Writes what can be written.
    pub(super) fn write(self) {
        for (path, page) in self.0 {
            let _ = write_atomically(&path, page.as_bytes());
        }
    }
}

impl Gallery {
    /// The gallery of an outbox folder.
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), pages: folder.join(PAGES), written: Arc::default() }
    }

    /// Pages for those of the messages that the gallery can still show.
    pub(super) fn pages_for(&self, messages: &[Message]) -> Pages {
        let before = self.written.fetch_add(messages.len(), Ordering::Relaxed);
        let room = SHOWN_MAX.saturating_sub(before);
        let page_of = |message: &Message| (self.pages.join(format!("{}.html", message.delivery_id)), page(message));
        Pages(messages.iter().take(room).map(page_of).collect())
    }

    /// Writes `index.html` over the newest pages, removes the older ones, and returns its path; an outbox without any
    /// mail has none.
    pub(super) fn write_index(&self) -> io::Result<Option<PathBuf>> {
        if !self.pages.exists() {
            return Ok(None);
        }
        let mut newest = Vec::new();
        for entry in std::fs::read_dir(&self.pages)? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|extension| extension == "html") {
                newest.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        newest.sort_by(|left, right| right.cmp(left));
        for (_, path) in newest.drain(newest.len().min(SHOWN_MAX)..) {
            std::fs::remove_file(path)?;
        }
        let mut shown: Vec<(String, SystemTime, Heading)> = newest
            .into_iter()
            .filter_map(|(written_at, path)| heading(&path).map(|heading| (heading.date.clone(), written_at, heading)))
            .collect();
        shown.sort_by(|left, right| (&right.0, right.1, &left.2.subject).cmp(&(&left.0, left.1, &right.2.subject)));
        let mails = count_mails(&self.folder)?;
        let headings: Vec<_> = shown.into_iter().map(|(_, _, heading)| heading).collect();
        let page = self.folder.join(INDEX);
        write_atomically(&page, index(&headings, mails).as_bytes())?;
        Ok(Some(page))
    }
}

fn count_mails(folder: &Path) -> io::Result<usize> {
    let mut mails = 0;
    for entry in std::fs::read_dir(folder)? {
        mails += usize::from(Path::new(&entry?.file_name()).extension().is_some_and(|extension| extension == "eml"));
    }
    Ok(mails)
}

fn heading(path: &Path) -> Option<Heading> {
    use std::io::Read as _;
    let mut line = String::new();
    BufReader::new(std::fs::File::open(path).ok()?.take(HEADING_BYTES_MAX)).read_line(&mut line).ok()?;
    let json = line.trim_start_matches('\u{feff}').trim().strip_prefix("<!--")?.strip_suffix("-->")?;
    serde_json::from_str(json).ok()
}

/// A mail's HTML behind a byte order mark (files have no charset header) and its heading as a comment.
fn page(message: &Message) -> String {
    let shown = |mailbox: &crate::model::Mailbox| match &mailbox.name {
        Some(name) => format!("{name} <{}>", mailbox.address.as_str()),
        None => mailbox.address.as_str().to_owned(),
    };
    let heading = Heading {
        delivery_id: message.delivery_id.clone(),
        subject: shortened(&message.subject),
        to: shown(&message.to),
        from: shown(&message.from),
        date: message.date.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    };
    let json = serde_json::to_string(&heading).unwrap_or_default();
    // Inside JSON strings these two may stand as escapes; bare, they could end the comment.
    let json = json.replace('-', "\\u002d").replace('>', "\\u003e");
    format!("\u{feff}<!--{json}-->\n{}", message.html)
}

fn shortened(subject: &str) -> String {
    match subject.char_indices().nth(200) {
        Some((at, _)) => format!("{}…", &subject[..at]),
        None => subject.to_owned(),
    }
}

fn index(headings: &[Heading], mails: usize) -> String {
    let mut list = String::new();
    for heading in headings {
        let _ = writeln!(
            list,
            "<li><a class=\"mail\" href=\"pages/{id}.html\" target=\"mail\"><b>{subject}</b><span>{to}</span></a>\
             <small><time>{date}</time> <a href=\"{id}.eml\" download>.eml</a></small></li>",
            id = escaped(&heading.delivery_id),
            subject = escaped(&heading.subject),
            to = escaped(&heading.to),
            date = escaped(&heading.date),
        );
    }
    let count = match mails {
        1 => "1 mail".to_owned(),
        _ if mails > headings.len() => format!("{mails} mails, {} shown here; all are in this folder", headings.len()),
        _ => format!("{mails} mails"),
    };
    let first = headings.first().map_or_else(String::new, |heading| format!("pages/{}.html", heading.delivery_id));
    let frame = if first.is_empty() {
        "<p class=\"empty\">The mails are in this folder as .eml files.</p>".to_owned()
    } else {
        // Without its own origin a page of the file system would stay blank; scripts stay forbidden.
        format!(
            "<iframe name=\"mail\" title=\"The mail\" sandbox=\"allow-same-origin\" src=\"{}\"></iframe>",
            escaped(&first)
        )
    };
    include_str!("gallery.html").replace("{{count}}", &count).replace("{{frame}}", &frame).replace("{{list}}", &list)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
