//! From a raw record to offers in newtypes, or to rejections: the one door for what members say.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use backchat_contract::Policies;

use super::{
    FRONTEND, HostPattern, NameError, PathPrefix, Protocol, RawOffer, RawRecord, Rejection, ServiceName, Weight,
    words::quoted,
};

/// Offers a member may make; those beyond are refused.
pub const MAX_OFFERS: usize = 64;
/// Hosts an offer may claim; an offer with more is refused.
pub const MAX_HOSTS: usize = 64;
/// What Serf's habit means where a tag `role=web` comes without a port.
const ROLE_PORT: u32 = 80;

/// A service that a member offers, in words that may go into a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The service.
    pub service: ServiceName,
    /// Where on the member, 1 to 65535.
    pub port: u16,
    /// Which hosts it claims; none means the default.
    pub hosts: Vec<HostPattern>,
    /// Which path it claims.
    pub path: PathPrefix,
    /// Its share of the traffic.
    pub weight: Weight,
    /// What it speaks.
    pub protocol: Protocol,
    /// Whether it passes the member's own check.
    pub healthy: bool,
}

/// What a member offers: its services, or, where it names none, what its `role` tag declares.
///
/// Total: a bad offer is a rejection and leaves the others alone. An offer is refused whole: one whose bad
/// host were dropped would claim the default instead.
pub fn offers(record: &RawRecord, roles: &BTreeSet<String>, services: &Policies) -> (Vec<Offer>, Vec<Rejection>) {
    let mut taken = Vec::new();
    let mut refused = Vec::new();
    let by_name = |offer: &RawOffer| offer.name.parse().is_ok_and(|name| services.home(&name).is_some());
    let stolen: Vec<bool> = declared(record, roles, &Policies::default()).iter().map(by_name).collect();
    for (index, offer) in declared(record, roles, services).iter().enumerate() {
        let verdict = if index >= MAX_OFFERS {
            Err(too_many())
        } else if stolen.get(index) == Some(&true) {
            Err(("name", format!("{:?} is the operator's canary: a tag makes one of it", offer.name)))
        } else {
            offer.validated()
        };
        match verdict {
            Ok(offer) => taken.push(offer),
            Err((code, why)) => refused.push(Rejection {
                node: record.node.clone(),
                subject: format!("service {}", quoted(&offer.name, 64)),
                service: None,
                why,
                code,
            }),
        }
    }
    (taken, refused)
}

/// What a member says it offers, whether or not that can be taken; by the canary's name where its tags make it one.
pub(super) fn declared<'a>(
    record: &'a RawRecord,
    roles: &BTreeSet<String>,
    services: &Policies,
) -> Cow<'a, [RawOffer]> {
    let mut offers = if record.services.is_empty() {
        Cow::Owned(by_role(&record.tags, roles).into_iter().collect())
    } else {
        Cow::Borrowed(record.services.as_slice())
    };
    for at in 0..offers.len() {
        let canary = offers.get(at).and_then(|offer| services.canary(&offer.name, &record.tags));
        if let Some(canary) = canary
            && let Some(offer) = offers.to_mut().get_mut(at)
        {
            offer.name = canary.to_string();
        }
    }
    offers
}

fn too_many() -> (&'static str, String) {
    ("bounds", format!("a member may offer {MAX_OFFERS} services"))
}

/// Serf's habit: `role=web port=8080` is an offer of the service `web`.
fn by_role(tags: &BTreeMap<String, String>, roles: &BTreeSet<String>) -> Option<RawOffer> {
    let role = tags.get("role").filter(|role| roles.contains(*role))?;
    // A number that does not parse becomes one that is refused, with a message that names it.
    let number = |tag: &str| tags.get(tag).map(|text| text.parse().unwrap_or(u32::MAX));
    Some(RawOffer {
        name: role.clone(),
        port: number("port").unwrap_or(ROLE_PORT),
        hosts: tags.get("host").map(|hosts| hosts.split(',').map(str::to_owned).collect()).unwrap_or_default(),
        path: tags.get("path").cloned(),
        weight: number("weight"),
        protocol: tags.get("protocol").cloned(),
        healthy: true,
    })
}

