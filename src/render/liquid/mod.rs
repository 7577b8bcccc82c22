//! Runs liquid as Shopify means it: templates become trees once, and a tree is run per mail within fixed limits.
//!
//! Objects keep the order of their fields, null is never false, a field that is not there is null, and no value can make
//! a run fail; only the limits can.

mod compare;
mod data;
mod limits;
mod run;
mod syntax;
mod tree;

pub(super) use compare::{equal, instant, order};
pub(super) use data::{Data, Globals};
pub(super) use limits::{LARGEST_PART, too_large};
pub(super) use syntax::{About, Comparison, Condition, Items, Tag, read_tag};
pub(super) use tree::{Tree, parse};

/// Why a template stopped before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stopped {
    /// The partial it stopped in; `None` for the template itself.
    pub(super) partial: Option<String>,
    /// The byte of the source of the output or tag it stopped at.
    pub(super) offset: usize,
    /// The reason, without any value.
    pub(super) reason: String,
}

#[cfg(test)]
mod tests;
