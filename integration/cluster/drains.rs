//! A leaver asks every balancer, and waits; for one that is away too.

use std::time::Duration;

use backchat::{
    cluster::{Announcement, DrainQuestion, Drained, Settings},
    model::{Liveness, State},
};
use tokio::sync::mpsc;

use super::peer::{PATIENCE, Peer, agent, balancer, joining, keyed, serving};

struct World {
    proxies: Vec<Peer>,
    questions: Vec<mpsc::Receiver<DrainQuestion>>,
    web: Peer,
}

/// Two balancers and an agent that drains.
async fn world() -> World {
    let one = Peer::start(keyed(balancer("proxy1"), 1)).await;
    let two = Peer::start(joining(keyed(balancer("proxy2"), 1), &[one.addr])).await;
    let web = Peer::start(joining(keyed(agent("web"), 1), &[one.addr, two.addr])).await;
    assert!(web.handle.drain_questions().is_none(), "an agent is asked nothing");
    web.knows("proxy1").await;
    web.knows("proxy2").await;
    let questions = [&one, &two].map(|proxy| proxy.handle.drain_questions().unwrap()).into();
    assert!(one.handle.drain_questions().is_none(), "taken twice");
    web.handle.announce(Announcement { state: State::Draining, ..serving(8080) }).await.unwrap();
    // What was announced is what is asked for, at once.
    assert_eq!(web.handle.watch().borrow().me.state, State::Draining);
    World { proxies: vec![one, two], questions, web }
}

async fn asked(questions: &mut mpsc::Receiver<DrainQuestion>) -> DrainQuestion {
    tokio::time::timeout(PATIENCE, questions.recv()).await.expect("nobody asks").unwrap()
}

fn confirmed(names: &[&str]) -> Drained {
    Drained { confirmed: names.iter().map(|name| name.parse().unwrap()).collect(), ..Drained::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_balancers_confirm() {
    let World { proxies: _proxies, mut questions, web } = world().await;
    let answers = async {
        for questions in &mut questions {
            let question = asked(questions).await;
            let me = web.handle.watch().borrow().me.clone();
            assert_eq!((question.node.as_str(), question.epoch, question.version), ("web", me.epoch, me.version));
            question.answer.send(true).unwrap();
        }
    };
    let (drained, ()) = tokio::join!(web.handle.wait_drained(PATIENCE), answers);
    assert_eq!(drained, confirmed(&["proxy1", "proxy2"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_is_cut_off_is_asked_again() {
    let World { proxies: _proxies, mut questions, web } = world().await;
    let answers = async {
        drop(asked(&mut questions[0]).await);
        asked(&mut questions[1]).await.answer.send(false).unwrap();
        for questions in &mut questions {
            asked(questions).await.answer.send(true).unwrap();
        }
    };
    let (drained, ()) = tokio::join!(web.handle.wait_drained(PATIENCE), answers);
    assert_eq!(drained, confirmed(&["proxy1", "proxy2"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_confirm_is_named_at_the_deadline() {
    let World { proxies: _proxies, mut questions, web } = world().await;
    let answers = async {
        asked(&mut questions[0]).await.answer.send(true).unwrap();
        asked(&mut questions[1]).await
    };
    let (drained, unanswered) = tokio::join!(web.handle.wait_drained(Duration::from_millis(500)), answers);
    assert_eq!(drained.confirmed, confirmed(&["proxy1"]).confirmed);
    assert_eq!(drained.missing.keys().map(backchat::model::NodeName::as_str).collect::<Vec<_>>(), ["proxy2"]);
    drop(unanswered);
}

/// Each question ends at the deadline by itself, some before the wait for them does: that once was a panic.
#[tokio::test(flavor = "multi_thread")]
async fn questions_that_end_first_are_no_harm() {
    let World { proxies: _proxies, questions: _unanswered, web } = world().await;
    let drained = web.handle.wait_drained(Duration::ZERO).await;
    assert_eq!(drained.confirmed, confirmed(&[]).confirmed);
    assert_eq!(drained.missing.keys().map(backchat::model::NodeName::as_str).collect::<Vec<_>>(), ["proxy1", "proxy2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn balancers_that_fail_are_asked_once_they_are_back_and_new_ones_too() {
    let World { mut proxies, mut questions, web } = world().await;
    let answers = async {
        let _open = asked(&mut questions[1]).await;
        proxies.remove(1).crash().await;
        let three = Peer::start(joining(keyed(balancer("proxy3"), 1), &[proxies[0].addr])).await;
        let mut new = three.handle.drain_questions().unwrap();
        asked(&mut new).await.answer.send(true).unwrap();
        web.sees("proxy2", Liveness::Failed).await;
        asked(&mut questions[0]).await.answer.send(true).unwrap();
        let two = Peer::start(joining(keyed(balancer("proxy2"), 1), &[proxies[0].addr])).await;
        let mut back = two.handle.drain_questions().unwrap();
        asked(&mut back).await.answer.send(true).unwrap();
        (two, three)
    };
    let (drained, _living) = tokio::join!(web.handle.wait_drained(2 * PATIENCE), answers);
    assert_eq!(drained, confirmed(&["proxy1", "proxy2", "proxy3"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_never_comes_back_is_named_at_the_deadline() {
    let World { mut proxies, mut questions, web } = world().await;
    proxies.remove(1).crash().await;
    web.sees("proxy2", Liveness::Failed).await;
    let answers = async { asked(&mut questions[0]).await.answer.send(true).unwrap() };
    let (drained, ()) = tokio::join!(web.handle.wait_drained(Duration::from_secs(2)), answers);
    assert_eq!(drained.confirmed, confirmed(&["proxy1"]).confirmed);
    let why = &drained.missing[&"proxy2".parse().unwrap()];
    assert!(why.starts_with("failed ") && why.ends_with("its data plane may serve on"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_leaves_is_dropped_and_for_serving_one_that_fails() {
    let World { mut proxies, mut questions, web } = world().await;
    let answers = async {
        let _open = asked(&mut questions[1]).await;
        proxies[1].handle.leave().await.unwrap();
        asked(&mut questions[0]).await.answer.send(true).unwrap();
    };
    let (drained, ()) = tokio::join!(web.handle.wait_drained(PATIENCE), answers);
    assert_eq!(drained, Drained { dropped: ["proxy2".parse().unwrap()].into(), ..confirmed(&["proxy1"]) });
    let answers = async {
        let _open = asked(&mut questions[0]).await;
        proxies.remove(0).crash().await;
    };
    let (drained, ()) = tokio::join!(web.handle.wait_serving(PATIENCE), answers);
    assert_eq!(drained, Drained { dropped: ["proxy1".parse().unwrap()].into(), ..Drained::default() });
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_balancer_nobody_is_waited_for() {
    let web = Peer::start(Settings { ..agent("web") }).await;
    assert_eq!(web.handle.wait_drained(PATIENCE).await, Drained::default());
}
