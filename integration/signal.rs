//! Signals to processes that the tests have started, by their pid.

use std::time::{Duration, Instant};

use backchat_template::is_stopped;
use rustix::process::{Pid, Signal, kill_process};

/// Far beyond what the kernel needs.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.try_into().unwrap()).expect("a child has a process id");
    kill_process(pid, signal).expect("it runs");
}

/// SIGSTOP, and it stands when this returns: the kernel stops a process that runs just now at its own time.
pub(crate) fn halt(pid: u32) {
    send(pid, Signal::STOP);
    let deadline = Instant::now() + PATIENCE;
    while !is_stopped(pid) {
        assert!(Instant::now() < deadline, "{pid} runs on");
        std::thread::yield_now();
    }
}
