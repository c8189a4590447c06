//! A patch changes the endpoints of a few services, and a table with its patches is what a table alone would be.

use backchat_contract::EndpointState;
use backchat_openresty::{
    admin::{Admin, Pushed},
    push::Push,
    state::State,
    table::{Patch, Table},
};

use crate::{
    rig::{ROOM, Rig, Set},
    web::Web,
};

/// The next patch: this server, in this state, is all that `web` has.
fn patch(over: &State, name: &str, web: &Web, state: EndpointState) -> Push {
    let set = Set::new().with(name, web.addr, 100, state);
    Push::Patch(Patch { version: over.version + 1, services: set.0.services })
}

async fn serves(rig: &Rig, name: &str) {
    for _ in 0..10 {
        assert_eq!(rig.get("/").await, (200, name.into()));
    }
}

/// By every worker, one that was killed and one of after a reload among them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_worker_serves_a_table_with_its_patches() {
    let (one, two) = (Web::start("one").await, Web::start("two").await);
    let mut rig = Rig::start(2).await;
    rig.push(&Set::new().ready("one", one.addr)).await;
    serves(&rig, "one").await;
    let mut state = rig.read().await;
    let known = Admin::new(&rig.settings.paths.control).unwrap();
    known.read().await.unwrap();
    for (name, web) in [("two", &two), ("one", &one), ("two", &two)] {
        let push = patch(&state, name, web, EndpointState::Ready);
        assert_eq!(rig.send(&push, &state).await, Pushed::Served);
        push.note(&mut state);
        serves(&rig, name).await;
    }
    // Read by one who knows the table before, by one who knows nothing, and by one who is told that it is the same.
    let fresh = Admin::new(&rig.settings.paths.control).unwrap();
    for admin in [&known, &fresh, &fresh] {
        let read = admin.read().await.unwrap().unwrap();
        assert_eq!((read.version, read.patches, &read.table), (state.version, 3, &state.table));
    }
    rig.reload(&Table { version: 1, set: Set::new().0 }, ROOM).await;
    serves(&rig, "two").await;

    let drained = patch(&state, "two", &two, EndpointState::Drain);
    assert_eq!(rig.send(&drained, &state).await, Pushed::Served);
    assert_eq!(rig.get("/").await.0, 503);
    let whole = rig.push(&Set::new().ready("one", one.addr)).await;
    serves(&rig, "one").await;
    let read = rig.read().await;
    assert_eq!((read.patches, read.table.as_deref()), (0, Some(&whole)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_does_not_fit_changes_nothing() {
    let web = Web::start("one").await;
    let rig = Rig::start(2).await;
    let before = rig.push(&Set::new().ready("one", web.addr)).await;
    let state = rig.read().await;
    let next = patch(&state, "two", &web, EndpointState::Ready).encode();
    let check = async |from: &str, to: &str, status: u16, why: &str| {
        let text = next.replace(from, to);
        let (got, said) = rig.post(&text).await;
        assert_eq!((got, said.contains(why)), (status, true), "{text}{said}");
    };
    check("web", "other", 400, "a patch of a service that is not there: other").await;
    check(" http\n", " tcp\n", 400, "a patch of a service that is not there: web").await;
    check("end 4", "route a.example / web\nend 5", 400, "no route").await;
    check("end 4", "end 5", 400, "not the end").await;
    let (version, later) = (format!("patch {}", state.version + 1), format!("patch {}", state.version + 2));
    check(&version, &later, 409, "does not follow").await;
    check(&version, &format!("patch {}", state.version), 409, "does not follow").await;
    assert_eq!(rig.table().await, Some(before));
    serves(&rig, "one").await;

    let push = patch(&state, "one", &web, EndpointState::Ready);
    assert_eq!(rig.send(&push, &state).await, Pushed::Served);
    assert!(matches!(rig.send(&push, &state).await, Pushed::Stale(_)));
}
