//! The keeper's family: every process that descends from it. Whatever loses its parent becomes its child, for the
//! keeper is their subreaper; so whoever kills its children until there is none has killed them all.

use std::fs;

use rustix::process::{Pid, Signal, getpid, kill_process};

/// Sends a signal to every child of this process; says to how many.
pub(super) fn signal_children(signal: Signal) -> usize {
    let told = |pid: &Pid| kill_process(*pid, signal).is_ok();
    children().into_iter().filter(told).count()
}

/// The children of this process, those that ended and were not reaped left out. None where /proc is not there, or
/// shows another process namespace than ours: its numbers would be other processes'.
pub(super) fn children() -> Vec<Pid> {
    let me = getpid();
    let ours =
        fs::read_link("/proc/self").is_ok_and(|link| link.as_os_str() == me.as_raw_nonzero().to_string().as_str());
    let entries = ours.then(|| fs::read_dir("/proc")).into_iter().flatten().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| is_child_of(me, *pid)).filter_map(Pid::from_raw).collect()
}

fn is_child_of(parent: Pid, pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| says_child_of(parent, &stat))
}

/// Reads `pid (name) state parent …`; the name may hold anything, a parenthesis too.
fn says_child_of(parent: Pid, stat: &str) -> bool {
    let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let (state, ppid) = (fields.next(), fields.next().and_then(|field| field.parse().ok()));
    state.is_some_and(|state| state != "Z") && ppid == Some(parent.as_raw_nonzero().get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_known_by_its_stat() {
        let check = |stat: &str, expected: bool| {
            assert_eq!(says_child_of(Pid::from_raw(7).unwrap(), stat), expected, "{stat}");
        };
        check("9 (nginx) S 7 9 9 0 -1", true);
        check("9 (a) S 1) R 7 9", true);
        check("9 (a) Z 7 9", false);
        check("9 (nginx) S 17 9 9", false);
        check("9 (nginx", false);
        check("", false);
    }
}
