//! The people side as CSV: quoted where needed, instants in RFC 3339.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::people::World;

/// Writes `people.csv`, `accounts.csv`, `members.csv` and `unsubscribes.csv`.
pub(crate) fn write_world(folder: &Path, world: &World) -> std::io::Result<()> {
    let people = world.people.iter().map(|person| {
        let created = person.created_at.to_string();
        [&person.id, &person.email, &person.first_name, &person.last_name, person.stored_zone, &created, &person.token]
            .map(field)
    });
    let accounts = world.accounts.iter().map(|account| {
        let created = account.created_at.to_string();
        [&account.id, &account.name, account.plan, &created].map(field)
    });
    let members = world
        .members
        .iter()
        .map(|member| [&world.accounts[member.account].id, &world.people[member.person].id, member.role].map(field));
    let unsubscribes = world.unsubscribes.iter().map(|row| [&row.email, row.reason, &row.at.to_string()].map(field));
    let people_header = ["user_id", "email", "first_name", "last_name", "timezone", "created_at", "unsubscribe_token"];
    table(&folder.join("people.csv"), people_header, people)?;
    table(&folder.join("accounts.csv"), ["account_id", "name", "plan", "created_at"], accounts)?;
    table(&folder.join("members.csv"), ["account_id", "user_id", "role"], members)?;
    table(&folder.join("unsubscribes.csv"), ["email", "reason", "unsubscribed_at"], unsubscribes)
}

/// Writes one file with a header line.
pub(crate) fn table<const N: usize>(
    path: &Path,
    header: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> std::io::Result<()> {
    let mut text = header.join(",");
    for row in rows {
        write!(text, "\n{}", row.join(",")).expect("writing to a string succeeds");
    }
    text.push('\n');
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}

/// A field, quoted where it must be.
pub(crate) fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) || text.starts_with(' ') || text.ends_with(' ') {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
