//! What is done to a data plane behind its lb's back: killed, stopped, reloaded, started without it.

use std::{fs, io, path::Path};

use backchat::demo::{
    Child, Driver,
    child::{children_of, kill_pid},
    plane::{Processes, nginx},
};
use rustix::process::{Pid, Signal, kill_process};

use super::Plane;
use crate::signal::{halt, send};

impl Plane {
    /// SIGKILL for all of its processes. Stopped first, the master starts no other meanwhile.
    pub(in crate::scenes) fn kill(&self) {
        let master = self.master().expect("it runs");
        halt(master);
        for pid in children_of(master).into_iter().chain([master]) {
            // A worker may just end by itself.
            let _ = kill_pid(pid);
        }
    }

    /// Its first process, whether it answers or not.
    fn master(&self) -> Option<u32> {
        match self.driver() {
            Driver::Haproxy => fs::read_to_string(self.path("haproxy.pid")).ok()?.trim().parse().ok(),
            Driver::Nginx | Driver::Openresty => nginx::processes(self.run_dir()).ok().map(|running| running.master),
        }
    }

    /// SIGSTOP for what answers: it takes every request and every command, and answers none. These are to go on later.
    pub(in crate::scenes) async fn stop(&self) -> Stopped {
        let Processes { master, workers } = self.processes().await.expect("it serves");
        let stopped = match self.driver() {
            Driver::Haproxy => workers,
            Driver::Nginx | Driver::Openresty => [master].into_iter().chain(workers).collect(),
        };
        for pid in &stopped {
            halt(*pid);
        }
        Stopped(stopped)
    }

    /// As its operator does it.
    pub(in crate::scenes) async fn reload(&self) {
        let signal = match self.driver() {
            Driver::Haproxy => Signal::USR2,
            Driver::Nginx | Driver::Openresty => Signal::HUP,
        };
        send(self.processes().await.expect("it serves").master, signal);
    }

    /// Starts it out of what is on disk, with no lb.
    pub(in crate::scenes) fn alone(&self) -> io::Result<Child> {
        let file = |name: &str| self.path(name).display().to_string();
        let (args, log) = match self.driver() {
            Driver::Haproxy => {
                let (config, pid) = (file("haproxy.cfg"), file("haproxy.pid"));
                let master = format!("{},mode,600", file("master.sock"));
                (["-W", "-f", &config, "-p", &pid, "-S", &master].map(String::from).to_vec(), "haproxy.log")
            }
            Driver::Nginx | Driver::Openresty => {
                // Killed, it left its socket, and refuses to start upon it.
                let _ = fs::remove_file(self.path("nginx.sock"));
                let (folder, log, config) =
                    (format!("{}/", self.run_dir().display()), file("nginx.log"), file("nginx.conf"));
                let args = ["-p", &folder, "-e", &log, "-c", &config, "-g", "daemon off;"];
                (args.map(String::from).to_vec(), "nginx.log")
            }
        };
        // In its folder, for which it is ended with the world: nginx's workers name none.
        let place =
            ["-C".into(), self.run_dir().display().to_string(), self.driver().program().to_string_lossy().into()];
        Child::start(Path::new("env"), place.into_iter().chain(args), &self.path(log))
    }
}

/// Processes that were stopped; dropped, they go on.
pub(in crate::scenes) struct Stopped(pub(in crate::scenes) Vec<u32>);

impl Drop for Stopped {
    fn drop(&mut self) {
        for pid in self.0.iter().filter_map(|pid| Pid::from_raw(i32::try_from(*pid).ok()?)) {
            // One that was ended meanwhile need not go on.
            let _ = kill_process(pid, Signal::CONT);
        }
    }
}
