//! A fully rendered mail to one recipient, independent of any provider.

use jiff::Timestamp;

use super::Mailbox;

/// Everything a provider needs for one mail; the same inputs give the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The only id that leaves for a provider: `[0-9a-f]{32}`.
    pub delivery_id: String,
    /// The sender.
    pub from: Mailbox,
    /// The one recipient.
    pub to: Mailbox,
    /// Where answers go, if not to the sender.
    pub reply_to: Option<Mailbox>,
    /// One line, no control characters, not yet encoded.
    pub subject: String,
    /// The HTML part.
    pub html: String,
    /// The text part; never empty.
    pub text: String,
    /// Further headers such as `List-Unsubscribe`: names are tokens, values one ASCII line.
    pub headers: Vec<(String, String)>,
    /// The run's `as_of`, so that a replay makes the same bytes.
    pub date: Timestamp,
}
