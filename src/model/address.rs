//! Email addresses: valid by construction, normalised for comparison, never logged whole.

use std::fmt;

/// An address that passed the syntax rules of RFC 5321, trimmed, in the spelling it was given.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// Trims `text` and accepts it when it is one plain `local@domain` address in ASCII without
    /// quoting, comments or control characters; `None` otherwise.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let trimmed = text.trim();
        if !trimmed.is_ascii() || trimmed.contains(['"', '<', '>', '(', ')', '[', ']']) {
            return None;
        }
        email_address::EmailAddress::is_valid(trimmed).then(|| Self(trimmed.to_owned()))
    }

    /// The address as given, trimmed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The spelling used to compare addresses: lower case throughout.
    #[must_use]
    pub fn normalised(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EmailAddress(withheld)")
    }
}

/// A display name and an address, as in `Acme <hello@acme.test>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// What a mail program shows; may hold any text, encoded when it leaves.
    pub name: Option<String>,
    /// Where the mail goes.
    pub address: EmailAddress,
}

impl Mailbox {
    /// Reads `Name <local@domain>` or a bare address; `None` when the address is not valid.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let trimmed = text.trim();
        let Some(rest) = trimmed.strip_suffix('>') else {
            return Some(Self { name: None, address: EmailAddress::parse(trimmed)? });
        };
        let (name, address) = rest.rsplit_once('<')?;
        let name = name.trim().trim_matches('"').trim();
        Some(Self { name: (!name.is_empty()).then(|| name.to_owned()), address: EmailAddress::parse(address)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trims_and_normalises() {
        let address = EmailAddress::parse("  Ann.Lee+x@Example.TEST\n").expect("valid");
        assert_eq!(address.as_str(), "Ann.Lee+x@Example.TEST");
        assert_eq!(address.normalised(), "ann.lee+x@example.test");
    }

    #[test]
    fn refuses_what_no_provider_takes() {
        for text in ["", "ann", "ann@", "@b.test", "a b@c.test", "a@b.test\r\nBcc: x@y.test", "<a@b.test>", "ä@b.test"]
        {
            assert!(EmailAddress::parse(text).is_none(), "{text:?} must not pass");
        }
    }

    #[test]
    fn mailbox_with_and_without_a_name() {
        let named = Mailbox::parse("Acme, Inc. <hello@acme.test>").expect("valid");
        assert_eq!(named.name.as_deref(), Some("Acme, Inc."));
        assert_eq!(named.address.as_str(), "hello@acme.test");
        assert_eq!(Mailbox::parse("hello@acme.test").expect("valid").name, None);
        assert!(Mailbox::parse("Acme <nope>").is_none());
    }
}
