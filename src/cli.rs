//! The command line: one file a command. The only place that prints.
//!
//! Arguments become a `Job` with all its settings checked, and only then anything starts.

mod agent;
mod apply;
mod client;
mod completions;
mod config;
mod connection;
mod demo;
mod demo_web;
mod drain;
mod exit;
mod explain;
mod join;
mod keep;
mod keygen;
mod later;
mod layers;
mod lb;
mod leave;
mod members;
mod output;
mod plan;
mod release;
mod routes;
mod services;
mod status;
mod template;
#[cfg(test)]
mod tests;
mod usage;
mod version;
mod watch;

use std::{ffi::OsString, process::ExitCode};

use clap::{Arg, ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand, builder::Resettable};

pub use exit::Exit;

use crate::{
    lifecycle::init,
    settings::{self, Log},
};

/// Agents gossip, your load balancer follows: HAProxy always knows who is there
#[derive(Parser)]
#[command(name = "backchat", version, disable_help_subcommand = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Start here:
  backchat demo                                                      see it work, on this machine alone
  backchat lb --bind 10.0.0.2:7946 --key-file key                    beside the load balancer
  backchat agent --join 10.0.0.2 --service web:8080 --key-file key   beside each web server
  backchat status                                                    ask the daemon of this host

Exit status: 0 done, 1 failed, 2 changes (plan), 64 wrong usage, 69 daemon or data plane not reached,
75 held, not synced, not drained in time, or the plan has changed, 78 bad configuration.";

#[derive(Subcommand)]
enum Command {
    Agent(Box<agent::Flags>),
    Lb(Box<lb::Flags>),
    Plan(plan::Flags),
    Apply(apply::Flags),
    Members(members::Flags),
    Services(services::Flags),
    Routes(routes::Flags),
    Explain(explain::Flags),
    Status(status::Flags),
    Watch(watch::Flags),
    Join(join::Flags),
    Leave(leave::Flags),
    Drain(drain::DrainFlags),
    Undrain(drain::UndrainFlags),
    Release(release::Flags),
    Template(template::Flags),
    Config(config::Flags),
    Keygen(keygen::Flags),
    Demo(demo::Flags),
    #[command(hide = true)]
    DemoWeb(demo_web::Flags),
    #[command(hide = true)]
    Keep(keep::Flags),
    Version(version::Flags),
    Completions(completions::Flags),
}

/// What is to be done, all settings checked.
pub struct Job {
    name: &'static str,
    work: Work,
}

enum Work {
    Agent(Box<settings::Agent>),
    Lb(Box<settings::Lb>),
    Keep(keep::Flags),
    Other(Command),
}

/// The whole command line as clap knows it.
fn command() -> clap::Command {
    let help = Arg::new("help").short('h').long("help").action(ArgAction::HelpShort).global(true).help("Print help");
    // Of a single value the last one wins; a list takes all. One help page, with a line or two a flag: what
    // stands in the environment is said once, by the daemons' pages.
    let arg = |arg: Arg| if is_empty_in_environment(&arg) { arg.env(Resettable::Reset) } else { arg };
    Cli::command()
        .args_override_self(true)
        .disable_help_flag(true)
        .arg(help)
        .mut_subcommands(|sub| sub.mut_args(|a| arg(a.hide_env(true))))
}

/// An empty variable counts as one that is not set: what a line `BACKCHAT_JOIN=` of an environment file means.
fn is_empty_in_environment(arg: &Arg) -> bool {
    arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty())
}

/// Reads the arguments, the environment and the file they name. What is wrong was said when this fails.
///
/// # Errors
/// With the status to end with: 0 for `--help`, too.
pub fn job(args: impl IntoIterator<Item = OsString>) -> Result<Job, Exit> {
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = command().try_get_matches_from(&args).and_then(|matches| Cli::from_arg_matches(&matches));
    let command = cli.map_err(|error| usage::say(&error, &args))?.command;
    let name = command.name();
    let work = match command {
        Command::Agent(flags) => flags.settings().map(Box::new).map(Work::Agent),
        Command::Lb(flags) => flags.settings().map(Box::new).map(Work::Lb),
        Command::Keep(flags) => Ok(Work::Keep(flags)),
        other => Ok(Work::Other(other)),
    };
    work.map(|work| Job { name, work }).map_err(|error| exit::failed(name, &error))
}

