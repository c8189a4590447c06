//! `backchat config check`: file, settings, key, sources, template, engine, in this order; the first mistake ends it.

use std::path::{Path, PathBuf};

use backchat_contract::{Desired, DriverError};
use clap::builder::Resettable;

use crate::{
    app::{self, offline},
    cli::{exit::Mistake, output},
    config::{self, Daemon, FileError, Layer, blame, whose},
    drivers,
    settings::{self, Host, Plane},
    source::Uri,
};

/// Say whether a daemon would take this file, and where and why not
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  backchat config check /etc/backchat/lb.toml
  backchat config check b.toml --as agent
  backchat config check lb.toml -- --key-file key")]
pub(super) struct Flags {
    /// The file, in TOML
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Whose it is; its keys tell if left out
    #[arg(long = "as", value_name = "DAEMON")]
    daemon: Option<Daemon>,

    /// Do not have haproxy, nginx or openresty check what is rendered
    #[arg(long)]
    no_engine: bool,

    /// Flags that the daemon is given beside the file
    #[arg(last = true, id = "flags", value_name = "FLAGS")]
    given: Vec<String>,
}

/// What was looked at, line by line.
pub(super) async fn run(flags: Flags) -> anyhow::Result<String> {
    let (daemon, why) = match flags.daemon {
        Some(daemon) => (daemon, "as you say".to_owned()),
        None => match whose(&flags.file)? {
            Some((daemon, key)) => (daemon, format!("'{key}' is its key")),
            None => (Daemon::Lb, "no key tells; --as agent for the other".to_owned()),
        },
    };
    let name = if daemon == Daemon::Lb { "lb" } else { "agent" };
    let head = format!("{}: ok for {name} ({why})\n", flags.file.display());
    let facts = match daemon {
        Daemon::Agent => agent(&flags)?,
        Daemon::Lb => lb(&flags).await?,
    };
    Ok(facts.iter().fold(head, |text, (about, words)| text + &format!("{about:<10}{}\n", output::safe(words))))
}

