//! The same list in three tongues, and what is said of each mistake.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::model::{EndpointState, Place};

const TOML: &str = r#"
[services.web]
hosts = ["www.example.com", "*.apps.example.com"]
endpoints = [
    { name = "web1", addr = "10.0.0.7:8080", weight = 50 },
    { name = "web2", addr = "[2001:db8::8]:8080", drain = true },
]

[services.db]
protocol = "tcp"
endpoints = []
"#;

const YAML: &str = r#"
services:
  web:
    hosts: [www.example.com, "*.apps.example.com"]
    endpoints:
      - name: web1
        addr: 10.0.0.7:8080
        weight: 50
      - {name: web2, addr: "[2001:db8::8]:8080", drain: true}
  db: {protocol: tcp, endpoints: []}
"#;

const JSON: &str = "{\n\t\"services\": {\n\t\t\"web\": {\n\t\t\t\"hosts\": [\"www.example.com\", \"*.apps.example.com\"],\n\
    \t\t\t\"endpoints\": [\n\t\t\t\t{\"name\": \"web1\", \"addr\": \"10.0.0.7:8080\", \"weight\": 50},\n\
    \t\t\t\t{\"name\": \"web2\", \"addr\": \"[2001:db8::8]:8080\", \"drain\": true}\n\t\t\t]\n\t\t},\n\
    \t\t\"db\": {\"protocol\": \"tcp\", \"endpoints\": []}\n\t}\n}\n";

fn read(format: Format, text: &str) -> Result<BTreeMap<ServiceName, Arc<Listed>>, Unread> {
    parse(Path::new("s"), format, text.as_bytes())
}

fn line(place: &Place) -> String {
    place.of("s").split_off(2)
}

/// What is listed, line by line.
fn lines(listed: &BTreeMap<ServiceName, Arc<Listed>>) -> String {
    let mut text = String::new();
    for (name, s) in listed {
        let hosts: Vec<_> = s.hosts.iter().map(ToString::to_string).collect();
        let (at, hosts) = (line(&s.place), hosts.join(" "));
        writeln!(text, "{at} {name} {:?} {} [{hosts}]", s.protocol, s.path).unwrap();
        for (name, e) in &s.endpoints {
            let drain = if e.state == EndpointState::Drain { " drain" } else { "" };
            writeln!(text, "{}   {name} {} {}{drain}", line(&e.place), e.addr, e.weight).unwrap();
        }
    }
    text
}

