//! Reloads: without loss, confirmed, and taken back where they fail.

use std::{collections::BTreeMap, fs, process::Command, time::Duration};

use backchat_contract::DriverError;
use backchat_haproxy::{
    config::Rendered,
    files::{self, Limits},
    layout::{Admin, Backend, BackendName},
    master,
};
use rustix::process::getuid;
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, sleep},
};

use crate::rig::{LONG, Load, Rig, Web, free_port};

async fn with_web() -> (Rig, Web) {
    let web = Web::start("web").await;
    let mut rig = Rig::new();
    rig.service("web", &[(web.addr, Admin::Ready)]);
    rig.route("*", "/", "web");
    (rig, web)
}

impl Rig {
    async fn deploy(&mut self) -> Result<(), DriverError> {
        self.layout.generation += 1;
        files::deploy(&self.launch, &self.rendered(), self.layout.generation, Limits::default()).await
    }

    fn on_disk(&self) -> Rendered {
        let read = |path| fs::read_to_string(path).unwrap();
        let paths = self.paths();
        Rendered {
            config: read(&paths.config),
            hosts: read(&paths.hosts),
            services: read(&paths.services),
            certificates: String::new(),
            pems: BTreeMap::new(),
            structure: String::new(),
        }
    }

    /// Nothing of a failed attempt is live or on disk, and requests are answered.
    async fn is_as(&self, generation: u64, files: &Rendered) {
        assert_eq!(master::live_generation(self.paths()).await.unwrap(), Some(generation));
        assert_eq!(&self.on_disk(), files);
        assert_eq!(self.get("a", "/").await.0, 200);
    }

    /// Waits until one worker is left, the serving one.
    async fn retired(&self) {
        let deadline = Instant::now() + LONG;
        while !master::processes(self.paths()).await.is_ok_and(|p| p.retiring() == 0) {
            assert!(Instant::now() < deadline, "an old worker stays");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn five_reloads_under_load_lose_nothing() {
    let (mut rig, _web) = with_web().await;
    let process = rig.start().await;
    let load = Load::start(rig.port, 16);
    for spare in 1..=5 {
        rig.layout.backends.insert(BackendName::spare(spare), Backend::default());
        rig.deploy().await.unwrap();
        assert_eq!(master::live_generation(rig.paths()).await.unwrap(), Some(rig.layout.generation));
    }
    let (good, bad) = load.stop().await;
    assert!(good > 100, "only {good} requests");
    assert_eq!(bad, 0, "of {good}");
    assert!(process.is_running(), "the master stays");
}

#[tokio::test]
async fn a_bad_file_changes_nothing() {
    let (mut rig, _web) = with_web().await;
    let _process = rig.start().await;
    let before = rig.on_disk();
    rig.settings.template.text.push_str("\nfoo bar\n");
    let error = rig.deploy().await.unwrap_err();
    assert!(matches!(error, DriverError::Check { .. }), "it never came to a reload: {error}");
    assert!(error.to_string().contains("'foo'") && error.to_string().contains("haproxy.cfg"), "{error}");
    rig.is_as(1, &before).await;
}

/// What passes HAProxy's own check and fails the reload all the same, twice in a row, and then a good one.
#[tokio::test]
async fn a_port_in_use_is_taken_back() {
    let (mut rig, _web) = with_web().await;
    let _process = rig.start().await;
    let before = rig.on_disk();
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    rig.settings.listen.push(([127, 0, 0, 1], port).into());
    for _ in 0..2 {
        let error = rig.deploy().await.unwrap_err();
        assert!(matches!(error, DriverError::Reload { .. }), "{error}");
        assert!(error.to_string().contains(&port.to_string()), "{error}");
        rig.is_as(1, &before).await;
        rig.retired().await;
    }
    rig.settings.listen.pop();
    rig.settings.listen.push(([127, 0, 0, 1], free_port()).into());
    rig.deploy().await.unwrap();
    let after = rig.on_disk();
    rig.is_as(4, &after).await;
}

/// A bad file that reaches the master, as when somebody else edits it and reloads: what it says is told.
#[tokio::test]
async fn a_refused_reload_says_why() {
    let (mut rig, _web) = with_web().await;
    let _process = rig.start().await;
    let config = rig.paths().config.clone();
    let before = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{before}\nfoo bar\n")).unwrap();
    let error = master::reload(rig.paths(), 2, LONG).await.unwrap_err().to_string();
    assert!(error.contains("'foo'"), "{error}");
    fs::write(&config, before).unwrap();
    rig.deploy().await.unwrap();
}

/// A good reload of a file that is not the expected one is no success.
#[tokio::test]
async fn another_generation_is_not_confirmed() {
    let (rig, _web) = with_web().await;
    let _process = rig.start().await;
    let limit = Duration::from_millis(500);
    let error = master::reload(rig.paths(), 99, limit).await.unwrap_err().to_string();
    assert!(error.contains("generation 99 was not read back within 500ms"), "{error}");
    assert_eq!(master::live_generation(rig.paths()).await.unwrap(), Some(1));
}

/// An old worker stays while it has a request, is counted, and goes with it.
#[tokio::test]
async fn old_workers_are_counted() {
    let slow = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut rig = Rig::new();
    rig.service("web", &[(slow.local_addr().unwrap(), Admin::Ready)]);
    rig.route("*", "/", "web");
    let _process = rig.start().await;
    let port = rig.port;
    let request = tokio::spawn(async move {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        stream
    });
    // The checks connect too, and say nothing.
    let mut held = loop {
        let (stream, _) = slow.accept().await.unwrap();
        if stream.peek(&mut [0]).await.is_ok_and(|read| read == 1) {
            break stream;
        }
    };
    rig.deploy().await.unwrap();
    assert_eq!(master::processes(rig.paths()).await.unwrap().retiring(), 1);
    held.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    drop(request.await.unwrap());
    rig.retired().await;
}

/// Said before anything has changed, whichever of the files it hits.
#[tokio::test]
async fn a_full_disk_changes_nothing() {
    if !getuid().is_root() {
        eprintln!("SKIPPED: mounting a small disk needs root");
        return;
    }
    let (mut rig, _web) = with_web().await;
    let _disk = Disk::mount(rig.folder.path());
    let process = rig.start().await;
    let before = rig.on_disk();
    for number in 0..3000 {
        rig.service(&format!("service-with-a-long-name-{number}"), &[]);
    }
    let error = rig.deploy().await.unwrap_err();
    assert!(matches!(error, DriverError::File { action: "write", .. }), "{error}");
    let error = files::write(rig.paths(), &rig.rendered()).await.unwrap_err();
    assert!(matches!(error, DriverError::File { action: "write", .. }), "{error}");
    rig.is_as(1, &before).await;
    drop(process);
}

struct Disk(std::path::PathBuf);

impl Disk {
    fn mount(at: &std::path::Path) -> Self {
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", "size=96k", "none"]).arg(at).status().unwrap();
        assert!(done.success());
        Self(at.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // HAProxy still has its log open there: the mount goes when it ends.
        assert!(Command::new("umount").arg("--lazy").arg(&self.0).status().unwrap().success());
    }
}
