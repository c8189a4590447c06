//! Hostile records, wrong keys, no keys: refused or silent, and the others go on.

use std::{net::SocketAddr, time::Duration};

use backchat::{
    cluster::identity::Identity,
    cluster::{Announcement, Cluster, Profile, Settings},
    model::{Kind, RawOffer},
};
use bytes::Bytes;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    plane::ANY,
    world::{World, backchat, liveness_of},
};
use crate::cluster::hostile;

fn offer(name: &str, hosts: &[&str]) -> RawOffer {
    RawOffer {
        name: name.into(),
        port: 80,
        hosts: hosts.iter().map(ToString::to_string).collect(),
        path: None,
        weight: None,
        protocol: None,
        healthy: true,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_record_is_rejected_and_the_others_go_on() {
    let mut world = World::with(ANY, &["web1"]).await;
    // The library, unlike the command line, announces whatever it is told: as an attacker's program would.
    let settings = Settings {
        node: "evil".parse().unwrap(),
        kind: Kind::Agent,
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        advertise: None,
        join: vec![world.proxy().gossip.to_string().parse().unwrap()],
        join_timeout: None,
        label: "default".parse().unwrap(),
        keyring: None,
        profile: Profile::LOCAL,
        data_dir: None,
    };
    let (cluster, _handle) = Cluster::bind(settings).await.unwrap();
    let services = vec![
        offer("a;shutdown sessions", &[]),
        offer("web\nbackend x", &[]),
        offer("web", &["a { }", "${HOME}"]),
        offer("ok", &["ok.example"]),
    ];
    let announcement =
        Announcement { services, tags: [("role".into(), "\0".into())].into(), ..Announcement::default() };
    let stop = CancellationToken::new();
    let evil = tokio::spawn(cluster.run(announcement, stop.clone()));
    world.members("proxy", &[("evil", "alive")]).await;
    let rejected = || async {
        let Some(status) = world.json("proxy", &["status"]).await else { return false };
        status["rejections"].as_array().is_some_and(|all| all.iter().filter(|r| r["node"] == "evil").count() == 3)
    };
    world.eventually("three rejections", rejected).await;
    world.start_agent("web2", &[]).await;
    world.serves(&["web1", "web2"]).await;
    stop.cancel();
    evil.await.unwrap().unwrap();
}

/// The identity that `members` shows of a node.
async fn identity(world: &World, name: &str) -> Identity {
    let answer = world.json("proxy", &["members"]).await.unwrap();
    let member = answer["members"].as_array().unwrap().iter().find(|m| m["name"] == name).unwrap().clone();
    let addr = SocketAddr::new(member["ip"].as_str().unwrap().parse().unwrap(), world.agents[name].gossip.port());
    Identity::new(name.parse().unwrap(), member["epoch"].as_u64().unwrap(), addr)
}

/// Why the record of each node was refused, as `status` says.
async fn refused(world: &World) -> Vec<(String, String)> {
    let status = world.json("proxy", &["status"]).await.unwrap_or_default();
    let all = status["rejections"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    all.iter().filter(|r| r["subject"] == "record").map(|r| (text(&r["node"]), text(&r["why"]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_read_is_told_and_the_others_go_on() {
    let mut world = World::with(ANY, &["web1", "web2"]).await;
    let (web1, proxy) = (identity(&world, "web1").await, world.proxy().gossip);
    let is = async |world: &World, wanted: &str| {
        let told = || async {
            matches!(&refused(world).await[..], [(node, why)] if node == "web1" && why.starts_with(wanted))
        };
        world.eventually(&format!("web1's record is refused: {wanted}"), told).await;
    };
    // Of nobody that is there, or from elsewhere than where it is: counted, and nobody is blamed.
    hostile::push("127.0.0.2:0", proxy, &web1, b"\xff garbage").await;
    let ghost = Identity::new("ghost".parse().unwrap(), 1, "127.0.0.1:9".parse().unwrap());
    hostile::push("127.0.0.1:0", proxy, &ghost, b"\xff garbage").await;
    hostile::push("127.0.0.1:0", proxy, &web1, b"\xff garbage").await;
    is(&world, "malformed").await;
    hostile::tell(proxy, &web1, vec![Bytes::from(vec![0xff; 5000])]).await;
    is(&world, "5000 bytes: at most 4096").await;
    let output = std::process::Command::new(backchat())
        .args(["status", "--admin", &format!("unix:{}", world.run_dir("proxy").join("admin.sock").display())])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("warn  refused     web1: record: 5000 bytes: at most 4096\n"), "{text}");
    // What it said before holds on, others come and go, and a better record ends it.
    world.start_agent("web3", &[]).await;
    world.serves(&["web1", "web2", "web3"]).await;
    let agent = world.agents.get_mut("web1").unwrap();
    agent.process.terminate().unwrap();
    agent.process.ended(super::world::PATIENCE).await.unwrap().expect("it leaves");
    world.serves(&["web2", "web3"]).await;
    world.restart_agent("web1", &[]);
    world.serves(&["web1", "web2", "web3"]).await;
    assert_eq!(refused(&world).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_key_and_no_key_are_silence() {
    let mut world = World::with(ANY, &[]).await;
    let key = |name: &str| {
        let path = world.folder.path().join(name).display().to_string();
        let made = std::process::Command::new(backchat()).args(["keygen", "--out", &path]).status().unwrap();
        assert!(made.success());
        path
    };
    let (right, wrong) = (key("right.key"), key("wrong.key"));
    world.balancers.clear();
    world.start_balancer("proxy", &["--key-file", &right]).await;
    world.start_agent("friend", &["--key-file", &right]).await;
    world.serves(&["friend"]).await;
    world.start_agent("stranger", &["--key-file", &wrong]).await;
    world.start_agent("naked", &[]).await;
    // They try for as long as the friend needs to leave and come back.
    let gossip = world.proxy().gossip;
    let probe = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for packet in [&[][..], &[0], &[1; 64], &[2; 1400]] {
        probe.send_to(packet, gossip).await.unwrap();
    }
    world.restart_agent("friend", &["--key-file", &right]);
    let told = || async { world.agents["stranger"].process.last_words(20).contains("another key") };
    world.eventually("the stranger is told what is usual", told).await;
    let members = world.json("proxy", &["members"]).await.unwrap();
    assert_eq!(liveness_of(&members, "stranger").or(liveness_of(&members, "naked")), None, "{members}");
    world.serves(&["friend"]).await;
    let answer = tokio::time::timeout(Duration::from_millis(200), probe.recv_from(&mut [0; 1500])).await;
    assert!(answer.is_err(), "not one byte in answer");
}
