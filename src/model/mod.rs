//! The vocabulary of milepost: pure values without I/O that every other layer speaks.

pub mod address;
pub mod candidate;
pub mod decision;
pub mod delivery;
pub mod diagnostic;
pub mod health;
pub mod ledger_table;
pub mod message;
pub mod number;
pub mod outcome;
pub mod period;
pub mod redaction;
pub mod shape;
pub mod suppression;
pub mod template_context;
pub mod window;

pub use address::{EmailAddress, Mailbox};
pub use candidate::{Candidate, DeliveryKey, Suppression, occasion_stem};
pub use decision::Decision;
pub use delivery::DeliveryState;
pub use diagnostic::{Diagnostic, Place, Severity, SourceFile};
pub use health::{Check, DayFacts, TableFacts, Unhealthy};
pub use ledger_table::{Cell, Column, ColumnKind, LEDGER_TABLES, LedgerTable};
pub use message::Message;
pub use number::Level;
pub use outcome::{Fault, Outcome};
pub use period::{Period, PeriodKind, WeekStart};
pub use shape::Shape;
pub use suppression::SuppressionReason;
pub use template_context::{ContextWriter, TemplateContext};
pub use window::{Opening, Window};
