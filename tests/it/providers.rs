//! One suite for every provider against a misbehaving fake.
