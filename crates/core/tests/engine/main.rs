//! The laws of the engine: scenarios with names, and random walks whose invariants are checked
//! after every step.

#![cfg(test)]

mod bounds;
mod flows;
mod keys;
mod laws;
mod limits;
mod places;
mod restarts;
mod scenarios;
mod times;
mod world;
