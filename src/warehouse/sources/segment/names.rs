//! The names of a call's fields, whatever wrote them: `context_groupId` and `context_group_id` are one.

use crate::project::{SegmentLayout, SegmentRows};

/// What tells a call's own columns (an event's properties, a person's traits) from its envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    /// In logs they begin with this.
    Named(&'static str),
    /// In a lake they are all that is no part of the envelope.
    None,
}

/// Columns of the envelope, in lakes and warehouses.
const ENVELOPE: [&str; 27] = [
    "id",
    "message_id",
    "type",
    "event",
    "event_text",
    "name",
    "category",
    "user_id",
    "anonymous_id",
    "group_id",
    "previous_id",
    "timestamp",
    "received_at",
    "original_timestamp",
    "sent_at",
    "loaded_at",
    "uuid",
    "uuid_ts",
    "channel",
    "version",
    "project_id",
    "write_key",
    "record_id",
    "request_ip",
    "rudder_id",
    "day",
    "hr",
];
/// Beginnings of further envelope columns.
const ENVELOPE_PREFIXES: [&str; 4] = ["metadata_", "integrations_", "context_", "segment_"];

impl Prefix {
    /// Of this layout and relation.
    pub(super) fn of(layout: SegmentLayout, rows: SegmentRows) -> Self {
        match (layout, rows) {
            (SegmentLayout::S3Logs, SegmentRows::Events) => Self::Named("properties_"),
            (SegmentLayout::S3Logs, SegmentRows::Profiles) => Self::Named("traits_"),
            _ => Self::None,
        }
    }

    /// The name of a call's own column; `None` for the envelope, and for a name that the envelope has taken.
    pub(super) fn column(self, raw: &str) -> Option<String> {
        let name = snake_case(raw);
        let own = match self {
            Self::Named(prefix) => name.strip_prefix(prefix)?.to_owned(),
            Self::None if ENVELOPE_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) => return None,
            Self::None => name,
        };
        // In logs, a property `channel` and the envelope's own are two columns, so few names are taken.
        let taken: &[&str] = match self {
            Self::Named(_) => &ENVELOPE[..14],
            Self::None => &ENVELOPE,
        };
        // A person's name is a trait: only events have one in their envelope.
        let is_trait_name = self == Self::Named("traits_") && own == "name";
        (is_trait_name || !taken.contains(&own.as_str())).then_some(own)
    }
}

/// `firstName`, `First Name` and `FirstName` are `first_name`; `userID` is `user_id`.
pub(super) fn snake_case(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut snake = String::with_capacity(name.len() + 4);
    for (at, letter) in letters.iter().enumerate() {
        if !letter.is_alphanumeric() && *letter != '_' {
            if !snake.ends_with('_') {
                snake.push('_');
            }
            continue;
        }
        let before = at.checked_sub(1).map(|before| letters[before]);
        let after = letters.get(at + 1);
        let begins_word = letter.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_numeric()
                    || (before.is_uppercase() && after.is_some_and(|after| after.is_lowercase()))
            });
        if begins_word && !snake.ends_with('_') {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_field_has_one_name() {
        for (name, expected) in [
            ("messageId", "message_id"),
            ("message_id", "message_id"),
            ("context_groupId", "context_group_id"),
            ("properties_Plan Name", "properties_plan_name"),
            ("userID", "user_id"),
            ("HTTPStatus", "http_status"),
            ("step2Done", "step2_done"),
            ("traits_createdAt", "traits_created_at"),
        ] {
            assert_eq!(snake_case(name), expected);
        }
    }

    #[test]
    fn a_calls_own_columns_are_told_from_its_envelope() {
        let events = Prefix::of(SegmentLayout::S3Logs, SegmentRows::Events);
        assert_eq!(events.column("properties_durationS").as_deref(), Some("duration_s"));
        assert_eq!(events.column("properties_timestamp"), None, "taken");
        assert_eq!(events.column("traits_email"), None);
        let profiles = Prefix::of(SegmentLayout::S3Logs, SegmentRows::Profiles);
        assert_eq!(profiles.column("traits_name").as_deref(), Some("name"));
        let lake = Prefix::of(SegmentLayout::DataLake, SegmentRows::Events);
        assert_eq!(lake.column("recipients").as_deref(), Some("recipients"));
        assert_eq!((lake.column("context_ip"), lake.column("received_at")), (None, None));
    }
}