impl RawOffer {
    /// The offer in newtypes, or a code and a why.
    pub fn validated(&self) -> Result<Offer, (&'static str, String)> {
        let because = |code| move |e: NameError| (code, e.to_string());
        let service: ServiceName = self.name.parse().map_err(because("name"))?;
        if service.as_str().starts_with(FRONTEND) {
            return Err((
                "name",
                format!("{} begins with {FRONTEND}, which is a store's frontend", quoted(service.as_str(), 64)),
            ));
        }
        if service.as_str().starts_with("bc-") {
            return Err(("name", format!("{:?} begins with bc-, which is backchat's own", service.as_str())));
        }
        if self.hosts.len() > MAX_HOSTS {
            return Err(("bounds", format!("an offer may claim {MAX_HOSTS} hosts, this one has {}", self.hosts.len())));
        }
        let hosts: Result<_, _> = self.hosts.iter().map(|host| host.parse().map_err(because("host"))).collect();
        Ok(Offer {
            service,
            port: port(self.port)?,
            hosts: hosts?,
            path: self.path.as_deref().unwrap_or("/").parse().map_err(because("path"))?,
            weight: self.weight.map_or(Ok(Weight::DEFAULT), Weight::try_from).map_err(because("weight"))?,
            protocol: protocol(self.protocol.as_deref())?,
            healthy: self.healthy,
        })
    }
}

fn port(number: u32) -> Result<u16, (&'static str, String)> {
    match u16::try_from(number) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(("port", format!("{number} is no port: use 1 to 65535"))),
    }
}

fn protocol(text: Option<&str>) -> Result<Protocol, (&'static str, String)> {
    match text {
        None | Some("http") => Ok(Protocol::Http),
        Some("tcp") => Ok(Protocol::Tcp),
        Some(other) => Err(("protocol", format!("{} is no protocol: use http or tcp", quoted(other, 40)))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn raw(name: &str) -> RawOffer {
        RawOffer {
            name: name.into(),
            port: 8080,
            hosts: vec![],
            path: None,
            weight: None,
            protocol: None,
            healthy: true,
        }
    }

    /// What is refused, as `code` of each rejection, and the names that are taken.
    fn check(services: Vec<RawOffer>, tags: &[(&str, &str)], taken: &[&str], codes: &[&str]) {
        let tags = tags.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let record = RawRecord { node: "n".into(), services, tags, ..RawRecord::default() };
        let (offers, refused) = offers(&record, &BTreeSet::from(["web".to_owned()]), &Policies::default());
        assert_eq!(offers.iter().map(|o| format!("{}:{}", o.service, o.port)).collect::<Vec<_>>(), taken);
        assert_eq!(refused.iter().map(|r| r.code).collect::<Vec<_>>(), codes);
    }

    #[test]
    fn a_role_declares_a_service_where_none_is_named() {
        check(vec![], &[("role", "web"), ("port", "81")], &["web:81"], &[]);
        check(vec![], &[("role", "web")], &["web:80"], &[]);
        check(vec![], &[("role", "lb")], &[], &[]);
        check(vec![], &[("role", "web"), ("port", "x")], &[], &["port"]);
        check(vec![], &[("role", "web"), ("weight", "-1")], &[], &["weight"]);
        check(vec![raw("api")], &[("role", "web")], &["api:8080"], &[]);
    }

    #[test]
    fn one_bad_offer_leaves_the_others_alone() {
        let bad = [
            (RawOffer { name: "we;b".into(), ..raw("") }, "name"),
            (RawOffer { name: "bc-spare-01".into(), ..raw("") }, "name"),
            (RawOffer { port: 0, ..raw("a") }, "port"),
            (RawOffer { port: 70_000, ..raw("a") }, "port"),
            (RawOffer { hosts: vec!["ok.example".into(), "a b".into()], ..raw("a") }, "host"),
            (RawOffer { path: Some("/../x".into()), ..raw("a") }, "path"),
            (RawOffer { weight: Some(257), ..raw("a") }, "weight"),
            (RawOffer { protocol: Some("udp".into()), ..raw("a") }, "protocol"),
            (RawOffer { hosts: vec!["a".into(); MAX_HOSTS + 1], ..raw("a") }, "bounds"),
        ];
        for (offer, code) in bad {
            check(vec![raw("api"), offer, raw("web")], &[], &["api:8080", "web:8080"], &[code]);
        }
    }

    #[test]
    fn offers_are_bounded() {
        let (offers, refused) = offers(
            &RawRecord { services: vec![raw("a"); MAX_OFFERS + 2], ..RawRecord::default() },
            &BTreeSet::new(),
            &Policies::default(),
        );
        assert_eq!((offers.len(), refused.len()), (MAX_OFFERS, 2));
    }

    proptest! {
        #[test]
        fn any_text_is_an_offer_or_a_rejection(name in ".{0,70}", host in ".{0,20}", path in ".{0,20}", port: u32) {
            let offer = RawOffer { port, hosts: vec![host], path: Some(path), ..raw(&name) };
            let record = RawRecord { services: vec![offer], ..RawRecord::default() };
            let (offers, refused) = offers(&record, &BTreeSet::new(), &Policies::default());
            prop_assert_eq!(offers.len() + refused.len(), 1);
        }
    }
}
