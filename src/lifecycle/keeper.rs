//! The keeper: a small process between an agent and the service it runs, so that the service and all that descends
//! from it end with the agent, however that ends.
//!
//! It is the service's parent and the subreaper of its descendants. It talks to the agent over the socket that is its
//! standard input: a byte that comes is a signal for the service, SIGKILL one for all; the end of the stream means
//! that the agent is gone. A line that goes says how the service ended. It must not know why.

mod family;
mod insistence;

use std::{
    ffi::OsString,
    io,
    os::{
        fd::AsFd,
        unix::{net::UnixStream as StdStream, process::CommandExt},
    },
    process::{Command, Stdio},
    time::Duration,
};

use rustix::{
    io::Errno,
    process::{
        Pid, Signal, WaitId, WaitIdOptions, WaitOptions, getpid, getppid, kill_process, kill_process_group,
        set_child_subreaper, set_parent_process_death_signal, setsid, wait, waitid,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    signal::unix::{Signal as Signals, SignalKind, signal},
    time::Instant,
};

use self::{
    family::{children, signal_children},
    insistence::Insistence,
};
use super::{Ending, child, init};

/// What a keeper keeps.
#[derive(Clone, Debug)]
pub struct Charge {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// What it is told where its agent is gone.
    pub stop_signal: Signal,
    /// How long it has then; and how long its descendants have once it ended.
    pub grace: Duration,
}

/// Becomes the command, and is sure to end with its parent, which is to be `parent`. Returns where that fails.
pub fn become_command(parent: i32, command: &[OsString]) -> io::Error {
    let Some((program, args)) = command.split_first() else { return io::ErrorKind::InvalidInput.into() };
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return error.into();
    }
    // A parent that was gone before the line above will not be missed again.
    if getppid().map(|pid| pid.as_raw_nonzero().get()) != Some(parent) {
        return io::Error::other("its keeper is gone");
    }
    Command::new(program).args(args).exec()
}

/// Runs the command, until neither it nor a descendant of it is left.
///
/// # Errors
/// Where it could not be started, its end cannot be waited for, or what was killed does not end.
pub async fn keep(charge: &Charge) -> io::Result<()> {
    let (orders, mut reports) = agent()?;
    // A session of its own: what a terminal sends reaches the agent alone, which drains first. Refused only where it
    // has one already.
    let _has_one = setsid();
    set_child_subreaper(Some(getpid()))?;
    // Not to be ended by what is sent to all processes of a unit; not ignored either, which children would inherit.
    let _deaf = init::handed_on()?;
    let children = signal(SignalKind::child())?;
    let service = start(&charge.command)?;
    reports.write_all(format!("started {}\n", service.as_raw_nonzero()).as_bytes()).await?;
    let keeper = Keeper { service: Some(service), charge, reports, alarm: None, insists: None };
    keeper.run(orders, children).await
}

fn agent() -> io::Result<(OwnedReadHalf, OwnedWriteHalf)> {
    let stream = StdStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    stream.set_nonblocking(true)?;
    Ok(UnixStream::from_std(stream)?.into_split())
}

/// Starts the command, which is to end with us.
fn start(command: &[OsString]) -> io::Result<Pid> {
    let Some((program, args)) = command.split_first() else { return Err(io::ErrorKind::InvalidInput.into()) };
    let mut starter = child::bound_to_us(program)?;
    starter.args(args);
    // A group of its own, so that it can be killed as one, and we stay.
    let child = starter.stdin(Stdio::null()).process_group(0).spawn()?;
    child::pid_of(child.id())
}

struct Keeper<'a> {
    /// The service, until it was reaped: so long its number and its group's are nobody else's.
    service: Option<Pid>,
    charge: &'a Charge,
    reports: OwnedWriteHalf,
    /// When patience ends.
    alarm: Option<Instant>,
    /// Once it has: SIGKILL for all that is left.
    insists: Option<Insistence>,
}

