//! Streams between two ends on loopback, and what strangers get: nothing.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::cluster::{identity::Identity, keyring::Keyring, wire::sender_id};

fn speaker(name: &str, label: &str, key: Option<u8>) -> Speaker {
    let keys = key.map(|byte| Keyring::new(hex::encode([byte; 32]).parse().unwrap()));
    let addr = "127.0.0.1:7946".parse().unwrap();
    Speaker {
        envelope: Arc::new(Envelope::new(&label.parse().unwrap(), keys)),
        sender: sender_id(name, addr),
        boot: 5,
        hello: Hello { from: Identity::new(name.parse().unwrap(), 5, addr), number: [0; 16].into() },
    }
}

type Ends = (Result<Session, SyncError>, Result<Session, SyncError>);

async fn open(caller: Speaker, answerer: Speaker) -> Ends {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let answer = async {
        let (stream, _) = listener.accept().await.unwrap();
        Session::answer(answerer, stream).await
    };
    tokio::join!(Session::call(caller, addr), answer)
}

#[tokio::test]
async fn both_ends_learn_who_the_other_is() {
    for key in [None, Some(1)] {
        let (caller, answerer) = open(speaker("a", "x", key), speaker("b", "x", key)).await;
        let (mut caller, mut answerer) = (caller.unwrap(), answerer.unwrap());
        assert_eq!(caller.hello.from.name().as_str(), "b");
        assert_eq!(answerer.hello.from.name().as_str(), "a");
        for size in [0, 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let body = vec![7; size];
            let (sent, got) = tokio::join!(caller.send_body(&body), answerer.receive_body(3 * CHUNK, None));
            sent.unwrap();
            assert_eq!(got.unwrap().bytes, body);
            answerer.send(b"thanks").await.unwrap();
            assert_eq!(caller.receive(STEP).await.unwrap(), b"thanks");
        }
    }
}

#[tokio::test]
async fn a_body_is_bounded() {
    let (caller, answerer) = open(speaker("a", "x", Some(1)), speaker("b", "x", Some(1))).await;
    let (mut caller, mut answerer) = (caller.unwrap(), answerer.unwrap());
    let (_, got) = tokio::join!(caller.send_body(&[7; 100]), answerer.receive_body(99, None));
    assert!(matches!(got, Err(SyncError::Rejected(Rejected::Malformed))), "{got:?}");
}

#[tokio::test]
async fn bodies_share_one_room() {
    let (caller, answerer) = open(speaker("a", "x", None), speaker("b", "x", None)).await;
    let (mut caller, mut answerer) = (caller.unwrap(), answerer.unwrap());
    let room = Semaphore::new(150);
    let (_, first) = tokio::join!(caller.send_body(&[7; 100]), answerer.receive_body(200, Some(&room)));
    let first = first.unwrap();
    let (_, second) = tokio::join!(caller.send_body(&[7; 51]), answerer.receive_body(200, Some(&room)));
    assert!(matches!(second, Err(SyncError::Busy)), "{second:?}");
    drop(first);
    let (_, third) = tokio::join!(caller.send_body(&[7; 150]), answerer.receive_body(200, Some(&room)));
    third.unwrap();
}

async fn refused(caller: Speaker, answerer: Speaker, why: Rejected, hint: &str) {
    let (caller, answerer) = open(caller, answerer).await;
    match answerer {
        Err(SyncError::Rejected(reason)) => assert_eq!(reason, why),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        caller.unwrap_err().to_string(),
        format!("accepted, then closed: usually another key or --cluster{hint}")
    );
}

