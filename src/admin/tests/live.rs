//! `/v1/events` over a real socket: what a listener hears, also one that was away.

use super::*;
use crate::model::{Event, What};

/// One who listens.
struct Heard {
    response: reqwest::Response,
    text: String,
}

impl Heard {
    async fn from(served: &Served, last: Option<u64>) -> Self {
        let request = served.request(Method::GET, "/v1/events");
        let request = last.iter().fold(request, |request, id| request.header("last-event-id", *id));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// The next event as it came, its id first; `None` at the end. Heartbeats are passed over.
    async fn next(&mut self) -> Option<(u64, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let event = event.to_owned();
                self.text = rest.to_owned();
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
                if let Some(data) = field("data:") {
                    return Some((field("id:")?.parse().unwrap(), serde_json::from_str(data).unwrap()));
                }
                continue;
            }
            self.text += std::str::from_utf8(&self.response.chunk().await.unwrap()?).unwrap();
        }
    }
}

/// The snapshot of gossip with this serial in which web1 is so.
fn with_web1(liveness: Liveness, serial: u64) -> Arc<Snapshot> {
    let mut snapshot = snapshot(true);
    let mut web1 = snapshot.members.values().next().unwrap().clone();
    (web1.name, web1.liveness) = ("web1".parse().unwrap(), liveness);
    snapshot.members.insert(web1.name.clone(), web1);
    Arc::new(Snapshot { serial, ..snapshot })
}

/// The loop has gone by this snapshot.
fn gone_by(snapshot: &Snapshot) -> Arc<Status> {
    Arc::new(Status { sources: vec![model::SourceState::of(snapshot)], ..Status::default() })
}

#[tokio::test]
async fn who_was_away_hears_all_that_happened_meanwhile() {
    let served = Served::new(Kind::Agent).await;
    let mut first = Heard::from(&served, None).await;
    served.members.send_replace(with_web1(Liveness::Alive, 1));
    let (joined, event) = first.next().await.unwrap();
    assert_eq!((&event["format"], &event["id"]), (&json!("backchat.event/1"), &json!(joined)), "{event}");
    assert_eq!(
        (&event["kind"], &event["subject"], &event["text"]),
        (&json!("member"), &json!("web1"), &json!("joined"))
    );
    assert!(event["at"].as_u64().unwrap() > 1_700_000_000_000, "{event}");
    drop(first);
    let (mut told, mut others) = (Vec::new(), Heard::from(&served, None).await);
    for (liveness, serial) in [(Liveness::Suspect, 2), (Liveness::Failed, 3), (Liveness::Alive, 4)] {
        served.members.send_replace(with_web1(liveness, serial));
        told.push(others.next().await.unwrap());
    }
    let mut back = Heard::from(&served, Some(joined)).await;
    for (expected, event) in (joined + 1..).zip(&told) {
        assert_eq!(event.0, expected);
        assert_eq!(back.next().await.as_ref(), Some(event));
    }
    served.stop.cancel();
    assert_eq!(back.next().await, None, "the daemon's end is the end");
    tokio::time::timeout(Duration::from_secs(5), served.task).await.unwrap().unwrap();
}

/// The loop has gone by this snapshot, and web1's endpoint is so by it.
fn with_endpoint(known: &Snapshot, state: model::EndpointState) -> Arc<Status> {
    let addr = std::net::SocketAddr::from(([10, 0, 0, 3], 80)).try_into().unwrap();
    let endpoint = backchat_contract::Endpoint { addr, weight: model::Weight::DEFAULT, state };
    let service = model::Service { endpoints: [("web1".parse().unwrap(), endpoint)].into(), ..Default::default() };
    let desired = model::Desired { services: [("web".parse().unwrap(), service)].into(), ..Default::default() };
    let status = Status::clone(&gone_by(known));
    Arc::new(Status { desired: Arc::new(desired), ledger: Some(Arc::default()), ..status })
}

/// A member's event waits for the loop to have gone by it, so that both are told in one; but not for a loop that hangs.
#[tokio::test(start_paused = true)]
async fn a_members_event_is_told_with_what_the_loop_makes_of_it_but_not_held_up_by_it() {
    let served = Served::new(Kind::Balancer).await;
    let mut heard = Heard::from(&served, None).await;
    let joined = with_web1(Liveness::Alive, 1);
    served.members.send_replace(joined.clone());
    served.status.send_replace(with_endpoint(&joined, model::EndpointState::Ready));
    assert_eq!(heard.next().await.unwrap().1["text"], "joined");
    let suspect = with_web1(Liveness::Suspect, 2);
    served.members.send_replace(suspect.clone());
    let early = tokio::time::timeout(Duration::from_millis(100), heard.next()).await;
    assert!(early.is_err(), "told before the loop has gone by it: {early:?}");
    served.status.send_replace(with_endpoint(&suspect, model::EndpointState::Drain));
    let (_, event) = heard.next().await.unwrap();
    assert_eq!((&event["text"], &event["effect"]), (&json!("alive → suspect"), &json!("drain web/web1")));
    served.members.send_replace(with_web1(Liveness::Failed, 3));
    let (_, event) = heard.next().await.unwrap();
    assert_eq!((&event["text"], &event["effect"]), (&json!("suspect → failed"), &Value::Null));
}

