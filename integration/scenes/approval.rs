//! `lb --approve`, `plan --out` and `apply`: a new structure waits until somebody has its plan applied, exactly that or
//! nothing, and endpoints flow meanwhile; what is no plan of this daemon does nothing, and says why.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use backchat::demo::Driver;
use serde_json::Value;

use super::{
    plane::ANY,
    templates::{by_own, config, edited, edited_to, reloads, rename_over, says, setting},
    world::{PATIENCE, World, backchat, none_failed},
};

/// What a command says, and how it ends.
#[derive(Debug)]
struct Said {
    out: String,
    err: String,
    code: Option<i32>,
}

impl World {
    /// A client command at the balancer.
    async fn client(&self, words: &[&str]) -> Said {
        let admin = format!("unix:{}", self.run_dir("proxy").join("admin.sock").display());
        let asked = tokio::process::Command::new(backchat()).args(words).args(["--admin", &admin]).output();
        let output = asked.await.expect("backchat runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { out: text(&output.stdout), err: text(&output.stderr), code: output.status.code() }
    }

    /// Saves the plan of now; how the command ends.
    async fn saves(&self, file: &Path) -> Said {
        let said = self.client(&["plan", "--out", file.to_str().unwrap()]).await;
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        said
    }

    async fn applies(&self, file: &Path) -> Said {
        self.client(&["apply", file.to_str().unwrap()]).await
    }

    /// Refused, with these words; nothing was done.
    async fn refuses(&self, file: &Path, code: i32, words: &[&str]) {
        let (before, count) = (self.plane("proxy").files(), reloads(self).await);
        let said = self.applies(file).await;
        assert_eq!((said.code, said.out.as_str()), (Some(code), ""), "{said:?}");
        assert!(words.iter().all(|word| said.err.contains(word)), "{words:?}: {said:?}");
        assert_eq!((self.plane("proxy").files(), reloads(self).await), (before, count), "something was done: {said:?}");
    }

    /// Waits until status says that structure waits, for this.
    async fn waits(&self, why: &str) {
        let waiting = || async {
            let (text, code) = self.status_text().await;
            let line = |line: &str| line.starts_with("HELD  structure") && line.contains(why);
            code == Some(1) && text.lines().any(line)
        };
        self.eventually(&format!("structure waits for approval: {why}"), waiting).await;
    }

    /// Waits until this agent serves and the step that brought it is over: its reload is counted by then.
    async fn flowed(&self, agents: &[&str], newest: &str) {
        self.serves(agents).await;
        says(self, newest).await;
        let listed = format!("web/{newest}");
        let about_it = |line: &str| line.split_whitespace().nth(1) == Some(&listed);
        let done = || async { !self.client(&["plan"]).await.out.lines().any(about_it) };
        self.eventually(&format!("the step that brought {newest} is over"), done).await;
    }

    /// Waits until nothing waits, and all is well.
    async fn is_well(&self) {
        self.eventually("status is well", || async { self.status_text().await.1 == Some(0) }).await;
        self.converges().await;
    }
}

/// A balancer by a template of the operator's own whose structure somebody approves, and these agents.
async fn approved(driver: Driver, agents: &[&str]) -> (World, std::path::PathBuf) {
    let (mut world, path) = by_own(driver, agents).await;
    world.kill_lb().await;
    world.restart_balancer_with("proxy", &["--approve", "--template", path.to_str().unwrap()]);
    let alive: Vec<_> = agents.iter().map(|name| (*name, "alive")).collect();
    world.members("proxy", &alive).await;
    world.is_well().await;
    (world, path)
}

pub(super) async fn structure_waits_until_it_is_applied_and_endpoints_flow(driver: Driver) {
    let (mut world, path) = approved(driver, &["web1"]).await;
    let (traffic, file) = (world.traffic_over_a_reload(), world.folder.path().join("new.plan"));
    rename_over(&path, &edited(driver));
    world.waits("template").await;
    let (was, is) = setting(driver);

    // Endpoints come, to the data plane and to its file.
    world.start_agent("web2", &[]).await;
    world.flowed(&["web1", "web2"], "web2").await;
    assert!(config(&world).contains(was) && !config(&world).contains(is), "{}", config(&world));

    let said = world.saves(&file).await;
    assert_eq!(said.code, Some(2), "{said:?}");
    let line = |sign: &str, line: &str| said.out.contains(&format!("  {sign}{}", line.trim_end()));
    assert!(line("-", was) && line("+", is) && said.out.contains("reload: "), "{said:?}");
    assert!(said.err.contains("backchat apply") && said.err.contains("waits"), "{said:?}");
    let plan: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!((&plan["format"], &plan["waits_for_approval"]), (&"backchat.plan/1".into(), &true.into()));

    // What would flow besides does not make it flow.
    let assumed = world.json("proxy", &["plan", "--assume", "drain=web1"]).await.expect("it answers");
    assert_eq!(assumed["waits_for_approval"], true, "{assumed}");

    // What flows after it was shown is no reason to refuse it.
    world.start_agent("web3", &[]).await;
    world.flowed(&["web1", "web2", "web3"], "web3").await;
    let before = reloads(&world).await;
    let said = world.applies(&file).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert!(said.out.starts_with("applied ") && said.out.contains("reloaded, generation "), "{said:?}");
    assert!(config(&world).contains(is), "it was read back, so it is in the file");
    world.is_well().await;
    assert_eq!(reloads(&world).await, before + 1);
    world.serves(&["web1", "web2", "web3"]).await;
    none_failed(traffic).await;

    // Applied once more, it is done.
    let said = world.applies(&file).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.starts_with("nothing left to do: generation "), "{said:?}");
    let said = world.saves(&file).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let said = world.applies(&file).await;
    assert_eq!(said.code, Some(0));
    assert!(said.out.starts_with("nothing left to do: generation "), "{said:?}");

