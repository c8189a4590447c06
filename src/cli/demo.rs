//! `backchat demo`: shows on this machine what backchat does, with real processes, and judges it by requests.
//!
//! This file holds the arguments, the narrator and the end; the scenes are in `demo/scenes.rs`.

mod scenes;
mod words;

use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, output};
use crate::{
    config::DriverName,
    demo::{Counts, Driver},
};

/// See it work on this machine: agents join, drain and crash beside a real load balancer, under traffic
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  backchat demo
  backchat demo --driver nginx
  backchat demo --keep            leave it running, with commands to try

Status: 0 if no request failed, else 1.")]
pub(super) struct Flags {
    /// Which load balancer
    #[arg(long, value_name = "DRIVER", default_value = "haproxy")]
    driver: DriverName,

    /// Leave it running afterwards, with commands to try, until Ctrl-C
    #[arg(long)]
    keep: bool,

    /// How many web servers
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(4..=20))]
    webs: u8,
}

pub(super) async fn run(flags: Flags) -> anyhow::Result<Exit> {
    let program = std::env::current_exe().context("find this program's own file")?;
    let driver = match flags.driver {
        DriverName::Haproxy => Driver::Haproxy,
        DriverName::Nginx => Driver::Nginx,
        DriverName::Openresty => Driver::Openresty,
    };
    // Not cancel-safe, and need not be: what is dropped takes its processes along, and the program ends.
    let (stage, total) = tokio::select! {
        () = interrupted() => {
            output::print("\ninterrupted; everything it started was ended\n")?;
            return Ok(Exit::Failed);
        }
        played = scenes::play(&program, driver, flags.webs) => played?,
    };
    if flags.keep {
        scenes::invite(&stage, &program)?;
        interrupted().await;
        output::print("\n")?;
    }
    stage.end().await?;
    output::print(&format!("\ntotal: {total}\n"))?;
    Ok(if total.failures() == 0 { Exit::Done } else { Exit::Failed })
}

/// Resolves on SIGINT and SIGTERM; never, where they cannot be had.
async fn interrupted() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    // Cancel-safe: both only wait.
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Plain words before a scene, wrapped by hand.
fn tell(words: &str) -> anyhow::Result<()> {
    output::print(&format!("\n{words}\n"))
}

/// What was done, what was measured, what came of the requests meanwhile.
fn show(what: &str, measured: &str, counts: Option<&Counts>) -> anyhow::Result<()> {
    let counts = counts.map(ToString::to_string).unwrap_or_default();
    output::print(&format!("{}\n", format!("{what:<14} {measured:<24} {counts}").trim_end()))
}

/// A command as one would type it, and what it printed.
fn quote(command: &[&str], printed: &str) -> anyhow::Result<()> {
    let mut text = format!("\n  $ backchat {}\n", command.join(" "));
    for line in printed.lines() {
        text.push_str(format!("  {line}").trim_end());
        text.push('\n');
    }
    output::print(&text)
}

/// `31 ms`, `1.1 s`: as exact as it means anything.
fn short(time: Duration) -> String {
    if time < Duration::from_millis(100) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}
