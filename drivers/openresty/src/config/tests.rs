//! What a file says, what changes it, and what a template may not leave out.

use std::path::Path;

use backchat_contract::{Desired, Endpoint, EndpointState, Policies, Service, ServiceName, ServicePolicy};
use backchat_template::Seal;

use super::*;

fn settings(text: &str) -> ConfigSettings {
    let template = Template { name: "my.jinja".into(), text: text.into() };
    let paths = Paths::new(Path::new("/run/backchat/proxy")).unwrap();
    ConfigSettings::new(template, "-- lua\n".into(), paths, vec![([0, 0, 0, 0], 80).into()])
}

fn ours() -> ConfigSettings {
    settings(include_str!("../../../../templates/openresty.conf.jinja"))
}

/// The file of ours in somebody else's configuration.
fn include() -> ConfigSettings {
    let ours = settings(include_str!("../../../../templates/openresty-include.conf.jinja"));
    let paths = Paths { config: "/etc/nginx/conf.d/backchat.conf".into(), ..ours.paths };
    ConfigSettings { is_include: true, paths, ..ours }
}

fn table(version: u64, endpoints: usize) -> Table {
    named(version, endpoints, "web")
}

fn named(version: u64, endpoints: usize, name: &str) -> Table {
    let addr: SocketAddr = "10.0.0.1:80".parse().unwrap();
    let endpoint = |n| {
        let weight = backchat_contract::Weight::DEFAULT;
        let endpoint = Endpoint { addr: addr.try_into().unwrap(), weight, state: EndpointState::Ready };
        (format!("{n}{name}").parse().unwrap(), endpoint)
    };
    let mut set = Desired::default();
    let endpoints = (0..endpoints).map(endpoint).collect();
    set.services.insert("web".parse().unwrap(), Service { endpoints, ..Service::default() });
    Table { version, set }
}

#[test]
fn the_table_changes_no_structure_and_is_read_back() {
    let before = render(&ours(), &table(3, 0), 16_384, 5).unwrap();
    let after = render(&ours(), &table(4, 2), 16_384, 5).unwrap();
    assert_eq!(before.structure, after.structure);
    assert_eq!(Seal::of(&after.text), Seal::Whole);
    let kept =
        Kept { generation: 5, structure: after.structure, certificates: Certificates::new(), table: table(4, 2) };
    assert_eq!(parse(&after.text), Some(kept));
    let effective = |text: &str| text.split("\n#bc ").next().unwrap().to_owned();
    assert_eq!(effective(&before.text), effective(&after.text));
}

#[test]
fn hipaches_manners() {
    for settings in [ours(), include()] {
        let plain = render(&settings, &table(1, 1), 16_384, 1).unwrap();
        let rendered = render(&settings.mannered(Manners::Hipache), &table(1, 1), 16_384, 1).unwrap();
        assert_ne!(rendered.structure, plain.structure);
        for line in [
            "hipache = true,",
            "no_route_status = 400,",
            "no_server_status = 502,",
            "header_filter_by_lua_block { require(\"backchat\").header() }",
            "body_filter_by_lua_block { require(\"backchat\").body() }",
            "proxy_request_buffering off;",
            "proxy_set_header X-Real-IP $bc_real_ip;",
        ] {
            let is_in = |text: &str| text.lines().any(|found| found.trim() == line);
            assert!(is_in(&rendered.text) && !is_in(&plain.text), "{line}");
        }
    }
}

#[test]
fn settings_change_the_structure() {
    let structure = |settings: &ConfigSettings, room, generation| {
        render(settings, &table(1, 1), room, generation).unwrap().structure
    };
    let before = structure(&ours(), 16_384, 1);
    assert_eq!(structure(&ours(), 16_384, 2), before);
    assert_ne!(structure(&ours(), 32_768, 1), before);
    assert_ne!(structure(&ConfigSettings { listen: Vec::new(), ..ours() }, 16_384, 1), before);
    assert_ne!(structure(&ConfigSettings { workers: Some(3), ..ours() }, 16_384, 1), before);
    assert_ne!(structure(&ConfigSettings { balancer: "-- other".into(), ..ours() }, 16_384, 1), before);
    let modules = vec!["/m/ndk_http_module.so".into(), "/m/ngx_http_lua_module.so".into()];
    let with = render(&ConfigSettings { modules, ..ours() }, &table(1, 0), 16_384, 1).unwrap().text;
    assert!(
        with.contains("load_module /m/ndk_http_module.so;\nload_module /m/ngx_http_lua_module.so;\npid "),
        "{with}"
    );
}

