//! What is sent, against a HAProxy that answers by a script: the lines that come in are the lines of the view.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use backchat_contract::{EndpointAddr, Weight};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::UnixListener,
};

use super::*;
use crate::{
    layout::{Admin, BackendName, ServerId},
    options::ServerOptions,
    plan::Plan,
    protocol::ServerName,
    socket::EXCHANGE,
};

/// Answers as HAProxy does where all goes well.
fn well(line: &str) -> &'static str {
    match line.split(' ').next() {
        Some("add") if line.starts_with("add server") => "[6]: New server registered.\n",
        Some("del") => "[6]: Server deleted.",
        Some("prepare") => "[6]: New version created: 5\n",
        _ => "",
    }
}

fn server(name: &str) -> ServerPath {
    ServerPath { backend: BackendName::spare(1), server: ServerName::own(&name.parse().unwrap()) }
}

fn add(name: &str) -> Action {
    let endpoint = name.parse().unwrap();
    let addr = "10.0.0.1:80".parse::<std::net::SocketAddr>().unwrap();
    Action::Run(Command::Add {
        server: server(name),
        addr: EndpointAddr::try_from(addr).unwrap(),
        id: ServerId::wanted(&endpoint),
        weight: Weight::DEFAULT,
        options: ServerOptions::default(),
    })
}

fn ready(name: &str) -> Action {
    Action::Run(Command::State(server(name), Admin::Ready))
}

fn delete(name: &str) -> Action {
    Action::Run(Command::Delete(server(name)))
}

fn map(lines: usize) -> Action {
    let entries = (0..lines).map(|n| MapEntry::read(&format!("host{n:05}.example/ bc-spare-01"))).collect();
    Action::ReplaceMap(MapFile::new(Path::new("/run/hosts.map")).unwrap(), entries)
}

/// Sends the actions; what came of it, and the commands that came in.
async fn sent(answer: fn(&str) -> &'static str, actions: &[Action]) -> (Sent, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&heard);
    let haproxy = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            let mut command = line.clone();
            // A blank line ends a payload.
            while line.ends_with("<<")
                && let Some(entry) = lines.next_line().await.unwrap().filter(|entry| !entry.is_empty())
            {
                command = format!("{command}\n{entry}");
            }
            write.write_all(format!("{}\n> ", answer(&line)).as_bytes()).await.unwrap();
            log.lock().unwrap().push(command);
        }
    });
    let mut session = Session::open(&path, EXCHANGE).await.unwrap();
    let sent = send(&mut session, actions).await.unwrap();
    drop(session);
    haproxy.await.unwrap();
    let heard = heard.lock().unwrap().split_off(2);
    (sent, heard)
}

#[tokio::test]
async fn the_view_says_what_is_sent() {
    let actions = vec![add("web1"), map(1200), ready("web1"), map(0), delete("web2")];
    let (sent, heard) = sent(well, &actions).await;
    assert_eq!((sent.applied, sent.refused, sent.not_yet), (heard.len(), Vec::new(), false));
    let view = Plan { actions, ..Plan::default() }.view();
    let shown: Vec<_> = view.commands.iter().map(|c| c.replace("@NEW", "@5").trim_end().to_owned()).collect();
    assert_eq!(shown, heard);
    assert!(heard.iter().filter(|c| c.starts_with("add map")).count() > 2);
}

#[tokio::test]
async fn one_refusal_never_stops_the_rest() {
    let answer = |line: &str| if line.contains("web2") { "[3]: No such backend.\n" } else { well(line) };
    let actions = [add("web1"), add("web2"), ready("web2"), ready("web1"), add("web3")];
    let (sent, heard) = sent(answer, &actions).await;
    assert_eq!((sent.applied, sent.refused.len(), sent.not_added), (3, 1, [server("web2")].into()));
    assert_eq!(sent.refused[0].reply, "[3]: No such backend.");
    assert!(sent.refused[0].command.starts_with("add server bc-spare-01/web2 10.0.0.1:80 id "));
    assert_eq!(heard.len(), 5, "{heard:#?}");
}

#[tokio::test]
async fn a_map_that_was_not_filled_is_not_committed() {
    let answer = |line: &str| if line.starts_with("add map") { "[3]: Out of memory error.\n" } else { well(line) };
    let (sent, heard) = sent(answer, &[map(3), add("web1")]).await;
    assert_eq!((sent.applied, sent.refused.len()), (2, 1));
    assert!(!heard.iter().any(|c| c.starts_with("commit")), "{heard:#?}");
    assert!(sent.refused[0].command.starts_with("add map @5 "), "{:?}", sent.refused);
}

#[tokio::test]
async fn a_server_that_cannot_go_yet_is_no_refusal() {
    let answer = |line: &str| match line {
        "del server bc-spare-01/web1" => "[3]: Server still has connections attached to it, cannot remove it.\n",
        _ => "",
    };
    let (sent, _) = sent(answer, &[delete("web1")]).await;
    assert_eq!((sent.applied, sent.refused, sent.not_yet), (0, Vec::new(), true));
}
