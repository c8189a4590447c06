//! The feed: what is kept, who hears what, and who is cut off.

use std::time::{Duration, UNIX_EPOCH};

use super::{feed::*, *};
use crate::model::Event;

fn feed() -> Arc<Feed> {
    Arc::new(Feed::new(UNIX_EPOCH + Duration::from_millis(1)))
}

fn tell(feed: &Feed, count: u64) {
    for n in 0..count {
        feed.tell(UNIX_EPOCH, Event::gap(n.to_string()));
    }
}

fn listen(feed: &Arc<Feed>, last: Option<u64>) -> Listener {
    Feed::listen(feed, last, &Line::default()).expect("there is room")
}

/// The ids of what is heard until there is nothing more, or the end.
async fn ids(listener: &mut Listener) -> Vec<u64> {
    let mut ids = Vec::new();
    while let Ok(Some(events)) = tokio::time::timeout(Duration::from_secs(1), listener.next()).await {
        ids.extend(events.iter().map(|e| e.id));
    }
    ids
}

#[tokio::test(start_paused = true)]
async fn who_listens_hears_what_comes_and_who_returns_what_came() {
    let feed = feed();
    tell(&feed, 2);
    let mut new = listen(&feed, None);
    assert_eq!(ids(&mut new).await, [0; 0]);
    tell(&feed, 3);
    assert_eq!(ids(&mut new).await, [1002, 1003, 1004]);
    assert_eq!(ids(&mut listen(&feed, Some(1000))).await, [1001, 1002, 1003, 1004]);
    assert_eq!(ids(&mut listen(&feed, Some(1004))).await, [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn who_missed_something_is_told_and_goes_on_from_what_is_kept() {
    let feed = feed();
    tell(&feed, KEPT as u64 + 5);
    let mut late = listen(&feed, Some(1002));
    let first = late.next().await.unwrap();
    assert_eq!((first.len(), &first[0].event.what, first[0].id), (1, &What::Gap, 1004));
    assert_eq!(first[0].event.effect.as_deref(), Some("after event 1002: only the last 1024 are kept"));
    let rest = ids(&mut late).await;
    assert_eq!((rest.len(), rest[0]), (KEPT, 1005));
    assert_eq!(ids(&mut listen(&feed, Some(1004))).await.len(), KEPT, "nothing is missing after that one");
}

#[tokio::test(start_paused = true)]
async fn the_events_of_another_life_are_not_taken_for_ours() {
    let feed = feed();
    for last in [7, 998, 5_000_000, u64::MAX] {
        let gap = listen(&feed, Some(last)).next().await.unwrap().remove(0);
        assert_eq!(gap.event.effect.unwrap(), format!("after event {last}: the daemon was started anew"));
        assert_eq!(gap.id, 999);
    }
    tell(&feed, 1);
    assert_eq!(ids(&mut listen(&feed, Some(999))).await, [1000]);
}

#[tokio::test(start_paused = true)]
async fn listeners_hear_the_rest_at_the_end() {
    let feed = feed();
    let (mut one, mut other) = (listen(&feed, None), listen(&feed, None));
    tell(&feed, 1);
    feed.close();
    assert_eq!(ids(&mut one).await, [1000]);
    assert_eq!(one.next().await, None);
    assert_eq!(ids(&mut other).await, [1000]);
}

#[tokio::test(start_paused = true)]
async fn there_is_an_end_to_listeners_and_the_slow_are_cut_off() {
    let feed = feed();
    let line = Line::default();
    let slow = Feed::listen(&feed, None, &line).unwrap();
    let mut others: Vec<_> = (1..LISTENERS).map(|_| listen(&feed, None)).collect();
    assert!(Feed::listen(&feed, None, &Line::default()).is_none());
    for other in &mut others {
        tell(&feed, 1);
        ids(other).await;
    }
    tell(&feed, (KEPT - LISTENERS + 1) as u64);
    assert!(tokio::time::timeout(Duration::from_secs(1), line.is_cut()).await.is_err(), "all is still kept for it");
    for other in &mut others {
        ids(other).await;
    }
    tell(&feed, 1);
    tokio::time::timeout(Duration::from_secs(1), line.is_cut()).await.expect("it is cut off");
    assert_eq!(ids(&mut others[0]).await.len(), 1, "the others are not");
    drop(slow);
    assert!(Feed::listen(&feed, None, &Line::default()).is_some(), "there is room again");
}
