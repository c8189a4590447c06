//! `backchat release`: lets a change go that the guard holds back, or a member in that is held down.

use super::{
    Exit,
    connection::{Connection, Show},
    output,
};
use crate::admin::answers::{Release, ReleaseRequest};

/// Let a change go that the guard holds back, or a member in that is held down: 'backchat status' names it
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  backchat release h3c9    what the guard keeps goes
  backchat release f1a2b   the member that came and went is let in")]
pub(super) struct Flags {
    /// The hold
    #[arg(value_name = "HOLD")]
    hold: String,

    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    show: Show,
}

pub(super) async fn run(flags: Flags) -> anyhow::Result<Exit> {
    let_go(flags.hold, flags.connection, &flags.show).await
}

/// Lets go what is held under this name.
pub(super) async fn let_go(hold: String, connection: Connection, show: &Show) -> anyhow::Result<Exit> {
    let answer = connection.open()?.post::<Release>("/v1/release", &ReleaseRequest { hold }).await?;
    show.print(&answer, |release| format!("released {}\n", output::safe(&release.hold)))?;
    Ok(Exit::Done)
}
