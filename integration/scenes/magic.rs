//! Names with an address in them, out of what agents gossip: both spellings, with nobody having said a host.

use backchat::demo::{Driver, Web};

use super::world::{World, get};

pub(super) async fn every_service_has_a_name_with_an_address(driver: Driver) {
    let mut world = World::empty(driver);
    let mut webs = Vec::new();
    for name in ["sinatra1", "Sinatra2", "not_a_label"] {
        webs.push(Web::start(([127, 0, 0, 1], 0).into(), name).await.expect("a web server"));
    }
    let port = |at: usize| webs[at].addr().port();
    world.start_balancer("proxy", &["--magic-domain", "nip.io,sslip.io"]).await;
    world.start_agent("web1", &["--service", &format!("sinatra1:{},host=a.example", port(0))]).await;
    let second = [format!("Sinatra2:{},host=b.example", port(1)), format!("not_a_label:{},host=c.example", port(2))];
    // A host that only the operator gives is not a member's to say.
    let third = format!("thief:{},host=stolen.<ip>.nip.io", port(2));
    let fourth = format!("robber:{},host=sinatra1.10.1.2.164.nip.io", port(2));
    world
        .start_agent(
            "web2",
            &["--service", &second[0], "--service", &second[1], "--service", &third, "--service", &fourth],
        )
        .await;
    world.serves(&["web1", "web2"]).await;
    world.converges().await;
    let http = world.proxy().http;
    for (host, who) in [
        ("sinatra1.10.1.2.164.nip.io", "sinatra1"),
        ("sinatra1.10-1-2-164.nip.io", "sinatra1"),
        ("sinatra1-10-1-2-164.nip.io", "sinatra1"),
        ("sinatra1.2a01-4f8--1.sslip.io", "sinatra1"),
        ("sinatra2.10.1.2.164.nip.io", "Sinatra2"),
        ("sinatra2-127-0-0-1.sslip.io", "Sinatra2"),
        ("c.example", "not_a_label"),
    ] {
        let answers = || async { get(http, host).await == Some((200, who.to_owned())) };
        world.eventually(&format!("{host} is answered by {who}"), answers).await;
        let told = world.json("proxy", &["explain", &format!("http://{host}/")]).await.expect("it explains");
        assert_eq!(told["request"]["route"]["service"], who, "{told:#}");
    }
    let status = world.status().await;
    for subject in ["route stolen.<ip>.nip.io/", "route sinatra1.10.1.2.164.nip.io/"] {
        let refused = |r: &serde_json::Value| r["subject"] == subject;
        assert!(status["rejections"].as_array().unwrap().iter().any(refused), "{subject}: {status:#}");
    }
    let routes = world.json("proxy", &["routes"]).await.expect("routes answers");
    let named =
        routes["routes"].as_array().unwrap().iter().filter(|route| route["host"].as_str().unwrap().contains("<ip>"));
    let named: Vec<_> = named.map(|route| (route["host"].as_str().unwrap(), &route["said_by"])).collect();
    let operator = serde_json::json!(["--magic-domain"]);
    // The thief has a name of its own, as every service has; and so has what the agents offer beside it.
    let hosts = ["robber", "sinatra1", "sinatra2", "thief", "web"]
        .map(|name| ["nip.io", "sslip.io"].map(|domain| format!("{name}.<ip>.{domain}")));
    assert_eq!(named, hosts.as_flattened().iter().map(|host| (host.as_str(), &operator)).collect::<Vec<_>>());
}
