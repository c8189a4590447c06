//! How a daemon begins and ends: signals, and the duties of process 1.
//!
//! It must not know what the daemon does in between.

pub mod init;
pub mod signals;
