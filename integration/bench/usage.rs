//! What a process costs, as the kernel counts it.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};

const KIB_PER_MIB: f64 = 1024.0;

/// Memory of one process in MiB: resident, and proportional (pages shared by n processes count 1/n).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) rss: f64,
    pub(crate) pss: f64,
}

/// Reads `/proc/PID/smaps_rollup`.
pub(crate) fn memory(pid: u32) -> Result<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let field = |name: &str| -> Result<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / KIB_PER_MIB)
    };
    Ok(Memory { rss: field("Rss:")?, pss: field("Pss:")? })
}

/// Time on a core since the process began, all threads: `/proc/PID/task/*/schedstat`, in nanoseconds.
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    let mut nanos = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        nanos += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanos))
}
