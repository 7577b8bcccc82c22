//! What the folders of a file say: the values of `key=value` folders and of bare folders that spell dates.

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use datafusion::datasource::listing::PartitionedFile;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::model::diagnostic::Diagnostic;
use crate::project::{Partition, PartitionKind, PathDates, Table};
use crate::storage::{FoundFile, Opened};

/// What writers name the folder of rows without a value.
const NO_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";

/// A number of this many digits counts milliseconds, not seconds.
const MILLISECOND_DIGITS: usize = 12;

/// The columns that folders give.
pub(super) fn columns(table: &Table) -> Vec<Field> {
    let kind = |kind| match kind {
        PartitionKind::Date => DataType::Date32,
        PartitionKind::Month | PartitionKind::Text => DataType::Utf8,
        PartitionKind::Hour | PartitionKind::Int => DataType::Int64,
    };
    table.partitions.iter().map(|partition| Field::new(&partition.name, kind(partition.kind), true)).collect()
}

/// The files with the values of their folders; one that lies elsewhere is refused, since its rows would have none.
pub(super) fn placed(
    table: &Table,
    opened: &Opened,
    found: Vec<FoundFile>,
) -> Result<Vec<PartitionedFile>, Diagnostic> {
    let placed = found.into_iter().map(|file| {
        let relative = opened.relative(&file.location).to_owned();
        let values = values(table, &relative)?;
        Ok(PartitionedFile::new_from_meta(file).with_partition_values(values))
    });
    placed.collect()
}

/// The values that a folder gives its files, where it and those above it give all of them.
pub(super) fn folder_values(table: &Table, folder: &str) -> Option<Vec<ScalarValue>> {
    values(table, &format!("{folder}/")).ok()
}

fn values(table: &Table, file: &str) -> Result<Vec<ScalarValue>, Diagnostic> {
    let folders: Vec<&str> = file.split('/').collect();
    let folders = &folders[..folders.len() - 1];
    if table.partitions.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(dates) = &table.path_dates {
        let spelt = (0..folders.len()).find_map(|at| spelt(dates, &folders[at..]));
        let values = spelt.and_then(|spelt| {
            table.partitions.iter().map(|partition| spelt.value(partition.kind)).collect::<Option<Vec<_>>>()
        });
        return values.ok_or_else(|| stray(table, file, &dates.folders.join("/")));
    }
    let mut folders = folders.iter();
    let mut values = Vec::with_capacity(table.partitions.len());
    for partition in &table.partitions {
        let written = folders.find_map(|folder| {
            let (key, value) = folder.split_once('=')?;
            (key == partition.name).then_some(value)
        });
        let Some(written) = written else {
            let shape: Vec<_> = table.partitions.iter().map(|partition| format!("{}=...", partition.name)).collect();
            return Err(stray(table, file, &shape.join("/")));
        };
        values.push(value(partition, written).ok_or_else(|| wrong_value(partition, written, file))?);
    }
    Ok(values)
}

fn stray(table: &Table, file: &str, shape: &str) -> Diagnostic {
    let message = format!("the file `{file}` does not lie under `{shape}/`");
    let place = table.partitions.first().map_or(&table.place, |partition| &partition.place);
    Diagnostic::error("partition-mismatch", message, place)
        .with_help("declare the folders of the path in their order, or move the file")
}

fn wrong_value(partition: &Partition, written: &str, file: &str) -> Diagnostic {
    let wanted = match partition.kind {
        PartitionKind::Date => "a day such as 2026-01-31",
        PartitionKind::Month => "a month such as 2026-01",
        PartitionKind::Hour => "an hour from 0 to 23",
        _ => "a whole number",
    };
    let message = format!("the folder `{}={written}` of `{file}` is not {wanted}", partition.name);
    Diagnostic::error("partition-value", message, &partition.place)
        .with_help("declare it as `type: string`, or move the file")
}

fn value(partition: &Partition, written: &str) -> Option<ScalarValue> {
    let decoded = percent_encoding::percent_decode_str(written).decode_utf8_lossy();
    let text = Some(decoded.as_ref()).filter(|text| !text.is_empty() && *text != NO_VALUE);
    Some(match partition.kind {
        PartitionKind::Date => {
            ScalarValue::Date32(text.map(|text| text.parse().ok().map(days)).map_or(Some(None), |day| day.map(Some))?)
        }
        // Months are compared as text, and only such texts are in the order of time.
        PartitionKind::Month if !text.is_none_or(is_month) => return None,
        PartitionKind::Month | PartitionKind::Text => ScalarValue::Utf8(text.map(str::to_owned)),
        PartitionKind::Hour | PartitionKind::Int => {
            let number = text.map(str::parse::<i64>).transpose().ok()?;
            let fits = partition.kind == PartitionKind::Int || number.is_none_or(|hour| (0..24).contains(&hour));
            return fits.then_some(ScalarValue::Int64(number));
        }
    })
}

