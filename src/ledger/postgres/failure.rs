//! What a database error means to the person who has to act on it.

/// A lock was not to be had in time.
pub(super) const LOCK_NOT_AVAILABLE: &str = "55P03";

/// The cause in plain words, with what to do next.
pub(super) fn words(error: &sqlx::Error) -> String {
    let advice = match (code(error).as_deref(), error) {
        (Some("28P01" | "28000"), _) => "it refuses this account: see the name and the password in `ledger:`",
        (Some("3D000"), _) => "its database does not exist: make it with `createdb`, then `milepost ledger create`",
        (Some("42501"), _) => {
            "this account may not do that: let the account that made the ledger run it, or grant it (the page `ledger` lists what \
             it needs)"
        }
        (Some("53100"), _) => "the disk of the server is full: free some space, then run again",
        (Some("53300"), _) => "the server has no connection left: close some, then run again",
        (Some(LOCK_NOT_AVAILABLE), _) => "another program keeps a row of it locked: end that program, then run again",
        (Some("57014"), _) => "the server took too long: see what else it does, then run again",
        (Some("25006"), _) => "the server is read-only, such as a standby: name the primary in `ledger:`",
        (Some("42P01" | "42703"), _) => "a table or column of it is missing: restore it from a backup",
        (Some("57P01" | "57P02" | "57P03"), _) => "the server is stopping or starting: run again once it is up",
        (_, sqlx::Error::Io(_)) => "the connection to the server was refused or lost: see that it runs, then run again",
        (_, sqlx::Error::Tls(_)) => "no safe connection could be made: see `sslmode` in `ledger:`",
        _ => return error.to_string(),
    };
    format!("{advice} ({error})")
}

/// PostgreSQL's five-character code of what it refused.
pub(super) fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}
