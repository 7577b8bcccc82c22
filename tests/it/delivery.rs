//! Runs against a misbehaving provider, killed and run again.
