//! `backchat members`: who is there.

use super::{
    Exit,
    connection::{self, Connection},
    output,
};
use crate::admin::answers::Members;

/// Who is there, as this host's daemon knows it
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  backchat members
  backchat members -o wide
  backchat members --format json | jq -r '.members[] | select(.liveness == \"failed\").name'
  backchat members --format serf      for scripts made for Serf")]
pub(super) struct Flags {
    #[command(flatten)]
    connection: Connection,

    /// How to show the answer
    #[arg(long, short = 'o', value_enum, default_value_t)]
    format: Format,

    /// No line of column names
    #[arg(long)]
    no_headers: bool,
}

/// How to show the answer: as everywhere, or as Serf would.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A table for people.
    #[default]
    Text,
    /// A table with more columns.
    Wide,
    /// As the admin API answers.
    Json,
    /// As 'serf members -format=json' answers.
    Serf,
}

pub(super) async fn run(flags: Flags) -> anyhow::Result<Exit> {
    let answer = flags.connection.open()?.get::<Members>("/v1/members").await?;
    let members = &answer.value;
    let format = match flags.format {
        Format::Json => return output::print(&answer.text).map(|()| Exit::Done),
        Format::Serf => return output::print(&output::members::serf(members)?).map(|()| Exit::Done),
        Format::Text => connection::Format::Text,
        Format::Wide => connection::Format::Wide,
    };
    output::print(&output::members::text(members, format, flags.no_headers))?;
    output::note(&output::members::totals(members));
    Ok(Exit::Done)
}
