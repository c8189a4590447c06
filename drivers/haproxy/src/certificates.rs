//! The certificates of a managed HAProxy as files: a list that HAProxy reads, and a file of chain and key for each. Pure.
//!
//! The first of the list is the default, and HAProxy lets nobody take that out. So it is a file of its own with a filter
//! that no name passes: whichever certificate is the default is put into it at run time, and all others come and go.
//!
//! The names are relative to the configuration's folder (`default-path config`), so that HAProxy's check of a set that is
//! not in place yet reads the certificates of that set.

use std::{collections::BTreeMap, fmt};

use backchat_contract::{CertName, Certificate, HostPattern, Pem};

/// The list, as HAProxy knows it.
pub const LIST: &str = "certificates.list";

/// What stands before the facts of a certificate, in a comment of the list.
const FACT: &str = "# bc ";

/// What every certificate of a set is, by name.
pub type Certificates = BTreeMap<CertName, Certificate>;

/// A file of chain and key, as HAProxy knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CertFile {
    /// What is shown for names that no certificate is for.
    Default,
    /// One certificate's.
    Of(CertName),
}

impl CertFile {
    /// Takes a name that HAProxy said, where it is one of ours.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if text == "default.pem" {
            return Some(Self::Default);
        }
        text.strip_prefix("cert.")?.strip_suffix(".pem")?.parse().ok().map(Self::Of)
    }
}

impl fmt::Display for CertFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default.pem"),
            Self::Of(name) => write!(f, "cert.{name}.pem"),
        }
    }
}

/// The files that HAProxy is given beside the list. Without a text: as it is at its place.
pub(crate) fn files(certificates: &Certificates) -> BTreeMap<CertFile, Option<Pem>> {
    let default = default(certificates).map(|(_, c)| (CertFile::Default, c.pem.clone()));
    let each = certificates.iter().map(|(name, c)| (CertFile::Of(name.clone()), c.pem.clone()));
    each.chain(default).collect()
}

/// The default: the one that says so, else the first.
pub(crate) fn default(certificates: &Certificates) -> Option<(&CertName, &Certificate)> {
    certificates.iter().find(|(_, c)| c.default).or_else(|| certificates.first_key_value())
}

/// The list as a file; empty where there is no certificate.
pub(crate) fn list(certificates: &Certificates) -> String {
    if certificates.is_empty() {
        return String::new();
    }
    let fact = |(name, c): (&CertName, &Certificate)| {
        let names: Vec<_> = c.names.iter().map(ToString::to_string).collect();
        let (default, names) = (if c.default { "default" } else { "-" }, names.join(","));
        format!("{FACT}{name} {} {} {} {default} {names}\n", c.fingerprint, c.leaf, c.not_after)
    };
    let facts: String = certificates.iter().map(fact).collect();
    let entries = certificates.keys().map(|name| format!("{}\n", CertFile::Of(name.clone())));
    format!("{facts}{} !*\n", CertFile::Default) + &entries.collect::<String>()
}

/// What the comments of a list say; what we could not have written is left out.
pub(crate) fn facts(list: &str) -> Certificates {
    list.lines().filter_map(fact).collect()
}

fn fact(line: &str) -> Option<(CertName, Certificate)> {
    let words: Vec<&str> = line.strip_prefix(FACT)?.split(' ').collect();
    let [name, fingerprint, leaf, not_after, default, names] = words[..] else { return None };
    let names = names.split(',').filter(|name| !name.is_empty()).map(str::parse::<HostPattern>);
    let certificate = Certificate {
        fingerprint: fingerprint.parse().ok()?,
        leaf: leaf.parse().ok()?,
        names: names.collect::<Result<_, _>>().ok()?,
        not_after: not_after.parse().ok()?,
        default: default == "default",
        pem: None,
    };
    Some((name.parse().ok()?, certificate))
}

#[cfg(test)]
pub(crate) mod tests {
    use backchat_contract::KeyForm;

    use super::*;

    /// A certificate whose bytes are this word.
    pub(crate) fn certificate(word: &str, default: bool) -> Certificate {
        let names = [format!("{word}.example").parse().unwrap(), format!("*.{word}.example").parse().unwrap()];
        let made = Certificate::new(&[word.as_bytes()], (KeyForm::Pkcs8, b"secret"), names.into(), 1_798_934_400);
        Certificate { default, ..made.unwrap() }
    }

    #[test]
    fn a_list_says_what_is_in_it() {
        let set: Certificates =
            [("a", true), ("b", false)].map(|(name, d)| (name.parse().unwrap(), certificate(name, d))).into();
        let text = list(&set);
        let entries: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(entries, ["default.pem !*", "cert.a.pem", "cert.b.pem"]);
        let read = facts(&text);
        assert_eq!(read, set);
        assert!(read.values().all(|c| c.names.len() == 2 && c.not_after == 1_798_934_400 && c.pem.is_none()));
        assert_eq!((list(&Certificates::new()), facts("x\n# bc a b\n").len()), (String::new(), 0));
    }

    #[test]
    fn files_are_read_by_their_names() {
        for file in [CertFile::Default, CertFile::Of("www.example.com".parse().unwrap())] {
            assert_eq!(CertFile::read(&file.to_string()), Some(file));
        }
        for text in ["", "cert..pem", "cert.a b.pem", "/etc/cert.a.pem", "a.pem", "cert.../x.pem"] {
            assert_eq!(CertFile::read(text), None, "{text}");
        }
    }
}
