//! `backchat apply`: has exactly the plan applied that a file shows, or lets a held change go.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use super::{
    Exit,
    connection::{Connection, Show},
    output, release,
};
use crate::{
    admin::answers::{Applied, ApplyRequest, Format, Plan},
    model::words::quoted,
};

/// Apply exactly the plan that 'backchat plan --out FILE' saved, or let a held change go
#[derive(clap::Args)]
#[command(
    group = clap::ArgGroup::new("what").required(true),
    after_help = "\
Examples:
  backchat plan --out new.plan       see what would be done, and save that
  backchat apply new.plan            do it, if it is still the same; else say what has moved
  backchat apply --accept h3c9       what the guard keeps goes, as by 'backchat release h3c9'

The file is only compared: what is done is what the daemon plans itself. For this 'lb --approve' waits.

Status: 0 done, or nothing left to do; 75 the plan has changed and was not applied;
78 no plan of this daemon."
)]
pub(super) struct Flags {
    /// The plan, as it was saved
    #[arg(value_name = "FILE", group = "what")]
    file: Option<PathBuf>,

    /// A hold that 'backchat plan' names: what it keeps goes
    #[arg(long, value_name = "HOLD", group = "what")]
    accept: Option<String>,

    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    show: Show,
}

/// Longer than any plan: 50,000 changes with their diffs.
const MOST: u64 = 64 << 20;

/// Why a file is no plan to apply.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub(super) struct BadPlan {
    path: PathBuf,
    why: String,
}

pub(super) async fn run(flags: Flags) -> anyhow::Result<Exit> {
    if let Some(hold) = flags.accept {
        return release::let_go(hold, flags.connection, &flags.show).await;
    }
    // One of the two was said.
    let path = flags.file.unwrap_or_default();
    let request = read(&path).and_then(ApplyRequest::try_from).map_err(|why| BadPlan { path, why })?;
    let answer = flags.connection.open()?.post::<Applied>("/v1/apply", &request).await?;
    flags.show.print(&answer, text)?;
    Ok(if answer.value.refused.is_empty() { Exit::Done } else { Exit::Failed })
}

fn read(path: &Path) -> Result<Plan, String> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MOST).read_to_end(&mut text));
    read.map_err(|error| error.to_string())?;
    understand(&text)
}

/// What the file says of its format first: of another one nothing else can be told.
fn understand(text: &[u8]) -> Result<Plan, String> {
    #[derive(serde::Deserialize)]
    struct Head {
        format: String,
    }
    let remedy = "save one by 'backchat plan --out FILE'";
    let head = serde_json::from_slice::<Head>(text).map_err(|error| format!("it is no plan ({error}); {remedy}"))?;
    if head.format != Plan::FORMAT {
        let (theirs, ours) = (head.format, Plan::FORMAT);
        return Err(format!("it is in {}, expected {ours}; {remedy}", quoted(&theirs, 40)));
    }
    serde_json::from_slice(text).map_err(|error| format!("it is no whole plan ({error}); {remedy}"))
}

fn text(applied: &Applied) -> String {
    let Applied { generation, took_ms, .. } = applied;
    let waiting = applied.waiting.as_ref().map(|why| format!("; waiting: {}", output::safe(why))).unwrap_or_default();
    if !applied.done {
        return format!("nothing left to do: generation {generation} is as the plan shows{waiting}\n");
    }
    let (changes, commands) = (output::count(applied.changes, "change"), output::count(applied.commands, "command"));
    let reload = if applied.reloaded { "reloaded" } else { "no reload" };
    format!("applied {changes}: {commands}, {reload}, generation {generation} read back, {took_ms} ms{waiting}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(done: bool, reloaded: bool, waiting: Option<&str>) -> String {
        let waiting = waiting.map(Into::into);
        let refused = Vec::new();
        let (node, changes, commands, generation, took_ms) = ("proxy".into(), 1, 12, 43, 210);
        text(&Applied { node, done, changes, commands, refused, reloaded, generation, took_ms, waiting })
    }

    #[test]
    fn it_tells_what_was_done() {
        let nothing = "nothing left to do: generation 43 is as the plan shows\n";
        assert_eq!(applied(false, false, None), nothing);
        let done = "applied 1 change: 12 commands, reloaded, generation 43 read back, 210 ms\n";
        assert_eq!(applied(true, true, None), done);
        let waits =
            "applied 1 change: 12 commands, no reload, generation 43 read back, 210 ms; waiting: web/a drains\n";
        assert_eq!(applied(true, false, Some("web/a drains")), waits);
    }
}
