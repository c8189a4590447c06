//! The one integration test binary: each scene is a module, so that they link once and share their helpers.

mod architecture;

// The benchmark's figures decide what the README says, so what computes them is tested here: a benchmark target of
// its own main function has no test runner.
#[path = "bench/figures.rs"]
mod figures;
#[path = "bench/table.rs"]
mod table;
#[path = "bench/wrk.rs"]
#[expect(dead_code, reason = "the tests need no running wrk")]
mod wrk;
