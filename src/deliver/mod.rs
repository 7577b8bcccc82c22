//! Waves: claim durably, then send, then record; silence is an answer.
