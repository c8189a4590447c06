//! A template of the operator's own: followed, and where it is refused it holds up nothing but itself.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use backchat_contract::{Driver, Mode, Step};
use backchat_nginx::titles;
use backchat_openresty::{ManagedSettings, OpenrestyDriver, Paths, Template, config::ConfigSettings, program};
use rustix::process::{Signal, kill_process_group};

use crate::{
    rig::{Set, eventually, free, pid, program as named},
    web::{self, Web},
};

/// The data plane ends with the test, whatever becomes of that.
struct Ends(Paths);

impl Drop for Ends {
    fn drop(&mut self) {
        if let Some(master) = titles::master_of(&self.0.config) {
            // It ended between the two lines where this fails, and that is what is wanted.
            let _ = kill_process_group(pid(master), Signal::KILL);
        }
    }
}

const OURS: &str = include_str!("../../../../templates/openresty.conf.jinja");

/// A driver that follows this file, with this text in it.
async fn by(file: &Path, text: &str, http: SocketAddr) -> OpenrestyDriver {
    fs::write(file, text).unwrap();
    let template = Template { name: file.display().to_string(), text: text.into() };
    let balancer = include_str!("../../../../templates/balancer.lua").into();
    let paths = Paths::new(file.parent().unwrap()).unwrap();
    let config = ConfigSettings::new(template, balancer, paths, vec![http]);
    let found = program::find(Some(&named())).await.unwrap();
    let settings = ManagedSettings { template_file: Some(file.to_owned()), ..ManagedSettings::new(config, found) };
    OpenrestyDriver::managed(settings).unwrap()
}

/// One step, as the daemon takes it; what is said of the template.
async fn step(driver: &mut OpenrestyDriver, set: &Set) -> Option<String> {
    driver.ensure().await.unwrap();
    let observed = driver.observe().await.unwrap();
    if let Step::Change(plan) = driver.plan(&set.0, &observed, Mode::default()) {
        driver.apply(plan).await.unwrap();
    }
    let observed = driver.observe().await.unwrap();
    driver.plane(&observed).template
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_template_holds_up_nothing_but_itself() {
    let (one, two) = (Web::start("one").await, Web::start("two").await);
    let (folder, http) = (tempfile::Builder::new().prefix("bc").tempdir().unwrap(), free());
    let paths = Paths::new(folder.path()).unwrap();
    let file = folder.path().join("my.jinja");
    let _ends = Ends(paths.clone());
    let mut driver = by(&file, OURS, http).await;
    let first = Set::new().ready("one", one.addr);
    eventually("it serves", async || {
        step(&mut driver, &first).await.is_none() && web::get(http, "a", "/").await == (200, "one".into())
    })
    .await;

    // What nginx refuses, and what does not render: told with its line, and endpoints go on.
    for (n, (broken, why)) in
        [("access_log off;\n    nonsense on;", "nonsense"), ("{{ nobody }}", "nobody")].iter().enumerate()
    {
        fs::write(&file, OURS.replacen("access_log off;", broken, 1)).unwrap();
        let set = if n == 0 { Set::new().ready("two", two.addr) } else { first.clone() };
        let expected = if n == 0 { "two" } else { "one" };
        eventually("it is told", async || {
            let told = step(&mut driver, &set).await;
            told.is_some_and(|told| told.contains(why) && told.contains("my.jinja:") && told.contains("serves on"))
                && web::get(http, "a", "/").await == (200, expected.into())
        })
        .await;
    }

    fs::write(&file, OURS.replacen("server_tokens off;", "server_tokens on;", 1)).unwrap();
    eventually("it is in use", async || {
        step(&mut driver, &first).await.is_none()
            && fs::read_to_string(&paths.config).unwrap().contains("server_tokens on;")
    })
    .await;
    assert_eq!(web::get(http, "a", "/").await, (200, "one".into()));
    driver.stop(Duration::from_secs(5)).await.unwrap();
}

/// There is nothing to serve by yet: why is said, with the template's line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_by_what_is_refused_waits_for_its_mending() {
    let (folder, http) = (tempfile::Builder::new().prefix("bc").tempdir().unwrap(), free());
    let file = folder.path().join("my.jinja");
    let _ends = Ends(Paths::new(folder.path()).unwrap());
    let broken = OURS.replacen("access_log off;", "nonsense on;", 1);
    let mut driver = by(&file, &broken, http).await;
    let error = driver.ensure().await.unwrap_err().to_string();
    let line = broken.lines().position(|line| line.contains("nonsense")).unwrap() + 1;
    let place = format!("check {}:{line}: unknown directive \"nonsense\": 'nonsense on;'", file.display());
    assert!(error.starts_with(&place), "{error}");
    fs::write(&file, OURS).unwrap();
    eventually("it starts", async || driver.ensure().await.is_ok()).await;
    driver.stop(Duration::from_secs(5)).await.unwrap();
}
