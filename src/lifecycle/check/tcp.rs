//! A connect, closed at once.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::{names::Names, target::Addr};
use crate::model::words::without_errno;

pub(super) async fn look(names: &Names, place: &Addr) -> Result<(), String> {
    let found = names.of(&place.host).await.map_err(|error| words(&error))?;
    let addrs: Vec<_> = found.into_iter().map(|ip| SocketAddr::new(ip, place.port)).collect();
    TcpStream::connect(&*addrs).await.map(drop).map_err(|error| words(&error))
}

fn words(error: &std::io::Error) -> String {
    without_errno(&error.to_string()).to_lowercase()
}
