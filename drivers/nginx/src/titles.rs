//! What nginx's processes say of themselves in their titles, as `/proc` shows them: who is a master, who works for it,
//! and who only ends what it has.
//!
//! A worker bears its master's title until it has written its own. One whose master is killed in that moment would pass
//! for a master: so the kernel is asked, too.

use std::{fs, os::unix::ffi::OsStrExt, path::Path};

/// A worker that takes no new connections says so behind its name.
const RETIRING: &str = "is shutting down";

/// A child of a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child {
    /// Its pid.
    pub pid: u32,
    /// Whether it only ends what it has.
    pub retiring: bool,
}

/// A process's title; empty where there is no such process, or where it has none left.
pub fn title(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim_end().to_owned()
}

/// Whether a process is an nginx master.
pub fn is_master(pid: u32) -> bool {
    is_masters(&title(pid)) && !is_forked(pid)
}

/// Started by a loader of its own, nginx writes its title behind the loader's: a worker's then has both.
fn is_masters(title: &str) -> bool {
    title.contains("nginx: master process") && !title.contains("nginx: worker process")
}

/// Whether a process only ends what it has; not where it is gone.
pub fn is_retiring(pid: u32) -> bool {
    title(pid).contains(RETIRING)
}

/// Whether a process is an nginx worker, of whatever nginx: one that has not said so yet, too.
pub fn is_worker(pid: u32) -> bool {
    let title = title(pid);
    title.contains("nginx: worker process") || (is_masters(&title) && is_forked(pid))
}

/// Whether a process is a copy of the one that started it. A master is not: it was executed, or is a daemon, which leads
/// a session of its own.
fn is_forked(pid: u32) -> bool {
    is_forked_by(&fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default(), pid)
}

/// The same by the process's line in `/proc`, `proc_pid_stat(5)`; not where it has none.
fn is_forked_by(stat: &str, pid: u32) -> bool {
    /// Forked, and nothing executed since: `PF_FORKNOEXEC` in the kernel's `sched.h`.
    const FORKED: u32 = 0x40;
    // The name of the program comes first, in parentheses, and may hold anything.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect::<Vec<_>>()).unwrap_or_default();
    let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u32>().ok());
    let (session, flags) = (number(3), number(6));
    flags.is_some_and(|flags| flags & FORKED != 0) && session != Some(pid)
}

/// The children of a master that live, sorted by pid.
pub fn children(master: u32) -> Vec<Child> {
    // Kernels without CONFIG_PROC_CHILDREN have no such file.
    let listed = fs::read_to_string(format!("/proc/{master}/task/{master}/children"));
    let mut pids: Vec<u32> = match listed {
        Ok(list) => list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect(),
        Err(_) => all().into_iter().filter(|pid| parent(*pid) == Some(master)).collect(),
    };
    pids.sort_unstable();
    let child = |pid| {
        let title = title(pid);
        // One that has ended and was not reaped yet has no title.
        (!title.is_empty()).then(|| Child { pid, retiring: title.contains(RETIRING) })
    };
    pids.into_iter().filter_map(child).collect()
}

/// The master that was started with this configuration, if one runs.
pub fn master_of(config: &Path) -> Option<u32> {
    let words = format!("-c {} ", config.display());
    all().into_iter().find(|pid| {
        let title = title(*pid);
        is_masters(&title) && title.contains(&words) && !is_forked(*pid)
    })
}

/// The workers in this folder whose master is none of theirs any more: it was killed, and they serve on.
pub fn orphans(folder: &Path, master: Option<u32>) -> Vec<u32> {
    let ours = all().into_iter().filter(|pid| is_worker(*pid) && in_folder(*pid, folder));
    ours.filter(|pid| master.is_none() || parent(*pid) != master).collect()
}

fn in_folder(pid: u32, folder: &Path) -> bool {
    let link = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
    let real = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    link.as_os_str().as_bytes() == real.as_os_str().as_bytes()
}

/// The parent of a process.
pub fn parent(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

fn all() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of nginx 1.22 on Linux 6.18, cut.
    fn check(stat: &str, expected: bool) {
        let pid = stat.split(' ').next().unwrap().parse().unwrap();
        assert_eq!(is_forked_by(stat, pid), expected, "{stat}");
    }

    #[test]
    fn a_master_is_told_from_its_copies() {
        check("32669 (nginx) S 32668 32663 1905 0 -1 4194304 812 0", false);
        check("32672 (nginx) S 32669 32663 1905 0 -1 4194624 112 0", true);
        // A daemon, its worker, and the worker once its master is killed.
        check("32722 (nginx) S 1 32722 32722 0 -1 4194368 81 0", false);
        check("32723 (nginx) S 32722 32722 32722 0 -1 4194624 95 0", true);
        check("32723 (nginx) S 1 32722 32722 0 -1 4194624 95 0", true);
        check("7 (a) b) S 1 7 5 0 -1 64 95 0", true);
        check("7", false);
    }
}
