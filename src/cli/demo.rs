//! `backchat demo`: shows on this machine what backchat does, with real processes, and judges it by requests.
//!
//! This file holds the arguments, the narrator and the end; the scenes are in `demo/scenes.rs`.

mod scenes;

use std::{fmt::Display, process::ExitCode, time::Duration};

use tokio::signal::unix::{SignalKind, signal};

use crate::demo::{Counts, StageError};

/// Show on this machine what backchat does: agents join, drain and crash beside a real HAProxy under traffic.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Leave it running afterwards, with commands to try, until Ctrl-C
    #[arg(long)]
    keep: bool,

    /// How many web servers
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(4..=20))]
    webs: u8,
}

/// Plays the scenes. Exit status 1 where a request failed; 130 where interrupted.
pub async fn run(args: &Args) -> Result<ExitCode, StageError> {
    let interrupted = interrupted();
    tokio::pin!(interrupted);
    // Not cancel-safe, and need not be: what is dropped takes its processes along, and the program ends.
    tokio::select! {
        () = &mut interrupted => {
            println!("\ninterrupted: everything was ended");
            Ok(ExitCode::from(130))
        }
        played = play(args) => played,
    }
}

async fn play(args: &Args) -> Result<ExitCode, StageError> {
    let program = std::env::current_exe()
        .map_err(|source| StageError::Io { what: "find this program's own file".into(), source })?;
    let (stage, total) = scenes::play(&program, args.webs).await?;
    println!("\ntotal          {total}");
    if args.keep {
        scenes::invite(&stage, &program);
        interrupted().await;
        println!();
    }
    stage.end().await?;
    Ok(if total.failures() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
fn tell(words: &str) {
    println!("\n{words}");
}

/// What was done, what was measured, what came of the requests meanwhile.
fn show(what: &str, measured: impl Display, counts: Option<&Counts>) {
    let counts = counts.map(ToString::to_string).unwrap_or_default();
    println!("{}", format!("{what:<14} {measured:<26} {counts}").trim_end());
}

/// A command as one would type it, and what it printed.
fn quote(command: &str, printed: &str) {
    println!("\n  $ backchat {command}");
    for line in printed.lines() {
        println!("  {line}");
    }
}

/// `31 ms`, `1.1 s`: as exact as it means anything.
fn short(time: Duration) -> String {
    if time < Duration::from_millis(100) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}
