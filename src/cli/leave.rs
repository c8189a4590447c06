//! `backchat leave`: the running daemon drains, leaves and ends, as on SIGTERM.

use super::{
    Exit,
    connection::{Connection, Show},
    output,
};
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
    #[command(flatten)]
    show: Show,
}

pub(super) async fn run(flags: Flags) -> anyhow::Result<Exit> {
    let answer = flags.connection.open()?.post::<Leave>("/v1/leave", &serde_json::json!({})).await?;
    flags.show.print(&answer, |leave| format!("{} is leaving\n", output::safe(&leave.node)))?;
    Ok(Exit::Done)
}
