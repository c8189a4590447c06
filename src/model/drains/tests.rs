//! Orders by cases: what there is, who is last, and what is out after them.

use std::collections::BTreeMap;

use super::*;
use crate::model::{Kind, Member, Moment, RawOffer, Verdict};

/// A member that lives and offers these services.
fn member(name: &str, services: &[&str]) -> Member {
    let offer = |name: &&str| RawOffer {
        name: (*name).into(),
        port: 80,
        hosts: vec![],
        path: None,
        weight: None,
        protocol: None,
        healthy: true,
    };
    let record =
        RawRecord { node: name.into(), services: services.iter().map(offer).collect(), ..RawRecord::default() };
    Member {
        name: name.parse().unwrap(),
        epoch: 1,
        addr: ([10, 0, 0, 1], 7946).into(),
        liveness: Liveness::Alive,
        verdict: Verdict::Unasked,
        since: Moment::ZERO,
        record: Some(record),
        refused: None,
    }
}

fn record(member: &mut Member) -> &mut RawRecord {
    member.record.as_mut().unwrap()
}

/// web1 to web4, of which only web1 and web2 serve, and a balancer.
fn snapshot() -> Snapshot {
    let mut ill = member("web3", &["web"]);
    record(&mut ill).services[0].healthy = false;
    let mut drained = member("web4", &["web", "api"]);
    record(&mut drained).by_hand.services.insert("web".into());
    let mut proxy = member("proxy", &[]);
    record(&mut proxy).kind = Kind::Balancer;
    let mut by_role = member("old1", &[]);
    record(&mut by_role).tags = BTreeMap::from([("role".into(), "old".into())]);
    let failed = Member { liveness: Liveness::Failed, ..member("web9", &["web", "shop"]) };
    let left = Member { liveness: Liveness::Left, ..member("web8", &["web"]) };
    let members =
        [member("web1", &["web", "api", "shop"]), member("web2", &["web"]), ill, drained, proxy, by_role, failed, left];
    let members = members.into_iter().map(|m| (m.name.clone(), m)).collect();
    Snapshot { source: "gossip".into(), synced: true, members, ..Snapshot::default() }
}

fn target(text: &str) -> Target {
    text.parse().unwrap()
}

#[test]
fn what_is_not_there_is_said_with_what_is() {
    let check = |text: &str, expected: &str| {
        let said = target(text).check(&snapshot()).map_or_else(|e| e.to_string(), |()| String::new());
        assert_eq!(said, expected, "{text}");
    };
    check("web1", "");
    check("web1/api", "");
    check("old1/old", "");
    check("web7", "no member is called web7; there are old1, web1, web2, web3, web4");
    check("web2/api", "web2 offers no service api; it offers web");
    check("web9", "web9 is not alive, it has failed: there is nothing to order");
    check("web8/web", "web8 is not alive, it has left: there is nothing to order");
    check("proxy", "proxy is a balancer: it offers no service");
}

#[test]
fn the_last_one_of_a_service_is_known() {
    let check = |text: &str, last: &[&str]| {
        assert_eq!(target(text).last_ones(&snapshot()).into_iter().collect::<Vec<_>>(), last, "{text}");
    };
    // Of `shop` only a failed one is left, of `api` web4, of `web` web2.
    check("web1", &["shop"]);
    check("web1/web", &[]);
    check("web1/shop", &["shop"]);
    check("web2", &[]);
    check("old1", &["old"]);
    // What serves nobody, or is out already, is nobody's last.
    check("web3", &[]);
    check("web4/web", &[]);
    let mut alone = snapshot();
    alone.members.remove(&"web1".parse().unwrap());
    assert_eq!(target("web2").last_ones(&alone), BTreeSet::from(["web".to_owned()]), "web3 is ill, web4 drained");
}

#[test]
fn orders_add_up_and_the_whole_node_comes_back_at_once() {
    let mut out = Drains::default();
    let mut order = |order, text: &str| {
        let after = out.after(order, &target(text));
        out = after.clone().unwrap_or(out.clone());
        after.map(|d| (d.node, d.services.into_iter().collect::<Vec<_>>().join(" "))).map_err(|e| e.to_string())
    };
    assert_eq!(order(Order::Undrain, "n"), Ok((false, String::new())));
    assert_eq!(order(Order::Drain, "n/web"), Ok((false, "web".into())));
    assert_eq!(order(Order::Drain, "n/web"), Ok((false, "web".into())));
    assert_eq!(order(Order::Drain, "n/api"), Ok((false, "api web".into())));
    assert_eq!(order(Order::Undrain, "n/web"), Ok((false, "api".into())));
    assert_eq!(order(Order::Drain, "n"), Ok((true, "api".into())));
    assert_eq!(order(Order::Undrain, "n/api"), Err("n is drained as a whole: 'backchat undrain n'".into()));
    assert_eq!(order(Order::Undrain, "n"), Ok((false, String::new())));
}

#[test]
fn targets_are_written_node_slash_service() {
    for text in ["web1", "web1/api"] {
        assert_eq!(target(text).to_string(), text);
    }
    for text in ["", "/", "web1/", "/web", "a b", "web1/a/b", "we\nb"] {
        assert!(text.parse::<Target>().is_err(), "{text:?}");
    }
}
