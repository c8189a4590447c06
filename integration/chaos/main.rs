//! `make chaos`: what may happen to a cluster happens to a real one, out of a seed, under load; and what must hold, must
//! hold. Among the tests it runs for half a minute.
//!
//! One half stays outside: it makes the network, namespaces of its own, starts the other half in it, and unmakes it
//! however that ends. The other half runs the daemons, the load and the checks.

mod admin;
mod args;
mod blame;
mod checks;
mod doing;
mod evidence;
mod folders;
mod growth;
mod load;
mod namespaces;
mod op;
mod plane;
mod processes;
mod pulse;
mod report;
mod run;
mod schedule;
mod world;

use std::{
    path::Path,
    process::{ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};
use backchat::demo::child::input_closed;
use tokio::{
    process::Command,
    signal::unix::{SignalKind, signal},
    time::timeout,
};

use self::{
    args::{ASKED, Args, Job},
    namespaces::{Names, Namespaces},
    run::Run,
    world::World,
};

/// How long a run may take beyond its time: its start, its last round, the deadlines of both.
const BEYOND: Duration = Duration::from_secs(600);
/// How long the inner half may take to end once told.
const ENDING: Duration = Duration::from_secs(20);
/// Each log's last lines that a failure shows.
const LAST_WORDS: usize = 12;

fn main() -> Result<ExitCode> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Runtime::new()?;
    match Job::read(&words) {
        Job::List => println!("chaos: test"),
        Job::Nothing => {}
        Job::Asked(Args { inside: Some(tag), time, seed: Some(seed), from, program }) => {
            return runtime.block_on(inside(Names::new(&tag), time, seed, from, &program));
        }
        Job::Asked(args) => return runtime.block_on(outside(args, ExitCode::FAILURE)),
        Job::Test(args) => return runtime.block_on(outside(args, ExitCode::SUCCESS)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes the network, has the other half run in it, and unmakes it. Where there can be none, says so and ends with
/// `skipped`.
async fn outside(args: Args, skipped: ExitCode) -> Result<ExitCode> {
    let names = Names::new(&format!("bcc{}", std::process::id()));
    let network = match Namespaces::new(names.clone()) {
        Ok(network) => network,
        Err(why) => {
            eprintln!("SKIPPED: chaos: {why}");
            return Ok(skipped);
        }
    };
    let seed = args.seed.unwrap_or_else(|| rand::random_range(0..1_000_000));
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &names.hub()]).arg(std::env::current_exe()?).arg(ASKED);
    command.args(["--inside", names.tag(), "--seed", &seed.to_string(), "--from", &args.from.to_string()]);
    command.arg("--time").arg(humantime::format_duration(args.time).to_string()).arg("--program").arg(&args.program);
    let mut half = command.stdin(Stdio::piped()).kill_on_drop(true).spawn().context("start the inner half")?;
    // Held apart, for waiting on a process closes it. Closed, it tells the inner half to end.
    let stdin = half.stdin.take();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    // Cancel-safe: all of them only wait.
    let ended = tokio::select! {
        ended = half.wait() => Some(ended?),
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        () = tokio::time::sleep(args.time + BEYOND) => { eprintln!("chaos: not done {BEYOND:?} after its time"); None }
    };
    drop(stdin);
    let ended = match ended {
        Some(ended) => Some(ended),
        None => timeout(ENDING, half.wait()).await.ok().transpose()?,
    };
    drop(half);
    drop(network);
    Ok(match ended.and_then(|status| status.code()) {
        Some(0) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Runs in the network until all is done, something is wrong, or the outer half is gone.
async fn inside(names: Names, time: Duration, seed: u64, from: u32, program: &Path) -> Result<ExitCode> {
    let world = World::new(names, std::path::absolute(program)?)?;
    let mut run = Run::new(&world);
    println!("chaos: seed {seed} for {}", humantime::format_duration(time));
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Cancel-safe: what is cut off is thrown away.
    let outcome = tokio::select! {
        outcome = run.rounds(seed, from, time) => Some(outcome),
        _ = interrupt.recv() => None,
        _ = input_closed() => None,
    };
    println!("\n{}", run.report.summary(&run.growth));
    if run.pulse.stalls() > 0 {
        println!("this machine stood still {} times, for more than 100 ms each", run.pulse.stalls());
    }
    let logs = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chaos-{seed}"));
    world.keep_logs(&logs)?;
    match outcome {
        Some(Ok(())) => Ok(ExitCode::SUCCESS),
        Some(Err(error)) => {
            evidence::keep(&world, &logs).await?;
            println!("\n{}\n\nFAILED: {error:#}", world.last_words(LAST_WORDS));
            println!("{}", report::again(seed, run.round, time, &logs));
            Ok(ExitCode::FAILURE)
        }
        None => {
            println!("interrupted");
            Ok(ExitCode::FAILURE)
        }
    }
}
