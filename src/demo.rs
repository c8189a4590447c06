//! What one needs to watch backchat work: web servers, traffic that counts, child processes, the load balancer's own word.
//!
//! Shared by `backchat demo`, the integration tests and the benchmark. It must not know how backchat works inside:
//! it sees processes, sockets and HTTP, as any user does.

pub mod child;
pub mod client;
pub mod plane;
pub mod ports;
pub mod stage;
pub mod traffic;
pub mod web;

pub use child::Child;
pub use client::Client;
pub use plane::{Driver, Plane};
pub use stage::{Stage, StageError};
pub use traffic::{Counts, Failure, Load, Traffic};
pub use web::Web;
