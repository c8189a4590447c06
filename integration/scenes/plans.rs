//! `backchat plan` at a daemon that drives a real data plane: what it prints is as its schema says, text and status agree
//! with it, and asking changes nothing.

use backchat::demo::Driver;
use serde_json::Value;

use super::world::{World, backchat};
use crate::schema::is_a_plan;

/// What a plan says, as JSON and as text, with the status.
async fn plan(world: &World, more: &[&str]) -> (Value, String, Option<i32>) {
    let admin = format!("unix:{}", world.run_dir("proxy").join("admin.sock").display());
    let ask = async |format: &str| {
        let args = ["plan", "--full", "-o", format, "--admin", &admin];
        let output = tokio::process::Command::new(backchat()).args(args).args(more).output().await.unwrap();
        (String::from_utf8(output.stdout).unwrap(), output.status.code())
    };
    let ((json, status), (text, again)) = (ask("json").await, ask("text").await);
    let json: Value = serde_json::from_str(&json).unwrap_or_else(|e| panic!("{e}: {json}{}", world.last_words()));
    is_a_plan(&json);
    assert_eq!(status, again, "{text}");
    (json, text, status)
}

pub(super) async fn a_plan_says_what_would_change_by_its_schema(driver: Driver) {
    let world = World::with(driver, &["web1", "web2"]).await;
    world.serves(&["web1", "web2"]).await;
    world.converges().await;
    let before = world.plane("proxy").state().await;

    let (json, text, status) = plan(&world, &[]).await;
    assert_eq!((status, json["changes"].as_array().map(Vec::len)), (Some(0), Some(0)), "{text}");
    assert!(text.ends_with("\n\nPlan: nothing to change.\n"), "{text}");

    let (json, text, status) = plan(&world, &["--assume", "gone=web1"]).await;
    assert_eq!((status, &json["summary"]["remove"]), (Some(2), &1.into()), "{text}");
    assert!(text.contains("\n- web/web1  ") && text.contains("were it gone"), "{text}");
    assert_eq!(json["reload"].is_string(), world.plane("proxy").endpoints_reload(), "{text}");
    assert_eq!(json["ready"][0]["after"], 1, "{text}");

    let (json, text, status) = plan(&world, &["--assume", "drain=web2"]).await;
    let change = &json["changes"][0];
    assert_eq!((status, &change["action"], &json["summary"]["drain"]), (Some(2), &"drain".into(), &1.into()), "{text}");
    assert!(text.contains("\n~ web/web2  ") && text.contains("ready → drain"), "{text}");
    assert_eq!(world.plane("proxy").state().await, before, "to ask is not to do");
}