/// A slow loop brings a member in that has failed meanwhile: that does not follow from its failure.
#[tokio::test(start_paused = true)]
async fn what_the_loop_did_by_an_older_snapshot_is_told_before_what_is_newer() {
    let served = Served::new(Kind::Balancer).await;
    let mut heard = Heard::from(&served, None).await;
    let before = Status { ledger: Some(Arc::default()), ..Status::clone(&gone_by(&snapshot(true))) };
    served.status.send_replace(Arc::new(before));
    let joined = with_web1(Liveness::Alive, 1);
    served.members.send_replace(joined.clone());
    assert_eq!(heard.next().await.unwrap().1["text"], "joined", "the loop is not waited for without end");
    served.members.send_replace(with_web1(Liveness::Failed, 2));
    served.status.send_replace(with_endpoint(&joined, model::EndpointState::Ready));
    let (_, added) = heard.next().await.unwrap();
    assert_eq!((&added["kind"], &added["change"]), (&json!("endpoint"), &json!("add")), "{added}");
    let (_, failed) = heard.next().await.unwrap();
    assert_eq!((&failed["text"], &failed["effect"]), (&json!("alive → failed"), &Value::Null), "{failed}");
}

/// The loop's word comes by another way than the members', and may come first: it is told with what it follows from.
#[tokio::test(start_paused = true)]
async fn what_the_loop_did_by_a_newer_snapshot_waits_for_it() {
    let served = Served::new(Kind::Balancer).await;
    let mut heard = Heard::from(&served, None).await;
    let joined = with_web1(Liveness::Alive, 1);
    served.members.send_replace(joined.clone());
    served.status.send_replace(with_endpoint(&joined, model::EndpointState::Ready));
    assert_eq!(heard.next().await.unwrap().1["text"], "joined");
    let suspect = with_web1(Liveness::Suspect, 2);
    served.status.send_replace(with_endpoint(&suspect, model::EndpointState::Drain));
    let early = tokio::time::timeout(Duration::from_millis(100), heard.next()).await;
    assert!(early.is_err(), "told before what it follows from: {early:?}");
    served.members.send_replace(suspect);
    let (_, event) = heard.next().await.unwrap();
    assert_eq!((&event["text"], &event["effect"]), (&json!("alive → suspect"), &json!("drain web/web1")));
}

/// What was applied is told when it was read back, in one step or the next.
#[tokio::test(start_paused = true)]
async fn an_apply_is_told_once_it_was_read_back() {
    let served = Served::new(Kind::Balancer).await;
    let mut heard = Heard::from(&served, None).await;
    let mut midway = Status { stepped_at: Some(std::time::UNIX_EPOCH), ..Status::default() };
    midway.tally.applies = 1;
    served.status.send_replace(Arc::new(midway.clone()));
    let early = tokio::time::timeout(Duration::from_millis(100), heard.next()).await;
    assert!(early.is_err(), "told before it was read back: {early:?}");
    served.status.send_replace(Arc::new(Status { converged: true, ..midway.clone() }));
    assert_eq!(heard.next().await.unwrap().1["confirmed"], true);
    midway.tally.applies = 2;
    served.status.send_replace(Arc::new(midway));
    assert_eq!(heard.next().await.unwrap().1["confirmed"], false, "it is not waited for without end");
}

/// One who asks and then does not read is told nothing any more, and keeps nobody else from hearing all.
#[tokio::test]
async fn who_does_not_read_is_cut_off() {
    let served = Served::new(Kind::Agent).await;
    let mut silent = UnixStream::connect(served.socket()).await.unwrap();
    silent.write_all(b"GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut others = Heard::from(&served, None).await;
    let mut answer = [0; 12];
    silent.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let (mut last, turns) = (0, [Liveness::Alive, Liveness::Suspect]);
    // More than is kept for it here and on the way to it.
    for (serial, liveness) in (1..6000).zip(turns.into_iter().cycle()) {
        served.members.send_replace(with_web1(liveness, serial));
        let (id, _) = others.next().await.unwrap();
        assert!(last == 0 || id == last + 1, "{last} and then {id}");
        last = id;
    }
    let mut heard = Vec::new();
    let rest = tokio::time::timeout(Duration::from_secs(10), silent.read_to_end(&mut heard)).await;
    let ends = rest.expect("the connection goes on");
    let newest = format!("id: {last}\n");
    assert!(!String::from_utf8_lossy(&heard).contains(&newest), "it heard all, and {ends:?}");
}

/// Longer than any other connection may live.
#[tokio::test(start_paused = true)]
async fn a_listener_may_listen_for_hours() {
    let served = Served::new(Kind::Agent).await;
    let mut heard = Heard::from(&served, None).await;
    let hours = tokio::time::sleep(Duration::from_secs(3 * 3600));
    tokio::select! {
        event = heard.next() => panic!("nothing happened: {event:?}"),
        () = hours => {}
    }
    served.members.send_replace(with_web1(Liveness::Alive, 1));
    assert_eq!(heard.next().await.unwrap().1["subject"], "web1");
}

#[tokio::test]
async fn an_event_is_understood_by_its_reader() {
    let served = Served::new(Kind::Agent).await;
    let gap = Heard::from(&served, Some(1)).await.next().await.unwrap().1;
    let read: answers::Tagged<answers::Event> = serde_json::from_value(gap).unwrap();
    let expected = Event::gap("after event 1: the daemon was started anew");
    assert_eq!((read.answer.event.what.clone(), read.answer.event), (What::Gap, expected));
}
