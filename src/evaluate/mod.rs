//! Jobs to SQL to candidates: milestone flags and recap matrices. Knows no ledger.
