//! What the chaos is told: by `make chaos`, by its own other half, or by `cargo test`, which takes it for a usual test.

use std::{path::PathBuf, time::Duration};

use clap::Parser;

/// What a run is to be.
#[derive(Clone, Debug, Parser)]
#[command(name = "chaos", about = "Random joins, leaves, crashes, stops, cuts and losses under load, on real daemons")]
pub(crate) struct Args {
    /// For how long new rounds begin; the last one is run to its end
    #[arg(long, value_parser = humantime::parse_duration)]
    pub(crate) time: Duration,

    /// What everything random comes from; a random one if left out
    #[arg(long)]
    pub(crate) seed: Option<u64>,

    /// The round to begin with: those before are left out
    #[arg(long, value_name = "ROUND", default_value_t = 1)]
    pub(crate) from: u32,

    /// The backchat to test; the one of the tests if left out
    #[arg(long, default_value = env!("CARGO_BIN_EXE_backchat"))]
    pub(crate) program: PathBuf,

    /// Said by the half that makes the network to the half that runs in it: what its names begin with
    #[arg(long, hide = true)]
    pub(crate) inside: Option<String>,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    /// A run that somebody asked for.
    Asked(Args),
    /// The short one among the tests.
    Test(Args),
    /// To say which tests there are.
    List,
    /// Nothing: another test was asked for.
    Nothing,
}

/// The first word of those who mean the chaos itself.
pub(crate) const ASKED: &str = "--chaos";

/// What among the tests is run. The seed is fixed: a test shows the same today and tomorrow.
fn short() -> Args {
    Args::parse_from(["chaos", "--time=30s", "--seed=15"])
}

impl Job {
    /// Reads the command line.
    pub(crate) fn read(words: &[String]) -> Self {
        let is = |word: &str| words.iter().any(|given| given == word);
        match words.first().map(String::as_str) {
            Some(ASKED) => Self::Asked(Args::parse_from([&["chaos".to_owned()], &words[1..]].concat())),
            _ if is("--list") => Self::List,
            // cargo's filter; every other flag of its test runner changes nothing here.
            Some(filter) if !filter.starts_with('-') && !"chaos".contains(filter) => Self::Nothing,
            _ => Self::Test(short()),
        }
    }
}
