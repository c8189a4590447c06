//! Orders of operators reach the node they are meant for, over the sealed stream, and come back with what came of them.

use std::time::Duration;

use backchat::{
    cluster::{Announcement, OrderError, Ordered, Wanted},
    model::{Drains, Liveness, Order},
};

use super::peer::{PATIENCE, Peer, agent, balancer, joining, keyed, serving};

fn drain(service: Option<&str>) -> Wanted {
    let service = service.map(|name| name.parse().unwrap());
    Wanted { order: Order::Drain, given: true, service, wait: Duration::from_millis(250) }
}

/// Two agents and a balancer that know one another.
async fn peers() -> (Peer, Peer, Peer) {
    let proxy = Peer::start(keyed(balancer("proxy"), 1)).await;
    let web = Peer::start(joining(keyed(agent("web"), 1), &[proxy.addr])).await;
    let other = Peer::start(joining(keyed(agent("other"), 1), &[proxy.addr])).await;
    for (peer, names) in [(&proxy, ["web", "other"]), (&other, ["web", "proxy"]), (&web, ["proxy", "other"])] {
        for name in names {
            peer.knows(name).await;
        }
    }
    (proxy, web, other)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_reaches_the_node_from_anybody() {
    let (proxy, web, other) = peers().await;
    assert!(proxy.handle.drain_orders().is_none(), "a balancer takes none");
    let mut orders = web.handle.drain_orders().unwrap();
    assert!(web.handle.drain_orders().is_none(), "taken twice");
    for asked in [&proxy, &other, &web] {
        let node = "web".parse().unwrap();
        let answers = async {
            let order = tokio::time::timeout(PATIENCE, orders.recv()).await.expect("no order comes").unwrap();
            assert_eq!(order.wanted, drain(Some("api")));
            order.answer.send(Ok(Ordered { age: (7, 3), ..Ordered::default() })).unwrap();
        };
        let (told, ()) = tokio::join!(asked.handle.order(&node, drain(Some("api"))), answers);
        assert_eq!(told, Ok(Ordered { age: (7, 3), ..Ordered::default() }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_to_nothing_is_said() {
    let (proxy, web, other) = peers().await;
    let mut orders = web.handle.drain_orders().unwrap();
    let node = "web".parse().unwrap();
    let refuses = async {
        let order = tokio::time::timeout(PATIENCE, orders.recv()).await.expect("no order comes").unwrap();
        order.answer.send(Err("it leaves".into())).unwrap();
    };
    let (told, ()) = tokio::join!(other.handle.order(&node, drain(None)), refuses);
    assert_eq!(told, Err(OrderError::Refused("it leaves".into())));
    let told = other.handle.order(&"proxy".parse().unwrap(), drain(None)).await;
    assert_eq!(told, Err(OrderError::Refused("it is a balancer: it offers no service".into())));
    let told = other.handle.order(&"nobody".parse().unwrap(), drain(None)).await;
    assert_eq!(told, Err(OrderError::Unreached("no member is called nobody".into())));
    // Its agent ends before it has answered: as one whose version does not know the question.
    let ends = async {
        drop(tokio::time::timeout(PATIENCE, orders.recv()).await.expect("no order comes").unwrap());
    };
    let (told, ()) = tokio::join!(other.handle.order(&node, drain(None)), ends);
    let Err(OrderError::Unreached(why)) = told else { panic!("{told:?}") };
    assert!(why.contains("takes no orders; 'backchat leave' there drains it"), "{why}");
    web.crash().await;
    let told = proxy.handle.order(&node, drain(None)).await;
    assert!(matches!(&told, Err(OrderError::Unreached(why)) if why.contains("connection")), "{told:?}");
    other.sees("web", Liveness::Failed).await;
}

/// What is out by hand travels with the record, and is the same for whoever joins later.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_out_by_hand_is_told_to_all() {
    let (proxy, web, other) = peers().await;
    let by_hand = Drains { node: false, services: ["web".to_owned()].into() };
    let version = web.handle.announce(Announcement { by_hand: by_hand.clone(), ..serving(8080) }).await.unwrap();
    let again = web.handle.announce(Announcement { by_hand: by_hand.clone(), ..serving(8080) }).await.unwrap();
    assert_eq!(version, again, "the same again changes nothing");
    let late = Peer::start(joining(keyed(balancer("late"), 1), &[other.addr])).await;
    for peer in [&proxy, &other, &late] {
        let told = |view: &std::sync::Arc<backchat::cluster::View>| {
            let member = view.snapshot.members.get(&"web".parse().unwrap());
            member.and_then(|m| m.record.as_ref()).is_some_and(|r| r.by_hand == by_hand && r.version == version)
        };
        peer.until("it knows what is out by hand", told).await;
    }
}
