//! The dry run as a stranger to the cluster: nobody sees it, and who cannot be asked, or what cannot be read, is said.

use std::fs;

use backchat::demo::Child;
use serde_json::Value;

use super::{args, by_file, changes, dry, witness};
use crate::scenes::{
    plane::ANY,
    world::{PATIENCE, World, backchat, free},
};

/// Who is a member at this node, in which life, and what it has said of itself.
async fn members(world: &World, node: &str) -> Vec<String> {
    let answer = world.json(node, &["members"]).await.expect("it answers");
    let one = |m: &Value| format!("{} {} {} {}", m["name"], m["epoch"], m["version"], m["liveness"]);
    answer["members"].as_array().unwrap().iter().map(one).collect()
}

/// Beside the lb that runs, for as long as one likes: nobody has heard of it, and it is asked by nobody who leaves.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_who_looks_on() {
    let mut world = World::with(ANY, &["web1", "web2"]).await;
    world.converges().await;
    let before = [members(&world, "proxy").await, members(&world, "web1").await];
    let join = world.proxy().gossip.to_string();
    let log = world.folder.path().join("looks-on.log");
    let more = ["--node", "looker", "--join", &join, "-o", "json"].map(String::from);
    let mut looker = Child::start(backchat(), args(&world, &more), &log).unwrap();
    let shown = || -> Vec<Value> {
        let text = fs::read_to_string(&log).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    world.eventually("it shows a plan", || async { shown().len() == 1 }).await;
    assert_eq!(shown()[0]["changes"], serde_json::json!([]), "{:#}", shown()[0]);
    assert_eq!(witness::bound(looker.pid()), Vec::<String>::new());
    assert_eq!([members(&world, "proxy").await, members(&world, "web1").await], before);

    let agent = world.agents.get_mut("web2").unwrap();
    agent.process.terminate().unwrap();
    let status = agent.process.ended(PATIENCE).await.unwrap();
    assert_eq!(status.and_then(|s| s.code()), Some(0), "{}", world.last_words());
    let words = world.agents["web2"].process.last_words(10);
    assert!(words.contains("drained balancers=\"proxy\""), "{words}");
    world.members("web1", &[("web2", "left")]).await;
    for node in ["proxy", "web1"] {
        assert!(members(&world, node).await.iter().all(|member| !member.contains("looker")));
    }
    // The lb is gone, and it was whom it asked: it asks another, and says what nobody does now.
    world.kill_lb().await;
    let join = world.agents["web1"].gossip.to_string();
    world.start_agent("web3", &["--join", &join]).await;
    let adds = || shown().last().is_some_and(|plan| changes(plan) == ["add web/web3"]);
    world.eventually("it shows that web3 would come", || async { adds() }).await;
    looker.terminate().unwrap();
    let status = looker.ended(PATIENCE).await.unwrap();
    assert_eq!(status.and_then(|s| s.code()), Some(0), "{}", looker.last_words(10));
}

/// Who is there must be learnt from somebody: what is in the way is said, with what to do.
#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_asked_is_said() {
    let world = World::with(ANY, &["web1"]).await;
    let join = |addr: String| vec!["--join".into(), addr];
    let said = dry(&world, &[], &[]).await;
    assert_eq!(said.status, Some(64), "{}", said.aside);
    assert!(
        said.aside.starts_with("lb: --dry-run asks a member who is there: --join ADDR names one"),
        "{}",
        said.aside
    );

    let nobody = free();
    let said = dry(&world, &join(nobody.to_string()), &[]).await;
    let words = format!(
        "lb: cannot learn who is there: {nobody} (127.0.0.1) did not take the connection: connection refused\n"
    );
    assert_eq!((said.text.as_str(), said.aside, said.status), ("", words, Some(69)));

    let said = dry(&world, &join(world.proxy().gossip.to_string()), &["--cluster", "other"]).await;
    assert_eq!(said.status, Some(69), "{}", said.aside);
    assert!(said.aside.contains("accepted, then closed: usually another key or --cluster"), "{}", said.aside);

    // The next address is asked where one is silent.
    let both = [join(nobody.to_string()), join(world.proxy().gossip.to_string())].concat();
    let said = dry(&world, &both, &[]).await;
    assert_eq!(said.status, Some(0), "{}{}", said.text, said.aside);
}

/// Who is wrong is told so, with the status of a bad configuration, before anything is asked or started.
#[tokio::test]
async fn a_mistake_ends_it_with_its_line() {
    let world = World::empty(ANY);
    let file = world.folder.path().join("s.json");
    fs::write(&file, "{\"services\": {\n  \"web\": {\"endpoint\": []}}}").unwrap();
    let said = dry(&world, &by_file(&file), &[]).await;
    assert_eq!((said.text.as_str(), said.status), ("", Some(78)), "{}", said.aside);
    let words =
        format!("lb: {}:2:11: unknown key 'endpoint' of service web; did you mean 'endpoints'?\n", file.display());
    assert_eq!(said.aside, words);
    let gone = world.folder.path().join("gone.toml");
    let said = dry(&world, &by_file(&gone), &[]).await;
    let words = format!("lb: {}: No such file or directory\n", gone.display());
    assert_eq!((said.aside, said.status), (words, Some(78)));
}
