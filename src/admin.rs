//! The admin API: HTTP and JSON for people and programs, on a unix socket or loopback; beyond, for who has the token.
//!
//! It shows what others publish and hands on what is asked of them, through plain channels (`Sources`). It must
//! not know the cluster, the loop or a driver.

mod addr;
pub mod answers;
mod events;
mod explain;
mod guard;
mod line;
mod metrics;
mod orders;
mod plans;
mod routes;
mod server;
mod sources;
#[cfg(test)]
mod tests;
mod token;

pub use addr::{Addr, AddrError};
pub use events::HEARTBEAT;
pub use server::{BindError, Server};
pub use sources::{Command, Counts, Followed, Joined, Me, Ordering, Sources};
pub use token::{Token, TokenError};