type Fact = (&'static str, String);

fn agent(flags: &Flags) -> anyhow::Result<Vec<Fact>> {
    let raw = layers::<config::Agent>(flags)?;
    let settings = settings::Agent::new(raw, &Host::ask()).map_err(|e| blame(&flags.file, &e.to_string()))?;
    secrets(&flags.file, &settings.common)?;
    let offers: Vec<_> = settings.services.iter().map(|o| format!("{}:{}", o.name, o.port)).collect();
    let offers = if offers.is_empty() { "none, unless a tag declares one".to_owned() } else { offers.join(", ") };
    Ok(vec![
        ("settings", format!("gossip at {}, run folder {}", settings.common.bind, settings.common.run_dir.display())),
        ("services", offers),
    ])
}

async fn lb(flags: &Flags) -> anyhow::Result<Vec<Fact>> {
    let raw = layers::<config::Lb>(flags)?;
    let settings = settings::Lb::new(raw, &Host::ask()).map_err(|e| blame(&flags.file, &e.to_string()))?;
    secrets(&flags.file, &settings.common)?;
    let mut facts = vec![("settings", summary(&settings))];
    let example = offline::example();
    let mut sets = vec![("an example", example)];
    if !settings.sources.uris.is_empty() {
        let (set, refused) = offline::listed_in_files(&settings).await?;
        facts.push(("sources", sum(&set)));
        for uri in settings.sources.uris.iter().filter(|uri| !matches!(uri, Uri::File(..))) {
            uri.secrets().map_err(|why| blame(&flags.file, &format!("--source {uri}: {why}")))?;
            facts.push(("sources", format!("{uri}: not asked")));
        }
        facts.extend(refused.iter().map(|r| ("refused", format!("{}: {}: {}", r.node, r.subject, r.why))));
        sets.push(("what is listed", set));
    }
    if let Plane::AttachedHaproxy { .. } = settings.plane {
        facts.push(("template", "none: an attached HAProxy has a file of its own".to_owned()));
        return Ok(facts);
    }
    template(&flags.file, &settings, &sets, &mut facts).await?;
    if flags.no_engine {
        facts.push(("engine", "not asked".to_owned()));
    } else {
        engine(&settings, &sets, &mut facts).await?;
    }
    Ok(facts)
}

/// Whether the key and the token are there, as the daemon wants them before all else.
fn secrets(file: &Path, common: &settings::Common) -> anyhow::Result<()> {
    offline::key(common)?;
    Ok(offline::token(common).map_err(|e| blame(file, &format!("--admin-token-file: {e}")))?)
}

/// The flags over the file, as the daemon lays them; the environment is no part of what is looked at.
fn layers<L: Layer>(flags: &Flags) -> anyhow::Result<L> {
    let command = clap::Command::new("flags").no_binary_name(true).disable_help_flag(true);
    let mut command = L::augment_args(command).mut_args(|arg| arg.env(Resettable::Reset));
    let given = command.try_get_matches_from_mut(&flags.given).and_then(|matches| L::from_arg_matches(&matches));
    let given = given.map_err(|error| {
        let words = super::super::usage::hidden(error.render().to_string(), &flags.given);
        let first = words.lines().next().unwrap_or_default().trim_start_matches("error: ");
        settings::Error::Flags(format!("behind '--': {first}"))
    })?;
    Ok(given.over(config::read(&flags.file)?))
}

fn summary(settings: &settings::Lb) -> String {
    let plane = match &settings.plane {
        Plane::Haproxy { managed, .. } => format!("haproxy at {}", list(&managed.listen)),
        Plane::AttachedHaproxy { socket } => format!("somebody's haproxy by {}", socket.display()),
        Plane::Nginx { managed } => format!("nginx at {}", list(&managed.listen)),
        Plane::AttachedNginx(theirs) => format!("{} in somebody's nginx", theirs.include.display()),
        Plane::AttachedOpenresty { theirs, .. } => format!("{} in somebody's openresty", theirs.include.display()),
        Plane::Openresty { managed, .. } => format!("openresty at {}", list(&managed.listen)),
    };
    let gossip = if settings.common.gossip { format!(", gossip at {}", settings.common.bind) } else { String::new() };
    format!("{plane}{gossip}, run folder {}", settings.common.run_dir.display())
}

fn list<T: ToString>(all: &[T]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn sum(set: &Desired) -> String {
    let (services, endpoints) = (set.services.len(), set.endpoints().count());
    format!("{} of {}", output::count(endpoints, "endpoint"), output::count(services, "service"))
}

/// Whether the template renders every set.
async fn template(
    file: &Path,
    settings: &settings::Lb,
    sets: &[(&str, Desired)],
    facts: &mut Vec<Fact>,
) -> anyhow::Result<()> {
    let name = settings.plane.template().map_or_else(|| "ours".to_owned(), |path| path.display().to_string());
    if let Some(path) = settings.plane.template() {
        let unread =
            |source| blame(file, &FileError::Named { flag: "--template", path: path.to_owned(), source }.to_string());
        drivers::read_template(path).map_err(unread)?;
    }
    for (what, set) in sets {
        match offline::files(settings, set).await {
            Err(app::Error::Driver(error)) => return Err(Mistake(format!("{} (on {what})", Mistake::of(error))).into()),
            other => drop(other?),
        }
    }
    let on = sets.iter().map(|(what, _)| *what).collect::<Vec<_>>().join(" and ");
    facts.push(("template", format!("{name} renders {on}")));
    Ok(())
}

/// What the engine itself has to say.
async fn engine(settings: &settings::Lb, sets: &[(&str, Desired)], facts: &mut Vec<Fact>) -> anyhow::Result<()> {
    for (what, set) in sets {
        match offline::check(settings, set).await {
            Ok(()) => {}
            Err(app::Error::Driver(error @ (DriverError::Start { .. } | DriverError::Unsupported(_)))) => {
                output::note(&format!("config: not checked by the engine: {}", Mistake::of(error)));
                facts.push(("engine", "was not there to ask".to_owned()));
                return Ok(());
            }
            Err(app::Error::Driver(error)) => return Err(Mistake(format!("{} (on {what})", Mistake::of(error))).into()),
            Err(other) => return Err(other.into()),
        }
    }
    let mut words = "takes it".to_owned();
    if let Plane::AttachedNginx(theirs) | Plane::AttachedOpenresty { theirs, .. } = &settings.plane {
        words = format!("takes our part; the whole of {} is checked when lb runs", theirs.conf.display());
    }
    facts.push(("engine", words));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    /// What is said of these lines, as one daemon's file and as the other's; `DIR` for the folder of file and token.
    async fn check(dir: &Path, lines: &str) -> [Result<String, String>; 2] {
        let file = dir.join("b.toml");
        let folder = dir.display().to_string();
        fs::write(&file, lines.replace("DIR", &folder)).unwrap();
        let said = async |daemon| {
            let file = file.clone();
            let flags = Flags { file, daemon: Some(daemon), no_engine: true, given: Vec::new() };
            run(flags).await.map_err(|e| e.to_string().replace(&folder, "DIR"))
        };
        [said(Daemon::Agent).await, said(Daemon::Lb).await]
    }

    #[tokio::test]
    async fn a_token_file_that_the_daemon_would_not_take_is_a_mistake_of_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let lines = "bind = \"127.0.0.1:0\"\nadmin = [\"0.0.0.0:9999\"]\nadmin-token-file = \"DIR/token\"\n";
        for said in check(dir.path(), lines).await {
            let error = said.unwrap_err();
            let wanted = "DIR/b.toml:3:1: --admin-token-file: read token file DIR/token: No such file";
            assert!(error.starts_with(wanted), "{error}");
        }
        fs::write(dir.path().join("token"), "0123456789abcdef\n").unwrap();
        fs::set_permissions(dir.path().join("token"), fs::Permissions::from_mode(0o600)).unwrap();
        for said in check(dir.path(), lines).await {
            assert!(said.is_ok(), "{said:?}");
        }
    }
}
