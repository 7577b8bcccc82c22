//! One suite for every ledger.
