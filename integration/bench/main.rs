//! `make bench`: backchat and what it replaces, side by side in one run.
//!
//! Both sides run on the same machine at the same time of day, through the same HAProxy program, watched by the same
//! eyes (`backchat::demo`); compare by ratio, for the figures themselves depend on the machine. A goal that is missed
//! is a failure (status 1), after the table is written; not of `--quick`, whose few rounds judge nothing.

mod drive;
mod figures;
mod floor;
mod judge;
mod keys;
mod load;
mod lua;
mod ours;
mod planes;
mod push;
mod reload;
mod rolling;
mod rows;
mod serf;
mod service;
mod side;
mod stale;
mod table;
mod usage;
mod wrk;

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail};
use figures::Figures;
use ours::Backchat;
use rows::{Effort, Measured};
use table::{Goal, Row};

const FULL: Effort = Effort {
    rounds: 5,
    reloads: 21,
    pushes: 101,
    stale: 1000,
    crowd: 50,
    crowds: 5,
    events: 50,
    idle: Duration::from_secs(20),
    restarts: 200,
    keys: keys::Effort { hosts: &[(10_000, 100), (100_000, 20)], load: Duration::from_secs(5), loads: 3 },
};
/// To see that all of it runs; its figures mean little.
const QUICK: Effort = Effort {
    rounds: 1,
    reloads: 3,
    pushes: 5,
    stale: 50,
    crowd: 10,
    crowds: 1,
    events: 4,
    idle: Duration::from_secs(2),
    restarts: 10,
    keys: keys::Effort { hosts: &[(1000, 10)], load: Duration::from_secs(1), loads: 1 },
};

fn main() -> Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    // `cargo bench` says --bench; any other runner, `cargo test --benches` say, wants no measurement.
    if !args.iter().any(|arg| arg == "--bench") {
        return Ok(());
    }
    let quick = args.iter().any(|arg| arg == "--quick");
    let parts = Parts::of(&args)?;
    let missed = tokio::runtime::Runtime::new()?.block_on(bench(if quick { QUICK } else { FULL }, parts))?;
    missed.filter(|_| !quick).map_or(Ok(()), |missed| Err(anyhow!(missed)))
}

/// What is measured: all of it, or one part, for whoever works on that.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each part is measured or not, by itself")]
struct Parts {
    floors: bool,
    sides: bool,
    planes: bool,
    keys: bool,
}

impl Parts {
    fn of(args: &[String]) -> Result<Self> {
        let Some(only) = args.iter().find_map(|arg| arg.strip_prefix("--only=")) else {
            return Ok(Self { floors: true, sides: true, planes: true, keys: true });
        };
        let none = Self { floors: false, sides: false, planes: false, keys: false };
        match only {
            "floors" => Ok(Self { floors: true, ..none }),
            "sides" => Ok(Self { sides: true, ..none }),
            "planes" => Ok(Self { planes: true, ..none }),
            "keys" => Ok(Self { keys: true, ..none }),
            _ => bail!("--only={only}: use floors, sides, planes or keys"),
        }
    }
}

/// Measures, shows and writes down everything; which goals were missed.
async fn bench(effort: Effort, parts: Parts) -> Result<Option<String>> {
    let floors = if parts.floors { Box::pin(floors(effort)).await? } else { Vec::new() };
    let sides = if parts.sides { Box::pin(sides(effort)).await? } else { Vec::new() };
    let planes = if parts.planes { planes::rows(effort.restarts).await? } else { Vec::new() };
    let keys = if parts.keys { Box::pin(keys::rows(&effort.keys)).await? } else { Vec::new() };
    let mut report = conditions(effort)?;
    for (about, theirs, rows) in [
        ("", "Serf 0.9.4 + script", &sides),
        (PLANES, "bare HUP", &planes),
        (KEYS, "bare", &keys),
        (FLOOR, "raw", &floors),
    ] {
        if !rows.is_empty() {
            report.extend(["\n", about, &table::render(theirs, rows)]);
        }
    }
    println!("{report}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let path = folder.join("bench.md");
    fs::create_dir_all(folder)?;
    fs::write(&path, report).with_context(|| format!("write {}", path.display()))?;
    Ok(table::missed(&sides.into_iter().chain(planes).chain(keys).chain(floors).collect::<Vec<_>>()))
}

async fn sides(effort: Effort) -> Result<Vec<Row>> {
    let theirs = rows::measure::<serf::Serf>(effort).await?;
    let ours = rows::measure::<Backchat>(effort).await?;
    Ok(compare(effort, theirs, ours, Box::pin(service::deaths(effort.rounds)).await?))
}

const PLANES: &str = "The same restarts on nginx and OpenResty; beside nginx's keep-alive clients those of an nginx that \
                      stays as it is and is reloaded as often: it closes idle connections at each.\n\n";

const KEYS: &str = "Hipache's keys in a Redis, each host a frontend of its own, followed by `lb --hipache`; beside it the same \
                    engine with one backend in its file, asked in turn by 16 clients whose requests are answered at once.\n\n";

const FLOOR: &str = "The floor: a driver against the same sent raw. HAProxy: the same commands over the socket, one at a \
                     time. nginx: the same file written over, and a HUP. OpenResty: a POST \
                     of the same table on a fresh connection; the driver's file, written after its push was answered, is \
                     not counted.\n\n";

async fn floors(effort: Effort) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (endpoints, backends) in [(1000, 1), (10_000, 100)] {
        let (raw, driven) = Box::pin(floor::measure(load::Load { endpoints, backends }, effort.rounds)).await?;
        let what = format!("HAProxy: push {endpoints} endpoints into {backends} backends");
        rows.push(Row::new(what, raw, driven, Goal::AtMost(1.5)));
    }
    for (endpoints, backends) in [(10, 1), (1000, 1), (10_000, 100)] {
        let (bare, driven) = Box::pin(reload::measure(load::Load { endpoints, backends }, effort.reloads)).await?;
        let what = format!("nginx: one endpoint of {endpoints} in {backends} backends changed → effective");
        rows.push(Row::new(what, bare, driven, Goal::AtMost(1.2)));
    }
    for (endpoints, backends) in [(10, 1), (1000, 1), (10_000, 100)] {
        // On a worker, as the daemon's loop runs: a connection's task is not handed to another thread.
        let (bare, driven) = tokio::spawn(push::measure(load::Load { endpoints, backends }, effort.pushes)).await??;
        let what = format!("OpenResty: one endpoint of {endpoints} in {backends} backends changed → served");
        rows.push(Row::new(what, bare, driven, Goal::AtMost(2.0)));
    }
    let Effort { stale, .. } = effort;
    let stale::Stale { requests, stale: found } = Box::pin(stale::measure(stale)).await?;
    let what = format!("OpenResty: stale answers over {stale} pushes, of {requests}");
    rows.push(Row::alone(what, found, Goal::Zero));
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
