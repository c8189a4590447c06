//! A run folder with a HAProxy in it, web servers behind and clients before it. All of it ends with the test.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use backchat_contract::{EndpointName, Route, ServiceName, Weight};
use backchat_haproxy::{
    config::{ConfigSettings, Rendered, render},
    files,
    layout::{Admin, Backend, BackendName, Layout, Server, ServerId},
    paths::Paths,
    process::{Launch, Process},
};
use backchat_template::Template;
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// What anything here may take, on a machine that others use too.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// One managed HAProxy to be.
pub(crate) struct Rig {
    pub(crate) folder: TempDir,
    pub(crate) launch: Launch,
    pub(crate) settings: ConfigSettings,
    pub(crate) layout: Layout,
    pub(crate) port: u16,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("bc").tempdir().unwrap();
        let paths = Paths::new(folder.path()).unwrap();
        let text = include_str!("../../../../templates/haproxy.cfg.jinja").into();
        let template = Template { name: "haproxy.cfg.jinja".into(), text };
        let port = free_port();
        let settings = ConfigSettings::new(template, paths.clone(), vec![([127, 0, 0, 1], port).into()]);
        let program = std::env::var("BACKCHAT_HAPROXY").unwrap_or_else(|_| "haproxy".into());
        let launch = Launch { program, paths, access: None, limit: LONG };
        let layout = Layout { generation: 1, ..Layout::default() };
        Self { folder, launch, settings, layout, port }
    }

    pub(crate) fn paths(&self) -> &Paths {
        &self.launch.paths
    }

    /// A service with servers at these addresses: `web1`, `web2`…
    pub(crate) fn service(&mut self, name: &str, servers: &[(SocketAddr, Admin)]) {
        let server = |(index, (addr, admin)): (usize, &(SocketAddr, Admin))| {
            let server_name: EndpointName = format!("{name}{}", index + 1).parse().unwrap();
            let (id, addr) = (ServerId::wanted(&server_name), (*addr).try_into().unwrap());
            (server_name, Server { id, addr, weight: Weight::DEFAULT, admin: *admin })
        };
        let service: ServiceName = name.parse().unwrap();
        let servers: BTreeMap<_, _> = servers.iter().enumerate().map(server).collect();
        let backend = Backend { service: Some(service.clone()), servers, ..Backend::default() };
        self.layout.backends.insert(BackendName::from(&service), backend);
    }

    pub(crate) fn route(&mut self, host: &str, path: &str, service: &str) {
        let route = Route { host: host.parse().unwrap(), path: path.parse().unwrap() };
        self.layout.routes.insert(route, BackendName::from(&service.parse::<ServiceName>().unwrap()));
    }

    pub(crate) fn rendered(&self) -> Rendered {
        render(&self.settings, &self.layout).unwrap()
    }

    /// Checks the files, writes them and starts.
    pub(crate) async fn start(&self) -> Process {
        files::try_out(&self.launch, &self.rendered(), LONG).await.unwrap();
        files::write(self.paths(), &self.rendered()).await.unwrap();
        Process::start(&self.launch).await.unwrap()
    }

    pub(crate) async fn get(&self, host: &str, path: &str) -> (u16, String) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        self.raw(&request).await
    }

    /// Sends bytes, gives status and body.
    pub(crate) async fn raw(&self, request: &str) -> (u16, String) {
        let exchange = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let answer = timeout(LONG, exchange).await.expect("an answer in time");
        let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        (status, answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned())
    }

    /// Asks until the answer is this one.
    pub(crate) async fn comes_to(&self, host: &str, path: &str, expected: (u16, &str)) {
        let deadline = Instant::now() + LONG;
        loop {
            let (status, body) = self.get(host, path).await;
            if (status, body.as_str()) == expected {
                return;
            }
            assert!(Instant::now() < deadline, "{host}{path} answers {status} {body:?}, not {expected:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Rig {
    /// HAProxy outlives its `Process` by design: whatever still runs in this folder ends here.
    fn drop(&mut self) {
        for pid in running(self.folder.path()) {
            // A process that ended since is what is wanted.
            let _ = rustix::process::kill_process(pid, Signal::CONT);
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}

/// Every process whose command line names the folder.
pub(crate) fn running(folder: &Path) -> Vec<Pid> {
    let marker = folder.join("master.sock");
    let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let pids = entries.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    let ours = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(marker.to_str().unwrap())
    };
    pids.filter(ours).filter_map(Pid::from_raw).collect()
}

pub(crate) fn free_port() -> u16 {
    // Below the ports that systems give to outgoing connections (Linux: from 32768): one of those may be taken as a
    // source port while its HAProxy is down. Handed out once, and each process begins elsewhere.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let tries = std::iter::repeat_with(|| {
        let nth = std::process::id().wrapping_mul(127).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        15_000 + u16::try_from(nth % 17_000).expect("below 17,000")
    });
    let free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    tries.take(1000).find(free).expect("a free port")
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// A web server that answers every request with its name, and counts.
pub(crate) struct Web {
    pub(crate) addr: SocketAddr,
    pub(crate) served: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Web {
    pub(crate) async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let served = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&served);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(answer(stream, name, Arc::clone(&counter)));
            }
        });
        Self { addr, served, task }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(stream: TcpStream, name: &'static str, served: Arc<AtomicUsize>) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        if line == "\r\n" {
            served.fetch_add(1, Ordering::Relaxed);
            let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len());
            if stream.write_all(reply.as_bytes()).await.is_err() {
                return;
            }
        }
        line.clear();
    }
}

/// Clients that send GETs over kept-alive connections, without any retry.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<(usize, usize)>>,
}

impl Load {
    pub(crate) fn start(port: u16, clients: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = (0..clients).map(|_| tokio::spawn(client(port, Arc::clone(&stop)))).collect();
        Self { stop, clients }
    }

    /// How many requests were answered with 200, and how many were not.
    pub(crate) async fn stop(self) -> (usize, usize) {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = (0, 0);
        for client in self.clients {
            let (good, bad) = client.await.unwrap();
            sum = (sum.0 + good, sum.1 + bad);
        }
        sum
    }
}

async fn client(port: u16, stop: Arc<AtomicBool>) -> (usize, usize) {
    let (mut good, mut bad) = (0, 0);
    let mut kept = None;
    while !stop.load(Ordering::Relaxed) {
        match timeout(LONG, request(port, kept.take())).await {
            Ok(Ok(connection)) => {
                good += 1;
                kept = connection;
            }
            failed => {
                eprintln!("a request failed: {:?}", failed.map(|r| r.map(drop)));
                bad += 1;
            }
        }
        sleep(Duration::from_millis(2)).await;
    }
    (good, bad)
}

type Connection = BufReader<TcpStream>;

/// One request; gives the connection back where it may be used again.
async fn request(port: u16, kept: Option<Connection>) -> std::io::Result<Option<Connection>> {
    let mut stream = match kept {
        Some(stream) => stream,
        None => BufReader::new(TcpStream::connect(("127.0.0.1", port)).await?),
    };
    stream.write_all(b"GET / HTTP/1.1\r\nHost: any.example\r\n\r\n").await?;
    let (mut length, mut close, mut first) = (0, false, true);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end().to_ascii_lowercase();
        if std::mem::take(&mut first) && !line.contains(" 200") {
            return Err(std::io::Error::other(line));
        }
        if line.is_empty() {
            break;
        }
        close |= line == "connection: close";
        length = line.strip_prefix("content-length: ").map_or(length, |l| l.parse().unwrap_or(0));
    }
    stream.read_exact(&mut vec![0; length]).await?;
    Ok((!close).then_some(stream))
}