    // What only endpoints take a reload for waits for nobody, and is not said to.
    let plan = world.json("proxy", &["plan", "--assume", "drain=web1"]).await.expect("it answers");
    assert_eq!(plan["waits_for_approval"], false, "{plan}");
    assert_eq!(plan["reload"].is_string(), world.plane("proxy").endpoints_reload(), "{plan}");
}

pub(super) async fn what_moved_since_is_named_and_nothing_is_done(driver: Driver) {
    let (mut world, path) = approved(driver, &["web1"]).await;
    let (plane, file) = (world.plane("proxy"), world.folder.path().join("new.plan"));
    let name = plane.config().file_name().unwrap().to_str().unwrap().to_owned();
    rename_over(&path, &edited(driver));
    world.waits("template").await;
    world.saves(&file).await;

    // The template is another by now.
    let (was, _) = setting(driver);
    let other = format!("{}# mine\n", setting(driver).1);
    rename_over(&path, &edited_to(driver, &other));
    let seen = || async { world.client(&["plan", "--full"]).await.out.contains("# mine") };
    world.eventually("the daemon has read the other template", seen).await;
    world.refuses(&file, 75, &["the plan has changed, it was not applied", &name, "'+ # mine' was not shown"]).await;

    // The file was edited by hand.
    world.saves(&file).await;
    let ours = plane.text();
    plane.edit(&plane.retouched());
    world.refuses(&file, 75, &[&name, "was edited by hand"]).await;
    plane.edit(&ours);

    // Nothing is wanted any more.
    rename_over(&path, &edited_to(driver, was));
    world.is_well().await;
    world.refuses(&file, 75, &["the reload that was shown is not needed any more"]).await;
    assert!(config(&world).contains(was));
    assert_eq!(reloads(&world).await, 0);

    // Who runs it once does not wait for a person.
    world.kill_lb().await;
    rename_over(&path, &edited(driver));
    world.restart_balancer_with("proxy", &["--once", "--approve", "--template", path.to_str().unwrap()]);
    let ended = world.balancers.get_mut("proxy").unwrap().process.ended(PATIENCE).await.unwrap();
    assert_eq!(ended.and_then(|status| status.code()), Some(75), "{}", world.last_words());
    assert!(config(&world).contains(was));
}

/// A fresh data plane starts without asking, and serves what takes no structure; the rest waits for its plan.
pub(super) async fn a_first_start_serves_what_needs_no_structure(driver: Driver) {
    let mut world = World::run_by(driver, &["--approve"]).await;
    world.start_agent("web1", &[]).await;
    if !world.plane("proxy").endpoints_reload() {
        world.serves(&["web1"]).await;
        world.is_well().await;
        return;
    }
    world.waits("new: web").await;
    let file = world.folder.path().join("new.plan");
    let said = world.saves(&file).await;
    assert!(said.out.contains("+ web/web1"), "{said:?}");
    let said = world.applies(&file).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    world.serves(&["web1"]).await;
    world.is_well().await;
}

