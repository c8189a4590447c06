//! A service as flags and files declare it, checked by the newtypes that the balancers check it with.

use std::{fmt, num::NonZeroU16, str::FromStr};

use serde::{Deserialize, Deserializer};

use super::{Text, ValueError};
use crate::{
    lifecycle::Target,
    model::{HostPattern, NameError, PathPrefix, Protocol, RawOffer, ServiceName, Weight},
};

/// A service on this node: `NAME:PORT[,host=…][,path=…][,weight=…][,protocol=http|tcp][,check=…]`, or a `[[service]]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// The service.
    pub name: ServiceName,
    /// Where on this node, 1 to 65535.
    #[serde(deserialize_with = "port")]
    pub port: u16,
    /// The hosts it answers; none for the default.
    #[serde(default)]
    pub hosts: Vec<HostPattern>,
    /// The path it answers.
    pub path: Option<PathPrefix>,
    /// Its share of the traffic, 0 to 256.
    pub weight: Option<Weight>,
    /// What it speaks.
    pub protocol: Option<Protocol>,
    /// What it is to pass to be offered.
    pub check: Option<Text<Target>>,
}

fn port<'de, D: Deserializer<'de>>(d: D) -> Result<u16, D::Error> {
    NonZeroU16::deserialize(d).map(Into::into)
}

impl Offer {
    /// A service at a port, without more.
    pub fn new(name: ServiceName, port: u16) -> Self {
        Self { name, port, hosts: Vec::new(), path: None, weight: None, protocol: None, check: None }
    }

    /// Sets one option, `host=www.example.com`.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<(), ValueError> {
        let wrong = |e: &dyn fmt::Display| ValueError::new(e.to_string());
        match key {
            "host" => self.hosts.push(value.parse().map_err(|e| wrong(&e))?),
            "path" => self.path = Some(value.parse().map_err(|e| wrong(&e))?),
            "weight" => self.weight = Some(weight(value)?),
            "protocol" => self.protocol = Some(protocol(value)?),
            "check" => self.check = Some(value.parse().map_err(|e| wrong(&e))?),
            _ => {
                let known = "host, path, weight, protocol or check";
                return Err(ValueError::new(format!("unknown option '{key}'; use {known}")));
            }
        }
        Ok(())
    }
}

/// Reads a weight, 0 to 256.
pub(crate) fn weight(text: &str) -> Result<Weight, ValueError> {
    let number: u32 = text.parse().map_err(|_| ValueError::new(format!("weight '{text}': use 0 to 256")))?;
    number.try_into().map_err(|e: NameError| ValueError::new(e.to_string()))
}

fn protocol(text: &str) -> Result<Protocol, ValueError> {
    match text {
        "http" => Ok(Protocol::Http),
        "tcp" => Ok(Protocol::Tcp),
        _ => Err(ValueError::new(format!("protocol '{text}': use http or tcp"))),
    }
}

impl FromStr for Offer {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (head, options) = text.split_once(',').map_or((text, None), |(head, rest)| (head, Some(rest)));
        let usage =
            || ValueError::new("use NAME:PORT[,host=HOST][,path=PATH][,weight=N][,protocol=http|tcp][,check=CHECK]");
        let (name, port) = head.split_once(':').ok_or_else(usage)?;
        let name = name.parse().map_err(|e: NameError| ValueError::new(e.to_string()))?;
        let port: NonZeroU16 = port.parse().map_err(|_| ValueError::new(format!("port '{port}': use 1 to 65535")))?;
        let mut offer = Self::new(name, port.get());
        for option in options.into_iter().flat_map(|rest| rest.split(',')) {
            let (key, value) = option.split_once('=').ok_or_else(usage)?;
            offer.set(key, value)?;
        }
        Ok(offer)
    }
}

impl From<Offer> for RawOffer {
    fn from(offer: Offer) -> Self {
        let protocol = offer.protocol.map(|p| match p {
            Protocol::Http => "http".to_owned(),
            Protocol::Tcp => "tcp".to_owned(),
        });
        Self {
            name: offer.name.into(),
            port: offer.port.into(),
            hosts: offer.hosts.into_iter().map(String::from).collect(),
            path: offer.path.map(String::from),
            weight: offer.weight.map(u32::from),
            protocol,
            healthy: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::values::tests::check, *};

    #[test]
    fn offers() {
        insta::assert_snapshot!(check::<Offer>(&[
            "web:80",
            "web:80,host=a.example,host=*.b.example,path=/shop,weight=0,protocol=http",
            "db:5432,protocol=tcp",
            "web",
            "web:",
            "web:0",
            "web:65536",
            "we b:80",
            "web:80,",
            "web:80,host",
            "web:80,hosts=a",
            "web:80,host=a b",
            "web:80,path=x",
            "web:80,weight=257",
            "web:80,weight=-1",
            "web:80,protocol=udp",
            "web:80,check=tcp",
            "web:80,check=http:///healthz,weight=3",
            "web:80,check=exec:true",
        ]));
    }
}
