//! Removing what no task uses any more.
