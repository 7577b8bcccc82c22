//! How far an address is written before a value, which decides how the value is made harmless.

use super::flow::Machine;

/// Where in an address something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// At its beginning.
    Start,
    /// After letters that may become a scheme.
    Scheme(String),
    /// After the slash that an address begins with.
    Root,
    /// Between `https:` and the host.
    Slashes(u8),
    /// After a value with which the address begins.
    AfterValue,
    /// After a value that is followed by a colon, which could make it a scheme.
    Broken,
    /// At the beginning of the host.
    HostStart,
    /// Within the host.
    Host,
    /// Within the path.
    Path,
    /// Within the query.
    Query,
    /// After `#`.
    Fragment,
    /// Within an address without a host, such as `mailto:`.
    Opaque,
}

impl Address {
    fn letter(self, letter: char) -> Self {
        match (self, letter) {
            (Self::Broken, _) => Self::Broken,
            (Self::Fragment, _) => Self::Fragment,
            (Self::AfterValue, ':') => Self::Broken,
            (Self::AfterValue, '&' | '=') => Self::Query,
            (Self::Slashes(slashes), '/') => {
                if slashes == 0 {
                    Self::Slashes(1)
                } else {
                    Self::HostStart
                }
            }
            (Self::Slashes(_), _) => Self::Host,
            (Self::Scheme(scheme), ':') if matches!(scheme.as_str(), "http" | "https") => Self::Slashes(0),
            (Self::Scheme(_), ':') => Self::Opaque,
            (Self::Query, '#') => Self::Fragment,
            (Self::Query, _) => Self::Query,
            (_, '?') => Self::Query,
            (Self::Opaque, _) => Self::Opaque,
            (_, '#') => Self::Fragment,
            (Self::Start, '/') => Self::Root,
            (Self::Root, '/') => Self::HostStart,
            (Self::Path | Self::Root, _) => Self::Path,
            (_, '/') => Self::Path,
            (Self::Start, letter) if letter.is_whitespace() || letter.is_control() => Self::Start,
            (Self::Start, letter) => Self::Scheme(letter.to_ascii_lowercase().to_string()),
            (Self::Scheme(mut scheme), letter) => {
                if !letter.is_whitespace() && !letter.is_control() {
                    scheme.push(letter.to_ascii_lowercase());
                }
                Self::Scheme(scheme)
            }
            (Self::HostStart | Self::Host, _) => Self::Host,
            (Self::AfterValue, _) => Self::AfterValue,
        }
    }
}

impl Machine for Address {
    fn text(&mut self, text: &str) {
        for letter in text.chars() {
            let state = std::mem::replace(self, Self::Start);
            *self = state.letter(letter);
        }
    }

    fn value(&mut self) {
        let state = std::mem::replace(self, Self::Start);
        *self = match state {
            Self::Start | Self::Scheme(_) => Self::AfterValue,
            Self::HostStart => Self::Host,
            Self::Root => Self::Path,
            other => other,
        };
    }
}

/// Whether a value at the beginning of an address is all of its scheme: a colon follows before anything else could.
pub(super) fn is_scheme(rest: &str) -> bool {
    let literal = crate::render::stand_ins::restore(rest, |_, _| String::new());
    literal.find([':', '/', '?', '#']).is_some_and(|at| literal[at..].starts_with(':'))
}

/// Whether what follows a value ends the host.
pub(super) fn ends_host(rest: &str) -> bool {
    let literal = crate::render::stand_ins::restore(rest, |_, _| String::new());
    literal.is_empty() || literal.starts_with(['/', '?', '#', '\'', '"', ')'])
}
