//! The crash harness: generated events, a truth worked out by plain code, blows on every part of a run, and the twelve
//! invariants after each scenario. `just crash` plays the whole matrix; here a spread subset of it is played.

mod bugs;
mod evidence;
mod invariants;
mod matrix;
mod scenario;
mod stage;
mod truth;
