//! `lb --attach`: servers of ours in the backends of a HAProxy that somebody else runs, and nothing else touched.

use std::{net::SocketAddr, time::Duration};

use backchat::demo::{Child, Driver, Web, plane::haproxy};

use crate::scenes::world::{PATIENCE, World, backchat, get};

#[tokio::test(flavor = "multi_thread")]
async fn servers_come_and_go_in_somebody_elses_haproxy() {
    let mut world = World::new(Driver::Haproxy).await;
    let theirs = Web::start(SocketAddr::from(([127, 0, 0, 1], 0)), "theirs").await.unwrap();
    let http = backchat::demo::ports::free().unwrap();
    let (socket, file) = (world.folder.path().join("their.sock"), world.folder.path().join("their.cfg"));
    let config = format!(
        "global\n stats socket {} level admin\ndefaults\n mode http\n timeout connect 1s\n timeout client 10s\n \
         timeout server 10s\nfrontend f\n bind {http}\n default_backend web\nbackend web\n server theirs {}\n",
        socket.display(),
        theirs.addr()
    );
    std::fs::write(&file, config).unwrap();
    let program = std::env::var("BACKCHAT_HAPROXY").unwrap_or_else(|_| "haproxy".into());
    let file_text = file.display().to_string();
    let _haproxy =
        Child::start(program.as_ref(), ["-db", "-f", &file_text], &world.folder.path().join("their.log")).unwrap();
    let up = || async { get(http, "any.example").await.is_some() };
    world.eventually("their HAProxy answers", up).await;

    let (gossip, joined) = (backchat::demo::ports::free().unwrap().to_string(), world.proxy().gossip.to_string());
    let (run_dir, socket_text) = (world.run_dir("guest").display().to_string(), socket.display().to_string());
    let args = ["lb", "--node", "guest", "--bind", &gossip, "--join", &joined, "--run-dir", &run_dir];
    let attach = ["--attach", "--haproxy-socket", &socket_text];
    let log = world.folder.path().join("guest.log");
    let mut guest = Child::start(backchat(), args.into_iter().chain(attach), &log).unwrap();
    world.start_agent("web1", &[]).await;

    let names = async || {
        let servers = haproxy::servers(&socket).await.unwrap_or_default();
        servers.into_iter().map(|s| s.name).collect::<Vec<_>>()
    };
    let both = || async { names().await == ["theirs", "bc-web1"] };
    world.eventually("web1 is among theirs", both).await;
    let ours = || async { get(http, "any.example").await.is_some_and(|(_, name)| name == "web1") };
    world.eventually("web1 is served", ours).await;

    world.agents["web1"].process.terminate().unwrap();
    let alone = || async { names().await == ["theirs"] };
    world.eventually("web1 is gone, theirs stays", alone).await;
    guest.terminate().unwrap();
    let status = guest.ended(PATIENCE).await.unwrap();
    assert_eq!(status.and_then(|s| s.code()), Some(0), "{}", guest.last_words(20));
    let answer = tokio::time::timeout(Duration::from_secs(2), get(http, "any.example")).await;
    assert_eq!(answer.ok().flatten().map(|(_, name)| name), Some("theirs".into()), "their HAProxy runs on");
}
