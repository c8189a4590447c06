//! The tests against real daemons: one binary, so that it links once. Each module says what it needs.

mod conformance;
