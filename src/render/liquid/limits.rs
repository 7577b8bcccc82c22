//! The limits of one rendered part: what a profile's data may make of a template.

/// The largest part of a mail in bytes. Mail programs cut HTML at 102 KB, providers refuse some megabytes.
pub(in crate::render) const LARGEST_PART: usize = 2 * 1024 * 1024;

/// The most tags, outputs and filters that one part may run through.
pub(in crate::render) const MOST_STEPS: usize = 250_000;

/// The most bytes that filters and captures of one part may make, whether they are printed or not.
const MOST_MADE: usize = 16 * LARGEST_PART;

/// What one rendering has used up.
#[derive(Debug, Default)]
pub(in crate::render) struct Usage {
    steps: usize,
    made: usize,
}

impl Usage {
    /// Counts steps.
    pub(super) fn step(&mut self, steps: usize) -> Result<(), String> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps <= MOST_STEPS {
            return Ok(());
        }
        Err(format!("the template takes more than {MOST_STEPS} steps; its loops go round too often"))
    }

    /// Counts bytes that a filter or capture made.
    pub(super) fn make(&mut self, bytes: usize) -> Result<(), String> {
        self.made = self.made.saturating_add(bytes);
        if self.made <= MOST_MADE {
            return Ok(());
        }
        Err(format!("the filters make more than {} MB of text", MOST_MADE / 1024 / 1024))
    }

    /// Refuses an output that grows too long.
    pub(super) fn fits(bytes: usize) -> Result<(), String> {
        if bytes <= LARGEST_PART { Ok(()) } else { Err(too_large()) }
    }
}

/// The reason for a text longer than [`LARGEST_PART`].
pub(in crate::render) fn too_large() -> String {
    format!("a text grows longer than {} MB", LARGEST_PART / 1024 / 1024)
}
