//! Files as operators have them: whole, half, of the wrong kind, gone.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{Loader, Own, Unfit, Wanted, follow, read, sign};
use crate::model::Shelf;

const RSA: &[u8] = include_bytes!("fixtures/rsa.pem");
const EC: (&[u8], &[u8]) = (include_bytes!("fixtures/ec.crt"), include_bytes!("fixtures/ec.key"));
const DAY: Duration = Duration::from_secs(86_400);

fn signed(host: &str) -> String {
    sign(&[host.to_owned()], SystemTime::now()).unwrap()
}

/// One that began so long ago: it holds for 397 days.
fn signed_ago(host: &str, days: u32) -> String {
    sign(&[host.to_owned()], SystemTime::now() - DAY * days).unwrap()
}

fn check(chain: &[u8], key: &[u8], expected: Result<&[&str], Unfit>) {
    let names = read(chain, key).map(|c| c.names.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(names, expected.map(|names| names.iter().map(ToString::to_string).collect()));
}

#[test]
fn keys_of_every_kind_fit_their_certificate_alone() {
    let ours = signed("a.example");
    check(ours.as_bytes(), ours.as_bytes(), Ok(&["a.example"]));
    // Names that no host has are left out, and addresses.
    check(RSA, RSA, Ok(&["rsa.example", "*.rsa.example"]));
    check(EC.0, EC.1, Ok(&["ec.example"]));
    for (chain, key) in [(RSA, EC.1), (EC.0, RSA), (ours.as_bytes(), EC.1), (EC.0, ours.as_bytes())] {
        check(chain, key, Err(Unfit::OtherKey));
    }
    let another = signed("a.example");
    check(ours.as_bytes(), another.as_bytes(), Err(Unfit::OtherKey));
}

#[test]
fn what_is_no_certificate_is_told_apart() {
    check(b"", EC.1, Err(Unfit::NoCertificate));
    check(b"garbage", EC.1, Err(Unfit::NoCertificate));
    check(EC.0, EC.0, Err(Unfit::NoKey));
    check(EC.0, include_bytes!("fixtures/encrypted.key"), Err(Unfit::Encrypted));
    let text = String::from_utf8(EC.0.to_vec()).unwrap();
    let damaged = text.replacen("MII", "AAA", 1);
    check(damaged.as_bytes(), EC.1, Err(Unfit::Damaged));
    let cut = &EC.0[..EC.0.len() / 2];
    assert!(read(cut, EC.1).is_err());
}

/// A folder of certificates.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn put(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // As certbot and people with care do: another file in its place.
        fs::write(path.with_extension("new"), text).unwrap();
        fs::rename(path.with_extension("new"), &path).unwrap();
        path
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path().join(name)).unwrap();
    }

    fn loader(&self) -> Loader {
        Loader::new(Wanted { paths: vec![self.path().to_owned()], own: None })
    }

    /// Names of the certificates, the default with `!`; then what is wrong, without the folder.
    fn shows(&self, all: &Shelf) -> Vec<String> {
        let name =
            |(name, c): (_, &backchat_contract::Certificate)| format!("{name}{}", if c.default { "!" } else { "" });
        let folder = format!("{}/", self.path().display());
        let troubles = all.troubles.iter().map(|why| why.replace(&folder, ""));
        all.certificates.iter().map(name).chain(troubles).collect()
    }
}

#[test]
fn files_and_pairs_and_folders_of_certbot() {
    let folder = Folder::new();
    folder.put("b.pem", signed("b.example"));
    folder.put("c.crt", EC.0);
    folder.put("c.key", EC.1);
    folder.put("readme.txt", "not one");
    folder.put(".hidden.pem", "not one");
    let live = folder.put("live/www.example.com/fullchain.pem", EC.0);
    folder.put("live/www.example.com/privkey.pem", EC.1);
    folder.put("live/www.example.com/cert.pem", EC.0);
    let paths = vec![folder.path().to_owned(), live.parent().unwrap().to_owned(), folder.path().join("b.pem")];
    let shelf = Loader::new(Wanted { paths, own: None }).load(SystemTime::now());
    assert_eq!(
        folder.shows(&shelf),
        ["b!", "c", "www.example.com", &format!("b.pem: {} is called b too, and is shown", "b.pem")]
    );
}

