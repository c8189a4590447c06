//! The one integration test binary: each scene is a module, so that they link once and share their helpers.

mod architecture;
mod cluster;
mod simulator;
