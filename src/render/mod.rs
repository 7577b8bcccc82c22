//! Templates compiled once, strict and escaped; a candidate becomes a message.
