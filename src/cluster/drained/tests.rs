//! Waits for a balancer that is gone, on a paused clock: how long, and what is said of it.

use super::*;
use crate::{
    cluster::{identity::Identity, sync::Hello, wire::Envelope},
    model::{Kind, Liveness, Member, Snapshot, Verdict},
};

const DEADLINE: Duration = Duration::from_secs(5);

fn view(liveness: Liveness, since: u64, plane_stays: bool) -> Arc<View> {
    let member = Member {
        name: "lb2".parse().unwrap(),
        epoch: 7,
        addr: ([127, 0, 0, 1], 1).into(),
        liveness,
        verdict: Verdict::Unasked,
        since: Moment::from_secs(since),
        record: Some(RawRecord { kind: Kind::Balancer, plane_stays, ..RawRecord::default() }),
        refused: None,
    };
    let members = [(member.name.clone(), member)].into();
    let me = RawRecord { node: "web1".into(), ..RawRecord::default() };
    let snapshot = Snapshot { source: "gossip".into(), synced: true, members, ..Snapshot::default() };
    Arc::new(View { snapshot, me, addr: ([127, 0, 0, 1], 2).into() })
}

fn speaker() -> watch::Receiver<Speaker> {
    let from = Identity::new("web1".parse().unwrap(), 7, ([127, 0, 0, 1], 2).into());
    let envelope = Arc::new(Envelope::new(&"default".parse().unwrap(), None));
    watch::channel(Speaker { envelope, sender: 1, boot: 7, hello: Hello { from, number: [0; 16].into() } }).1
}

/// What comes of a wait that begins 100 s after the start, and how long it takes.
async fn waited(views: watch::Receiver<Arc<View>>) -> (Drained, Duration) {
    let started = Instant::now();
    tokio::time::advance(Duration::from_secs(100)).await;
    let began = Instant::now();
    (wait(views, speaker(), started, DEADLINE, false).await, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn one_that_failed_long_ago_is_not_waited_for() {
    let (_views, views) = watch::channel(view(Liveness::Failed, 40, false));
    assert_eq!(waited(views).await, (Drained::default(), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn one_that_failed_lately_takes_the_whole_deadline() {
    let (_views, views) = watch::channel(view(Liveness::Failed, 98, false));
    let (drained, took) = waited(views).await;
    assert_eq!(took, DEADLINE);
    let why = "failed 7 s ago: its data plane may serve on".to_owned();
    assert_eq!(drained, Drained { missing: [("lb2".parse().unwrap(), why)].into(), ..Drained::default() });
}

/// It failed, came back unseen, and has ended well, its data plane with it.
#[tokio::test(start_paused = true)]
async fn one_that_ends_its_data_plane_ends_the_wait() {
    let (sender, views) = watch::channel(view(Liveness::Failed, 98, false));
    let leaves = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        sender.send_replace(view(Liveness::Left, 102, false));
    };
    let ((drained, took), ()) = tokio::join!(waited(views), leaves);
    assert!(took < DEADLINE, "{took:?}");
    assert_eq!(drained, Drained { dropped: ["lb2".parse().unwrap()].into(), ..Drained::default() });
}