/// Whether a text is a year and a month, `2026-01`.
fn is_month(text: &str) -> bool {
    text.len() == 7 && format!("{text}-01").parse::<Date>().is_ok()
}

fn days(day: Date) -> i32 {
    day.since(Date::constant(1970, 1, 1)).map_or(0, |span| span.get_days())
}

/// The parts of a date that folders spell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Spelt {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    hour: Option<i8>,
}

impl Spelt {
    fn value(self, kind: PartitionKind) -> Option<ScalarValue> {
        match kind {
            PartitionKind::Date => {
                Some(ScalarValue::Date32(Some(days(Date::new(self.year?, self.month?, self.day?).ok()?))))
            }
            PartitionKind::Month => Some(ScalarValue::Utf8(Some(format!("{:04}-{:02}", self.year?, self.month?)))),
            PartitionKind::Hour => Some(ScalarValue::Int64(Some(i64::from(self.hour?)))),
            PartitionKind::Int | PartitionKind::Text => None,
        }
    }

    fn set(&mut self, directive: char, digits: &str) -> Option<()> {
        match directive {
            'Y' => self.year = Some(digits.parse().ok()?),
            'm' => self.month = Some(digits.parse().ok().filter(|month| (1..=12).contains(month))?),
            'd' => self.day = Some(digits.parse().ok().filter(|day| (1..=31).contains(day))?),
            'H' => self.hour = Some(digits.parse().ok().filter(|hour| (0..24).contains(hour))?),
            _ => {
                let count: i64 = digits.parse().ok()?;
                let seconds = if digits.len() >= MILLISECOND_DIGITS { count / 1000 } else { count };
                let time = Timestamp::from_second(seconds).ok()?.to_zoned(TimeZone::UTC);
                let date = time.date();
                *self = Self {
                    year: Some(date.year()),
                    month: Some(date.month()),
                    day: Some(date.day()),
                    hour: Some(time.hour()),
                };
            }
        }
        Some(())
    }
}

/// The date that the first folders spell, if they do.
fn spelt(dates: &PathDates, folders: &[&str]) -> Option<Spelt> {
    let mut spelt = Spelt::default();
    if folders.len() < dates.folders.len() {
        return None;
    }
    dates.folders.iter().zip(folders).try_for_each(|(pattern, folder)| spell(pattern, folder, &mut spelt))?;
    Some(spelt)
}

fn spell(pattern: &str, mut folder: &str, spelt: &mut Spelt) -> Option<()> {
    let mut pattern = pattern.chars();
    while let Some(letter) = pattern.next() {
        if letter != '%' {
            folder = folder.strip_prefix(letter)?;
            continue;
        }
        let directive = pattern.next()?;
        let width = match directive {
            'Y' => 4,
            's' => folder.len(),
            _ => 2,
        };
        let digits = folder.bytes().take(width).take_while(u8::is_ascii_digit).count();
        let is_whole = if directive == 's' { digits > 0 } else { digits == width };
        spelt.set(directive, &folder[..digits]).filter(|()| is_whole)?;
        folder = &folder[digits..];
    }
    folder.is_empty().then_some(())
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;

    #[test]
    fn folders_spell_dates() {
        let date = |year, month, day, hour| Some(Spelt { year: Some(year), month: Some(month), day, hour });
        for (pattern, folders, expected) in [
            ("%Y/%m/%d/%H", vec!["2026", "11", "22", "07"], date(2026, 11, Some(22), Some(7))),
            ("%Y-%m-%d", vec!["2026-11-22", "part"], date(2026, 11, Some(22), None)),
            ("%Y%m", vec!["202611"], date(2026, 11, None, None)),
            ("%s", vec!["1484006400000"], date(2017, 1, Some(10), Some(0))),
            ("%s", vec!["1484006400"], date(2017, 1, Some(10), Some(0))),
            ("%Y/%m", vec!["2026", "13"], None),
            ("%Y/%m", vec!["2026"], None),
            ("%Y", vec!["2026x"], None),
            ("%Y", vec!["26"], None),
            ("%s", vec!["source"], None),
        ] {
            let dates = PathDates { folders: pattern.split('/').map(str::to_owned).collect() };
            assert_eq!(spelt(&dates, &folders), expected, "{pattern} {folders:?}");
        }
    }

    #[test]
    fn months_are_those_that_compare_as_text() {
        for (text, expected) in [
            ("2026-01", true),
            ("2026-12", true),
            ("2026-13", false),
            ("2026-1", false),
            ("202601", false),
            ("October", false),
        ] {
            assert_eq!(is_month(text), expected, "{text}");
        }
    }

    #[test]
    fn days_count_from_1970() {
        assert_eq!(days(Date::constant(1970, 1, 2)), 1);
        assert_eq!(days(Date::constant(1969, 12, 31)), -1);
        assert_eq!(days(Date::constant(2026, 1, 1)), 20_454);
        assert_eq!(Date::constant(1970, 1, 1).checked_add(20_454.days()).ok(), Some(Date::constant(2026, 1, 1)));
    }
}
