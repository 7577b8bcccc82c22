//! Every example runs and its numbers hold.