/// Those of nginx's example.
fn certificates() -> Certificates {
    let mut known = Certificates::new();
    for line in [
        "certificate api.example.com 4d1f7b6ac0d0c1d0a1b2c3d4e5f60718293a4b5c6d7e8f900112233445566778 \
         4057d68badd19c94fa4b64e29c1f1dd24a42b3db 1798934400 -",
        "host api.example.com api.example.com",
        "certificate www.example.com b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9 \
         211e737cf92a5717ef5dbf7713bad57c3d4eba12 1798934400 default",
        "host www.example.com *.example.com",
        "host www.example.com www.example.com",
    ] {
        backchat_nginx::certificates::read(&mut known, &line.split(' ').collect::<Vec<_>>()).unwrap();
    }
    known
}

#[test]
fn certificates_are_kept_beside_the_table() {
    let settings = ConfigSettings { certificates: certificates(), ..ours() };
    let text = render(&settings, &table(2, 1), 16_384, 1).unwrap().text;
    let kept = parse(&text).unwrap();
    assert_eq!((kept.certificates, kept.table), (certificates(), table(2, 1)));
}

/// The page on templates has each field, and an example of it that is true.
#[test]
fn what_a_template_gets_is_documented() {
    let modules = ["ndk_http_module.so", "ngx_http_lua_module.so"];
    let settings = ConfigSettings {
        balancer: "-- the text of balancer.lua\n".into(),
        modules: modules.map(|name| Path::new("/usr/lib/nginx/modules").join(name)).into(),
        temp: Some("/run/backchat/proxy/temp".into()),
        policies: policies(),
        tls_listen: vec!["0.0.0.0:443".parse().unwrap()],
        speaks: Speaks { http3: true, ..Speaks::default() },
        certificates: certificates(),
        ..ours()
    };
    let context = Context::new(&settings, 16_384, 42, "bb4c39e3ec0521b5");
    backchat_template::documented::check(include_str!("../../../../templates/README.md"), "OpenResty", &context);
}

#[test]
fn what_the_template_of_an_include_gets_is_documented() {
    let settings =
        ConfigSettings { balancer: "-- the text of balancer.lua\n".into(), policies: policies(), ..include() };
    let context = Context::new(&settings, 16_384, 42, "bb4c39e3ec0521b5");
    let page = include_str!("../../../../templates/README.md");
    backchat_template::documented::check(page, "OpenResty of somebody else's", &context);
}

/// It listens where it is told to, and nowhere else; his are the process, its log and its pid.
#[test]
fn an_include_has_a_server_of_its_own_where_it_is_to_listen() {
    let text = |listen| render(&ConfigSettings { listen, ..include() }, &table(3, 1), 16_384, 5).unwrap().text;
    let (with, without) = (text(vec![([127, 0, 0, 1], 81).into()]), text(Vec::new()));
    let servers = |text: &str| text.lines().filter(|line| *line == "server {").count();
    assert_eq!((servers(&with), servers(&without)), (2, 1));
    assert!(with.contains("    listen 127.0.0.1:81;\n") && !without.contains("proxy_set_header"), "{with}");
    assert!(without.contains("        file = \"/etc/nginx/conf.d/backchat.conf\",\n"), "{without}");
    assert!(!without.contains("nginx.pid") && !without.contains("nginx.log"), "{without}");
    assert_eq!(parse(&without).map(|kept| (kept.generation, kept.table)), Some((5, table(3, 1))));
}

#[test]
fn room_comes_in_steps() {
    assert_eq!((room(&table(1, 0)), room(&table(1, 10_000))), (16_384, 16_384));
    assert_eq!(room(&named(1, 60_000, &"e".repeat(60))), 32_768);
}

#[test]
fn a_template_says_what_we_need() {
    let check = |from: &str, to: &str, why: &str| {
        let text = ours().template.text;
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        let error = render(&settings(&changed), &table(1, 0), 16_384, 7).unwrap_err().to_string();
        assert!(error.starts_with("check my.jinja") && error.contains(why), "{error}");
    };
    check("listen unix:{{ paths.control }};", "", "the template must render 'unix:/run/backchat/proxy/nginx.sock'");
    check("{{ balancer }}", "", "the template must render '{{ balancer }}'");
    check(
        "return 200 \"{{ generation }} {{ structure }}",
        "return 200 \"",
        "the template must render '{{ generation }} {{ structure }}'",
    );
    check("access_log off;", "access_log off;\n#bc x", "no line of the template may begin with '#bc'");
    check("{{ paths.pid }}", "{{ paths.pd }}", "'paths.pd' is undefined; did you mean 'pid'?");
}

#[test]
fn what_is_cut_is_no_file_of_ours() {
    let text = render(&ours(), &table(4, 2), 16_384, 5).unwrap().text;
    assert_eq!(parse(&text.replace("#bc end 5\n", "")), None);
    assert_eq!(parse("worker_processes 1;\n"), None);
}

/// Of what a data plane can do here.
fn policies() -> Policies {
    let can = |(service, policy): (&ServiceName, &ServicePolicy)| {
        (service.clone(), ServicePolicy { maxconn: None, ..policy.clone() })
    };
    backchat_contract::paper::policies().iter().map(can).collect()
}
