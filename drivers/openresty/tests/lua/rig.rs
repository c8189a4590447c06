//! An nginx with our Lua in a folder of its own. All of it ends with the test.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use backchat_contract::{Desired, Endpoint, EndpointState, Route, Weight};
use backchat_nginx::{
    Limits,
    check::Call,
    paths::Paths,
    process::Launch,
    runner::{Load, Managed, Runner},
    titles,
};
use backchat_openresty::{
    admin::{Admin, Pushed},
    config::{ConfigSettings, render},
    push::Push,
    state::State,
    table::Table,
};
use backchat_template::Template;
use rustix::process::{Pid, Signal, geteuid, kill_process, kill_process_group};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::{Instant, sleep},
};

use crate::web::{self, LONG};

/// Shared memory that is enough here, in KiB.
pub(crate) const ROOM: u64 = 16_384;

/// One nginx with our Lua.
pub(crate) struct Rig {
    folder: TempDir,
    pub(crate) settings: ConfigSettings,
    pub(crate) admin: Admin,
    runner: Runner,
    generation: u64,
}

impl Rig {
    /// One that runs, with so many workers.
    pub(crate) async fn start(workers: u16) -> Self {
        Self::with(workers, ROOM, |template| template).await
    }

    /// One with so much room for its table, and a template of its own.
    pub(crate) async fn with(workers: u16, room: u64, change: impl FnOnce(String) -> String) -> Self {
        let folder = tempfile::Builder::new().prefix("bc").tempdir().unwrap();
        let paths = Paths::new(folder.path()).unwrap();
        let text = change(include_str!("../../../../templates/openresty.conf.jinja").into());
        let template = Template { name: "openresty.conf.jinja".into(), text };
        let balancer = include_str!("../../../../templates/balancer.lua").into();
        let listen = vec![free()];
        let mut settings = ConfigSettings::new(template, balancer, paths.clone(), listen);
        settings.workers = Some(workers);
        settings.temp = (!geteuid().is_root()).then(|| folder.path().join("temp"));
        settings.modules = backchat_openresty::program::find(Some(&program())).await.unwrap().modules;
        let flags =
            vec!["-p".into(), folder.path().display().to_string(), "-e".into(), paths.log.display().to_string()];
        let launch = Launch {
            call: Call { program: program(), flags },
            folder: folder.path().to_owned(),
            config: paths.config.clone(),
            control: paths.control.clone(),
            pid: paths.pid.clone(),
            log: paths.log.clone(),
            limit: LONG,
        };
        let runner = Runner::managed(Managed::new(launch), Limits { check: LONG, reload: LONG });
        let mut rig = Self { folder, admin: Admin::new(&paths.control).unwrap(), settings, runner, generation: 1 };
        rig.ensure(&Table { version: 1, set: Desired::default() }, room).await;
        rig
    }

    /// Starts it from a file with this table, where it does not run.
    pub(crate) async fn ensure(&mut self, table: &Table, room: u64) {
        let text = render(&self.settings, table, room, self.generation).unwrap().text;
        self.runner.ensure(|| Ok(text)).await.unwrap();
    }

    /// Writes a file with this table, and reloads.
    pub(crate) async fn reload(&mut self, table: &Table, room: u64) {
        self.generation += 1;
        let rendered = render(&self.settings, table, room, self.generation).unwrap();
        let load =
            Load { text: rendered.text, generation: self.generation, structure: rendered.structure, is_checked: true };
        self.runner.load(&load).await.unwrap();
    }

    /// Writes a file with this table that is read at the next start.
    pub(crate) async fn write(&mut self, table: &Table, room: u64) {
        let text = render(&self.settings, table, room, self.generation).unwrap().text;
        self.runner.write(&text).await.unwrap();
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.settings.listen[0]
    }

    pub(crate) fn master(&self) -> u32 {
        titles::master_of(&self.settings.paths.config).expect("it runs")
    }

    /// The workers that take connections.
    pub(crate) fn workers(&self) -> Vec<u32> {
        titles::children(self.master()).iter().filter(|child| !child.retiring).map(|child| child.pid).collect()
    }

    /// Ends all of it, as `kill -9` does.
    pub(crate) async fn kill(&mut self) {
        kill_process_group(pid(self.master()), Signal::KILL).unwrap();
        while !self.runner.attention(false).await {}
    }

