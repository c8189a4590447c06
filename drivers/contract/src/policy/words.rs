//! What an operator writes into a policy, as newtypes: none of it means anything else to HAProxy's or nginx's parsers
//! than what it says.

use std::{fmt, net::IpAddr, num::NonZeroU32, str::FromStr};

use serde::{Deserialize, Deserializer};

use crate::names::NameError;

/// Read from text, wherever it is written.
macro_rules! deserialized {
    ($($name:ty),+) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}
deserialized!(HeaderName, HeaderValue, CookieName, Network, Rate, Share);

/// A header's name: letters, digits and inner hyphens, 1 to 64 bytes, kept in lower case. Less than RFC 9110 allows: nginx
/// makes variables of it and drops those with an underscore.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderName(String);

impl HeaderName {
    /// The name in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HeaderName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let ends = !text.starts_with('-') && !text.ends_with('-');
        if (1..=64).contains(&text.len()) && text.bytes().all(inner) && ends {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        Err(NameError::new("header name", text, "use letters, digits and inner hyphens, at most 64 bytes"))
    }
}

/// What a header or a cookie says: printable ASCII without `"`, `\` and `$`, at most 1024 bytes. Within double quotes no
/// parser of ours reads anything else into it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeaderValue(String);

impl HeaderValue {
    /// The value as text; empty where there is none.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HeaderValue {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let plain = |b: u8| matches!(b, b' '..=b'~') && !b"\"\\$".contains(&b);
        if text.len() <= 1024 && text.bytes().all(plain) && text.trim() == text {
            return Ok(Self(text.to_owned()));
        }
        let rule = "use printable ASCII without \", \\ and $, at most 1024 bytes";
        Err(NameError::new("header value", text, rule))
    }
}

/// A header and what it is to say; nothing for it to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which.
    pub name: HeaderName,
    /// What it says.
    pub value: HeaderValue,
}

/// A cookie's name: letters, digits and `_`, 1 to 64 bytes, not a digit first. Less than RFC 6265 allows: nginx makes a
/// variable of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CookieName(String);

impl CookieName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CookieName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let first = text.bytes().next().is_some_and(|b| !b.is_ascii_digit());
        if first && text.len() <= 64 && text.bytes().all(word) {
            return Ok(Self(text.to_owned()));
        }
        Err(NameError::new("cookie name", text, "use letters, digits and _, no digit first, at most 64 bytes"))
    }
}

/// Addresses that begin alike: `10.0.0.0/8`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    addr: IpAddr,
    bits: u8,
}

impl FromStr for Network {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let refuse = || NameError::new("network", text, "use an address, with /BITS where there are more: 10.0.0.0/8");
        let (addr, bits) = text.split_once('/').map_or((text, None), |(addr, bits)| (addr, Some(bits)));
        let addr: IpAddr = addr.parse().map_err(|_| refuse())?;
        let all = if addr.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(all), |bits| bits.parse().ok()).filter(|bits| *bits <= all).ok_or_else(refuse)?;
        // Bits beyond would be dropped by one engine and refused by the other.
        let rest = match addr {
            IpAddr::V4(v4) => v4.to_bits().checked_shl(bits.into()).unwrap_or(0) == 0,
            IpAddr::V6(v6) => v6.to_bits().checked_shl(bits.into()).unwrap_or(0) == 0,
        };
        if rest { Ok(Self { addr, bits }) } else { Err(refuse()) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.bits)
    }
}

/// So many requests in a second or a minute: `100/s`, `30/m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many, 1 to 1,000,000.
    pub requests: NonZeroU32,
    /// Whether in a minute; else in a second.
    pub per_minute: bool,
}

impl FromStr for Rate {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let refuse = || NameError::new("rate", text, "use 1 to 1000000 and /s or /m: 100/s");
        let (requests, unit) = text.split_once('/').ok_or_else(refuse)?;
        let requests: NonZeroU32 = requests.parse().map_err(|_| refuse())?;
        let per_minute = match unit {
            "s" => false,
            "m" => true,
            _ => return Err(refuse()),
        };
        if requests.get() > 1_000_000 { Err(refuse()) } else { Ok(Self { requests, per_minute }) }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.requests, if self.per_minute { "m" } else { "s" })
    }
}

/// A part of a hundred: `5%`, `0.5%`; in steps of a hundredth of a percent, 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u16);

impl Share {
    /// Of ten thousand.
    pub fn of_10000(self) -> u16 {
        self.0
    }
}

impl FromStr for Share {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let refuse = || NameError::new("share", text, "use 0% to 100%, two digits behind the point at most: 5%, 0.25%");
        let number = text.strip_suffix('%').ok_or_else(refuse)?;
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 2 || whole.len() > 3 {
            return Err(refuse());
        }
        let hundredths: u16 = format!("{whole}{part:0<2}").parse().map_err(|_| refuse())?;
        if hundredths > 10_000 { Err(refuse()) } else { Ok(Self(hundredths)) }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole}%"),
            (whole, part) => write!(f, "{whole}.{part:02}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check<T: FromStr + fmt::Debug>(taken: &[&str], refused: &[&str]) {
        for text in taken {
            assert!(text.parse::<T>().is_ok(), "refused {text:?}");
        }
        for text in refused {
            assert!(text.parse::<T>().is_err(), "took {text:?}");
        }
    }

    #[test]
    fn words() {
        check::<HeaderName>(&["X-Real-IP", "a"], &["", "-a", "a_b", "a b", "a:", "a\n", &"a".repeat(65)]);
        check::<HeaderValue>(
            &["", "a b", "default-src 'self'; img-src *", "100%", "#", "{}"],
            &["a\"", "a\\", "$host", "a\nb", "ä", " a", "a ", "\0"],
        );
        check::<CookieName>(&["_s", "bc_web"], &["", "1a", "a-b", "a=b", "a;"]);
        check::<Network>(
            &["10.0.0.0/8", "0.0.0.0/0", "::/0", "127.0.0.1", "2001:db8::/32", "::1"],
            &["", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/-1", "localhost", "::1/64", "10.0.0.0/"],
        );
        check::<Rate>(&["1/s", "1000000/m"], &["", "0/s", "1", "1/h", "-1/s", "1000001/s"]);
        check::<Share>(
            &["0%", "5%", "0.5%", "99.99%", "100%"],
            &["", "5", "%", "101%", "0.005%", ".5%", "-1%", "1e1%"],
        );
    }

    #[test]
    fn printed_as_read() {
        assert_eq!("10.0.0.1".parse::<Network>().unwrap().to_string(), "10.0.0.1/32");
        assert_eq!("0.5%".parse::<Share>().unwrap().to_string(), "0.50%");
        assert_eq!("0.5%".parse::<Share>().unwrap().of_10000(), 50);
        assert_eq!("30/m".parse::<Rate>().unwrap().to_string(), "30/m");
    }

    proptest! {
        /// Whatever was taken stands between double quotes as itself.
        #[test]
        fn taken_values_are_plain(text in ".{0,80}") {
            if let Ok(value) = text.parse::<HeaderValue>() {
                prop_assert!(!value.as_str().contains(|c: char| c.is_control() || "\"\\$".contains(c) || !c.is_ascii()));
            }
            if let Ok(name) = text.parse::<HeaderName>() {
                prop_assert!(name.as_str().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
            }
        }
    }
}