impl Keeper<'_> {
    async fn run(mut self, mut orders: OwnedReadHalf, mut children: Signals) -> io::Result<()> {
        let mut byte = [0];
        let mut agent_lives = true;
        while self.reap().await? {
            let alarm = self.alarm;
            // Cancel-safe: a signal and a read keep what was not taken; the alarm is set anew each time.
            tokio::select! {
                _ = children.recv() => {}
                read = orders.read(&mut byte), if agent_lives => {
                    agent_lives = read.is_ok_and(|count| count > 0);
                    if agent_lives { self.order(i32::from(byte[0]))? } else { self.orphaned() }
                }
                () = tokio::time::sleep_until(alarm.unwrap_or_else(Instant::now)), if alarm.is_some() => self.insist()?,
            }
        }
        Ok(())
    }

    /// The agent is gone: what it kept is to go too.
    fn orphaned(&mut self) {
        self.tell(self.charge.stop_signal);
        self.patience();
    }

    fn order(&mut self, number: i32) -> io::Result<()> {
        match Signal::from_named_raw(number) {
            Some(Signal::KILL) => return self.insist(),
            Some(signal) => self.tell(signal),
            None => {}
        }
        Ok(())
    }

    /// Hands a signal on to the service alone: it knows best what its own children need.
    fn tell(&self, signal: Signal) {
        if let Some(service) = self.service {
            // A zombie cannot be told, and need not.
            let _ended = kill_process(service, signal);
        }
    }

    fn patience(&mut self) {
        let soonest = self.alarm.unwrap_or(Instant::now() + self.charge.grace);
        self.alarm = Some(soonest.min(Instant::now() + self.charge.grace));
    }

    /// A round of SIGKILL; others follow, for those that were born or orphaned meanwhile.
    fn insist(&mut self) -> io::Result<()> {
        self.group(Signal::KILL);
        signal_children(Signal::KILL);
        let now = Instant::now();
        let next = self.insists.get_or_insert_with(|| Insistence::new(now)).next_round(now);
        self.alarm = Some(next.ok_or_else(|| io::Error::other(left_behind(&children())))?);
        Ok(())
    }

    /// Somebody ended: whom that one leaves behind is not to wait for the next round for long.
    fn progressed(&mut self) {
        if let Some(insists) = &mut self.insists {
            let now = Instant::now();
            *insists = Insistence::new(now);
            self.alarm = insists.next_round(now);
        }
    }

    fn group(&self, signal: Signal) {
        if let Some(service) = self.service {
            let _ended = kill_process_group(service, signal);
        }
    }

    /// Takes the status of every child that ended, the service's first; says whether somebody is left.
    async fn reap(&mut self) -> io::Result<bool> {
        self.service_ended().await?;
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => self.progressed(),
                Err(Errno::INTR) => {}
                Ok(None) => return Ok(true),
                Err(Errno::CHILD) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Once the service has ended, the agent is told at once, and what it left behind is told to end too. The dead
    /// service is reaped after that, so that the number of its group is no other's yet.
    async fn service_ended(&mut self) -> io::Result<()> {
        let Some(service) = self.service else { return Ok(()) };
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let Some(status) = waitid(WaitId::Pid(service), look)? else { return Ok(()) };
        // A report that does not arrive: the agent is gone.
        let _gone = self.reports.write_all(Ending::from(status).line().as_bytes()).await;
        let signal = if self.insists.is_some() { Signal::KILL } else { self.charge.stop_signal };
        let left = signal_children(signal);
        if left == 0 {
            self.group(signal);
        }
        let _gone = self.reports.write_all(format!("left {left}\n").as_bytes()).await;
        self.service = None;
        self.patience();
        Ok(())
    }
}

/// Those that SIGKILL does not end: they wait in the kernel, for a disk or a network share, and end when that answers; or
/// they cannot be found.
fn left_behind(pids: &[Pid]) -> String {
    if pids.is_empty() {
        return "processes of the service run on that cannot be found: /proc shows other processes than ours"
            .to_owned();
    }
    let pids: Vec<_> = pids.iter().map(|pid| pid.as_raw_nonzero().to_string()).collect();
    format!("processes of the service do not end by SIGKILL, the kernel holds them: {}", pids.join(", "))
}
