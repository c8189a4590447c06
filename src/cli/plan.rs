//! `backchat plan`: what the daemon would do now, without doing it.

use super::{
    Exit,
    connection::{Connection, Show},
    output,
};
use crate::{admin::answers::Plan, model::Assumption};

/// What the balancer of this host would change now, or if; status 2 where there is something
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  backchat plan
  backchat plan --assume gone=web1        what if it were gone
  backchat plan | grep '^[-!]'            what is dangerous in it

Status: 0 nothing to change, 2 changes, 75 nothing but held changes; anything else is an error.")]
pub(super) struct Flags {
    #[command(flatten)]
    connection: Connection,

    /// What if: drain=NODE, gone=NODE [repeatable]
    #[arg(long, value_name = "WHAT=NODE", value_delimiter = ',', value_parser = assumption)]
    assume: Vec<String>,

    #[command(flatten)]
    show: Show,

    /// Long diffs and command lists in full
    #[arg(long)]
    full: bool,
}

fn assumption(text: &str) -> Result<String, String> {
    if text.starts_with("template=") {
        return Err("template=FILE: not yet: only drain=NODE and gone=NODE".into());
    }
    text.parse::<Assumption>().map(|_| text.to_owned())
}

pub(super) async fn run(flags: Flags) -> anyhow::Result<Exit> {
    // Node names need no escaping in a query.
    let path = format!("/v1/plan?assume={}", flags.assume.join(","));
    let answer = flags.connection.open()?.get::<Plan>(&path).await?;
    flags.show.print(&answer, |plan| output::plan::text(plan, flags.full))?;
    Ok(exit(&answer.value))
}

/// How a command ends that has shown this plan.
pub(super) fn exit(plan: &Plan) -> Exit {
    match (plan.changes_anything(), plan.holds.is_empty()) {
        (true, _) => Exit::Changes,
        (false, false) => Exit::Held,
        (false, true) => Exit::Done,
    }
}
