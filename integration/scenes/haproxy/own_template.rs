//! A template of the operator's own that HAProxy refuses for one server alone (what needs no reload is written to the
//! file too, and that is checked), or for what lies beside it.

use std::fs;

use backchat::demo::{Driver, Web};

use crate::scenes::{
    templates::{by_own, comes, config, fails, line_of, reloads, says, shown},
    world::World,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_refused_for_one_server_does_not_reach_the_file() {
    let mut world = World::empty(Driver::Haproxy);
    let path = world.folder.path().join("my.jinja");
    let each = r#"{{ backend.servers|each("    server {name} {addr} id {id} weight {weight}{disabled? disabled}") }}"#;
    let line = "    server {{ server.name }} {{ server.addr }} id {{ server.id }}{{ ' nonsense' if server.name == 'web2' else '' }}";
    let shown_text = shown(Driver::Haproxy);
    assert!(shown_text.contains(each));
    let text = shown_text.replace(each, &format!("{{% for server in backend.servers %}}\n{line}\n{{% endfor %}}"));
    fs::write(&path, &text).unwrap();
    world.start_balancer("proxy", &["--template", path.to_str().unwrap()]).await;
    world.start_agent("web1", &[]).await;
    world.serves(&["web1"]).await;
    // It serves a moment before it is written.
    says(&world, "server web1 ").await;
    let before = config(&world);

    world.start_agent("web2", &[]).await;
    world.serves(&["web1", "web2"]).await;
    let place = format!("{}:{}: ", path.display(), line_of(&text, "nonsense"));
    let said = || async {
        let (text, code) = world.status_text().await;
        let wrong =
            |line: &str| line.starts_with("FAIL  data plane") && line.contains(&place) && line.contains("nonsense");
        code == Some(1) && text.lines().any(wrong)
    };
    world.eventually("status says what is wrong", said).await;
    assert_eq!(config(&world), before);
    fs::write(&path, shown(Driver::Haproxy)).unwrap();
    world.eventually("it is written", || async { config(&world).contains("    server web2 ") }).await;
    world.converges().await;
}

/// HAProxy's check binds nothing: only the reload finds that somebody else has the port. (HAProxy 2.6 itself pauses its
/// listeners meanwhile, so no traffic is counted here.)
#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_told_and_had_once_it_is_free() {
    let (world, path) = by_own(Driver::Haproxy, &["web1"]).await;
    let before = reloads(&world).await;
    let theirs = Web::start(([127, 0, 0, 1], 0).into(), "theirs").await.unwrap();
    let line = format!("    bind {}\n", theirs.addr());
    let listeners = "{% for addr in listen %}\n";
    let text = shown(Driver::Haproxy).replace(listeners, &format!("{line}{listeners}"));
    fs::write(&path, &text).unwrap();
    let name = format!("{}: reload: ", path.display());
    fails(&world, &[&name, &theirs.addr().to_string(), " serves on"]).await;
    assert!(!config(&world).contains(&line), "the file of before is back");
    world.serves(&["web1"]).await;
    drop(theirs);
    // Another text is tried at once.
    fs::write(&path, format!("{{# free now #}}\n{text}")).unwrap();
    comes(&world, &line, before + 1).await;
    world.serves(&["web1"]).await;
}
