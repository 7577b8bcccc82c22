//! What the texts of a column may be read as: the narrowest type that takes all of them, and text where none does.
//!
//! Pure. A number that begins with a zero is a code, and a whole number beyond 64 bits an id: both stay the text they are.

use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};

use crate::model::WrittenTime;
use crate::warehouse::values::marks;

/// What a text may be read as.
#[derive(Clone, Copy)]
enum Kind {
    Truth,
    Whole,
    Double,
    Day,
    LocalTime,
    Instant,
    /// A number that is more than a number.
    Code,
    Text,
}

/// What was seen in one column.
#[derive(Clone, Debug, Default)]
pub(super) struct TextKinds {
    /// Whether there was any of a kind.
    seen: [bool; 8],
    /// The largest number.
    size: f64,
}

impl TextKinds {
    /// Looks at one value; an empty one is none.
    pub(super) fn see(&mut self, text: &str) {
        let Some(first) = text.bytes().next() else { return };
        let kind = match first {
            b'0'..=b'9' | b'-' | b'.' if is_number(text) => self.number(text),
            b'0'..=b'9' => time(text),
            _ if ["true", "false"].iter().any(|word| text.eq_ignore_ascii_case(word)) => Kind::Truth,
            _ if is_not_a_number(text) => Kind::Double,
            _ => Kind::Text,
        };
        self.seen[kind as usize] = true;
    }

    fn number(&mut self, text: &str) -> Kind {
        let digits = text.strip_prefix('-').unwrap_or(text);
        self.size = self.size.max(digits.parse().unwrap_or_default());
        if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            Kind::Double
        } else if (digits.len() > 1 && digits.starts_with('0')) || text.parse::<i64>().is_err() {
            Kind::Code
        } else {
            Kind::Whole
        }
    }

    fn has(&self, kind: Kind) -> bool {
        self.seen[kind as usize]
    }

    fn has_any(&self, kinds: &[Kind]) -> bool {
        kinds.iter().any(|kind| self.has(*kind))
    }

    /// The type of the column.
    pub(super) fn data_type(&self) -> DataType {
        let times = self.has_any(&[Kind::Day, Kind::LocalTime, Kind::Instant]);
        let numbers = self.has_any(&[Kind::Whole, Kind::Double]);
        match (self.has(Kind::Truth), numbers, times) {
            _ if self.has_any(&[Kind::Code, Kind::Text]) => DataType::Utf8,
            (false, false, false) => DataType::Null,
            (true, false, false) => DataType::Boolean,
            (false, true, false) if self.has(Kind::Double) => DataType::Float64,
            (false, true, false) => DataType::Int64,
            (false, false, true) if self.has(Kind::Instant) => {
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
            }
            (false, false, true) if self.has(Kind::LocalTime) => DataType::Timestamp(TimeUnit::Microsecond, None),
            (false, false, true) => DataType::Date32,
            _ => DataType::Utf8,
        }
    }

    /// The column with what is known of it beside its type.
    pub(super) fn column(&self, name: &str) -> Field {
        let column = Field::new(name, self.data_type(), true);
        let has_numbers = self.has_any(&[Kind::Whole, Kind::Double]);
        let column = if has_numbers { marks::with_size(column, self.size) } else { column };
        if *column.data_type() == DataType::Utf8 && (has_numbers || self.has(Kind::Code)) {
            let code = "numbers that are no plain numbers, such as `007`,";
            let others = if self.has(Kind::Code) { code } else { "other texts" };
            return marks::with_mixture(column, format!("numbers beside {others}"));
        }
        column
    }
}

fn time(text: &str) -> Kind {
    match WrittenTime::parse(text) {
        Some(WrittenTime::Instant(_)) => Kind::Instant,
        Some(WrittenTime::Local(_)) if text.trim().len() == 10 => Kind::Day,
        Some(WrittenTime::Local(_)) => Kind::LocalTime,
        None => Kind::Text,
    }
}

/// `-12`, `1.5`, `.5`, `1e6`.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-');
    digits.bytes().any(|byte| byte.is_ascii_digit()) && digits.bytes().all(is_plain) && digits.parse::<f64>().is_ok()
}

fn is_not_a_number(text: &str) -> bool {
    let word = text.strip_prefix(['-', '+']).unwrap_or(text);
    ["nan", "inf", "infinity"].iter().any(|known| word.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_type_takes_all() {
        let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let local = DataType::Timestamp(TimeUnit::Microsecond, None);
        for (texts, expected) in [
            (&["", ""][..], DataType::Null),
            (&["1", "", "-20", "0"], DataType::Int64),
            (&["1", "2.50"], DataType::Float64),
            (&["1e6", ".5", "NaN"], DataType::Float64),
            (&["true", "FALSE"], DataType::Boolean),
            (&["true", "1"], DataType::Utf8),
            (&["007", "12"], DataType::Utf8),
            (&["17643839216829325381"], DataType::Utf8),
            (&["0.5", "0"], DataType::Float64),
            (&["2026-10-10"], DataType::Date32),
            (&["2026-10-10", "2026-10-10 10:00:00"], local),
            (&["2026-10-10", "2026-10-10 10:00:00 UTC"], instant.clone()),
            (&["2026-10-10T10:00:00+0200"], instant),
            (&["2026-10-10", "12"], DataType::Utf8),
            (&["9", "n/a"], DataType::Utf8),
            (&["1.2.3"], DataType::Utf8),
            (&["nancy"], DataType::Utf8),
        ] {
            let mut seen = TextKinds::default();
            texts.iter().for_each(|text| seen.see(text));
            assert_eq!(seen.data_type(), expected, "{texts:?}");
        }
    }

    #[test]
    fn numbers_among_texts_are_told() {
        let column = |texts: &[&str]| {
            let mut seen = TextKinds::default();
            texts.iter().for_each(|text| seen.see(text));
            seen.column("x")
        };
        assert!(marks::mixture(&column(&["9", "n/a"])).is_some());
        assert!(marks::mixture(&column(&["ann", "bob"])).is_none());
        assert_eq!(marks::size(&column(&["1791626400000", "5"])), Some(1_791_626_400_000.0));
    }
}
