//! `backchat status`: whether all is well, line by line.

use super::{
    Exit,
    client::{Client, ClientError},
    connection::{Connection, Show},
    output,
};
use crate::admin::answers::{Health, Status};

/// Whether all is well; status 1 where something is HELD or FAILs
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  backchat status
  backchat status --short             problems only: nothing where all is well
  backchat status --format json | jq .converged
  backchat status --alive             whether it answers; for the HEALTHCHECK of a container
  backchat status --ready             whether traffic may be sent to it, and why not")]
pub(super) struct Flags {
    #[command(flatten)]
    connection: Connection,

    #[command(flatten)]
    show: Show,

    /// Problems only
    #[arg(long)]
    short: bool,

    /// Only whether the daemon answers, as /healthz says; nothing is printed
    #[arg(long, conflicts_with_all = ["short", "ready"])]
    alive: bool,

    /// Only whether traffic may be sent to it, as /readyz says; nothing is printed, but why not
    #[arg(long, conflicts_with = "short")]
    ready: bool,
}

pub(super) async fn run(flags: Flags) -> anyhow::Result<Exit> {
    let client = flags.connection.open()?;
    if flags.alive || flags.ready {
        return probe(&client, if flags.ready { "/readyz" } else { "/healthz" }).await;
    }
    let answer = client.get::<Status>("/v1/status").await?;
    let lines = output::status::lines(&answer.value);
    flags.show.print(&answer, |_| output::status::text(&lines, flags.short))?;
    Ok(if lines.iter().any(output::status::Line::is_bad) { Exit::Failed } else { Exit::Done })
}

/// What an orchestrator asks, again and again. What is HELD or FAILs is no reason for it to end a daemon that works.
async fn probe(client: &Client, path: &str) -> anyhow::Result<Exit> {
    match client.get::<Health>(path).await {
        Ok(_) => Ok(Exit::Done),
        Err(ClientError::Refused { text, .. }) => {
            output::note(&text);
            Ok(Exit::Failed)
        }
        Err(error) => Err(error.into()),
    }
}