#[tokio::test]
async fn another_key_is_silence() {
    let ours = speaker("a", "x", Some(1)).envelope.keys().unwrap().primary().fingerprint().short();
    let ours = format!(" (ours {ours})");
    refused(speaker("a", "x", Some(1)), speaker("b", "x", Some(2)), Rejected::UnknownKey, &ours).await;
    refused(speaker("a", "x", Some(1)), speaker("b", "y", Some(1)), Rejected::Forged, &ours).await;
    refused(speaker("a", "x", Some(1)), speaker("b", "x", None), Rejected::Sealed, &ours).await;
    refused(speaker("a", "x", None), speaker("b", "x", Some(1)), Rejected::Plain, " (we have none)").await;
    refused(speaker("a", "x", None), speaker("b", "y", None), Rejected::Label, " (we have none)").await;
}

#[tokio::test]
async fn a_caller_notices_that_it_reached_itself() {
    let (caller, _answerer) = open(speaker("a", "x", Some(1)), speaker("a", "x", Some(1))).await;
    assert!(matches!(caller, Err(SyncError::Rejected(Rejected::Own))), "{caller:?}");
}

/// Sends raw bytes to an answering end, and says how many came back.
async fn probe(bytes: &[u8]) -> (usize, SyncError) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut prober = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    prober.write_all(bytes).await.unwrap();
    prober.shutdown().await.unwrap();
    let error = Session::answer(speaker("b", "x", Some(1)), stream).await.unwrap_err();
    let mut got = Vec::new();
    // A reset is an end as good as any: what counts is what came before it.
    let _ = prober.read_to_end(&mut got).await;
    (got.len(), error)
}

#[tokio::test]
async fn a_stranger_gets_no_byte() {
    let long = [&[0, 0, 1, 0][..], &[1; 256]].concat();
    for bytes in [&b""[..], b"GET / HTTP/1.0\r\n\r\n", &[0, 0, 0, 0], &[0xff; 64], &long] {
        let (answered, _) = probe(bytes).await;
        assert_eq!(answered, 0, "{bytes:?}");
    }
    let (_, error) = probe(&[0, 1, 0, 0]).await;
    assert!(matches!(&error, SyncError::Io(e) if e.kind() == io::ErrorKind::InvalidData), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_caller_is_dropped() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _prober = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let error = Session::answer(speaker("b", "x", Some(1)), stream).await.unwrap_err();
    assert!(matches!(error, SyncError::Deadline(STEP)), "{error:?}");
}

/// Everything a caller said, said again on a new stream: the first frame is answered, the rest refused.
#[tokio::test]
async fn a_recorded_stream_is_of_no_use() {
    let answerer = || speaker("b", "x", Some(1));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay_addr = relay.local_addr().unwrap();

    let record = async {
        let (mut from, _) = relay.accept().await.unwrap();
        let mut to = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut tape = Vec::new();
        let (mut from_read, mut from_write) = from.split();
        let (mut to_read, mut to_write) = to.split();
        let up = async {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = from_read.read(&mut buffer).await {
                tape.extend_from_slice(&buffer[..n]);
                to_write.write_all(&buffer[..n]).await.unwrap();
            }
            to_write.shutdown().await.unwrap();
        };
        let down = tokio::io::copy(&mut to_read, &mut from_write);
        // The answering end resets the stream when it is done; the tape is complete by then.
        let _ = tokio::join!(up, down);
        tape
    };
    let answer = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut session = Session::answer(answerer(), stream).await.unwrap();
        assert_eq!(session.receive(STEP).await.unwrap(), b"question");
    };
    let call = async {
        let mut session = Session::call(speaker("a", "x", Some(1)), relay_addr).await.unwrap();
        session.send(b"question").await.unwrap();
    };
    let (tape, (), ()) = tokio::join!(record, answer, call);

    let again = async {
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        stream.write_all(&tape).await.unwrap();
        stream
    };
    let answer_again = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut session = Session::answer(answerer(), stream).await.unwrap();
        session.receive(STEP).await.unwrap_err()
    };
    let (_stream, error) = tokio::join!(again, answer_again);
    assert!(matches!(error, SyncError::Rejected(Rejected::Forged)), "{error:?}");
}
