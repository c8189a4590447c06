//! Whether somebody else listens where a HAProxy of ours is to: HAProxy shares its ports (`SO_REUSEPORT`), so two of
//! them would each get a part of the connections, and neither would notice.

use std::{
    fs,
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
};

use crate::{paths::Paths, process::Process};

/// The first of these addresses that somebody else listens at. What a HAProxy on these paths has by its file is no
/// stranger's: it is about to be adopted, or on its way out. Why else an address cannot be had, HAProxy tells better.
pub fn taken(paths: &Paths, listen: &[SocketAddr]) -> Option<SocketAddr> {
    let ours = Process::any(paths).then(|| fs::read_to_string(&paths.config).unwrap_or_default());
    // A template may write an address in its own way, the port it must write.
    let is_ours = |addr: &SocketAddr| ours.as_ref().is_some_and(|config| config.contains(&format!(":{}", addr.port())));
    let in_use = |addr: &SocketAddr| TcpListener::bind(addr).is_err_and(|e| e.kind() == ErrorKind::AddrInUse);
    listen.iter().copied().find(|addr| !is_ours(addr) && in_use(addr))
}
