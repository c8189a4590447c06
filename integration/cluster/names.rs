//! Names: one living node each.

use backchat::{
    cluster::{Error, Settings},
    model::Liveness,
};

use super::peer::{Peer, agent, balancer, joining, liveness_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_held_is_refused_with_its_holder() {
    let proxy = Peer::start(balancer("proxy")).await;
    let web = Peer::start(joining(agent("web"), &[proxy.addr])).await;
    proxy.knows("web").await;
    for (name, holder) in [("web", &web), ("proxy", &proxy)] {
        let twin = Peer::start(joining(agent(name), &[proxy.addr])).await;
        match twin.ended().await {
            Err(error @ Error::NameHeld { .. }) => {
                let addr = holder.addr;
                let expected = format!("the name {name} is held by {addr}, which answers: choose another --node");
                assert_eq!(error.to_string(), expected);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(liveness_of(&proxy.handle.watch().borrow(), "web"), Some(Liveness::Alive));
    assert_eq!(proxy.handle.watch().borrow().snapshot.members[&"web".parse().unwrap()].addr, web.addr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_holders_name_is_free_before_its_failure_is_seen() {
    let proxy = Peer::start(balancer("proxy")).await;
    let web = Peer::start(joining(agent("web"), &[proxy.addr])).await;
    proxy.knows("web").await;
    let old = web.addr;
    web.crash().await;
    let heir = Peer::start(joining(agent("web"), &[proxy.addr])).await;
    assert_ne!(heir.addr, old);
    let inherited = |view: &std::sync::Arc<backchat::cluster::View>| {
        let member = view.snapshot.members.get(&"web".parse().unwrap());
        member.is_some_and(|m| m.addr == heir.addr && m.liveness == Liveness::Alive && m.record.is_some())
    };
    proxy.until("the heir has the name", inherited).await;
    heir.knows("proxy").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_meet_later_one_goes() {
    let [one, two] = [Peer::start(agent("web")).await, Peer::start(agent("web")).await];
    let proxy = Peer::start(Settings { join: vec![one.addr.into()], ..balancer("proxy") }).await;
    proxy.knows("web").await;
    // By hand, as an operator would join two clusters.
    let joined = two.handle.join(vec![proxy.addr.into()]).await;
    assert!(joined[0].1.is_err(), "{joined:?}");
    assert!(matches!(two.ended().await, Err(Error::NameHeld { holder, .. }) if holder == one.addr));
    assert_eq!(proxy.handle.watch().borrow().snapshot.members[&"web".parse().unwrap()].addr, one.addr);
}
