//! `backchat demo-web`: the web server of the demo, as a process of its own, so that `kill -9` is what it is. Hidden:
//! it serves nothing of use.

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::Exit;
use crate::demo::{Web, child::input_closed};

/// A web server that answers its name
#[derive(clap::Args)]
pub(super) struct Flags {
    /// Where to listen
    #[arg(long, value_name = "ADDR:PORT")]
    listen: SocketAddr,

    /// What to answer
    #[arg(long)]
    name: String,

    /// Serve on where standard input is empty: an agent runs it, and sees to its end
    #[arg(long)]
    kept: bool,
}

/// Serves until SIGTERM or SIGINT, or until whoever started it is gone: standard input tells.
pub(super) async fn run(flags: Flags) -> anyhow::Result<Exit> {
    let web =
        Web::start(flags.listen, &flags.name).await.with_context(|| format!("cannot listen on {}", flags.listen))?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    // Cancel-safe: all three only wait, and it ends with any.
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = input_closed(), if !flags.kept => {}
    }
    web.stop().await?;
    Ok(Exit::Done)
}
