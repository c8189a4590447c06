//! Names with an address in them are read by HAProxy and nginx by regular expressions, and by the contract by hand: what
//! these make of any host is the same. The Lua is asked by the conformance table.

use std::sync::LazyLock;

use backchat_contract::{HostPattern, Manners, magic};
use backchat_nginx::{
    layout::Layout,
    routes::{Routes, Table},
};
use proptest::prelude::*;
use regex::Regex;

/// The expression in HAProxy's template, between its quotes.
static HAPROXY: LazyLock<Regex> = LazyLock::new(|| {
    let template = include_str!("../templates/haproxy.cfg.jinja");
    let (_, rest) = template.split_once("regsub('\"").expect("the rule of names");
    Regex::new(rest.split_once("\",\"\\\\1.<ip>.\"'").expect("its end").0).unwrap()
});

/// The one that nginx's template is given.
static NGINX: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(Routes::of(&Layout::default(), Table::Ours, Manners::Ours).name).unwrap());

fn check(host: &str) {
    let named = magic(host).map(|pattern| pattern.to_string());
    let key = HAPROXY.replace(host, "$1.<ip>.");
    // Nobody serves an empty domain, nor has a route for one.
    let key = (key != host && !key.ends_with('.')).then(|| key.into_owned());
    assert_eq!(key, named, "HAProxy, {host}");
    let parts = NGINX.captures(host).map(|found| format!("{}.<ip>.{}", &found["bc_label"], &found["bc_under"]));
    assert_eq!(parts, named, "nginx, {host}");
}

/// A word of what such a host is made of, and of what it almost is.
fn part() -> impl Strategy<Value = String> {
    prop_oneof!["[0-9]{1,3}", "[0-9a-f]{1,5}", "[a-z]{1,3}", "(0|1|10|255|256|099)", Just(String::new())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn all_read_a_host_alike(parts in prop::collection::vec((part(), prop_oneof![Just("."), Just("-"), Just("--")]), 1..12)) {
        let host: String = parts.into_iter().flat_map(|(part, between)| [part, between.to_owned()]).collect();
        for host in [format!("{host}io"), format!("web.{host}nip.io"), format!("web-{host}nip.io")] {
            check(&host);
        }
    }

    /// What is a spelling by construction is one.
    #[test]
    fn every_spelling_is_read(label in "[a-z]([a-z0-9-]{0,8}[a-z0-9])?", ip in any::<[u8; 4]>(), at in 0..3_usize) {
        let [a, b, c, d] = ip;
        let host = [format!("{label}.{a}.{b}.{c}.{d}.nip.io"), format!("{label}.{a}-{b}-{c}-{d}.nip.io"), format!("{label}-{a}-{b}-{c}-{d}.nip.io")];
        prop_assert_eq!(magic(&host[at]), Some(HostPattern::Magic { label, domain: "nip.io".into() }));
        check(&host[at]);
    }
}