#[test]
fn what_is_broken_leaves_the_last_good_one() {
    let folder = Folder::new();
    folder.put("a.pem", signed("a.example"));
    folder.put("b.pem", signed("b.example"));
    let mut loader = folder.loader();
    let now = SystemTime::now();
    let good = loader.load(now);
    assert_eq!(folder.shows(&good), ["a!", "b"]);
    folder.put("b.pem", "half");
    folder.put("c.pem", "none");
    folder.put("*.x.pem", signed("x.example"));
    let shelf = loader.load(now);
    assert_eq!(shelf.certificates, good.certificates);
    let rule = "use 1 to 128 of A-Z a-z 0-9 _ . - and begin with a letter or a digit, or one _ before that";
    assert_eq!(
        folder.shows(&shelf)[2..],
        [
            format!("*.x.pem: rename it: \"*.x\" is no certificate name: {rule}; it is not shown"),
            "b.pem: there is no certificate in it; the one before stays".into(),
            "c.pem: there is no certificate in it; it is not shown".into(),
        ]
    );
    // An expired one is no better.
    folder.put("b.pem", signed_ago("b.example", 400));
    let shelf = loader.load(now);
    assert_eq!(shelf.certificates, good.certificates);
    assert!(
        shelf.troubles.contains(&format!(
            "{}: it has expired already; the one before stays",
            folder.path().join("b.pem").display()
        ))
    );
    folder.put("b.pem", signed("b.example"));
    let shelf = loader.load(now);
    assert_ne!(shelf.certificates, good.certificates);
}

#[test]
fn what_goes_goes_but_the_last() {
    let folder = Folder::new();
    folder.put("a.pem", signed("a.example"));
    folder.put("b.pem", signed("b.example"));
    let (mut loader, now) = (folder.loader(), SystemTime::now());
    loader.load(now);
    folder.remove("a.pem");
    assert_eq!(folder.shows(&loader.load(now)), ["b!"]);
    // The default stays what it is.
    folder.put("a.pem", signed("a.example"));
    assert_eq!(folder.shows(&loader.load(now)), ["a", "b!"]);
    folder.remove("a.pem");
    folder.remove("b.pem");
    let shelf = loader.load(now);
    assert_eq!(shelf.certificates.len(), 2, "{shelf:?}");
    assert!(folder.shows(&shelf)[2].contains("it is gone, and was the last"), "{shelf:?}");
    // A disk that is not there is no folder that is empty.
    fs::remove_dir_all(folder.path()).unwrap();
    assert_eq!(loader.load(now).certificates.len(), 2);
}

#[test]
fn one_that_is_signed_here_is_kept() {
    let folder = Folder::new();
    let hosts = ["localhost", "127.0.0.1", "::1", "proxy"].map(ToOwned::to_owned);
    let own = Own { folder: folder.path().join("data"), hosts: hosts.into(), is_kept: true };
    let load = |own: &Own, now| Loader::new(Wanted { paths: vec![], own: Some(own.clone()) }).load(now);
    let now = SystemTime::now();
    let first = load(&own, now);
    assert_eq!(folder.shows(&first), ["self-signed!"]);
    assert_eq!(load(&own, now), first);
    assert_eq!(load(&own, now + DAY * 360), first);
    let mode = fs::metadata(folder.path().join("data/self-signed.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // A month before its end it is another, and so it is for another host.
    assert_ne!(load(&own, now + DAY * 370), first);
    let other = Own { hosts: vec!["other".into()], ..own };
    assert_ne!(load(&other, now), first);
    // One who only shows what would be done keeps nothing.
    let shown = Own { folder: folder.path().join("elsewhere"), is_kept: false, ..other };
    assert_eq!(load(&shown, now).certificates.len(), 1);
    assert!(!shown.folder.exists());
}

#[tokio::test]
async fn files_are_followed() {
    let folder = Folder::new();
    folder.put("a.pem", signed("a.example"));
    let mut loader = folder.loader();
    let first = loader.load(SystemTime::now());
    let stop = tokio_util::sync::CancellationToken::new();
    let (mut shelf, following) = follow(loader, first, stop.clone());
    let task = tokio::spawn(following);
    folder.put("b.pem", signed("b.example"));
    let limit = Duration::from_secs(30);
    let both = shelf.wait_for(|shelf| shelf.certificates.len() == 2);
    drop(tokio::time::timeout(limit, both).await.expect("in time").unwrap());
    folder.remove("a.pem");
    let one = shelf.wait_for(|shelf| folder.shows(shelf) == ["b!"]);
    drop(tokio::time::timeout(limit, one).await.expect("in time").unwrap());
    stop.cancel();
    task.await.unwrap();
}

/// Of two for the same hosts the one that goes on is shown, whatever their files are called.
#[test]
fn one_that_ends_makes_way_for_its_successor() {
    let folder = Folder::new();
    folder.put("a.pem", signed_ago("a.example", 390));
    let mut loader = folder.loader();
    let now = SystemTime::now();
    assert_eq!(folder.shows(&loader.load(now)), ["a!"]);
    folder.put("b.pem", signed("b.example"));
    folder.put("c.pem", signed("a.example"));
    let told = "a: it ends soon, and c, which is for its hosts and ends later, is shown instead";
    assert_eq!(folder.shows(&loader.load(now)), ["b", "c!", told]);
    // Two that hold long are the operator's to tell apart.
    folder.put("d.pem", signed_ago("a.example", 100));
    assert_eq!(folder.shows(&loader.load(now)), ["b", "c!", "d", told]);
}
