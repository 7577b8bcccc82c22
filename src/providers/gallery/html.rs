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

/// The file of the list of one job, in `pages/`: made where all mails do not fit on one page.
pub(super) fn name_of_job(place: usize) -> String {
    format!("job-{}.html", place + 1)
}

/// Which page is made, and where the others are from there.
#[derive(Clone, Copy)]
struct At {
    /// The number of the page of the whole list, from 0.
    page: Option<usize>,
    /// The job whose list it is.
    job: Option<usize>,
    /// The way to the folder of the mails.
    to_mails: &'static str,
    /// The way to the folder of the pages.
    to_pages: &'static str,
}

impl List<'_> {
    /// The first page, with the newest mails.
    pub(super) fn index(&self, headings: &[Heading], unlisted: &[String]) -> String {
        let frame = self.frame(headings, "pages/", "The mails are in this folder as .eml files.");
        let count = match self.mails {
            1 => "1 mail".to_owned(),
            mails if self.pages > 1 => format!("{mails} mails, the newest {} on this page", headings.len()),
            mails => format!("{mails} mails"),
        };
        let at = At { page: Some(0), job: None, to_mails: "", to_pages: "pages/" };
        self.page(at, &count, (headings, unlisted), &frame)
    }

    /// A further page, with older mails: those are opened from their files.
    pub(super) fn further(&self, place: usize, headings: &[Heading], unlisted: &[String]) -> String {
        let first = place * SHOWN_MAX + 1;
        let count = format!("{} mails, these are {first} to {}", self.mails, first + headings.len() - 1);
        let at = At { page: Some(place), job: None, to_mails: "../", to_pages: "" };
        self.page(at, &count, (headings, unlisted), &self.frame(headings, "", OLDER))
    }

    /// All mails of one job.
    pub(super) fn of_job(&self, place: usize, headings: &[Heading]) -> String {
        let count = format!("{} mails, {} of them of this job", self.mails, headings.len());
        let at = At { page: None, job: Some(place), to_mails: "../", to_pages: "" };
        self.page(at, &count, (headings, &[]), &self.frame(headings, "", OLDER))
    }

    /// The frame with the first mail that has a page, else words.
    fn frame(&self, headings: &[Heading], to_pages: &str, words: &str) -> String {
        match headings.iter().find(|heading| self.with_page.contains(&heading.delivery_id)) {
            // Without its own origin a page of the file system would stay blank; scripts stay forbidden.
            Some(heading) => format!(
                "<iframe name=\"mail\" title=\"The mail\" sandbox=\"allow-same-origin\" src=\"{to_pages}{}.html\"></iframe>",
                escaped(&heading.delivery_id)
            ),
            None => format!("<p class=\"empty\">{words}</p>"),
        }
    }

    fn page(&self, at: At, count: &str, (headings, unlisted): (&[Heading], &[String]), frame: &str) -> String {
        let to_mails = at.to_mails;
        let mut list = String::new();
        for heading in headings {
            self.entry(heading, at, &mut list);
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
            .replace("{{jobs}}", &self.choice(at))
            .replace("{{older}}", &self.others(at))
            .replace("{{frame}}", frame)
            .replace("{{list}}", &list)
    }

    fn entry(&self, heading: &Heading, At { to_mails, to_pages, .. }: At, list: &mut String) {
        let (id, date) = (escaped(&heading.delivery_id), escaped(&heading.date));
        let words = format!("<b>{}</b><span>{}</span>", escaped(&heading.subject), escaped(&heading.to));
        let mail = if self.with_page.contains(&heading.delivery_id) {
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
        if self.has_choice() && self.pages == 1 { (0..self.jobs.len()).map(hide).collect() } else { String::new() }
    }

    /// The choice of a job, where there are several.
    fn choice(&self, at: At) -> String {
        if !self.has_choice() {
            return String::new();
        }
        if self.pages > 1 {
            return self.linked_choice(at);
        }
        let mut choice = String::from(
            "<form><label><input type=\"radio\" name=\"job\" checked autocomplete=\"off\"> all jobs</label>\n",
        );
        for (place, job) in self.jobs.iter().enumerate() {
            let name = named(job);
            let _ = writeln!(
                choice,
                "<label><input type=\"radio\" name=\"job\" id=\"c{place}\" autocomplete=\"off\"> {name}</label>"
            );
        }
        choice + "</form>\n"
    }

    /// The same as links to the lists of jobs, where one page does not hold all mails.
    fn linked_choice(&self, at: At) -> String {
        let mark = |is_here: bool| if is_here { " class=\"here\"" } else { "" };
        let mut choice =
            format!("<form><a{} href=\"{}index.html\">all jobs</a>\n", mark(at.job.is_none()), at.to_mails);
        for (place, job) in self.jobs.iter().enumerate() {
            let (mark, file, name) = (mark(at.job == Some(place)), name_of_job(place), named(job));
            let _ = writeln!(choice, "<a{mark} href=\"{}{file}\">{name}</a>", at.to_pages);
        }
        choice + "</form>\n"
    }

    fn has_choice(&self) -> bool {
        self.jobs.len() > 1
    }

    /// The way to the other pages of the list.
    fn others(&self, At { page: here, to_mails, to_pages, .. }: At) -> String {
        if self.pages == 1 {
            return String::new();
        }
        let mut others = String::from("<p class=\"others\">");
        for page in 0..self.pages {
            let number = page + 1;
            let _ = match page {
                _ if here == Some(page) => write!(others, "<b>{number}</b> "),
                0 => write!(others, "<a href=\"{to_mails}index.html\">1</a> "),
                _ => write!(others, "<a href=\"{to_pages}{}\">{number}</a> ", name_of(page)),
            };
        }
        others + "</p>\n"
    }
}

/// What stands in a frame without a mail of its own.
const OLDER: &str = "Older mails have no page here: open their .eml files.";

/// A job's name for people.
fn named(job: &str) -> String {
    if job.is_empty() { "of earlier versions".to_owned() } else { escaped(job) }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
