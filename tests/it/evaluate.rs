//! Given rows, expected flags, metrics and candidates.
