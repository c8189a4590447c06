//! A name that leads elsewhere with every look.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    cluster::{Announcement, Cluster, Handle, Profile, Settings},
    model::Kind,
};

/// A node that runs, until the test's runtime ends.
async fn node(name: &str) -> Handle {
    let settings = Settings {
        node: name.parse().unwrap(),
        kind: Kind::Agent,
        bind: ([127, 0, 0, 1], 0).into(),
        advertise: None,
        join: Vec::new(),
        join_timeout: None,
        label: "x".parse().unwrap(),
        keyring: None,
        profile: Profile::LOCAL,
        data_dir: None,
    };
    let (cluster, handle) = Cluster::bind(settings).await.unwrap();
    tokio::spawn(cluster.run(Announcement::default(), CancellationToken::new()));
    handle
}

#[tokio::test]
async fn a_name_is_looked_up_anew_at_each_try() {
    let (seed, web) = (node("seed").await, node("web").await);
    let place = seed.watch().borrow().addr;
    // Bound over both protocols and let go: nobody listens there.
    let nobody = crate::cluster::transport::Sockets::bind(([127, 0, 0, 1], 0).into()).unwrap().local;
    let looks = AtomicUsize::new(0);
    let resolve = |addr: JoinAddr| {
        let look = looks.fetch_add(1, SeqCst);
        async move {
            assert_eq!(addr.to_string(), "seed.example:7946");
            match look {
                0 => Err(io::Error::other("no such name")),
                1 => Ok(vec![nobody]),
                _ => Ok(vec![place]),
            }
        }
    };
    let addr = "seed.example".parse().unwrap();
    let keeper = Keeper::new(web.joiner(), addr, web.watch(), Arc::default());
    let mut views = web.watch();
    let seed: NodeName = "seed".parse().unwrap();
    let known = views.wait_for(|view| view.snapshot.members.contains_key(&seed));
    tokio::select! {
        () = keeper.run(resolve) => unreachable!("it tries for ever"),
        found = timeout(Duration::from_secs(20), known) => drop(found.expect("never joined").unwrap()),
    }
    assert_eq!(looks.load(SeqCst), 3);
}
