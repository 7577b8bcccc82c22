//! The gallery's pages as HTML: a list that can be narrowed to one job, and a frame for the mail that is chosen.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{Heading, SHOWN_MAX};

/// What every page of the list knows of the whole.
pub(super) struct List<'a> {
    /// The jobs whose mails are listed.
    pub(super) jobs: &'a BTreeSet<&'a str>,
    /// All mails of the folder.
    pub(super) mails: usize,
    /// How many pages the list has.
    pub(super) pages: usize,
    /// The mails with a page of their own.
    pub(super) with_page: &'a BTreeSet<String>,
}

/// The file of a further page of the list, in `pages/`.
pub(super) fn name_of(place: usize) -> String {
    format!("list-{}.html", place + 1)
}

impl List<'_> {
    /// The first page, with the newest mails.
    pub(super) fn index(&self, headings: &[Heading], unlisted: &[String]) -> String {
        let first = headings.iter().find(|heading| self.with_page.contains(&heading.delivery_id));
        let frame = match first {
            // Without its own origin a page of the file system would stay blank; scripts stay forbidden.
            Some(heading) => format!(
                "<iframe name=\"mail\" title=\"The mail\" sandbox=\"allow-same-origin\" src=\"pages/{}.html\"></iframe>",
                escaped(&heading.delivery_id)
            ),
            None => "<p class=\"empty\">The mails are in this folder as .eml files.</p>".to_owned(),
        };
        let count = match self.mails {
            1 => "1 mail".to_owned(),
            mails if self.pages > 1 => format!("{mails} mails, the newest {} on this page", headings.len()),
            mails => format!("{mails} mails"),
        };
        self.page((0, "", "pages/"), &count, (headings, unlisted), &frame)
    }

    /// A further page, with older mails: those are opened from their files.
    pub(super) fn further(&self, place: usize, headings: &[Heading], unlisted: &[String]) -> String {
        let first = place * SHOWN_MAX + 1;
        let count = format!("{} mails, these are {first} to {}", self.mails, first + headings.len() - 1);
        let frame = "<p class=\"empty\">Older mails have no page here: open their .eml files.</p>";
        self.page((place, "../", ""), &count, (headings, unlisted), frame)
    }

    fn page(
        &self,
        (place, to_mails, to_pages): (usize, &str, &str),
        count: &str,
        (headings, unlisted): (&[Heading], &[String]),
        frame: &str,
    ) -> String {
        let mut list = String::new();
        for heading in headings {
            self.entry(heading, (to_mails, to_pages), &mut list);
        }
        for id in unlisted {
            let id = escaped(id);
            let _ = writeln!(
                list,
                "<li><small><span>{id}</span> <a href=\"{to_mails}{id}.eml\" download>.eml</a></small></li>"
            );
        }
        include_str!("page.html")
            .replace("{{count}}", count)
            .replace("{{styles}}", &self.styles())
            .replace("{{jobs}}", &self.choice())
            .replace("{{older}}", &self.others(place, to_mails, to_pages))
            .replace("{{frame}}", frame)
            .replace("{{list}}", &list)
    }

    fn entry(&self, heading: &Heading, (to_mails, to_pages): (&str, &str), list: &mut String) {
        let (id, date) = (escaped(&heading.delivery_id), escaped(&heading.date));
        let words = format!("<b>{}</b><span>{}</span>", escaped(&heading.subject), escaped(&heading.to));
        let mail = if self.with_page.contains(&heading.delivery_id) && to_mails.is_empty() {
            format!("<a class=\"mail\" href=\"{to_pages}{id}.html\" target=\"mail\">{words}</a>")
        } else {
            format!("<a class=\"mail\" href=\"{to_mails}{id}.eml\" download>{words}</a>")
        };
        let job = self.jobs.iter().position(|job| *job == heading.job).unwrap_or_default();
        let _ = writeln!(
            list,
            "<li class=\"j{job}\">{mail}<small><time>{date}</time> <a href=\"{to_mails}{id}.eml\" download>.eml</a></small></li>",
        );
    }

    /// The rules that hide the mails of other jobs than the one chosen.
    fn styles(&self) -> String {
        let hide = |job: usize| format!("  body:has(#c{job}:checked) li:not(.j{job}) {{ display: none; }}\n");
        if self.has_choice() { (0..self.jobs.len()).map(hide).collect() } else { String::new() }
    }

    /// The choice of a job, where there are several.
    fn choice(&self) -> String {
        if !self.has_choice() {
            return String::new();
        }
        let mut choice = String::from(
            "<form><label><input type=\"radio\" name=\"job\" checked autocomplete=\"off\"> all jobs</label>\n",
        );
        for (place, job) in self.jobs.iter().enumerate() {
            let name = if job.is_empty() { "of earlier versions" } else { job };
            let name = escaped(name);
            let _ = writeln!(
                choice,
                "<label><input type=\"radio\" name=\"job\" id=\"c{place}\" autocomplete=\"off\"> {name}</label>"
            );
        }
        choice + "</form>\n"
    }

    fn has_choice(&self) -> bool {
        self.jobs.len() > 1
    }

    /// The way to the other pages of the list.
    fn others(&self, place: usize, to_mails: &str, to_pages: &str) -> String {
        if self.pages == 1 {
            return String::new();
        }
        let mut others = String::from("<p class=\"others\">");
        for page in 0..self.pages {
            let number = page + 1;
            let _ = match page {
                _ if page == place => write!(others, "<b>{number}</b> "),
                0 => write!(others, "<a href=\"{to_mails}index.html\">1</a> "),
                _ => write!(others, "<a href=\"{to_pages}{}\">{number}</a> ", name_of(page)),
            };
        }
        others + "</p>\n"
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
