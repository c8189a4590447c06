//! Exchanges over TCP, on the gossip port: everything that does not fit a datagram or needs an answer.
//!
//! A stream carries one question and its answer: [`message`] says what is said, [`session`] seals it.

mod client;
mod message;
mod server;
mod session;

pub(super) use client::{drained, exchange, knock};
pub(super) use message::{DrainAsk, Hello};
pub(super) use server::{Desk, Server};
pub(super) use session::{Speaker, SyncError};
