//! The bare data plane: the same engine with one backend, written by hand as its manual has it.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use backchat::demo::{Child, child::Folder, ports};

use crate::{
    ours::{Haproxy, Kind},
    reload, side,
};

/// One that runs.
pub(super) struct Bare {
    pub(super) front: SocketAddr,
    _process: Child,
    _folder: Folder,
}

/// Starts it before this web server.
pub(super) async fn start<K: Kind>(web: SocketAddr) -> Result<Bare> {
    let (folder, front) = (Folder::new("backchat-bare-")?, ports::free()?);
    let (dir, file) = (folder.path().to_owned(), folder.path().join("conf"));
    let (text, program) = if K::NAME == Haproxy::NAME {
        (haproxy(front, web), side::haproxy())
    } else {
        (nginx(front, web, &dir), reload::nginx())
    };
    std::fs::write(&file, text).context("write the bare file")?;
    let args = if K::NAME == Haproxy::NAME {
        ["-db".into(), "-f".into(), file.into_os_string()].to_vec()
    } else {
        ["-c".into(), file.into_os_string(), "-p".into(), dir.clone().into_os_string()].to_vec()
    };
    let process = Child::start(&program, args, &dir.join("out"))?;
    let begun = Instant::now();
    while tokio::net::TcpStream::connect(front).await.is_err() {
        ensure!(begun.elapsed() < side::LIMIT, "the bare data plane does not start:\n{}", process.last_words(10));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(Bare { front, _process: process, _folder: folder })
}

fn haproxy(front: SocketAddr, web: SocketAddr) -> String {
    format!(
        "defaults\n mode http\n timeout connect 2s\n timeout client 60s\n timeout server 60s\n http-reuse safe\n\
         frontend f\n bind {front}\n default_backend b\nbackend b\n server s {web} check\n"
    )
}

fn nginx(front: SocketAddr, web: SocketAddr, dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "daemon off; pid {dir}/pid; error_log {dir}/log; worker_processes auto;\n\
         events {{ worker_connections 8192; }}\n\
         http {{ access_log off;\nupstream u {{ server {web}; keepalive 32; }}\n\
         server {{ listen {front}; location / {{ proxy_pass http://u; proxy_http_version 1.1; \
         proxy_set_header Connection ''; proxy_set_header Host $http_host; }} }} }}\n"
    )
}
