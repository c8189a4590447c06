//! The HAProxy driver: servers and routes over the runtime socket, the file and the process beside it.
//!
//! It knows the contract and HAProxy; never gossip, never a command line.

mod ask;
pub mod check;
pub mod config;
pub mod files;
pub mod layout;
pub mod log;
pub mod maps;
pub mod master;
pub mod options;
pub mod paths;
pub mod process;
pub mod protocol;
pub mod routes;
pub mod socket;
pub mod observe;
pub mod plan;
