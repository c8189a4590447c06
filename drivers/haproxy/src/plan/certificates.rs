//! The commands of certificates: those that are new or others are pushed, those that went are taken away. Pure.

use backchat_contract::{CertName, Pem};

use super::{Action, Target};
use crate::{
    certificates::{CertFile, default},
    observe::Observed,
    protocol::{Command, PAYLOAD},
};

/// What is sent; nothing where HAProxy speaks no TLS yet or none any more, which only a reload changes.
pub(super) fn actions(observed: &Observed, target: &Target) -> Vec<Action> {
    let (live, wanted) = (&observed.layout.certificates, &target.layout.certificates);
    if !observed.lists_certificates || wanted.is_empty() {
        return Vec::new();
    }
    let mut actions = Vec::new();
    for (name, certificate) in wanted {
        let now = live.get(name);
        let same = now.is_some_and(|now| now.fingerprint == certificate.fingerprint);
        let Some(pem) = certificate.pem.as_ref().filter(|pem| !same && fits(pem)) else { continue };
        actions.push(push(CertFile::Of(name.clone()), pem, now.is_none()));
    }
    if let Some((name, certificate)) = default(wanted) {
        let same = live.get(name).is_some_and(|now| now == certificate);
        let pem = certificate.pem.as_ref().filter(|pem| !same && fits(pem));
        actions.extend(pem.map(|pem| push(CertFile::Default, pem, false)));
    }
    let gone = live.keys().filter(|name| !wanted.contains_key(*name));
    actions.extend(gone.map(|name| remove(CertFile::Of(name.clone()))));
    actions
}

/// Those that a reload has to bring, for they are too long for the socket.
pub(super) fn too_large<'a>(observed: &Observed, target: &'a Target) -> Vec<&'a CertName> {
    let live = &observed.layout.certificates;
    let wanted = target.layout.certificates.iter().filter(|(name, wanted)| live.get(*name) != Some(*wanted));
    let large = wanted.filter(|(_, wanted)| wanted.pem.as_ref().is_some_and(|pem| !fits(pem)));
    large.map(|(name, _)| name).collect()
}

fn fits(pem: &Pem) -> bool {
    pem.secret().len() <= PAYLOAD
}

fn push(file: CertFile, pem: &Pem, is_new: bool) -> Action {
    let set = [Command::SetCert(file.clone(), pem.clone()), Command::CommitCert(file.clone())];
    let commands = if is_new {
        let [set, commit] = set;
        vec![Command::NewCert(file.clone()), set, commit, Command::ListCert(file.clone())]
    } else {
        set.into()
    };
    Action::Certificate(file, commands)
}

fn remove(file: CertFile) -> Action {
    let commands = vec![Command::UnlistCert(file.clone()), Command::DeleteCert(file.clone())];
    Action::Certificate(file, commands)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::{Certificates, tests::certificate};

    /// Certificates as `name=word`, the default with `!`.
    fn set(texts: &[&str]) -> Certificates {
        let one = |text: &&str| {
            let (name, word) = text.split_once('=').unwrap();
            let default = word.ends_with('!');
            (name.parse().unwrap(), certificate(word.trim_end_matches('!'), default))
        };
        texts.iter().map(one).collect()
    }

    fn check(live: &[&str], wanted: &[&str], expected: &[&str]) {
        let mut observed = Observed { lists_certificates: !live.is_empty(), ..Observed::default() };
        observed.layout.certificates = set(live);
        let mut target = Target::default();
        target.layout.certificates = set(wanted);
        let commands =
            actions(&observed, &target).into_iter().flat_map(|a| a.commands(crate::protocol::MapVersion::NEW));
        let commands: Vec<_> = commands.map(|command| command.to_string()).collect();
        assert_eq!(commands, expected);
    }

    #[test]
    fn what_differs_is_pushed() {
        check(&["a=1!"], &["a=1!"], &[]);
        check(
            &["a=1!"],
            &["a=1!", "b=2"],
            &[
                "new ssl cert cert.b.pem",
                "set ssl cert cert.b.pem <<",
                "commit ssl cert cert.b.pem",
                "add ssl crt-list certificates.list cert.b.pem",
            ],
        );
        check(&["a=1!", "b=2"], &["a=1!", "b=3"], &["set ssl cert cert.b.pem <<", "commit ssl cert cert.b.pem"]);
        check(
            &["a=1!", "b=2"],
            &["a=1!"],
            &["del ssl crt-list certificates.list cert.b.pem", "del ssl cert cert.b.pem"],
        );
    }

    #[test]
    fn the_default_is_a_file_of_its_own() {
        check(
            &["a=1!"],
            &["a=2!"],
            &[
                "set ssl cert cert.a.pem <<",
                "commit ssl cert cert.a.pem",
                "set ssl cert default.pem <<",
                "commit ssl cert default.pem",
            ],
        );
        check(
            &["a=1!", "b=2"],
            &["b=2!"],
            &[
                "set ssl cert default.pem <<",
                "commit ssl cert default.pem",
                "del ssl crt-list certificates.list cert.a.pem",
                "del ssl cert cert.a.pem",
            ],
        );
    }

    #[test]
    fn the_first_and_the_last_take_a_reload() {
        check(&[], &["a=1!"], &[]);
        check(&["a=1!"], &[], &[]);
    }
}
