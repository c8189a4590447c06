//! The hidden command behind each web server of the demo: a process of its own, so that `kill -9` is what it is.

use std::{io::Read as _, net::Ipv4Addr};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

use crate::demo::Web;

/// A web server that answers its name.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen on 127.0.0.1.
    #[arg(long)]
    port: u16,

    /// What to answer.
    #[arg(long)]
    name: String,
}

/// Serves until SIGTERM or SIGINT, or until whoever started it is gone: standard input tells.
pub async fn run(args: &Args) -> std::io::Result<()> {
    let web = Web::start((Ipv4Addr::LOCALHOST, args.port).into(), &args.name).await?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let orphaned = input_closed();
    // Cancel-safe: all three only wait, and it ends with any.
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = orphaned => {}
    }
    web.stop().await
}

/// Resolves when standard input ends. A thread of its own: tokio's reader would hold up the end of the program.
fn input_closed() -> oneshot::Receiver<()> {
    let (tell, told) = oneshot::channel();
    std::thread::spawn(move || {
        let mut sink = [0; 64];
        while std::io::stdin().read(&mut sink).is_ok_and(|read| read > 0) {}
        // Nobody waits any more where the server ends by itself.
        let _ = tell.send(());
    });
    told
}
