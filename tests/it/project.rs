//! Broken projects and every finding about them.
