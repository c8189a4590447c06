//! Those without the key, with another, or of another cluster: not a byte in answer, and nothing changes.

use std::{sync::Arc, time::Duration};

use backchat::{
    cluster::{
        Keyring, Settings, View,
        wire::{Context, Envelope, Header},
    },
    model::Snapshot,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::peer::{Peer, agent, balancer, eventually, joining, keyed};

async fn stays_out(inside: &Peer, outside: Settings) {
    let name = outside.node.clone();
    let before = inside.runs().await;
    let outside = Peer::start(joining(outside, &[inside.addr])).await;
    let tried = || outside.handle.counts().exchanges_failed >= 3;
    eventually("the stranger tried", tried).await;
    let alone = |view: &View| view.snapshot.members.len() == 1 && !view.snapshot.synced;
    assert!(alone(&outside.handle.watch().borrow()));
    let after = Arc::clone(&inside.handle.watch().borrow());
    assert!(!after.snapshot.members.contains_key(&name));
    assert_eq!(unnumbered(&before), unnumbered(&after));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_no_key_and_another_label_stay_out() {
    let proxy = Peer::start(keyed(balancer("proxy"), 1)).await;
    let friend = Peer::start(joining(keyed(agent("friend"), 1), &[proxy.addr])).await;
    proxy.knows("friend").await;
    friend.until("synced", |view| view.snapshot.synced).await;
    stays_out(&proxy, keyed(agent("thief"), 2)).await;
    stays_out(&proxy, agent("naked")).await;
    stays_out(&proxy, Settings { label: "other".parse().unwrap(), ..keyed(agent("neighbour"), 1) }).await;
    let open = Peer::start(agent("open")).await;
    stays_out(&open, Settings { label: "other".parse().unwrap(), ..agent("neighbour") }).await;
    stays_out(&open, keyed(agent("sealed"), 1)).await;
    let reasons = |peer: &Peer| {
        let counts = peer.handle.counts();
        counts.rejected.into_iter().filter(|(_, n)| *n > 0).map(|(why, _)| why).collect::<Vec<_>>()
    };
    assert_eq!(reasons(&proxy), ["plain", "unknown_key", "forged"]);
    assert_eq!(reasons(&open), ["sealed", "label"]);
}

/// Packets and streams made by hand, and packets of the cluster itself, said again.
#[tokio::test(flavor = "multi_thread")]
async fn a_prober_hears_nothing() {
    let proxy = Peer::start(keyed(balancer("proxy"), 1)).await;
    let before = proxy.runs().await;
    let prober = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let key = |byte: u8| Keyring::new(hex::encode([byte; 32]).parse().unwrap());
    let forge = |label: &str, keys| {
        let header = Header { sender: 1, boot: 1, counter: 1 };
        Envelope::new(&label.parse().unwrap(), keys).seal(header, Context::Datagram, &[7; 24], &[0; 100])
    };
    let mut packets = vec![vec![], vec![0], vec![1; 64], vec![2; 1400], vec![1; 1401], vec![0x81; 200]];
    packets.extend([forge("default", None), forge("default", Some(key(2))), forge("other", Some(key(1)))]);
    let ours = forge("default", Some(key(1)));
    packets.extend((0..ours.len()).step_by(7).map(|at| {
        let mut flipped = ours.clone();
        flipped[at] ^= 1;
        flipped
    }));
    for packet in &packets {
        prober.send_to(packet, proxy.addr).await.unwrap();
    }
    let count = u64::try_from(packets.len()).unwrap();
    let rejected = || proxy.handle.counts().rejected.iter().map(|(_, n)| n).sum::<u64>() == count;
    eventually("every packet is rejected", rejected).await;
    for bytes in [&b"GET / HTTP/1.0\r\n\r\n"[..], &[0, 0, 0, 80], &[0xff; 2000], &forge("default", None)] {
        let mut stream = TcpStream::connect(proxy.addr).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        // The other end may have closed already: that is what is hoped for.
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty(), "{bytes:?} got {answer:?}");
    }
    let answer = timeout(Duration::from_millis(300), prober.recv_from(&mut [0; 1500])).await;
    assert!(answer.is_err(), "a packet got an answer");
    assert_eq!(unnumbered(&before), unnumbered(&proxy.handle.watch().borrow()));
}

/// What a view says: the same may be told once more.
fn unnumbered(view: &View) -> View {
    let snapshot = Snapshot { serial: 0, ..view.snapshot.clone() };
    View { snapshot, ..view.clone() }
}
