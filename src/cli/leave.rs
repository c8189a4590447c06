//! `backchat leave`: the running daemon drains, leaves and ends, as on SIGTERM.

use super::{Exit, connection::Connection, output};
use crate::admin::answers::Leave;

/// Let this host's daemon drain, leave the cluster and end, as on SIGTERM
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  backchat leave
  backchat leave --admin unix:/run/backchat/web1/admin.sock")]
pub(super) struct Flags {
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn run(flags: Flags) -> anyhow::Result<Exit> {
    let answer = flags.connection.open()?.post::<Leave>("/v1/leave", &serde_json::json!({})).await?;
    output::print(&format!("{} is leaving\n", output::safe(&answer.value.node)))?;
    Ok(Exit::Done)
}
