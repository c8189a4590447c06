//! Two sources that say the same: one has it, and the other is told so everywhere that a person may look.

use std::{fs, path::Path};

use backchat::demo::{Driver, Web};

use super::world::{World, get};

/// A service in TOML, JSON or YAML, by the name of the file.
fn list(file: &Path, service: &str, host: &str, name: &str, web: &Web) -> String {
    let addr = web.addr();
    let text = match file.extension().and_then(|ext| ext.to_str()).expect("a file says what it is") {
        "toml" => {
            format!("[services.{service}]\nhosts = ['{host}']\nendpoints = [{{ name = '{name}', addr = '{addr}' }}]\n")
        }
        "json" => format!(
            "{{\"services\": {{\n\"{service}\": {{\"hosts\": [\"{host}\"],\n\"endpoints\": [{{\"name\": \"{name}\", \"addr\": \"{addr}\"}}]}}}}}}\n"
        ),
        _ => {
            format!("services:\n  {service}:\n    hosts: [{host}]\n    endpoints: [{{name: {name}, addr: '{addr}'}}]\n")
        }
    };
    fs::write(file, &text).unwrap();
    text
}

pub(super) async fn who_has_a_host_keeps_it_against_another_file_and_gossip(driver: Driver) {
    let mut world = World::empty(driver);
    let web = async |name: &str| Web::start(([127, 0, 0, 1], 0).into(), name).await.expect("a web server");
    let (first, second, member) = (web("first").await, web("second").await, web("member").await);
    let [toml, json] = ["a.toml", "b.json"].map(|name| world.folder.path().join(name));
    fs::write(&toml, "services = {}\n").unwrap();
    list(&json, "two", "shop.example.com", "e2", &second);
    let flags = [&toml, &json].map(|file| format!("file:{}", file.display()));
    world.start_balancer("proxy", &["--source", &flags[0], "--source", &flags[1]]).await;
    let http = world.proxy().http;
    let answers = async |world: &World, who: &str| {
        let is = || async { get(http, "shop.example.com").await == Some((200, who.to_owned())) };
        world.eventually(&format!("{who} answers"), is).await;
    };
    answers(&world, "second").await;
    world.converges().await;

    // The first file counts first where both are new; but the second has it already. And so it is with a member.
    list(&toml, "one", "shop.example.com", "e1", &first);
    let offer = format!("three:{},host=shop.example.com", member.addr().port());
    world.start_agent("web1", &["--service", &offer]).await;
    let (place, holder) = (format!("{}:1", toml.display()), format!("{} holds it", flags[1]));
    let refused = || async {
        let status = world.status().await;
        let of = |node: &str| {
            let is = |r: &serde_json::Value| {
                r["node"] == node && r["subject"] == "route shop.example.com/" && r["why"] == *holder
            };
            status["rejections"].as_array().is_some_and(|all| all.iter().any(is))
        };
        of(&place) && of("web1")
    };
    world.eventually("both are refused by name", refused).await;
    world.converges().await;
    answers(&world, "second").await;
    let plan = world.json("proxy", &["plan"]).await.expect("plan answers");
    let changes = plan["changes"].as_array().unwrap();
    let told = |node: &str| changes.iter().any(|c| c["status"] == "refused" && c["reason"]["node"] == node);
    assert!(told(&place) && told("web1"), "{plan:#}");
    let told = world.json("proxy", &["explain", "http://shop.example.com/"]).await.expect("it explains");
    let route = &told["request"]["route"];
    assert_eq!(route["service"], "two", "{told:#}");
    let mut by = route["refused"].as_array().unwrap().clone();
    by.sort_by_key(ToString::to_string);
    assert_eq!((&route["said_by"], by), (&serde_json::json!([flags[1]]), vec![place.clone().into(), "web1".into()]));

    // Let go of, it is the newcomers': of two that come at once, gossip's before a file's.
    list(&json, "two", "other.example.com", "e2", &second);
    answers(&world, "member").await;
}

pub(super) async fn a_mistake_is_told_with_its_line_in_each_tongue(driver: Driver) {
    let mut world = World::empty(driver);
    let web = Web::start(([127, 0, 0, 1], 0).into(), "one").await.expect("a web server");
    let files = ["a.toml", "b.json", "c.yaml"].map(|name| world.folder.path().join(name));
    let texts: Vec<_> = files
        .iter()
        .zip(["a", "b", "c"])
        .map(|(file, name)| list(file, name, &format!("{name}.example"), name, &web))
        .collect();
    let flags: Vec<_> =
        files.iter().flat_map(|file| ["--source".to_owned(), format!("file:{}", file.display())]).collect();
    let flags: Vec<&str> = std::iter::once("--no-gossip").chain(flags.iter().map(String::as_str)).collect();
    world.start_balancer("proxy", &flags).await;
    let http = world.proxy().http;
    let all_answer = || async {
        let mut all = true;
        for host in ["a.example", "b.example", "c.example"] {
            all &= get(http, host).await.is_some_and(|(status, _)| status == 200);
        }
        all
    };
    world.eventually("all three files are served", all_answer).await;
    world.converges().await;
    let before = world.plane("proxy").state().await;
    for (file, (text, line)) in files.iter().zip(texts.iter().zip([3, 3, 4])) {
        let broken = text.replace("addr", "adr");
        assert_ne!(broken, *text);
        fs::write(file, broken).unwrap();
        let place = format!("{}:{line}:", file.display());
        let told = || async {
            world
                .status_text()
                .await
                .0
                .lines()
                .any(|l| l.contains("FAIL") && l.contains(&place) && l.contains("unknown key 'adr'"))
        };
        world.eventually(&format!("{place} is told"), told).await;
        let log = fs::read_to_string(world.folder.path().join("proxy.log")).unwrap();
        assert!(log.contains(&place), "{log}");
        assert!(all_answer().await);
        assert_eq!(world.plane("proxy").state().await, before, "a mistake changes nothing");
        fs::write(file, text).unwrap();
        world.eventually("mended, all is well", || async { world.status_text().await.1 == Some(0) }).await;
    }
}
