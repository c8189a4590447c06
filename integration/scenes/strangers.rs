//! Hostile records, wrong keys, no keys: refused or silent, and the others go on.

use std::{net::SocketAddr, time::Duration};

use backchat::{
    cluster::{Announcement, Cluster, Profile, Settings},
    model::{Kind, RawOffer},
};
use tokio_util::sync::CancellationToken;

use super::world::{World, backchat, liveness_of};

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
    let mut world = World::with(&["web1"]).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn wrong_key_and_no_key_are_silence() {
    let mut world = World::with(&[]).await;
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
