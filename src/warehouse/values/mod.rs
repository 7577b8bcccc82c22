//! The one place for what a value is, whatever its file calls it: an id as text, a text or number as an instant.

pub(in crate::warehouse) mod ids;
pub(in crate::warehouse) mod instants;
pub(in crate::warehouse) mod listed;
pub(in crate::warehouse) mod marks;
pub(in crate::warehouse) mod mixtures;
