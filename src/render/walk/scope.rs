//! What a name means at a point of a template: blocks, their branches, and which values are known not to be null.

use std::collections::{BTreeMap, BTreeSet};

use super::super::expression::Value;
use crate::model::Shape;

/// A name made by the template itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Binding {
    /// What it holds.
    pub(super) shape: Shape,
    /// The path of run values it stands for, as far as one is known.
    pub(super) path: Option<String>,
    /// Whether some way through the template leaves it unset.
    pub(super) maybe: bool,
    /// Whether it is an instant that was moved to a zone.
    pub(super) zoned: bool,
}

impl Binding {
    /// A name for a value of a shape.
    pub(super) fn of(shape: Shape) -> Self {
        Self { shape, path: None, maybe: false, zoned: false }
    }
}

/// Paths known not to be null when a condition holds, and when it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Guards {
    /// When it holds.
    pub(super) holds: BTreeSet<String>,
    /// When it does not.
    pub(super) fails: BTreeSet<String>,
}

/// One open block.
#[derive(Debug)]
pub(super) struct Block {
    /// `if`, `unless`, `case`, `for`, `capture`, `ifchanged`.
    pub(super) tag: String,
    /// Names set in the current branch.
    names: BTreeMap<String, Binding>,
    /// Names that mean something only within the block.
    locals: BTreeSet<String>,
    /// Names set in the branches before it.
    branches: Vec<BTreeMap<String, Binding>>,
    /// Whether one of the branches is always taken.
    has_else: bool,
    /// Paths not null in the current branch.
    guards: BTreeSet<String>,
    /// Paths not null in all later branches.
    later: BTreeSet<String>,
    /// The byte where it opens.
    pub(super) start: usize,
    /// What a `case` looks at.
    pub(super) subject: Option<Value>,
    /// The name that a `capture` sets.
    pub(super) target: Option<String>,
}

/// All open blocks, innermost last.
#[derive(Debug)]
pub(super) struct Scope {
    blocks: Vec<Block>,
}

impl Scope {
    /// A scope in which the template has set nothing yet.
    pub(super) fn new() -> Self {
        let mut scope = Self { blocks: Vec::new() };
        scope.open("", 0, Guards::default());
        scope
    }

    /// How many blocks are open.
    pub(super) fn depth(&self) -> usize {
        self.blocks.len() - 1
    }

    /// The innermost open block.
    pub(super) fn innermost(&self) -> Option<&Block> {
        self.blocks[1..].last()
    }

    /// Whether a block of this kind is open.
    pub(super) fn is_inside(&self, tag: &str) -> bool {
        self.blocks.iter().any(|block| block.tag == tag)
    }

    /// Opens a block.
    pub(super) fn open(&mut self, tag: &str, start: usize, guards: Guards) {
        self.blocks.push(Block {
            tag: tag.to_owned(),
            names: BTreeMap::new(),
            locals: BTreeSet::new(),
            branches: Vec::new(),
            has_else: false,
            guards: guards.holds,
            later: guards.fails,
            start,
            subject: None,
            target: None,
        });
    }

    /// Notes what the innermost block is about.
    pub(super) fn about(&mut self, subject: Option<Value>) {
        self.top().subject = subject;
    }

    /// Notes the name that the innermost block sets.
    pub(super) fn sets_name(&mut self, target: &str) {
        self.top().target = Some(target.to_owned());
    }

    /// Adds what the condition of the current branch says.
    pub(super) fn also(&mut self, guards: Guards) {
        let block = self.top();
        block.guards.extend(guards.holds);
        block.later.extend(guards.fails);
    }

    /// Starts the next branch of the innermost block.
    pub(super) fn branch(&mut self, guards: &Guards, is_else: bool) {
        let block = self.top();
        let finished = std::mem::take(&mut block.names);
        // The part of a `case` before its first `when` is no branch.
        if !(block.tag == "case"
            && block.branches.is_empty()
            && finished.is_empty()
            && block.guards.is_empty()
            && block.later.is_empty())
        {
            block.branches.push(finished);
        }
        block.guards = &block.later | &guards.holds;
        block.later = &block.later | &guards.fails;
        block.has_else |= is_else;
        if block.tag == "case" && block.later.is_empty() {
            block.later.insert(String::new());
        }
    }

    /// Closes the innermost block: names set in every branch stay, the others may be unset.
    pub(super) fn close(&mut self) -> Option<Block> {
        if self.blocks.len() == 1 {
            return None;
        }
        let mut block = self.blocks.pop()?;
        let last = std::mem::take(&mut block.names);
        block.branches.push(last);
        let always_runs = match block.tag.as_str() {
            "capture" | "include" => true,
            "if" | "unless" | "case" => block.has_else,
            _ => false,
        };
        let names: BTreeSet<String> = block
            .branches
            .iter()
            .flat_map(|branch| branch.keys())
            .filter(|name| !block.locals.contains(*name))
            .cloned()
            .collect();
        for name in names {
            let everywhere =
                always_runs && block.branches.iter().all(|branch| branch.get(&name).is_some_and(|one| !one.maybe));
            let Some(mut binding) = block.branches.iter().find_map(|branch| branch.get(&name).cloned()) else {
                continue;
            };
            if block.branches.iter().any(|branch| branch.get(&name).is_some_and(|other| other.shape != binding.shape)) {
                binding.shape = Shape::Any;
            }
            let before = self.find(&name).is_some_and(|outer| !outer.maybe);
            binding.maybe = !everywhere && !before;
            self.set(&name, binding);
        }
        Some(block)
    }

    /// Sets a name from here on.
    pub(super) fn set(&mut self, name: &str, binding: Binding) {
        self.top().names.insert(name.to_owned(), binding);
    }

    /// Sets a name that means something only within the innermost block.
    pub(super) fn set_local(&mut self, name: &str, binding: Binding) {
        self.top().locals.insert(name.to_owned());
        self.set(name, binding);
    }

    /// What the template has set a name to.
    pub(super) fn find(&self, name: &str) -> Option<&Binding> {
        self.blocks.iter().rev().find_map(|block| block.names.get(name))
    }

    /// Every name the template has set.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.blocks.iter().flat_map(|block| block.names.keys().map(String::as_str))
    }

    /// Whether a path, or what it is part of, is known not to be null here.
    pub(super) fn is_guarded(&self, path: &str) -> bool {
        self.blocks.iter().flat_map(|block| &block.guards).any(|guard| {
            !guard.is_empty()
                && path.strip_prefix(guard.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// Whether something within a path is known not to be null here, so that the path is there at all.
    pub(super) fn is_guarded_within(&self, path: &str) -> bool {
        let within = |guard: &String| guard.strip_prefix(path).is_some_and(|rest| rest.starts_with(['.', '[']));
        self.blocks.iter().flat_map(|block| &block.guards).any(within)
    }

    /// Forgets what is known of a name that gets a new meaning.
    pub(super) fn forget(&mut self, name: &str) {
        for block in &mut self.blocks {
            block.guards.retain(|guard| guard.split(['.', '[']).next() != Some(name));
        }
    }

    fn top(&mut self) -> &mut Block {
        self.blocks.last_mut().expect("the outermost block is never closed")
    }
}
