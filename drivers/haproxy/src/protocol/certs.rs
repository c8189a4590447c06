//! What HAProxy says of certificates.

use std::collections::BTreeSet;

use backchat_contract::LeafPrint;

use crate::certificates::{CertFile, LIST};

/// A certificate that HAProxy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldCert {
    /// Which.
    pub leaf: LeafPrint,
    /// When it expires, in seconds since 1970; 0 where that was not understood.
    pub not_after: u64,
}

/// Reads `show ssl crt-list`: the files of ours in the list; `None` where there is no such list.
pub fn listed(reply: &str) -> Option<BTreeSet<CertFile>> {
    let (title, entries) = reply.trim().split_once('\n').unwrap_or((reply.trim(), ""));
    if title != format!("# {LIST}") {
        return None;
    }
    Some(entries.lines().filter_map(|line| CertFile::read(line.split(' ').next()?)).collect())
}

/// Reads `show ssl cert` of one file; `None` where it holds none.
pub fn certificate(reply: &str) -> Option<HeldCert> {
    let value = |name: &str| reply.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let leaf = value("SHA1 FingerPrint")?.trim().parse().ok()?;
    Some(HeldCert { leaf, not_after: value("notAfter").and_then(moment).unwrap_or(0) })
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `Dec 28 21:01:21 2026 GMT`, in seconds since 1970.
fn moment(text: &str) -> Option<u64> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [month, day, time, year, "GMT"] = words[..] else { return None };
    let month = u64::try_from(MONTHS.iter().position(|name| *name == month)?).ok()? + 1;
    let (day, year): (u64, u64) = (day.parse().ok()?, year.parse().ok()?);
    let mut parts = time.split(':').map(str::parse::<u64>);
    let mut part = || parts.next()?.ok();
    let (hours, minutes, seconds) = (part()?, part()?, part()?);
    if !(1970..10_000).contains(&year) || !(1..=31).contains(&day) {
        return None;
    }
    Some((days(year, month, day) * 24 + hours) * 3600 + minutes * 60 + seconds)
}

/// Days since 1970 of the Gregorian calendar, whose years are taken to begin in March.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap = year / 4 - year / 100 + year / 400;
    // 719,468 days lie between the first of March of the year 0 and 1970.
    (year * 365 + leap + (153 * month + 2) / 5 + day - 1).saturating_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As 2.6 answers.
    #[test]
    fn answers_are_read() {
        let reply = "# certificates.list\ndefault.pem !*\ncert.a.pem\n/etc/other.pem [alpn h2] x\n\n";
        let expected = [CertFile::Default, CertFile::Of("a".parse().unwrap())];
        assert_eq!(listed(reply), Some(expected.into()));
        assert_eq!(listed("[3]: didn't find the specified filename\n"), None);

        let reply = "Filename: cert.a.pem\nStatus: Used\nnotBefore: Nov 28 21:01:21 2026 GMT\nnotAfter: Dec  8 21:01:21 \
                     2026 GMT\nSHA1 FingerPrint: 4057D68BADD19C94FA4B64E29C1F1DD24A42B3DB\n";
        let held = certificate(reply).unwrap();
        assert_eq!(held.leaf.to_string(), "4057d68badd19c94fa4b64e29c1f1dd24a42b3db");
        assert_eq!(held.not_after, 1_796_763_681);
        assert_eq!(certificate("[3]: Can't display the certificate: Not found or the certificate is a bundle!"), None);
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (text, expected) in [
            ("Jan 1 00:00:00 1970 GMT", Some(0)),
            ("Feb 29 12:00:00 2000 GMT", Some(951_825_600)),
            ("Jan  3 00:00:00 2027 GMT", Some(1_798_934_400)),
            ("Foo  3 00:00:00 2027 GMT", None),
            ("Jan  3 00:00 2027 GMT", None),
        ] {
            assert_eq!(moment(text), expected, "{text}");
        }
    }
}
