//! Whether somebody else listens where an engine of ours is to.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
};

/// The first of these addresses that somebody else listens at. What an engine of ours that runs has by its file,
/// `ours`, is no stranger's: it is about to be adopted, or on its way out. Why else an address cannot be had, the
/// engine tells better.
pub fn taken(ours: Option<&str>, listen: &[SocketAddr]) -> Option<SocketAddr> {
    // A template may write an address in its own way, the port it must write.
    let is_ours = |addr: &SocketAddr| ours.is_some_and(|config| config.contains(&format!(":{}", addr.port())));
    let in_use = |addr: &SocketAddr| TcpListener::bind(addr).is_err_and(|e| e.kind() == ErrorKind::AddrInUse);
    listen.iter().copied().find(|addr| !is_ours(addr) && in_use(addr))
}
