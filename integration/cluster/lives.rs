//! Lives of a node: leaving, crashing, and coming back under the same name.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use backchat::{
    cluster::{Error, Profile, Settings},
    model::{Liveness, NodeName, Verdict},
};

use super::peer::{Peer, agent, balancer, joining, keyed, serving};

#[tokio::test(flavor = "multi_thread")]
async fn a_leave_is_seen_as_one() {
    let proxy = Peer::start(balancer("proxy")).await;
    let web1 = Peer::start(joining(agent("web1"), &[proxy.addr])).await;
    let web2 = Peer::start(joining(agent("web2"), &[proxy.addr])).await;
    for peer in [&proxy, &web1] {
        peer.knows("web2").await;
    }
    let mut views = proxy.handle.watch();
    let never_failed = async {
        let gone = |view: &std::sync::Arc<backchat::cluster::View>| {
            let liveness = super::peer::liveness_of(view, "web2");
            assert_ne!(liveness, Some(Liveness::Failed), "a leave was taken for a failure");
            liveness == Some(Liveness::Left)
        };
        views.wait_for(gone).await.map(drop).unwrap();
    };
    let began = Instant::now();
    let (left, ()) = tokio::join!(web2.handle.leave(), never_failed);
    left.unwrap();
    println!("left after {:?}", began.elapsed());
    web1.sees("web2", Liveness::Left).await;
    let handle = web2.handle.clone();
    web2.ended().await.unwrap();
    assert!(matches!(handle.leave().await, Err(Error::Ended)));
    assert!(matches!(handle.announce(serving(1)).await, Err(Error::Ended)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_is_seen() {
    let proxy = Peer::start(balancer("proxy")).await;
    let web1 = Peer::start(joining(agent("web1"), &[proxy.addr])).await;
    let web2 = Peer::start(joining(agent("web2"), &[proxy.addr])).await;
    for peer in [&proxy, &web1] {
        peer.knows("web2").await;
    }
    let began = Instant::now();
    web2.crash().await;
    proxy.sees("web2", Liveness::Failed).await;
    println!("failed after {:?}", began.elapsed());
    web1.sees("web2", Liveness::Failed).await;
}

/// The balancer's data plane knows of a crash before any probe: here there are none.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_is_seen_by_the_data_plane() {
    let rare = |settings: Settings| Settings {
        profile: Profile { probe_period: Duration::from_secs(3600), ..Profile::LOCAL },
        ..settings
    };
    let proxy = Peer::start(rare(balancer("proxy"))).await;
    let web1 = Peer::start(joining(rare(agent("web1")), &[proxy.addr])).await;
    let web2 = Peer::start(joining(rare(agent("web2")), &[proxy.addr])).await;
    for name in ["web1", "web2"] {
        proxy.knows(name).await;
    }
    web2.crash().await;
    proxy.handle.failing(["web1", "web2"].map(|name| name.parse().unwrap()).into()).await.unwrap();
    let view = proxy.sees("web2", Liveness::Failed).await;
    let member = |name: &str| &view.snapshot.members[&name.parse::<NodeName>().unwrap()];
    assert_eq!(member("web2").verdict, Verdict::Refused);
    assert_eq!((member("web1").liveness, member("web1").verdict), (Liveness::Alive, Verdict::Unasked));
    drop(web1);
}

async fn restarts(settings: Settings, leaves: bool, data: Option<&Path>) {
    let proxy = Peer::start(keyed(balancer("proxy"), 1)).await;
    let settings = Settings { data_dir: data.map(Path::to_owned), ..joining(keyed(settings, 1), &[proxy.addr]) };
    let mut epoch = 0;
    let mut addr: Option<SocketAddr> = None;
    for _ in 0..3 {
        let bind = addr.unwrap_or(settings.bind);
        let web = Peer::start(Settings { bind, ..settings.clone() }).await;
        addr = addr.map(|_| web.addr);
        let newer = |view: &std::sync::Arc<backchat::cluster::View>| {
            let member = view.snapshot.members.get(&"web".parse().unwrap());
            let member = member.filter(|m| m.epoch > epoch && m.liveness == Liveness::Alive && m.addr == web.addr);
            member.is_some_and(|m| m.record.as_ref().is_some_and(|r| r.epoch == m.epoch))
        };
        let view = proxy.until("a newer life of web", newer).await;
        epoch = view.snapshot.members[&"web".parse().unwrap()].epoch;
        if leaves {
            web.handle.leave().await.unwrap();
            web.ended().await.unwrap();
        } else {
            web.crash().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_comes_back_under_its_name() {
    let data = tempfile::tempdir().unwrap();
    for leaves in [true, false] {
        restarts(agent("web"), leaves, None).await;
        restarts(agent("web"), leaves, Some(data.path())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_comes_back_on_its_address() {
    let place = Peer::start(agent("place")).await;
    let bind = place.addr;
    place.crash().await;
    for leaves in [true, false] {
        restarts(Settings { bind, ..agent("web") }, leaves, None).await;
    }
}

/// As if the clock had stepped back by years: the last life's epoch is far ahead.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_stepped_back_is_no_matter() {
    let data = tempfile::tempdir().unwrap();
    let ahead = 1 << 42;
    let kept = format!(r#"{{"format":"backchat.cluster/1","epoch":{ahead},"members":[]}}"#);
    std::fs::write(data.path().join("cluster.json"), kept).unwrap();
    let proxy = Peer::start(keyed(balancer("proxy"), 1)).await;
    let web = joining(keyed(agent("web"), 1), &[proxy.addr]);
    let first = Peer::start(Settings { data_dir: Some(data.path().to_owned()), ..web.clone() }).await;
    let bind = first.addr;
    proxy.knows("web").await;
    first.crash().await;
    // Without the data folder nothing but the cluster knows how far the epoch was.
    for bind in [bind, web.bind] {
        let again = Peer::start(Settings { bind, ..web.clone() }).await;
        let newer = |view: &std::sync::Arc<backchat::cluster::View>| {
            let member = view.snapshot.members.get(&"web".parse().unwrap());
            member.is_some_and(|m| m.epoch > ahead + 1 && m.liveness == Liveness::Alive && m.addr == again.addr)
        };
        proxy.until("a life after the last", newer).await;
        again.knows("proxy").await;
        again.crash().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_known_is_joined_again_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let web = Peer::start(agent("web")).await;
    // Without --join: only the folder leads back.
    let settings = Settings { data_dir: Some(data.path().to_owned()), ..agent("seed") };
    let seed = Peer::start(settings.clone()).await;
    assert!(seed.handle.join(vec![web.addr.into()]).await[0].1.is_ok());
    let file = data.path().join("cluster.json");
    let written = || std::fs::read_to_string(&file).is_ok_and(|text| text.contains(&web.addr.to_string()));
    super::peer::eventually("web is kept", written).await;
    let before = seed.handle.watch().borrow().me.epoch;
    seed.crash().await;
    let seed = Peer::start(settings).await;
    let view = seed.knows("web").await;
    assert!(view.me.epoch > before);
}
