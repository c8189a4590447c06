//! `make bench`: backchat and what it replaces, side by side in one run.
//!
//! Both sides run on the same machine at the same time of day, through the same HAProxy program, watched by the same
//! eyes (`backchat::demo`); compare by ratio, for the figures themselves depend on the machine. A goal that is missed
//! is a failure (status 1), after the table is written; not of `--quick`, whose few rounds judge nothing.

mod figures;
mod floor;
mod ours;
mod rolling;
mod rows;
mod serf;
mod service;
mod side;
mod table;
mod usage;
mod wrk;

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use figures::Figures;
use rows::{Effort, Measured};
use table::{Goal, Row};

const FULL: Effort =
    Effort { rounds: 5, crowd: 50, crowds: 5, events: 50, idle: Duration::from_secs(20), restarts: 200 };
/// To see that all of it runs; its figures mean little.
const QUICK: Effort = Effort { rounds: 1, crowd: 10, crowds: 1, events: 4, idle: Duration::from_secs(2), restarts: 10 };

fn main() -> Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    // `cargo bench` says --bench; any other runner, `cargo test --benches` say, wants no measurement.
    if !args.iter().any(|arg| arg == "--bench") {
        return Ok(());
    }
    let quick = args.iter().any(|arg| arg == "--quick");
    let missed = tokio::runtime::Runtime::new()?.block_on(bench(if quick { QUICK } else { FULL }))?;
    missed.filter(|_| !quick).map_or(Ok(()), |missed| Err(anyhow!(missed)))
}

/// Measures, shows and writes down everything; which goals were missed.
async fn bench(effort: Effort) -> Result<Option<String>> {
    let floor = Box::pin(floors(effort)).await?;
    let theirs = rows::measure::<serf::Serf>(effort).await?;
    let ours = rows::measure::<ours::Backchat>(effort).await?;
    let rows = compare(effort, theirs, ours, Box::pin(service::deaths(effort.rounds)).await?);
    let report = format!(
        "{}\n{}\nThe floor: the driver against the same commands sent raw over the socket, one at a time.\n\n{}",
        conditions(effort)?,
        table::render("Serf 0.9.4 + script", &rows),
        table::render("raw", &floor),
    );
    println!("{report}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let path = folder.join("bench.md");
    fs::create_dir_all(folder)?;
    fs::write(&path, report).with_context(|| format!("write {}", path.display()))?;
    Ok(table::missed(&rows.into_iter().chain(floor).collect::<Vec<_>>()))
}

async fn floors(effort: Effort) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (endpoints, backends) in [(1000, 1), (10_000, 100)] {
        let (raw, driven) = Box::pin(floor::measure(floor::Load { endpoints, backends }, effort.rounds)).await?;
        let what = format!("push {endpoints} endpoints into {backends} backends");
        rows.push(Row::new(what, raw, driven, Goal::AtMost(1.5)));
    }
    Ok(rows)
}

/// The goals of the project's issues.
fn compare(effort: Effort, theirs: Measured, ours: Measured, death: Figures) -> Vec<Row> {
    let Effort { crowd, events, .. } = effort;
    let broken = format!("broken requests over {events} scale events, of {} and {}", theirs.requests, ours.requests);
    let [fresh, kept] = rolling::rows(&theirs.rolled, &ours.rolled);
    vec![
        Row::new("start of an agent → first answer routed", theirs.join, ours.join, Goal::Times(30.0)),
        Row::new("graceful leave → out of HAProxy", theirs.leave, ours.leave, Goal::Times(30.0)),
        Row::new("kill -9 → out of HAProxy", theirs.crash, ours.crash, Goal::Times(6.0)),
        Row::alone("death of the service alone, run by its agent → out of HAProxy", death, Goal::Within(service::GOAL)),
        Row::new(broken, theirs.broken, ours.broken, Goal::Zero),
        fresh,
        kept,
        Row::new(format!("memory of one of {crowd} agents, resident"), theirs.rss, ours.rss, Goal::Times(3.0)),
        Row::new("  the same, shared pages divided", theirs.pss, ours.pss, Goal::None),
        Row::new(format!("processor time of one of {crowd}, idle"), theirs.cpu, ours.cpu, Goal::Times(1.0)),
        Row::new(format!("{crowd} agents at once → all known to one"), theirs.crowd, ours.crowd, Goal::Times(1.0)),
    ]
}

/// What was run on what: figures without it say nothing.
fn conditions(effort: Effort) -> Result<String> {
    let version = |program: &Path, arg: &str| -> Result<String> {
        let output = Command::new(program).arg(arg).output().with_context(|| format!("run {}", program.display()))?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
    };
    let cores = std::thread::available_parallelism()?;
    Ok(format!(
        "Median (worst) of {} rounds ({} of the joins, {} of the crowds); {cores} cores; profile lan on both sides;\n\
         {}; backchat {}.\n",
        effort.rounds,
        effort.rounds * 2,
        effort.crowds,
        version(&side::haproxy(), "-v")?,
        env!("CARGO_PKG_VERSION"),
    ))
}
