//! Workers over the model store, with handlers made of closures. Nothing here knows another
//! store.

mod ends;
mod leases;
mod sharing;
mod stage;
mod trouble;
