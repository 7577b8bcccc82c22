//! The engine's types in people's words, in one place: `text` where the engine says `Utf8View`.

use datafusion::arrow::datatypes::DataType;

/// A type in words that fit after `is`: those of `columns:`, and `text` for strings.
#[must_use]
pub fn type_words(kind: &DataType) -> String {
    in_type_words(&kind.to_string())
}

/// The types in what the engine says, each in people's words.
pub(super) fn in_type_words(said: &str) -> String {
    let mut words = String::with_capacity(said.len());
    let mut rest = said;
    while let Some(start) = rest.find(|character: char| character.is_ascii_alphanumeric() || character == '_') {
        words.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.find(|character: char| !(character.is_ascii_alphanumeric() || character == '_'));
        let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
        let parts = in_parentheses(after);
        let (translated, after) = match (plain(name), parts) {
            // An operator between two values is binary too.
            (Some(_), _) if name == "Binary" && after.starts_with(" operator") => (name.to_owned(), after),
            (Some(word), _) => (word.to_owned(), after),
            (None, Some((inner, after))) => match compound(name, inner) {
                Some(word) => (word, after),
                None => (name.to_owned(), &rest[name.len()..]),
            },
            (None, None) => (name.to_owned(), after),
        };
        words.push_str(&translated);
        rest = after;
    }
    words.push_str(rest);
    words
}

fn plain(name: &str) -> Option<&'static str> {
    Some(match name {
        "Utf8" | "LargeUtf8" | "Utf8View" => "text",
        "Int8" | "Int16" | "Int32" | "Int64" | "UInt8" | "UInt16" | "UInt32" | "UInt64" => "int",
        "Float16" | "Float32" | "Float64" => "double",
        "Boolean" => "boolean",
        "Date32" | "Date64" => "date",
        "Binary" | "LargeBinary" | "BinaryView" => "bytes",
        _ => return None,
    })
}

/// What a type with parts comes to.
fn compound(name: &str, inner: &str) -> Option<String> {
    Some(match name {
        "Timestamp" => "timestamp".to_owned(),
        "Time32" | "Time64" => "a time of day".to_owned(),
        "Interval" | "Duration" => "a duration".to_owned(),
        "Decimal32" | "Decimal64" | "Decimal128" | "Decimal256" => format!("decimal({inner})"),
        "List" | "LargeList" | "FixedSizeList" | "ListView" | "LargeListView" => "a list".to_owned(),
        "Struct" | "Map" => "an object".to_owned(),
        "Union" => "a piece of JSON".to_owned(),
        "Dictionary" => in_type_words(inner.split_once(',')?.1.trim()),
        _ => return None,
    })
}

/// What stands between a parenthesis that begins the text and the one that closes it, and the text after that.
fn in_parentheses(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('(')?;
    let mut depth = 1;
    for (at, character) in inner.char_indices() {
        depth += match character {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        if depth == 0 {
            return Some((&inner[..at], &inner[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::datatypes::{Field, TimeUnit};

    use super::*;

    #[test]
    fn every_type_has_words() {
        let of = |kind: DataType| type_words(&kind);
        assert_eq!(of(DataType::Utf8View), "text");
        assert_eq!(of(DataType::Int64), "int");
        assert_eq!(of(DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))), "timestamp");
        assert_eq!(of(DataType::Decimal128(10, 2)), "decimal(10, 2)");
        assert_eq!(of(DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))), "text");
        let list = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
        assert_eq!(of(list.clone()), "a list");
        assert_eq!(of(DataType::Struct(vec![Field::new("a", list, true)].into())), "an object");
    }

    #[test]
    fn what_the_engine_says_keeps_its_other_words() {
        for (said, words) in [
            ("cannot coerce Utf8View to Timestamp(Nanosecond, None)", "cannot coerce text to timestamp"),
            (
                "there is no column `Utf8_size` (Int64, Struct(\"a\": Int64))",
                "there is no column `Utf8_size` (int, an object)",
            ),
            ("Binary operator '~' is not for Binary", "Binary operator '~' is not for bytes"),
            ("List of things, Timestamp(", "List of things, Timestamp("),
            ("zoë is Float64", "zoë is double"),
        ] {
            assert_eq!(in_type_words(said), words);
        }
    }
}
