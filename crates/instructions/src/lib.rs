//! Nothing but a place for what is counted, see `benches/hot_paths.rs`: with as few crates beneath
//! it as that needs, because it is built once more, optimised, for valgrind.
