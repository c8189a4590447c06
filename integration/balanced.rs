//! What the README says of services: its example has each key and is taken, and its table says of each data plane what
//! the driver says of itself.

use std::{collections::BTreeSet, num::NonZeroU32, process::Command, time::Duration};

use backchat::config::ServiceTable;
use backchat_contract::{
    ServicePolicy,
    policy::{Balance, Canary, Check, Header, Pick, Timeouts},
};
use backchat_nginx::policy as nginx;
use backchat_openresty::policy as openresty;

use crate::readme::{self, blocks};

const HEADING: &str = "## How a service is balanced";

/// The keys of a table, by what is said of one that is none of them.
fn keys(within: &str) -> BTreeSet<String> {
    let text = if within.is_empty() { "none-of-them = 1".into() } else { format!("[{within}]\nnone-of-them = 1") };
    let said = toml::from_str::<ServiceTable>(&text).unwrap_err().to_string();
    let (_, expected) = said.split_once("expected one of ").unwrap_or_else(|| panic!("{said}"));
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_example_has_each_key_and_is_taken() {
    let text = readme::text();
    let example = blocks(readme::below(&text, HEADING)).into_iter().find(|block| block.language == "toml").unwrap();
    let document: toml::Table = toml::from_str(example.text).unwrap();
    let services = document["services"].as_table().unwrap();
    let said = |table: &toml::Table| -> BTreeSet<String> { table.keys().cloned().collect() };
    let all: BTreeSet<String> = services.values().flat_map(|service| said(service.as_table().unwrap())).collect();
    assert_eq!(all, keys(""));
    let web = services["web"].as_table().unwrap();
    for within in ["check", "timeouts"] {
        assert_eq!(said(web[within].as_table().unwrap()), keys(within), "{within}");
    }
    let canaries = web["canary"].as_array().unwrap();
    let all: BTreeSet<String> = canaries.iter().flat_map(|canary| said(canary.as_table().unwrap())).collect();
    assert_eq!(all, ["cookie", "header", "name", "share", "tag"].map(String::from).into());

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lb.toml");
    std::fs::write(&file, example.text).unwrap();
    let mut check = Command::new(env!("CARGO_BIN_EXE_backchat"));
    check.args(["config", "check"]).arg(&file).args(["--", "--insecure", "--run-dir"]).arg(folder.path().join("run"));
    let output = check.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What each row of the table is about, and a policy that says it.
fn rows() -> Vec<(&'static str, ServicePolicy)> {
    let none = || ServicePolicy::DEFAULT;
    let time = Some(Duration::from_secs(1));
    let header = |name: &str| vec![Header { name: name.parse().unwrap(), value: "a".parse().unwrap() }];
    let pick = Pick::Share("5%".parse().unwrap());
    let canary = Canary { service: "web.canary".parse().unwrap(), tag: ("version".into(), "2".into()), pick };
    let sticky = || Some("at".parse().unwrap());
    let prefix = || Some("/shop".parse().unwrap());
    let timeouts = |timeouts| ServicePolicy { timeouts, ..none() };
    let no = Timeouts::default();
    vec![
        ("`balance`", ServicePolicy { balance: Balance::Uri, ..none() }),
        ("`check`", ServicePolicy { check: Some(Check::default()), ..none() }),
        ("`timeouts.connect`", timeouts(Timeouts { connect: time, ..no })),
        ("`timeouts.response`", timeouts(Timeouts { response: time, ..no })),
        ("`timeouts.queue`", timeouts(Timeouts { queue: time, ..no })),
        ("`timeouts.idle`", timeouts(Timeouts { idle: time, ..no })),
        ("`maxconn`", ServicePolicy { maxconn: NonZeroU32::new(1), ..none() }),
        ("`retries`", ServicePolicy { retries: Some(1), ..none() }),
        ("`sticky`", ServicePolicy { sticky: sticky(), ..none() }),
        ("`sticky` beside `balance`", ServicePolicy { sticky: sticky(), balance: Balance::Random, ..none() }),
        ("`min-ready`", ServicePolicy { min_ready: 1, ..none() }),
        ("`strip-prefix`", ServicePolicy { strip_prefix: prefix(), ..none() }),
        ("`request-headers`", ServicePolicy { request_headers: header("x-team"), ..none() }),
        ("`response-headers`", ServicePolicy { response_headers: header("x-team"), ..none() }),
        ("`response-headers` with `Server`", ServicePolicy { response_headers: header("server"), ..none() }),
        ("`redirect-https`", ServicePolicy { redirect_https: true, ..none() }),
        ("`slow-start`", ServicePolicy { slow_start: time, ..none() }),
        ("`allow`", ServicePolicy { allow: vec!["10.0.0.0/8".parse().unwrap()], ..none() }),
        ("`rate-limit`", ServicePolicy { rate_limit: Some("1/s".parse().unwrap()), ..none() }),
        ("`http2`", ServicePolicy { http2: true, ..none() }),
        ("`http2` beside `strip-prefix`", ServicePolicy { http2: true, strip_prefix: prefix(), ..none() }),
        ("`canary`", ServicePolicy { canaries: vec![canary], ..none() }),
    ]
}

/// A cell: what is said instead, but for the key in front.
fn cell(lacks: Option<&str>) -> String {
    lacks.map_or("yes", |what| what.split_once(": ").map_or(what, |(_, why)| why)).to_owned()
}

#[test]
fn the_table_says_what_the_drivers_say() {
    // HAProxy has words for all of it.
    let row = |(key, policy): &(&str, ServicePolicy)| {
        let theirs = nginx::lacks(policy, false).or(nginx::of_location(policy)).map_or("yes", |_| "no");
        let (nginx, openresty) = (nginx::lacks(policy, false), openresty::lacks(policy));
        format!("| {key} | yes | {} | {} | {theirs} |", cell(nginx), cell(openresty))
    };
    let rows = rows();
    let text = readme::text();
    let table: Vec<_> = readme::below(&text, HEADING).lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(table.join("\n"), rows.iter().map(row).collect::<Vec<_>>().join("\n"));
    // No key is without a row.
    let first = |key: &str| key.split(['`', '.']).nth(1).map(str::to_owned);
    assert_eq!(rows.iter().filter_map(|(key, _)| first(key)).collect::<BTreeSet<_>>(), keys(""));
}
