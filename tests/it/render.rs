//! Hostile values and broken templates.
