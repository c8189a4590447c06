//! `backchat demo-web`: the web server of the demo and the tests, as a process. Hidden: it serves nothing of use.

use std::{future::pending, net::SocketAddr};

use anyhow::Context;

use super::Exit;
use crate::demo::Web;

/// A web server that answers its name
#[derive(clap::Args)]
pub(super) struct Flags {
    /// Where to listen
    #[arg(long, value_name = "ADDR:PORT")]
    listen: SocketAddr,

    /// What to answer
    #[arg(long)]
    name: String,
}

pub(super) async fn run(flags: Flags) -> anyhow::Result<Exit> {
    let _web =
        Web::start(flags.listen, &flags.name).await.with_context(|| format!("cannot listen on {}", flags.listen))?;
    pending().await
}
