//! Where it is known from who is there, beside gossip: each source fills a snapshot of its own, and must not know what
//! becomes of it.

pub mod file;
mod uri;

pub use uri::{Uri, UriError};
