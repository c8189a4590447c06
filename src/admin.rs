//! The admin API: HTTP and JSON for people and programs on this host, on a unix socket or loopback.
//!
//! It shows what others publish and hands on what is asked of them, through plain channels (`Sources`). It must
//! not know the cluster, the loop or a driver.

mod addr;
pub mod answers;
mod guard;
mod metrics;
mod orders;
mod routes;
mod server;
mod sources;
#[cfg(test)]
mod tests;

pub use addr::{Addr, AddrError};
pub use server::{BindError, Server};
pub use sources::{Command, Counts, Followed, Joined, Me, Ordering, Sources};
