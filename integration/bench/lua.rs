//! An OpenResty of ours, and its admin socket as anybody else would speak to it: plain HTTP, no part of the driver.

use std::{io, net::SocketAddr, path::Path};

use anyhow::{Context as _, Result, ensure};
use backchat::drivers::{self, Managed};
use backchat_contract::Policies;
use backchat_openresty::OpenrestyDriver;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

/// The socket's name in the run folder.
pub(crate) const SOCKET: &str = "nginx.sock";

/// A driver of an OpenResty in this folder: of the program that `BACKCHAT_OPENRESTY` names, or one that has Lua.
pub(crate) async fn driver(run_dir: &Path, front: SocketAddr) -> Result<OpenrestyDriver> {
    let named = std::env::var_os("BACKCHAT_OPENRESTY");
    let managed = Managed {
        program: Path::new("openresty"),
        listen: &[front],
        tcp_listen: &[],
        policies: &Policies::default(),
        template: None,
        access: None,
        manners: backchat_contract::Manners::Ours,
        tls_listen: &[],
        run_dir,
        rehearsal: false,
    };
    let settings = drivers::openresty_settings(&managed, named.as_deref().map(Path::new)).await?;
    Ok(drivers::openresty(settings)?)
}

/// A connection to it.
pub(crate) struct Raw(UnixStream);

impl Raw {
    pub(crate) async fn to(socket: &Path) -> io::Result<Self> {
        Ok(Self(UnixStream::connect(socket).await?))
    }

    /// `POST /table`, answered 200.
    pub(crate) async fn post(&mut self, body: &str) -> Result<()> {
        let length = body.len();
        let request = format!("POST /table HTTP/1.1\r\nHost: bench\r\nContent-Length: {length}\r\n\r\n{body}");
        self.0.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        while !is_whole(&answer) {
            ensure!(self.0.read_buf(&mut answer).await? > 0, "the admin socket closed the connection");
        }
        let answer = String::from_utf8(answer).context("an answer in UTF-8")?;
        ensure!(answer.starts_with("HTTP/1.1 200 "), "the push was refused: {answer}");
        Ok(())
    }
}

/// Whether an answer has come with all of its body.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    length.is_some_and(|length: usize| body.len() >= length)
}
