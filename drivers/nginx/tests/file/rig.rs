//! An nginx of ours on a fresh folder and a fresh port, stepped as the daemon does. All of it ends with the test.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    time::Duration,
};

use backchat_contract::{
    Desired, Driver, DriverError, Endpoint, EndpointId, EndpointState, Mode, Report, Route, Step, Weight,
};
use backchat_nginx::{
    ManagedSettings, NginxDriver, Template, config::ConfigSettings, observe::Observed, paths::Paths, plan::Plan, titles,
};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::web::{self, LONG};

pub(crate) const HOST: &str = "www.example.com";

/// The binary under test.
pub(crate) fn program() -> String {
    std::env::var("BACKCHAT_NGINX").unwrap_or_else(|_| "nginx".into())
}

/// A folder, a port, and a driver on them.
pub(crate) struct Rig {
    pub(crate) folder: TempDir,
    pub(crate) http: SocketAddr,
    pub(crate) driver: NginxDriver,
}

impl Rig {
    /// Nothing runs yet.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("bc").tempdir().unwrap();
        let http = free();
        let driver = NginxDriver::managed(settings(&folder, http));
        Self { folder, http, driver }
    }

    /// An nginx that holds this.
    pub(crate) async fn with(wanted: &Desired) -> Self {
        let mut rig = Self::new();
        rig.converge(wanted).await;
        rig
    }

    pub(crate) fn settings(&self) -> ManagedSettings {
        settings(&self.folder, self.http)
    }

    pub(crate) fn paths(&self) -> Paths {
        Paths::new(self.folder.path()).unwrap()
    }

    pub(crate) fn file(&self) -> String {
        fs::read_to_string(self.paths().config).unwrap()
    }

    pub(crate) fn master(&self) -> Option<u32> {
        titles::master_of(&self.paths().config)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        signal_to(self.master().expect("an nginx that runs"), signal);
    }

    pub(crate) fn serving(&self) -> Vec<u32> {
        let children = self.master().map(titles::children).unwrap_or_default();
        children.into_iter().filter(|child| !child.retiring).map(|child| child.pid).collect()
    }

    pub(crate) async fn observe(&mut self) -> Observed {
        self.driver.ensure().await.unwrap();
        self.driver.observe().await.unwrap()
    }

    /// One step; what came of it.
    pub(crate) async fn step(&mut self, wanted: &Desired) -> (Step<Plan>, Option<Result<Report, DriverError>>) {
        let observed = self.observe().await;
        match self.driver.plan(wanted, &observed, Mode::default()) {
            Step::Change(plan) => {
                let done = self.driver.apply(plan).await;
                (Step::Change(Plan::default()), Some(done))
            }
            step => (step, None),
        }
    }

    /// Steps until a step is this; how many reloads it took.
    pub(crate) async fn until(&mut self, wanted: &Desired, is: impl Fn(&Step<Plan>) -> bool) -> usize {
        let deadline = Instant::now() + LONG;
        let mut reloads = 0;
        loop {
            let (step, done) = self.step(wanted).await;
            let done = done.map(|done| done.unwrap_or_else(|error| panic!("failed to {error}")));
            reloads += done.map_or(0, |report| usize::from(report.reloaded));
            if is(&step) {
                return reloads;
            }
            assert!(Instant::now() < deadline, "still {step:?}");
            let pause = if let Step::Waiting { recheck, .. } = step { recheck } else { Duration::ZERO };
            sleep(pause).await;
        }
    }

    pub(crate) async fn converge(&mut self, wanted: &Desired) -> usize {
        let reloads = self.until(wanted, |step| *step == Step::Converged).await;
        let observed = self.observe().await;
        assert_eq!(self.driver.live(&observed), *wanted);
        reloads
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        web::ask(self.http, "GET", HOST, path).await
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(master) = self.master().and_then(pid) {
            // It ended between the two lines where this fails, and that is what is wanted.
            let _ = kill_process_group(master, Signal::KILL);
        }
        for orphan in titles::orphans(self.folder.path(), None).into_iter().filter_map(pid) {
            // As above.
            let _ = kill_process(orphan, Signal::KILL);
        }
    }
}

fn settings(folder: &TempDir, http: SocketAddr) -> ManagedSettings {
    let text = include_str!("../../../../templates/nginx.conf.jinja").into();
    let template = Template { name: "nginx.conf.jinja".into(), text };
    let config = ConfigSettings::new(template, Paths::new(folder.path()).unwrap(), vec![http]);
    ManagedSettings { program: program(), ..ManagedSettings::new(config) }
}

pub(crate) fn pid(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).unwrap())
}

pub(crate) fn signal_to(process: u32, signal: Signal) {
    kill_process(pid(process).unwrap(), signal).unwrap();
}

/// An address that was free a moment ago.
pub(crate) fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// One service `web` at [`HOST`] with these endpoints.
pub(crate) fn web(endpoints: &[(&str, SocketAddr)]) -> Desired {
    let mut desired = Desired::default();
    service(&mut desired, "web", endpoints);
    route(&mut desired, HOST, "/", "web");
    desired
}

pub(crate) fn service(desired: &mut Desired, name: &str, endpoints: &[(&str, SocketAddr)]) {
    let one = |addr: SocketAddr| Endpoint {
        addr: addr.try_into().unwrap(),
        weight: Weight::DEFAULT,
        state: EndpointState::Ready,
    };
    let service = desired.services.entry(name.parse().unwrap()).or_default();
    service.endpoints.extend(endpoints.iter().map(|(name, addr)| (name.parse().unwrap(), one(*addr))));
}

pub(crate) fn route(desired: &mut Desired, host: &str, path: &str, service: &str) {
    let route = Route { host: host.parse().unwrap(), path: path.parse().unwrap() };
    desired.routes.insert(route, service.parse().unwrap());
}

/// The same, but for this endpoint of `web`, which drains.
pub(crate) fn draining(mut desired: Desired, endpoint: &str) -> Desired {
    let web = desired.services.get_mut(&"web".parse().unwrap()).unwrap();
    web.endpoints.get_mut(&endpoint.parse().unwrap()).unwrap().state = EndpointState::Drain;
    desired
}

pub(crate) fn id(endpoint: &str) -> EndpointId {
    EndpointId { service: "web".parse().unwrap(), endpoint: endpoint.parse().unwrap() }
}

/// Waits until something holds.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds().await {
        assert!(Instant::now() < deadline, "in vain: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Unused by some: where the file lies.
pub(crate) fn last_good(rig: &Rig) -> PathBuf {
    backchat_template::last_good(&rig.paths().config)
}
