//! One that looks on from outside: it knows what a member knows, and no member knows of it.

use std::{net::SocketAddr, sync::Arc};

use backchat::{
    cluster::{Observer, View},
    model::{Kind, Liveness, Member, RawRecord, Snapshot, Verdict},
};
use tokio::time::Instant;

use super::peer::{Peer, agent, balancer, eventually, joining, keyed};

fn looking_at(addr: SocketAddr, key: u8) -> Observer {
    Observer::new(joining(keyed(balancer("looker"), key), &[addr]), Instant::now())
}

/// What counts of everybody but the one that looks on.
fn others(snapshot: &Snapshot) -> Vec<(String, u64, SocketAddr, Liveness, Option<RawRecord>)> {
    let others = snapshot.members.values().filter(|m| m.name.as_str() != "looker");
    others.map(|m| (m.name.to_string(), m.epoch, m.addr, m.liveness, m.record.clone())).collect()
}

fn member<'a>(snapshot: &'a Snapshot, name: &str) -> &'a Member {
    &snapshot.members[&name.parse().unwrap()]
}

fn views(peers: &[&Peer]) -> Vec<Arc<View>> {
    peers.iter().map(|peer| Arc::clone(&peer.handle.watch().borrow())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_knows_what_a_member_knows_and_nobody_knows_of_it() {
    let proxy = Peer::start(keyed(balancer("proxy"), 1)).await;
    let web = Peer::start(joining(keyed(agent("web"), 1), &[proxy.addr])).await;
    for (peer, other) in [(&proxy, "web"), (&web, "proxy")] {
        peer.knows(other).await;
    }
    web.until("synced", |view| view.snapshot.synced).await;
    let before = views(&[&proxy, &web]);
    let mut observer = looking_at(web.addr, 1);
    assert!(!observer.before().synced);
    let seen = observer.look().await.unwrap();
    assert!(seen.synced && &*seen.source == "gossip");
    assert_eq!(others(&seen), others(&before[0].snapshot));
    let looker = member(&seen, "looker");
    assert!(looker.lives() && looker.record.as_ref().is_some_and(|r| r.kind == Kind::Balancer), "it counts itself");
    assert_eq!(views(&[&proxy, &web]), before, "somebody has heard of it");

    // The one that it asks is gone: another that it heard of is asked, and its host's word counts.
    let place = web.addr;
    web.crash().await;
    proxy.sees("web", Liveness::Failed).await;
    let seen = observer.look().await.unwrap();
    assert_eq!(others(&seen), others(&proxy.handle.watch().borrow().snapshot));
    assert_eq!((member(&seen, "web").liveness, member(&seen, "web").verdict), (Liveness::Failed, Verdict::Refused));

    let error = looking_at(place, 1).look().await.unwrap_err().to_string();
    let words =
        format!("cannot learn who is there: {place} (127.0.0.1) did not take the connection: connection refused");
    assert_eq!(error, words);
}

/// Who has its name keeps it, and is told of as it is: two of one name are no matter where one is no member.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_may_have_its_name() {
    let looker = Peer::start(keyed(agent("looker"), 1)).await;
    let mut observer = looking_at(looker.addr, 1);
    let seen = observer.look().await.unwrap();
    assert_eq!(member(&seen, "looker").addr, looker.addr);
    assert_eq!(seen.members.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_not_the_key_is_told_nothing() {
    let proxy = Peer::start(keyed(balancer("proxy"), 1)).await;
    proxy.runs().await;
    let error = looking_at(proxy.addr, 2).look().await.unwrap_err().to_string();
    assert!(error.contains("accepted, then closed: usually another key or --cluster (ours "), "{error}");
    let counted = || proxy.handle.counts().rejected.iter().any(|(why, n)| *why == "unknown_key" && *n > 0);
    eventually("it is counted", counted).await;
}
