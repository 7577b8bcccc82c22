//! What may stand before a value inside one attribute, on every way through the liquid in it.

use crate::render::stand_ins;

/// What a liquid segment is, as far as the text round it is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// It prints a value.
    Value,
    /// A tag, by its name.
    Tag(String),
    /// It prints nothing, or something of its own.
    Other,
}

/// A machine that reads an attribute from its beginning.
pub(super) trait Machine: Clone + PartialEq {
    /// Reads text of the template.
    fn text(&mut self, text: &str);
    /// Reads a value.
    fn value(&mut self);
}

/// The states in which each stand-in of an attribute finds a machine, in order.
pub(super) fn states<M: Machine>(start: M, attribute: &str, piece: impl Fn(usize) -> Piece) -> Vec<Vec<M>> {
    let words = stand_ins::find(attribute);
    let mut current = vec![start];
    let mut open: Vec<Block<M>> = Vec::new();
    let mut found = Vec::with_capacity(words.len());
    let mut at = 0;
    for (span, index) in words {
        each(&mut current, |machine| machine.text(&attribute[at..span.start]));
        at = span.end;
        found.push(current.clone());
        match piece(index) {
            Piece::Value => each(&mut current, Machine::value),
            Piece::Tag(name) => step(&name, &mut current, &mut open),
            Piece::Other => {}
        }
    }
    found
}

/// A block of tags that is open.
struct Block<M> {
    /// States where it begins.
    entry: Vec<M>,
    /// States at the ends of its branches so far.
    ends: Vec<M>,
    /// Whether one of the branches is always taken.
    complete: bool,
}

fn step<M: Machine>(tag: &str, current: &mut Vec<M>, open: &mut Vec<Block<M>>) {
    match tag {
        "if" | "unless" | "case" | "for" | "ifchanged" => {
            open.push(Block { entry: current.clone(), ends: Vec::new(), complete: false });
        }
        "else" | "elsif" | "when" => {
            if let Some(block) = open.last_mut() {
                block.complete |= tag == "else";
                add(&mut block.ends, std::mem::replace(current, block.entry.clone()));
            }
        }
        closing if closing.starts_with("end") => {
            if let Some(block) = open.pop() {
                add(current, block.ends);
                if !block.complete || closing == "endfor" {
                    add(current, block.entry);
                }
            }
        }
        _ => {}
    }
}

fn each<M: Machine>(machines: &mut Vec<M>, mut read: impl FnMut(&mut M)) {
    let mut read_on = Vec::with_capacity(machines.len());
    for mut machine in machines.drain(..) {
        read(&mut machine);
        add(&mut read_on, vec![machine]);
    }
    *machines = read_on;
}

fn add<M: PartialEq>(states: &mut Vec<M>, more: Vec<M>) {
    for state in more {
        if !states.contains(&state) {
            states.push(state);
        }
    }
}
