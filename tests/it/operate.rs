//! What people who operate a project do to it by hand: rename, save, look, ask, and mistype.

mod backup;
mod looking;
mod names;
mod renamed;

use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::{Ran, milepost};

const SETTINGS: &str = "project: shop
timezone: UTC
tables:
  events: {csv: events.csv, time: timestamp}
  people: {csv: people.csv}
providers:
  local: {outbox: {dir: outbox}}
defaults: {provider: local, sender: a@example.test, postal_address: here, audience: people}
unsubscribe: {url: 'https://example.test/leave'}
";

const PEOPLE: &str = "profile_id,email,plan,tasks
u1,ann@example.test,full,4
u2,ben@example.test,trial,7
u3,cleo@example.test,full,9
";

const EVENTS: &str = "user_id,event,timestamp
u1,ordered,2026-11-16T08:10:00Z
u2,ordered,2026-11-16T08:20:00Z
u3,ordered,2026-11-16T08:30:00Z
u1,ordered,2026-11-17T08:10:00Z
u2,ordered,2026-11-17T08:20:00Z
";

/// A template that asks for nothing.
const TEMPLATE: &str = "<p>Well done</p><p>{{ postal_address }}</p><a href='{{ unsubscribe_url }}'>Leave</a>\n";

const NOW: &str = "2026-11-18T06:00:00Z";

/// A project in a folder of its own, and the commands that a person types there.
struct Shop {
    folder: tempfile::TempDir,
}

impl Shop {
    /// A project with these files beside the shared ones.
    fn with(files: &[(&str, &str)]) -> Self {
        let shop = Self { folder: tempfile::tempdir().expect("a folder") };
        let shared = [
            ("milepost.yml", SETTINGS),
            ("people.csv", PEOPLE),
            ("events.csv", EVENTS),
            ("jobs/templates/any.html", TEMPLATE),
        ];
        shared.iter().chain(files).for_each(|(path, text)| shop.write(path, text));
        shop
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("writable");
        fs::write(path, text).expect("writable");
    }

    fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).expect("it was there");
    }

    #[track_caller]
    fn ends(&self, code: i32, arguments: &[&str]) -> Ran {
        milepost(self.folder.path(), arguments).expect(code)
    }

    /// A run at [`NOW`] that takes it for the wall clock.
    #[track_caller]
    fn runs(&self, code: i32) -> Ran {
        self.runs_at(code, NOW)
    }

    #[track_caller]
    fn runs_at(&self, code: i32, as_of: &str) -> Ran {
        self.ends(code, &["run", "--as-of", as_of, "--replay"])
    }

    fn mails(&self) -> usize {
        files_of(&self.path("outbox"))
            .iter()
            .filter(|name| Path::new(name).extension().is_some_and(|kind| kind == "eml"))
            .count()
    }
}

fn files_of(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