impl Job {
    /// What to log; `None` for commands that print what they have to say.
    pub fn log(&self) -> Option<&Log> {
        match &self.work {
            Work::Agent(settings) => Some(&settings.common.log),
            Work::Lb(settings) => Some(&settings.common.log),
            Work::Keep(_) | Work::Other(_) => None,
        }
    }

    /// Does it. What went wrong was said when this returns.
    pub fn run(self) -> ExitCode {
        if let Work::Keep(flags) = &self.work
            && flags.is_starter()
        {
            return keep::start(flags);
        }
        let runtime = match self.runtime().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return exit::failed(self.name, &error.into()).into(),
        };
        let name = self.name;
        let result = runtime.block_on(self.work());
        // A blocked look-up of a name must not keep the program from ending.
        runtime.shutdown_background();
        result.unwrap_or_else(|error| exit::failed(name, &error).into())
    }

    /// Threads where there is work for them: beside a data plane, where a large plan must not keep gossip waiting.
    fn runtime(&self) -> tokio::runtime::Builder {
        if let Work::Lb(..) = self.work {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(2);
            return builder;
        }
        tokio::runtime::Builder::new_current_thread()
    }

    async fn work(self) -> anyhow::Result<ExitCode> {
        if self.log().is_some() && init::is_first_process() {
            return Ok(init::run().await?);
        }
        match self.work {
            Work::Agent(settings) => agent::run(*settings).await,
            Work::Lb(settings) => Box::pin(lb::run(*settings)).await,
            Work::Keep(flags) => keep::run(flags).await,
            Work::Other(command) => command.run().await.map(ExitCode::from),
        }
    }
}

impl Command {
    fn name(&self) -> &'static str {
        match self {
            Self::Agent(_) => "agent",
            Self::Lb(_) => "lb",
            Self::Plan(_) => "plan",
            Self::Apply(_) => "apply",
            Self::Members(_) => "members",
            Self::Services(_) => "services",
            Self::Routes(_) => "routes",
            Self::Explain(_) => "explain",
            Self::Status(_) => "status",
            Self::Watch(_) => "watch",
            Self::Join(_) => "join",
            Self::Leave(_) => "leave",
            Self::Drain(_) => "drain",
            Self::Undrain(_) => "undrain",
            Self::Release(_) => "release",
            Self::Template(_) => "template",
            Self::Config(_) => "config",
            Self::Keygen(_) => "keygen",
            Self::Demo(_) => "demo",
            Self::DemoWeb(_) => "demo-web",
            Self::Keep(_) => "keep",
            Self::Version(_) => "version",
            Self::Completions(_) => "completions",
        }
    }

    async fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::Plan(flags) => plan::run(flags).await,
            Self::Apply(flags) => apply::run(flags).await,
            Self::Members(flags) => members::run(flags).await,
            Self::Services(flags) => services::run(flags).await,
            Self::Routes(flags) => routes::run(flags).await,
            Self::Explain(flags) => explain::run(flags).await,
            Self::Status(flags) => status::run(flags).await,
            Self::Watch(flags) => watch::run(flags).await,
            Self::Join(flags) => join::run(flags).await,
            Self::Leave(flags) => leave::run(flags).await,
            Self::Drain(flags) => drain::drain(flags).await,
            Self::Undrain(flags) => drain::undrain(flags).await,
            Self::Release(flags) => release::run(flags).await,
            Self::Template(flags) => template::run(flags).await,
            Self::Config(flags) => config::run(flags).await,
            Self::Keygen(flags) => keygen::run(&flags),
            Self::Demo(flags) => demo::run(flags).await,
            Self::DemoWeb(flags) => demo_web::run(flags).await,
            Self::Version(flags) => version::run(&flags),
            Self::Completions(flags) => completions::run(&flags),
            Self::Agent(_) | Self::Lb(_) | Self::Keep(_) => unreachable!("daemons are jobs of their own"),
        }
    }
}
