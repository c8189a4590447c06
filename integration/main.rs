//! The one integration test binary: each topic is a module, so that they link once and share their helpers.

mod architecture;
mod conformance;
