//! Whether a process is stopped (SIGSTOP, a debugger): it is there, its sockets take all, and it answers nothing.

use std::fs;

/// Whether it is; not where there is no such process.
pub fn is_stopped(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let state = status.lines().find_map(|line| line.strip_prefix("State:"));
    state.is_some_and(|state| state.trim_start().starts_with(['T', 't']))
}
