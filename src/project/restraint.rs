//! What holds mail back although it is due: holdouts, variants, caps and windows.

use jiff::SignedDuration;

use super::job::MessageSpec;
use crate::model::number::round_significant;
use crate::model::window::Window;

/// A share of people, above 0 and below 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    /// A share of so many per cent; `None` unless above 0 and below 100.
    #[must_use]
    pub fn of_percent(percent: f64) -> Option<Self> {
        (percent > 0.0 && percent < 100.0).then_some(Self(round_significant(percent / 100.0)))
    }

    /// From 0 to 1.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

/// At most so many marketing mails to one profile within a time, across jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// At least 1.
    pub max: u32,
    /// Plain hours.
    pub per: SignedDuration,
}

/// When a job's mail may leave, and whose clock says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobWindow {
    /// Hours and days.
    pub window: Window,
    /// Whose clock.
    pub zone: WindowZone,
}

/// Whose clock a window goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WindowZone {
    /// The audience column `timezone`; the project's where that names none.
    #[default]
    Profile,
    /// The project's.
    Project,
}

/// The variants of a message; empty where it has none.
#[derive(Clone, Debug, Default)]
pub struct Variants {
    /// The milestone that declares them, part of the hash; empty when the job does.
    pub salt: String,
    /// In declared order.
    pub list: Vec<Variant>,
}

/// One way to write a message.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Recorded with the delivery.
    pub name: String,
    /// Its share among the others.
    pub weight: f64,
    /// What is mailed; has no variants of its own.
    pub message: MessageSpec,
}
