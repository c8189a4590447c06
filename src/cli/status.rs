//! `backchat status`: whether all is well, line by line.

use super::{
    Exit,
    connection::{Connection, Show},
    output,
};
use crate::admin::answers::Status;

/// Whether all is well; status 1 where something is HELD or FAILs
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  backchat status
  backchat status --short             problems only: nothing where all is well
  backchat status --format json | jq .converged")]
pub(super) struct Flags {
    #[command(flatten)]
    connection: Connection,

    #[command(flatten)]
    show: Show,

    /// Problems only
    #[arg(long)]
    short: bool,
}

pub(super) async fn run(flags: Flags) -> anyhow::Result<Exit> {
    let answer = flags.connection.open()?.get::<Status>("/v1/status").await?;
    let lines = output::status::lines(&answer.value);
    flags.show.print(&answer, |_| output::status::text(&lines, flags.short))?;
    Ok(if lines.iter().any(output::status::Line::is_bad) { Exit::Failed } else { Exit::Done })
}
