//! Use cases: check, run, preview, flags, metrics, status. No printing.