#[test]
fn one_list_in_three_tongues() {
    let said = [(Format::Toml, TOML), (Format::Yaml, YAML), (Format::Json, JSON)]
        .map(|(format, text)| format!("{format:?}\n{}", lines(&read(format, text).unwrap())));
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn each_mistake_is_said_with_its_place() {
    use Format::{Json, Toml, Yaml};
    let cases = [
        (Toml, "[services.web]\nhosts = ['a.example'\nendpoints = []"),
        (Toml, "[service.web]\nendpoints = []"),
        (Toml, ""),
        (Toml, "services = 3"),
        (Toml, "[services.web]\nhost = ['a.example']"),
        (Toml, "[services.web]\nbalance = 'leastconn'"),
        (Toml, "[services.web]\nendpoints = [{ name = 'a', adr = '10.0.0.1:80' }]"),
        (Toml, "[services.web]\nendpoints = [{ name = 'a', addr = 'web1:80' }]"),
        (Toml, "[services.web]\nendpoints = [{ name = 'a', addr = '169.254.169.254:80' }]"),
        (Toml, "[services.web]\nendpoints = [{ name = 'a b', addr = '10.0.0.1:80', weight = 257 }]"),
        (Toml, "[services.web]\nendpoints = [{ name = 'a', addr = '10.0.0.1:80', weight = -1, drain = 'no' }]"),
        (
            Toml,
            "[[services.web.endpoints]]\nname = 'a'\naddr = '10.0.0.1:80'\n\n[[services.web.endpoints]]\nname = 'a'\naddr = '10.0.0.2:80'",
        ),
        (
            Toml,
            "[[services.web.endpoints]]\nname = 'a'\naddr = '10.0.0.1:80'\n\n[[services.web.endpoints]]\nname = 'b'\naddr = '10.0.0.1:80'",
        ),
        (Toml, "[services.bc-spare-01]"),
        (Toml, "[services.'a b']"),
        (Toml, "[services.web]\nhosts = ['a_b', 1]\npath = 'x'\nprotocol = 'udp'"),
        (Toml, "[services.web]\n[services.web]"),
        (Yaml, "services:\n  web:\n    endpoints: [\n"),
        (Yaml, "services:\n  web:\n    hosts: a.example\n"),
        (Yaml, "services:\n  web:\n    hosts: [a.example]\n    hosts: [b.example]\n"),
        (Yaml, "services:\n  1: {}\n"),
        (Yaml, "services:\n  web:\n    endpoints:\n      - name: 1\n        addr: 10.0.0.1:80\n        drain: no\n"),
        (Yaml, "services: {}\n---\nservices: {}\n"),
        (Yaml, "services: !!map {}\nservces: {}\n"),
        (Yaml, "services:\n"),
        (Yaml, ""),
        (Json, "{\"services\": {\"web\": {}}"),
        (Json, "{services: {}}"),
        (Json, "{\"services\": {\n  \"web\": {\"endpoint\": []}}}"),
        (Json, "{\"services\": {\"web\": {}, \"web\": {}}}"),
    ];
    let said = cases.map(|(format, text)| {
        let said = read(format, text).map_or_else(|e| e.to_string(), |listed| lines(&listed));
        format!("{format:?} {text:?}\n    {said}")
    });
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn what_lists_nothing_says_so() {
    for (format, text) in
        [(Format::Toml, "[services]"), (Format::Json, "{\"services\": {}}"), (Format::Yaml, "services: {}")]
    {
        assert_eq!(read(format, text), Ok(BTreeMap::new()), "{text}");
    }
}

#[test]
fn no_text_at_all() {
    let said = parse(Path::new("s"), Format::Toml, b"[services]\n# \xff").unwrap_err();
    assert_eq!(said.to_string(), "s:2:3: this is no UTF-8 text");
    let with_mark = parse(Path::new("s"), Format::Toml, "\u{feff}[services]".as_bytes());
    assert_eq!(with_mark, Ok(BTreeMap::new()));
}

/// Deep nesting would exhaust the stack of whoever walks the tree, or drops it.
#[test]
fn a_tree_without_end_is_refused() {
    for (format, text) in [
        (Format::Yaml, "- ".repeat(100_000)),
        (Format::Yaml, "[".repeat(100_000)),
        (Format::Yaml, "{a: ".repeat(100_000)),
        (Format::Json, "[".repeat(100_000)),
        (Format::Json, format!("{}{}", "[".repeat(100), "]".repeat(100))),
        (Format::Toml, format!("a = {}", "[".repeat(100_000))),
    ] {
        assert!(read(format, &text).is_err(), "{format:?} {text:.20}");
    }
}

/// Aliases that multiply.
#[test]
fn laughs_are_bounded() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..12 {
        let before = format!("*a{}", n - 1);
        writeln!(text, "a{n}: &a{n} [{}]", vec![before; 10].join(", ")).unwrap();
    }
    assert!(read(Format::Yaml, &text).is_err());
}

/// A JSON document without a text that YAML would read otherwise.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        "[ -~\\t\\n]{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map("[ -~]{0,6}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

fn plain(node: &Node) -> serde_json::Value {
    use document::Value;
    match &node.value {
        Value::Text(text) => text.clone().into(),
        Value::Number(number) => (*number).into(),
        Value::Bool(value) => (*value).into(),
        Value::List(list) => list.iter().map(plain).collect(),
        Value::Table(table) => {
            serde_json::Value::Object(table.iter().map(|(key, node)| (key.name.clone(), plain(node))).collect())
        }
        Value::Other(_) => serde_json::Value::Null,
    }
}

proptest! {
    /// Whichever way JSON is laid out, it is read as what it says.
    #[test]
    fn json_is_read_as_json(value in json(), tabs: bool) {
        let mut text = serde_json::to_string(&value).unwrap();
        if tabs {
            let mut bytes = Vec::new();
            let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
            let mut out = serde_json::Serializer::with_formatter(&mut bytes, formatter);
            serde::Serialize::serialize(&value, &mut out).unwrap();
            text = String::from_utf8(bytes).unwrap();
        }
        let read = json::document(&text).map(|node| plain(&node));
        prop_assert_eq!(read, Ok(value), "{}", text);
    }

    #[test]
    fn any_bytes_are_a_list_or_a_mistake(bytes in prop::collection::vec(any::<u8>(), 0..80), which in 0..3) {
        let format = [Format::Toml, Format::Json, Format::Yaml][usize::try_from(which).unwrap_or(0)];
        let _either = parse(Path::new("s"), format, &bytes);
    }

    /// A list cut off anywhere is a mistake, or lists only what the whole does.
    #[test]
    fn half_a_list_is_no_other_list(at in 0..TOML.len()) {
        if let Some(Ok(half)) = TOML.get(..at).map(|text| read(Format::Toml, text)) {
            let whole = read(Format::Toml, TOML).unwrap();
            prop_assert!(half.keys().all(|name| whole.contains_key(name)));
        }
    }
}