    /// What is served.
    pub(crate) async fn read(&self) -> State {
        self.admin.read().await.unwrap().expect("our Lua runs")
    }

    /// Its table.
    pub(crate) async fn table(&self) -> Option<Table> {
        self.read().await.table.map(Arc::unwrap_or_clone)
    }

    /// Pushes a set that must be taken; the table that it became.
    pub(crate) async fn push(&self, set: &Set) -> Table {
        let over = self.read().await;
        let table = Table { version: over.version + 1, set: set.0.clone() };
        assert_eq!(self.put(&table, &over).await, Pushed::Served);
        table
    }

    /// Pushes a table over what was read; what became of it.
    pub(crate) async fn put(&self, table: &Table, over: &State) -> Pushed {
        self.send(&Push::Whole(Arc::new(table.clone())), over).await
    }

    /// Pushes anything over what was read.
    pub(crate) async fn send(&self, what: &Push, over: &State) -> Pushed {
        self.admin.push(what, &over.place()).await.unwrap()
    }

    /// A text as it is; status and answer.
    pub(crate) async fn post(&self, text: &str) -> (u16, String) {
        let length = text.len();
        self.ask(&format!("POST /table HTTP/1.0\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{text}")).await
    }

    /// A request to the admin server.
    pub(crate) async fn ask(&self, request: &str) -> (u16, String) {
        let mut stream = UnixStream::connect(&self.settings.paths.control).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        (status, answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned())
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        web::get(self.http(), "a.example", path).await
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let workers = titles::orphans(self.folder.path(), None);
        if let Some(master) = titles::master_of(&self.settings.paths.config) {
            // It ended between the two lines where this fails, and that is what is wanted.
            let _ = kill_process_group(pid(master), Signal::KILL);
        }
        for worker in workers {
            let _ = kill_process(pid(worker), Signal::KILL);
        }
    }
}

/// A set, built word by word: service `web`, reached by any host.
#[derive(Clone, Default)]
pub(crate) struct Set(pub(crate) Desired);

impl Set {
    pub(crate) fn new() -> Self {
        let mut set = Desired::default();
        set.services.insert("web".parse().unwrap(), backchat_contract::Service::default());
        let route = Route { host: "*".parse().unwrap(), path: "/".parse().unwrap() };
        set.routes.insert(route, "web".parse().unwrap());
        Self(set)
    }

    pub(crate) fn with(mut self, name: &str, addr: SocketAddr, weight: u32, state: EndpointState) -> Self {
        let endpoint = Endpoint { addr: addr.try_into().unwrap(), weight: Weight::try_from(weight).unwrap(), state };
        let service = self.0.services.get_mut(&"web".parse().unwrap()).unwrap();
        service.endpoints.insert(name.parse().unwrap(), endpoint);
        self
    }

    pub(crate) fn ready(self, name: &str, addr: SocketAddr) -> Self {
        self.with(name, addr, 100, EndpointState::Ready)
    }

    /// So many servers that nobody asks, and this one, which is asked.
    pub(crate) fn many(count: u16, addr: SocketAddr) -> Self {
        let set = (1..count).fold(Self::new(), |set, n| {
            let nobody = SocketAddr::from(([10, 0, 0, 1], n));
            set.with(&format!("nobody{n}"), nobody, 0, EndpointState::Ready)
        });
        set.ready("one", addr)
    }
}

/// Waits until something holds.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds().await {
        assert!(Instant::now() < deadline, "in vain: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn pid(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

/// The binary under test.
pub(crate) fn program() -> String {
    std::env::var("BACKCHAT_OPENRESTY").unwrap_or_else(|_| "nginx".into())
}

/// An address that was free a moment ago: below the ports that systems give to outgoing connections, each handed out
/// once.
pub(crate) fn free() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let tries = std::iter::repeat_with(|| {
        let nth = std::process::id().wrapping_mul(127).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        SocketAddr::from(([127, 0, 0, 1], 15_000 + u16::try_from(nth % 17_000).expect("below 17,000")))
    });
    tries.take(1000).find(|addr| std::net::TcpListener::bind(addr).is_ok()).expect("a free port")
}
