//! The ledger as it is written down: plain words, and ages in the place of moments, which mean nothing to another
//! process. Knows no file.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Claim, Ledger, Standing};
use crate::model::{
    EndpointId, Moment, Protocol, Route, ServiceName, Since, SourceName,
    flaps::{Flaps, KeptFlap},
};

/// The only format there is. Fields may be added to it: what is not known is passed over, what is missing is empty.
const FORMAT: &str = "backchat.ledger/1";

/// A ledger for the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    format: String,
    /// When it was written down; ages count from then on.
    #[serde(default)]
    at: Option<Uptime>,
    #[serde(default)]
    claims: Vec<KeptClaim>,
    #[serde(default)]
    services: Vec<KeptService>,
    #[serde(default)]
    flaps: Vec<KeptFlap>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    listed: Vec<KeptListed>,
}

/// How long the machine had been up, and which start of it that was. The wall clock jumps, and a process's own clock
/// ends with it; this one does neither.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uptime {
    /// Which start: another one has another name.
    pub boot: String,
    /// Milliseconds since then.
    pub up_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KeptClaim {
    #[serde(flatten)]
    route: Route,
    service: ServiceName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KeptService {
    name: ServiceName,
    #[serde(default)]
    protocol: Protocol,
    /// How long it had had no endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    empty_ms: Option<u64>,
    /// Whether a file listed it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    listed: bool,
}

/// An endpoint that was a file's to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KeptListed {
    #[serde(flatten)]
    id: EndpointId,
    source: String,
}

impl Kept {
    /// The ledger as it stands `now`.
    pub fn of(ledger: &Ledger, now: Moment, at: Option<Uptime>) -> Self {
        let claim = |(route, claim): (&Route, &Claim)| KeptClaim {
            route: route.clone(),
            service: claim.service.clone(),
            node: claim.node.clone(),
        };
        let service = |(name, standing): (&ServiceName, &Standing)| KeptService {
            name: name.clone(),
            protocol: standing.protocol,
            empty_ms: standing.empty_since.map(|since| millis(since.age(now))),
            listed: standing.listed,
        };
        let listed =
            |(id, source): (&EndpointId, &SourceName)| KeptListed { id: id.clone(), source: source.to_string() };
        Self {
            format: FORMAT.into(),
            at,
            claims: ledger.claims.iter().map(claim).collect(),
            services: ledger.services.iter().map(service).collect(),
            flaps: ledger.flaps.kept(now),
            listed: ledger.listed.iter().map(listed).collect(),
        }
    }

    /// What this version does not understand, if it is another's.
    pub fn foreign(&self) -> Option<&str> {
        (self.format != FORMAT).then_some(&self.format)
    }

    /// The ledger of before, `now`. What passed in between counts as long as the machine stayed up; over a start of
    /// it nobody knows how long that was, and nothing is forgotten early.
    pub fn recall(self, now: Moment, at: Option<&Uptime>) -> Ledger {
        let since = match (&self.at, at) {
            (Some(then), Some(at)) if then.boot == at.boot => at.up_ms.saturating_sub(then.up_ms),
            _ => 0,
        };
        let ago = |age: u64| Since::ago(now, Duration::from_millis(age.saturating_add(since)));
        let standing = |s: KeptService| {
            (s.name, Standing { protocol: s.protocol, empty_since: s.empty_ms.map(ago), listed: s.listed })
        };
        Ledger {
            claims: self.claims.into_iter().map(|c| (c.route, Claim { service: c.service, node: c.node })).collect(),
            services: self.services.into_iter().map(standing).collect(),
            flaps: Flaps::recalled(self.flaps, Duration::from_millis(since), now),
            listed: self.listed.into_iter().map(|l| (l.id, l.source.into())).collect(),
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Duration::from_secs(1000);

    fn ledger() -> Ledger {
        let route = |host: &str| Route { host: host.parse().unwrap(), path: "/".parse().unwrap() };
        let claim = |service: &str, node: Option<&str>| Claim {
            service: service.parse().unwrap(),
            node: node.map(ToOwned::to_owned),
        };
        let standing = |empty_since| Standing { empty_since, ..Standing::default() };
        let listed = EndpointId { service: "b".parse().unwrap(), endpoint: "web2".parse().unwrap() };
        Ledger {
            claims: [(route("a.example"), claim("a", Some("web1"))), (route("*"), claim("b", None))].into(),
            services: [
                ("a".parse().unwrap(), standing(Some(Since::ago(NOW, Duration::from_secs(300))))),
                ("b".parse().unwrap(), Standing { protocol: Protocol::Tcp, empty_since: None, listed: true }),
            ]
            .into(),
            flaps: Flaps::default(),
            listed: [(listed, "file:services.toml".into())].into(),
        }
    }

    fn up(boot: &str, seconds: u64) -> Uptime {
        Uptime { boot: boot.into(), up_ms: seconds * 1000 }
    }

    /// How long `a` has been empty for a life that begins with this uptime.
    fn age(then: Option<Uptime>, at: Option<&Uptime>) -> u64 {
        let recalled = Kept::of(&ledger(), NOW, then).recall(Duration::from_secs(1), at);
        let standing = &recalled.services[&"a".parse().unwrap()];
        standing.empty_since.unwrap().age(Duration::from_secs(1)).as_secs()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let text = serde_json::to_string(&Kept::of(&ledger(), NOW, Some(up("x", 50)))).unwrap();
        let kept: Kept = serde_json::from_str(&text).unwrap();
        assert_eq!(kept.foreign(), None);
        assert_eq!(kept.recall(NOW, Some(&up("x", 50))), ledger(), "{text}");
    }

    #[test]
    fn time_in_between_counts_while_the_machine_is_up() {
        assert_eq!(age(Some(up("x", 50)), Some(&up("x", 110))), 360);
        assert_eq!(age(Some(up("x", 50)), Some(&up("y", 110))), 300, "another boot: nobody knows how long it was off");
        assert_eq!(age(Some(up("x", 50)), Some(&up("x", 20))), 300, "no clock of ours runs backwards");
        assert_eq!(age(None, Some(&up("x", 110))), 300);
        assert_eq!(age(Some(up("x", 50)), None), 300);
    }

    #[test]
    fn what_is_added_later_is_passed_over_and_what_is_missing_is_empty() {
        let text = r#"{"format":"backchat.ledger/1","later":[1],"services":[{"name":"a","later":1}]}"#;
        let ledger = serde_json::from_str::<Kept>(text).unwrap().recall(NOW, None);
        assert_eq!((ledger.claims.len(), ledger.services.len()), (0, 1));
        let other: Kept = serde_json::from_str(r#"{"format":"backchat.ledger/2"}"#).unwrap();
        assert_eq!(other.foreign(), Some("backchat.ledger/2"));
    }
}
