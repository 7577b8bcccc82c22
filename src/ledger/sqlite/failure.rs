//! What a database error means to the person who has to act on it.

/// The cause in plain words, with what to do next.
pub(super) fn words(error: &sqlx::Error) -> String {
    let advice = match primary_code(error) {
        Some(5 | 6) => "another program keeps it locked: close that program, then run again",
        Some(8) => "it may not be written: make the file and its folder writable",
        Some(10) => "the disk failed to read or write it: look at the disk, then run again",
        Some(11) => {
            "it is damaged: restore it from a backup; never start with an empty one, which mails everybody again"
        }
        Some(13) => "the disk is full: free some space, then run again",
        Some(14) => "it cannot be opened: see that its folder exists, that it is a file, and that both may be written",
        Some(26) => "it is not a SQLite database: restore the ledger, or name another place in `ledger:`",
        _ => return error.to_string(),
    };
    format!("{advice} ({error})")
}

/// SQLite's result code without its extension.
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}
