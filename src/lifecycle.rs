//! How a daemon begins and ends, and the service it runs: signals, the duties of process 1, the child and its checks.
//!
//! It must not know what the daemon does in between, nor what is told of the service to others.

pub mod backoff;
pub mod check;
pub mod child;
mod ending;
pub mod handler;
pub mod init;
pub mod keeper;
pub mod service;
mod shell;
mod signal_name;
pub mod signals;

pub use check::{Check, Pace, Target};
pub use ending::Ending;
pub use service::{Order, Phase, Restart};
pub use signal_name::SignalName;
