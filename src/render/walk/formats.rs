//! Written formats and zones of dates, and clocks that do not say whose they are.

use jiff::tz::TimeZone;

use super::super::expression::{Chain, Value};
use super::super::filters::{Format, nearest_zone, shows_clock};
use super::conditions::kind;
use super::{Diagnostic, Shape, Walk};
use crate::model::shape::ScalarKind;

impl Walk<'_> {
    /// Checks the zones and formats that a chain is given in quotes.
    pub(super) fn check_formats(&mut self, chain: &Chain, input: Option<&Shape>) {
        let mut zoned = self.is_zoned(&chain.value);
        for filter in &chain.filters {
            let Some(Value::Text(text, span)) = filter.positional.first() else {
                zoned |= filter.name == "in_zone";
                continue;
            };
            match filter.name.as_str() {
                "in_zone" => {
                    zoned = true;
                    if TimeZone::get(text).is_err() {
                        let message = format!("there is no time zone `{text}`");
                        let help = nearest_zone(text).map_or_else(
                            || "write an IANA name such as `Europe/Paris`, or a column that holds one".to_owned(),
                            |zone| format!("did you mean `{zone}`?"),
                        );
                        let place = self.source.place(span.clone());
                        self.report(Diagnostic::error("unknown-zone", message, &place).with_help(help));
                    }
                }
                "date" => self.check_format((text.as_str(), span), zoned, input),
                _ => {}
            }
        }
    }

    fn check_format(&mut self, (text, span): (&str, &std::ops::Range<usize>), zoned: bool, input: Option<&Shape>) {
        let place = self.source.place(span.clone());
        let refused = match Format::of(text) {
            Format::Fixed => Some("this format has no `%`, so that it prints itself for every date"),
            Format::Unknown => Some("this format has a directive that is not known"),
            Format::Sound => None,
        };
        if let Some(message) = refused {
            let help = "write it as strftime has it: `%-d %B %Y` gives 21 November 2026, `%H:%M` gives 06:00";
            return self.report(Diagnostic::error("date-format", message, &place).with_help(help));
        }
        if !shows_clock(text) {
            return;
        }
        if input.and_then(kind) == Some(ScalarKind::Date) {
            let message = "a day has no time of day, so that this prints midnight for everybody";
            return self.report(Diagnostic::error("date-format", message, &place).with_help("show the day alone"));
        }
        if !zoned {
            let zone = self.ground.zone.iana_name().unwrap_or("UTC").to_owned();
            let message = format!("this shows a time of day in the project's zone, {zone}, without saying so");
            let help = "move it first: `| in_zone: profile.timezone`, or show the zone with `%Z`";
            self.report(Diagnostic::warning("clock-without-zone", message, &place).with_help(help));
        }
    }

    /// Whether a value is an instant that was moved to a zone before.
    pub(super) fn is_zoned(&self, value: &Value) -> bool {
        match value {
            Value::Variable(variable) => {
                variable.steps.is_empty() && self.scope.find(&variable.root).is_some_and(|binding| binding.zoned)
            }
            _ => false,
        }
    }
}
