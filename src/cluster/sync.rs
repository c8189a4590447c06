//! Exchanges over TCP, on the gossip port: everything that does not fit a datagram or needs an answer.

mod message;
mod session;
