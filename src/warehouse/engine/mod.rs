//! What the engine runs on.

pub(super) mod apart;
pub(super) mod time_limit;