/// Nothing is taken out of the file but what is compared; and what is compared must be whole, and of this daemon.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_tampered_with_does_nothing() {
    let (world, path) = approved(ANY, &["web1"]).await;
    let folder = world.folder.path().to_owned();
    let (file, bad, trap) = (folder.join("new.plan"), folder.join("bad.plan"), folder.join("trap"));
    rename_over(&path, &edited(ANY));
    world.waits("template").await;
    world.saves(&file).await;
    let plan: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let with = |edit: &dyn Fn(&mut Value)| {
        let mut plan = plan.clone();
        edit(&mut plan);
        fs::write(&bad, plan.to_string()).unwrap();
    };

    let whole = fs::read_to_string(&file).unwrap();
    for text in ["", "garbage", "{}", "[]", &whole[..whole.len() / 2], "{\"format\": \"backchat.plan/1\"}"] {
        fs::write(&bad, text).unwrap();
        world.refuses(&bad, 78, &["apply: ", "bad.plan: it is no", "backchat plan --out FILE"]).await;
    }
    with(&|plan| plan["format"] = "backchat.plan/2".into());
    world.refuses(&bad, 78, &["it is in \"backchat.plan/2\", expected backchat.plan/1"]).await;
    with(&|plan| plan["node"] = "other".into());
    world.refuses(&bad, 78, &["the plan is for other, and this is proxy"]).await;
    with(&|plan| plan["driver"]["name"] = "nginx".into());
    world.refuses(&bad, 78, &["the plan is for nginx, and what is driven here is haproxy"]).await;
    with(&|plan| plan["driver"]["version"] = "1.9".into());
    world.refuses(&bad, 75, &["haproxy is ", "and was 1.9"]).await;
    with(&|plan| plan["structure"] = "0123".into());
    world.refuses(&bad, 75, &["the plan has changed"]).await;
    world.refuses(&folder.join("nowhere"), 78, &["nowhere: No such file"]).await;
    let assumed = world.client(&["plan", "--assume", "gone=web1", "-o", "json"]).await;
    fs::write(&bad, assumed.out).unwrap();
    world.refuses(&bad, 78, &["it shows what would be if gone=web1"]).await;
    let said = world.client(&["plan", "--assume", "gone=web1", "--out", bad.to_str().unwrap()]).await;
    assert_eq!(said.code, Some(64), "{said:?}");
    assert!(said.err.contains("what is only assumed cannot be applied"), "{said:?}");

    // Commands and files are not read at all.
    let evil = format!("| socat - system:'touch {}'", trap.display());
    with(&|plan| {
        plan["commands"] = vec![evil.clone()].into();
        plan["files"] = Value::Array(Vec::new());
    });
    let said = world.applies(&bad).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    world.is_well().await;
    assert!(config(&world).contains(setting(ANY).1) && !trap.exists());
}

/// What a template would change is shown, and nothing of it is kept.
pub(super) async fn a_template_is_tried_and_nothing_is_written(driver: Driver) {
    let world = World::with(driver, &["web1"]).await;
    world.converges().await;
    let (plane, path) = (world.plane("proxy"), world.folder.path().join("my.jinja"));
    let assume = format!("template={}", path.display());
    let (was, is) = setting(driver);
    let (before, count) = (plane.files(), reloads(&world).await);

    rename_over(&path, &edited(driver));
    let said = world.client(&["plan", "--assume", &assume]).await;
    assert_eq!(said.code, Some(2), "{said:?}");
    let line = |sign: &str, line: &str| said.out.contains(&format!("  {sign}{}", line.trim_end()));
    assert!(line("-", was) && line("+", is) && said.out.contains("reload: "), "{said:?}");
    let both = world.client(&["plan", "--assume", &assume, "--assume", "gone=web1"]).await;
    assert!(both.out.contains("- web/web1") && both.out.contains("reload: "), "{both:?}");

    rename_over(&path, &edited_to(driver, was));
    let said = world.client(&["plan", "--assume", &assume]).await;
    assert_eq!(said.code, Some(0), "ours changes nothing: {said:?}");
    let broken = format!("{}{{{{ nonsense }}}}\n", edited_to(driver, was));
    rename_over(&path, &broken);
    let said = world.client(&["plan", "--assume", &assume]).await;
    let line = broken.lines().count();
    assert_eq!((said.code, said.out.as_str()), (Some(78), ""), "{said:?}");
    assert!(said.err.starts_with(&format!("plan: {}:{line}: 'nonsense' is undefined", path.display())), "{said:?}");
    fs::remove_file(&path).unwrap();
    assert_eq!(world.client(&["plan", "--assume", &assume]).await.code, Some(78));

    assert_eq!((plane.files(), reloads(&world).await), (before, count));
    assert_eq!(world.client(&["plan"]).await.code, Some(0), "the daemon forgot it");
}
