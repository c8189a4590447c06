//! What a table outlives, and what is served where it does not.

use backchat_contract::Desired;
use backchat_openresty::table::Table;
use rustix::process::{Signal, kill_process};

use crate::{
    rig::{ROOM, Rig, Set, eventually, pid},
    web::{self, Web},
};

fn none() -> Table {
    Table { version: 1, set: Desired::default() }
}

/// A reload keeps what was pushed, whatever older set the file holds; a newer one in the file is taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_keeps_the_table() {
    let (one, two) = (Web::start("one").await, Web::start("two").await);
    let mut rig = Rig::start(2).await;
    let pushed = rig.push(&Set::new().ready("one", one.addr)).await;
    let before = (rig.read().await, rig.workers());
    rig.reload(&none(), ROOM).await;
    let after = rig.read().await;
    assert_eq!((&after.boot, after.generation, after.table.as_deref()), (&before.0.boot, 2, Some(&pushed)));
    assert!(rig.workers().iter().all(|pid| !before.1.contains(pid)));
    for _ in 0..10 {
        assert_eq!(rig.get("/").await, (200, "one".into()));
    }
    let newer = Table { version: pushed.version + 1, set: Set::new().ready("two", two.addr).0 };
    rig.reload(&newer, ROOM).await;
    assert_eq!(rig.table().await, Some(newer));
    assert_eq!(rig.get("/").await, (200, "two".into()));
}

/// A restart loses it: the file's set is served from the first request on, and the boot id is another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_serves_what_the_file_says() {
    let (one, two) = (Web::start("one").await, Web::start("two").await);
    let mut rig = Rig::start(2).await;
    let filed = rig.push(&Set::new().ready("one", one.addr)).await;
    rig.write(&filed, ROOM).await;
    rig.push(&Set::new().ready("two", two.addr)).await;
    let before = rig.read().await.boot;
    rig.kill().await;
    rig.ensure(&none(), ROOM).await;
    let after = rig.read().await;
    assert_ne!(after.boot, before);
    assert_eq!((after.version, after.table.as_deref()), (filed.version, Some(&filed)));
    for _ in 0..10 {
        assert_eq!(rig.get("/").await, (200, "one".into()));
    }
    rig.push(&Set::new().ready("two", two.addr)).await;
    assert_eq!(rig.get("/").await, (200, "two".into()));
}

/// So does another size. Who counts in the memory of before is not among those that count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resize_serves_what_the_file_says() {
    let one = Web::start("one").await;
    let mut rig = Rig::start(2).await;
    let filed = rig.push(&Set::new().ready("one", one.addr)).await;
    let before = (rig.read().await.boot, rig.workers());
    rig.reload(&filed, ROOM * 2).await;
    let after = rig.read().await;
    assert_ne!(after.boot, before.0);
    assert_eq!((after.capacity, after.table.as_deref()), (ROOM * 2048, Some(&filed)));
    for _ in 0..10 {
        assert_eq!(rig.get("/").await, (200, "one".into()));
    }
}

/// It starts all the same: empty, and it can be pushed to.
async fn starts_empty(set: fn(std::net::SocketAddr) -> Set, room: u64, break_it: fn(String) -> String) {
    let one = Web::start("one").await;
    let mut rig = Rig::start(1).await;
    rig.write(&Table { version: 7, set: set(one.addr).0 }, room).await;
    let path = &rig.settings.paths.config;
    let text = std::fs::read_to_string(path).unwrap();
    std::fs::write(path, break_it(text)).unwrap();
    rig.kill().await;
    rig.ensure(&none(), ROOM).await;
    assert_eq!((rig.table().await, rig.get("/").await.0), (None, 404));
    rig.push(&Set::new().ready("one", one.addr)).await;
    assert_eq!(rig.get("/").await, (200, "one".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_set_in_the_file_is_not_served() {
    let cut = |text: String| {
        assert!(text.contains("#bc end 13\n"));
        text.replace("#bc end 13\n", "#bc end 1\n")
    };
    starts_empty(|addr| Set::many(9, addr), ROOM, cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_in_the_file_without_room_is_not_served() {
    starts_empty(|addr| Set::many(10_000, addr), 256, |text| text).await;
}

/// A worker that is killed takes its requests along, and the fresh one serves the newest table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_worker_serves_the_newest_table() {
    let one = Web::start("one").await;
    let rig = Rig::start(1).await;
    rig.push(&Set::new().ready("one", one.addr)).await;
    let http = rig.http();
    let held = tokio::spawn(async move { web::get(http, "a.example", "/hold").await });
    one.holds(1).await;
    assert_eq!(rig.read().await.flights.values().sum::<u64>(), 1);
    let before = rig.workers();
    assert_eq!(rig.read().await.workers.into_iter().collect::<Vec<_>>(), before);
    kill_process(pid(before[0]), Signal::KILL).unwrap();
    assert_eq!(held.await.unwrap().0, 0);
    eventually("a fresh worker", async || rig.workers().iter().any(|pid| *pid != before[0])).await;
    eventually("it answers", async || rig.admin.read().await.is_ok()).await;
    let state = rig.read().await;
    assert_eq!((state.flights.len(), state.workers.into_iter().collect::<Vec<_>>()), (0, rig.workers()));
    assert_eq!(rig.get("/").await, (200, "one".into()));
}
