//! One node of a cluster in this process, on a port of its own; gone when it is dropped.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use backchat::{
    cluster::{Announcement, Cluster, Error, Handle, Key, Keyring, Profile, Settings, View},
    model::{Kind, Liveness, RawOffer},
};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// How long anything may take. Far more than it does: the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Peer {
    pub(crate) handle: Handle,
    pub(crate) addr: SocketAddr,
    task: JoinHandle<Result<(), Error>>,
}

/// An agent on 127.0.0.1, without a key.
pub(crate) fn agent(name: &str) -> Settings {
    Settings {
        node: name.parse().unwrap(),
        kind: Kind::Agent,
        bind: ([127, 0, 0, 1], 0).into(),
        advertise: None,
        join: Vec::new(),
        join_timeout: None,
        label: "default".parse().unwrap(),
        keyring: None,
        profile: Profile::LOCAL,
        data_dir: None,
    }
}

pub(crate) fn balancer(name: &str) -> Settings {
    Settings { kind: Kind::Balancer, ..agent(name) }
}

/// With this key, made of one byte.
pub(crate) fn keyed(settings: Settings, byte: u8) -> Settings {
    let key: Key = format!("{byte:02x}").repeat(32).parse().unwrap();
    Settings { keyring: Some(Keyring::new(key)), ..settings }
}

/// Joining by these addresses.
pub(crate) fn joining(settings: Settings, addrs: &[SocketAddr]) -> Settings {
    Settings { join: addrs.iter().copied().map(Into::into).collect(), ..settings }
}

/// Serving `web` on this port.
pub(crate) fn serving(port: u32) -> Announcement {
    let offer = RawOffer {
        name: "web".into(),
        port,
        hosts: Vec::new(),
        path: None,
        weight: None,
        protocol: None,
        healthy: true,
    };
    Announcement { services: vec![offer], tags: [("zone".into(), "a".into())].into(), ..Announcement::default() }
}

impl Peer {
    pub(crate) async fn start(settings: Settings) -> Self {
        let (cluster, handle) = Cluster::bind(settings).await.unwrap();
        let addr = handle.watch().borrow().addr;
        let task = tokio::spawn(cluster.run(serving(8080), CancellationToken::new()));
        Self { handle, addr, task }
    }

    /// Waits until the view is as said.
    pub(crate) async fn until(&self, what: &str, is: impl FnMut(&Arc<View>) -> bool) -> Arc<View> {
        let mut views = self.handle.watch();
        let seen = timeout(PATIENCE, views.wait_for(is)).await.map(|seen| seen.map(|view| Arc::clone(&view)));
        match seen {
            Ok(Ok(view)) => view,
            other => panic!("{what}: {other:?}; last seen {:#?}", self.handle.watch().borrow()),
        }
    }

    /// Waits until the task runs.
    pub(crate) async fn runs(&self) -> Arc<View> {
        self.until("it runs", |view| !view.snapshot.members.is_empty()).await
    }

    /// Waits until a member is as said.
    pub(crate) async fn sees(&self, name: &str, liveness: Liveness) -> Arc<View> {
        self.until(&format!("{name} is {liveness}"), |view| liveness_of(view, name) == Some(liveness)).await
    }

    /// Waits until a member lives and its record is here.
    pub(crate) async fn knows(&self, name: &str) -> Arc<View> {
        let known = |view: &Arc<View>| {
            let member = view.snapshot.members.get(&name.parse().unwrap());
            member.is_some_and(|m| m.liveness == Liveness::Alive && m.record.is_some())
        };
        self.until(&format!("{name} is known"), known).await
    }

    /// As after SIGKILL: nothing is said, the sockets are closed.
    pub(crate) async fn crash(mut self) {
        self.task.abort();
        let ended = (&mut self.task).await;
        assert!(ended.is_err(), "it ended by itself: {ended:?}");
    }

    /// What it ended with.
    pub(crate) async fn ended(mut self) -> Result<(), Error> {
        timeout(PATIENCE, &mut self.task).await.expect("it runs on").unwrap()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn liveness_of(view: &View, name: &str) -> Option<Liveness> {
    view.snapshot.members.get(&name.parse().unwrap()).map(|member| member.liveness)
}

/// Waits until something holds that nobody announces.
pub(crate) async fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let looks = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(PATIENCE, looks).await.is_ok(), "{what}: never");
}
