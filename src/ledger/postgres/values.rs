//! How instants and texts travel to PostgreSQL: `timestamptz` with microseconds, and texts without the one character that
//! it cannot hold.

use std::borrow::Cow;

use jiff::Timestamp;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};

/// PostgreSQL counts microseconds from the first instant of the year 2000.
const EPOCH_2000_MICROSECONDS: i64 = 946_684_800_000_000;
const TIMESTAMPTZ: Oid = Oid(1184);
const TIMESTAMPTZ_ARRAY: Oid = Oid(1185);

/// An instant as a `timestamptz`; what is finer than a microsecond is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(pub(super) Timestamp);

impl Type<Postgres> for Moment {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ)
    }
}

impl PgHasArrayType for Moment {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ_ARRAY)
    }
}

impl Encode<'_, Postgres> for Moment {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let microseconds = self.0.as_microsecond() - EPOCH_2000_MICROSECONDS;
        buffer.extend_from_slice(&microseconds.to_be_bytes());
        Ok(IsNull::No)
    }
}

impl Decode<'_, Postgres> for Moment {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        if value.format() == PgValueFormat::Text {
            return Err("an instant came as text, which no statement here asks for".into());
        }
        let microseconds = i64::from_be_bytes(value.as_bytes()?.try_into()?);
        let since_1970 = microseconds.checked_add(EPOCH_2000_MICROSECONDS).ok_or("an instant beyond all time")?;
        Ok(Self(Timestamp::from_microsecond(since_1970)?))
    }
}

/// A text for a column that is no part of a key: keys are stored without NUL already.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// The same for a text that may be absent.
pub(super) fn perhaps(value: Option<&String>) -> Option<Cow<'_, str>> {
    value.map(|value| text(value))
}
