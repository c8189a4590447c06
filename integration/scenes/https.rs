//! HTTPS with the real program: a certificate that it signs, and files that come, change, break and expire.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    sync::Mutex,
    time::{Duration, SystemTime},
};

use backchat::{
    certificates::sign,
    demo::{Driver, Web},
};

use super::world::{World, free};
use crate::conformance::client;

/// One web server behind a balancer that is told of it by a file, and the flags that say so.
async fn listed(world: &World, name: &str) -> (Web, Vec<String>) {
    let web = Web::start(SocketAddr::from(([127, 0, 0, 1], 0)), name).await.expect("a web server");
    let path = world.folder.path().join("services.toml");
    let text = format!("[services.web]\nhosts = ['*']\nendpoints = [{{ name = '{name}', addr = '{}' }}]\n", web.addr());
    fs::write(&path, text).unwrap();
    let flags = ["--no-gossip".to_owned(), format!("--source=file:{}", path.display())];
    (web, flags.into())
}

fn words(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

/// A certificate, in DER.
type Leaf = Vec<u8>;

/// What is shown for a name; `None` where nobody listens.
async fn leaf(to: SocketAddr, sni: &str) -> Option<Leaf> {
    client::shown(to, sni).await?.0.first().map(|leaf| leaf.to_vec())
}

/// Waits until what is shown for a name fits. Workers of before a reload may answer for a moment after the first of the
/// new ones: who asks a second time may see what was shown before.
async fn shown(world: &World, to: SocketAddr, sni: &str, fits: impl Fn(&Leaf) -> bool) -> Leaf {
    let seen = Mutex::new(Leaf::new());
    let look = async || {
        let leaf = leaf(to, sni).await.filter(|leaf| fits(leaf));
        leaf.map(|leaf| *seen.lock().unwrap() = leaf).is_some()
    };
    world.eventually(&format!("what is expected is shown for {sni}"), look).await;
    seen.into_inner().unwrap()
}

fn put(folder: &Path, name: &str, text: &str) {
    fs::create_dir_all(folder).unwrap();
    let staged = folder.join(format!("{name}.new"));
    fs::write(&staged, text).unwrap();
    fs::rename(staged, folder.join(name)).unwrap();
}

/// A certificate that began so many days ago, of the 397 that it holds.
fn signed(host: &str, days_ago: u64) -> String {
    sign(&[host.to_owned()], SystemTime::now() - Duration::from_secs(days_ago * 86_400)).unwrap()
}

/// Waits until `status` has a line with these words, and ends so.
async fn says(world: &World, words: &[&str], ends: i32) {
    let said = || async {
        let (text, code) = world.status_text().await;
        code == Some(ends) && text.lines().any(|line| words.iter().all(|word| line.contains(word)))
    };
    world.eventually(&format!("status says {words:?} and ends with {ends}"), said).await;
}

pub(super) async fn a_certificate_is_signed_once_and_kept(driver: Driver) {
    let mut world = World::empty(driver);
    let (_web, mut flags) = listed(&world, "one").await;
    let https = free();
    flags.extend([format!("--tls-listen={https}"), "--self-signed".into()]);
    world.start_balancer("proxy", &words(&flags)).await;
    let answers = async || client::ask(https, "localhost", "/").await.0 == 200;
    world.eventually("HTTPS is answered", answers).await;
    let before = shown(&world, https, "localhost", |_| true).await;
    says(&world, &["ok", "https", "1 certificate", "self-signed"], 0).await;

    world.end_lb().await;
    world.restart_balancer_with("proxy", &words(&flags));
    world.answers("proxy").await;
    world.eventually("HTTPS is answered again", answers).await;
    assert_eq!(leaf(https, "localhost").await, Some(before));
}

pub(super) async fn files_are_followed_and_a_broken_one_holds_up_nothing(driver: Driver) {
    let mut world = World::empty(driver);
    let (_web, mut flags) = listed(&world, "one").await;
    let (https, folder) = (free(), world.folder.path().join("certificates"));
    let first = signed("a.example", 0);
    put(&folder, "a.pem", &first);
    flags.extend([format!("--tls-listen={https}"), format!("--cert={}", folder.display())]);
    world.start_balancer("proxy", &words(&flags)).await;
    world.eventually("HTTPS is answered", async || client::ask(https, "a.example", "/").await.0 == 200).await;
    let a = shown(&world, https, "a.example", |_| true).await;

    put(&folder, "b.pem", &signed("b.example", 390));
    let old = shown(&world, https, "b.example", |leaf| *leaf != a).await;
    says(&world, &["warn", "https", "b expires in 6 days"], 0).await;
    put(&folder, "b.pem", &signed("b.example", 0));
    let b = shown(&world, https, "b.example", |leaf| ![&a, &old].contains(&leaf)).await;

    put(&folder, "b.pem", &first[..first.len() / 2]);
    put(&folder, "c.pem", "garbage");
    says(&world, &["warn", "https", "b.pem: ", "the one before stays"], 0).await;
    says(&world, &["warn", "https", "c.pem: there is no certificate in it; it is not shown"], 0).await;
    shown(&world, https, "a.example", |leaf| *leaf == a).await;
    shown(&world, https, "b.example", |leaf| *leaf == b).await;
    put(&folder, "c.pem", &signed("c.example", 400));
    says(&world, &["FAIL", "https", "c expired on "], 1).await;
    fs::remove_file(folder.join("b.pem")).unwrap();
    fs::remove_file(folder.join("c.pem")).unwrap();
    shown(&world, https, "b.example", |leaf| *leaf == a).await;
    says(&world, &["ok", "https", "1 certificate", "a on "], 0).await;
    keys_are_nowhere(&world, &first).await;
}

/// Not a line of a key is in what is printed, answered or logged, nor in a file that others may read.
async fn keys_are_nowhere(world: &World, secret: &str) {
    let key = secret.split("PRIVATE KEY-----\n").nth(1).unwrap();
    let line = key.lines().next().unwrap().to_owned();
    let said = [
        world.status_text().await.0,
        world.status().await.to_string(),
        world.last_words(),
        world.json("proxy", &["plan", "--format", "json", "--full"]).await.unwrap_or_default().to_string(),
    ];
    assert!(said.iter().all(|text| !text.contains(&line)), "{said:?}");
    let mut folders = vec![world.run_dir("proxy")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            use std::os::unix::fs::PermissionsExt;
            let Ok(about) = fs::symlink_metadata(&path) else { continue };
            if about.is_dir() {
                folders.push(path);
            } else if about.is_file()
                && fs::read(&path).is_ok_and(|text| text.windows(line.len()).any(|w| w == line.as_bytes()))
            {
                assert_eq!(about.permissions().mode() & 0o077, 0, "{}", path.display());
                assert!(path.extension().is_some_and(|end| end == "pem"), "{}", path.display());
            }
        }
    }
}
