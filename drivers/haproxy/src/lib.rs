//! The HAProxy driver: servers and routes over the runtime socket, the file and the process beside it.
//!
//! It knows the contract and HAProxy; never gossip, never a command line.

mod access;
mod apply;
mod ask;
pub mod certificates;
pub mod check;
pub mod config;
mod connection;
mod driver;
pub mod files;
pub mod layout;
pub mod listeners;
mod log;
mod managed;
pub mod maps;
pub mod master;
pub mod observe;
pub mod offline;
pub mod options;
#[cfg(any(test, feature = "paper"))]
pub mod paper;
pub mod paths;
pub mod plan;
pub mod policy;
mod probe;
pub mod process;
pub mod protocol;
pub mod quic;
pub mod routes;
mod settings;
pub mod socket;

pub use backchat_template::Template;
pub use driver::HaproxyDriver;
pub use settings::{AttachedSettings, ManagedSettings};
