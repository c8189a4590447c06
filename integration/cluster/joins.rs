//! Joining: by address and by name, over both families, before the seed is there and after it went.

use std::time::{Duration, Instant};

use backchat::{
    cluster::{Announcement, Error, Settings},
    model::{Liveness, State},
};

use super::peer::{Peer, agent, balancer, joining, keyed, liveness_of, serving};

#[tokio::test(flavor = "multi_thread")]
async fn nodes_see_each_others_records() {
    for key in [false, true] {
        let with = |settings| if key { keyed(settings, 1) } else { settings };
        let proxy = Peer::start(with(balancer("proxy"))).await;
        let web1 = Peer::start(with(joining(agent("web1"), &[proxy.addr]))).await;
        let web2 = Peer::start(with(joining(agent("web2"), &[proxy.addr]))).await;
        for peer in [&proxy, &web1, &web2] {
            for name in ["proxy", "web1", "web2"] {
                let view = peer.knows(name).await;
                let record = view.snapshot.members[&name.parse().unwrap()].record.clone().unwrap();
                assert_eq!(record.services, serving(8080).services);
                assert_eq!(record.tags["zone"], "a");
            }
            peer.until("synced", |view| view.snapshot.synced).await;
        }
        let counts = proxy.handle.counts();
        assert!(counts.packets_in > 0 && counts.packets_out > 0 && counts.exchanges_ok >= 2, "{counts:?}");
        assert!(counts.rejected.iter().all(|(_, n)| *n == 0), "{counts:?}");
        assert!(proxy.handle.heard().is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ipv6_and_names_work() {
    let v6 = Settings { bind: "[::1]:0".parse().unwrap(), ..agent("six") };
    let six = Peer::start(v6).await;
    let other = Settings { bind: "[::1]:0".parse().unwrap(), ..agent("seven") };
    let seven = Peer::start(joining(other, &[six.addr])).await;
    six.knows("seven").await;
    seven.knows("six").await;

    let four = Peer::start(agent("four")).await;
    let by_name = format!("localhost:{}", four.addr.port()).parse().unwrap();
    let five = Peer::start(Settings { join: vec![by_name], ..agent("five") }).await;
    four.knows("five").await;
    five.knows("four").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_that_is_late_is_joined_when_it_comes() {
    let place = Peer::start(agent("place")).await;
    let addr = place.addr;
    place.crash().await;
    let early = Peer::start(joining(agent("early"), &[addr])).await;
    early.until("not synced before it has joined", |view| !view.snapshot.synced).await;
    let tried = || early.handle.counts().exchanges_failed > 0;
    super::peer::eventually("a try that failed", tried).await;
    let seed = Peer::start(Settings { bind: addr, ..agent("seed") }).await;
    early.knows("seed").await;
    seed.knows("early").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_that_restarts_is_joined_again() {
    let seed = Peer::start(agent("seed")).await;
    let addr = seed.addr;
    let web = Peer::start(joining(agent("web"), &[addr])).await;
    web.knows("seed").await;
    seed.crash().await;
    web.sees("seed", Liveness::Failed).await;
    let seed = Peer::start(Settings { bind: addr, ..agent("seed") }).await;
    seed.knows("web").await;
    web.knows("seed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_our_own_is_no_matter() {
    let lone = Peer::start(agent("lone")).await;
    let addr = lone.addr;
    lone.crash().await;
    let lone = Peer::start(Settings { bind: addr, join: vec![addr.into()], ..agent("lone") }).await;
    let result = lone.handle.join(vec![addr.into()]).await;
    assert_eq!(result, [(addr.into(), Ok(1))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_that_never_works_gives_up_in_time() {
    let place = Peer::start(agent("place")).await;
    let addr = place.addr;
    place.crash().await;
    let settings = Settings { join_timeout: Some(Duration::from_millis(300)), ..joining(agent("web"), &[addr]) };
    match Peer::start(settings).await.ended().await {
        Err(Error::JoinTimeout { last, .. }) => {
            let expected = format!("{addr} (127.0.0.1) did not take the connection: connection refused");
            assert_eq!(last, expected);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_by_hand_says_what_came_of_it() {
    let one = Peer::start(agent("one")).await;
    let two = Peer::start(agent("two")).await;
    let place = Peer::start(agent("place")).await;
    let nobody = place.addr;
    place.crash().await;
    let results = one.handle.join(vec![two.addr.into(), nobody.into()]).await;
    assert_eq!(results.len(), 2);
    assert!(results[0].1.is_ok(), "{results:?}");
    assert!(results[1].1.as_ref().is_err_and(|why| why.contains("connection refused")), "{results:?}");
    one.knows("two").await;
    two.knows("one").await;
}

/// The figure that the whole program stands on; it is a few milliseconds where nobody else uses the machine.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_reaches_a_balancer_fast() {
    let proxy = Peer::start(keyed(balancer("proxy"), 1)).await;
    let began = Instant::now();
    let web = Peer::start(keyed(joining(agent("web"), &[proxy.addr]), 1)).await;
    proxy.knows("web").await;
    let joined = began.elapsed();
    let began = Instant::now();
    let draining = Announcement { state: State::Draining, ..serving(8080) };
    let version = web.handle.announce(draining.clone()).await.unwrap();
    let changed = |view: &std::sync::Arc<backchat::cluster::View>| {
        let record = view.snapshot.members[&"web".parse().unwrap()].record.as_ref();
        record.is_some_and(|r| r.state == State::Draining && r.version == version)
    };
    proxy.until("the change is here", changed).await;
    let told = began.elapsed();
    println!("joined after {joined:?}, told after {told:?}");
    assert!(joined < Duration::from_secs(1) && told < Duration::from_millis(500), "{joined:?} {told:?}");
    assert_eq!(web.handle.announce(draining).await.unwrap(), version, "the same again is a change");
    assert_eq!(liveness_of(&proxy.handle.watch().borrow(), "web"), Some(Liveness::Alive));
}
