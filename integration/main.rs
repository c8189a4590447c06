//! The one integration test binary: each topic is a module, so that they link once and share their helpers.

mod architecture;
mod balanced;
mod bench_figures;
mod chaos_rules;
mod cluster;
mod commands;
mod conformance;
mod containers;
mod cookbook;
mod demo;
mod errors;
mod hipache;
mod laws;
mod layout;
mod offline;
mod packaging;
mod quoting;
mod readme;
mod scenes;
mod schema;
mod signal;
mod simulator;
mod spellings;

#[path = "bench/figures.rs"]
mod figures;
#[path = "bench/table.rs"]
mod table;
#[path = "bench/wrk.rs"]
#[expect(dead_code, reason = "the tests need no running wrk")]
mod wrk;
