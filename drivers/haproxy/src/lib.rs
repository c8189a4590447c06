//! The HAProxy driver: servers and routes over the runtime socket, the file and the process beside it.
//!
//! It knows the contract and HAProxy; never gossip, never a command line.

pub mod config;
pub mod layout;
pub mod maps;
pub mod options;
pub mod paths;
pub mod protocol;
pub mod routes;
pub mod socket;
pub mod observe;
pub mod plan;
