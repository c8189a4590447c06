//! The dry run in front of a data plane that somebody else runs: it is only looked at, and the daemon then does what was
//! shown.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use backchat::demo::{Child, Driver, plane::nginx};

use super::{
    Said, by_file, changes, done, has_done_all, list, said, sorted,
    witness::{Witness, changed, lacking, tree},
};
use crate::scenes::{
    attached::WithWorkers,
    disk::Mount,
    recorder::Recorder,
    world::{PATIENCE, World, backchat, free, get},
};

/// Who says who is there: a file, or the cluster of `web1`.
struct Sources([Vec<String>; 2]);

impl Sources {
    /// An agent `web1`, and a file that says the same of it.
    async fn new(world: &mut World) -> Self {
        world.start_agent("web1", &[]).await;
        let file = world.folder.path().join("listed.yaml");
        list(&file, &[("web1", world.agents["web1"].addr)]);
        let join = ["--join".into(), world.agents["web1"].gossip.to_string()];
        Self([by_file(&file), join.into()])
    }
}

/// The arguments of an lb called `proxy` with these flags.
fn lb(world: &World, flags: &[String]) -> Vec<String> {
    let (bind, run_dir) = (free().to_string(), world.run_dir("proxy").display().to_string());
    let ours = ["lb", "--node", "proxy", "--bind", &bind, "--run-dir", &run_dir, "--attach"].map(String::from);
    ours.into_iter().chain(flags.iter().cloned()).collect()
}

/// What the dry run says, by a file and by gossip alike, on a tree that may be written and on one that cannot.
async fn shown(world: &World, flags: &[String], sources: &Sources) -> Said {
    let before = tree(world.folder.path());
    let mut all = Vec::new();
    for source in &sources.0 {
        let args = [lb(world, flags), source.clone(), vec!["--dry-run".into()]].concat();
        let free = said(&args, &["-o", "json"]).await;
        let mount = Mount::read_only(world.folder.path());
        let fixed = said(&args, &["-o", "json"]).await;
        drop(mount);
        assert_eq!((free.aside.as_str(), fixed.aside.as_str()), ("", ""));
        assert_eq!((free.status, changes(&free.plan())), (fixed.status, changes(&fixed.plan())));
        all.push(fixed);
    }
    assert_eq!(changed(&before, &tree(world.folder.path())), Vec::<PathBuf>::new());
    let [file, gossip] = all.try_into().ok().expect("two sources");
    assert_eq!((file.status, changes(&file.plan())), (gossip.status, changes(&gossip.plan())));
    assert_eq!(file.plan()["commands"], gossip.plan()["commands"]);
    gossip
}

/// Waits until the daemon with these flags, by gossip, has done what was said, and web1 is served.
async fn the_daemon(world: &World, flags: &[String], sources: &Sources, what: (&Said, SocketAddr)) -> Child {
    let args = [lb(world, flags), sources.0[1].clone()].concat();
    let daemon = Child::start(backchat(), args, &world.folder.path().join("proxy.log")).unwrap();
    let (plan, http) = (what.0.plan(), what.1);
    let wanted = changes(&plan);
    assert!(!wanted.is_empty(), "{plan:#}");
    let served = || async { get(http, "any.example").await.is_some_and(|(_, name)| name == "web1") };
    world.eventually("web1 is served", served).await;
    has_done_all(world).await;
    assert_eq!(sorted(done(world, 0, wanted.len())), sorted(wanted), "{}", daemon.last_words(30));
    daemon
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_nginx_is_only_looked_at() {
    let mut world = World::empty(Driver::Nginx);
    let (sources, witness, http) = (Sources::new(&mut world).await, Witness::new(&world), free());
    let folder = world.folder.path().join("their");
    fs::create_dir_all(folder.join("conf.d")).unwrap();
    let file = |name: &str| folder.join(name).display().to_string();
    let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {};\n", file(&format!("temp-{kind}"))))
        .concat();
    let config = format!(
        "pid {};\nerror_log {};\nevents {{}}\nhttp {{\naccess_log off;\n{temp}include conf.d/*;\n}}\n",
        file("nginx.pid"),
        file("their.log")
    );
    fs::write(folder.join("nginx.conf"), config).unwrap();
    let given = ["-c", &file("nginx.conf"), "-e", &file("their.log"), "-g", "daemon off;"];
    let theirs = Child::start(Path::new(&Driver::Nginx.program()), given, &folder.join("out.log")).unwrap();
    let _ended = WithWorkers(theirs.pid());
    world.eventually("their nginx runs", || async { nginx::processes(&folder).is_ok() }).await;
    let processes = nginx::processes(&folder).unwrap();

    let include = file("conf.d/backchat.conf");
    let attach = ["--driver", "nginx", "--nginx-include", &include, "--nginx-conf", &file("nginx.conf")];
    let listen = ["--pid-file", &file("nginx.pid"), "--listen", &http.to_string()];
    let flags =
        [&attach[..], &listen].concat().into_iter().map(String::from).chain(witness.flags()).collect::<Vec<_>>();
    let plan = shown(&world, &flags, &sources).await;
    assert_eq!(plan.status, Some(2));
    assert_eq!(witness.calls(), Vec::<String>::new());
    assert!(!world.run_dir("proxy").exists() && nginx::processes(&folder).unwrap() == processes);
    let commands = plan.plan()["commands"].to_string();
    assert!(commands.contains(&format!("kill -HUP {}", processes.master)), "{commands}");

    let mut daemon = the_daemon(&world, &flags, &sources, (&plan, http)).await;
    // It loads one of ours at once, mostly before it has heard who is there: so its number is not the one that was shown.
    // The hash of all that it says is the same.
    let addr = world.agents["web1"].addr.to_string();
    let confirmed = || async {
        let (status, text) = (world.status().await, fs::read_to_string(&include).unwrap_or_default());
        let loaded = text.contains(&format!("return 200 \"{} ", status["generation"]));
        (status["converged"] == true && loaded && text.contains(&addr)).then_some((status, text))
    };
    world.eventually("web1 is in what was confirmed", || async { confirmed().await.is_some() }).await;
    let (status, text) = confirmed().await.expect("nobody changes it");
    let diff = plan.plan()["files"][0]["diff"].as_str().unwrap().to_owned();
    let number = format!("return 200 \"{} ", status["generation"]);
    let lacks = lacking(&diff.replace("return 200 \"2 ", &number), &text);
    assert_eq!(lacks, Vec::<String>::new());
    assert!(witness.calls().iter().any(|call| call.split(' ').any(|word| word == "-t")), "the witness sees nothing");

    // Killed, it leaves all as it is; then there is nothing to do, and by whom it is driven is no matter.
    daemon.kill().unwrap();
    daemon.ended(PATIENCE).await.unwrap().expect("it was killed");
    // The operator's own template, which it runs by already, is not kept either.
    let own = world.folder.path().join("own.jinja");
    let ours = std::process::Command::new(backchat()).args(["template", "show", "nginx-include"]).output().unwrap();
    fs::write(&own, ours.stdout).unwrap();
    let flags = [flags, vec!["--template".into(), own.display().to_string()]].concat();
    let before = tree(world.folder.path());
    let said = shown_by(&world, &flags, &sources.0[1]).await;
    assert_eq!(said.status, Some(0), "{}{}", said.text, said.aside);
    assert_eq!(changed(&before, &tree(world.folder.path())), Vec::<PathBuf>::new());
}

async fn shown_by(world: &World, flags: &[String], source: &[String]) -> Said {
    said(&[lb(world, flags), source.to_vec(), vec!["--dry-run".into()]].concat(), &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_haproxy_is_only_looked_at() {
    let mut world = World::empty(Driver::Haproxy);
    let (sources, http) = (Sources::new(&mut world).await, free());
    let (socket, file) = (world.folder.path().join("their.sock"), world.folder.path().join("their.cfg"));
    let config = format!(
        "global\n stats socket {} level admin\ndefaults\n mode http\n timeout connect 1s\n timeout client 10s\n \
         timeout server 10s\nfrontend f\n bind {http}\n default_backend web\nbackend web\n",
        socket.display(),
    );
    fs::write(&file, config).unwrap();
    let (program, given) = (Driver::Haproxy.program(), file.display().to_string());
    let _theirs =
        Child::start(Path::new(&program), ["-db", "-f", &given], &world.folder.path().join("their.log")).unwrap();
    world.eventually("their HAProxy answers", || async { get(http, "any.example").await.is_some() }).await;

    let recorder = Recorder::before(&socket).unwrap();
    let flags = ["--haproxy-socket".into(), socket.display().to_string()];
    let plan = shown(&world, &flags, &sources).await;
    assert_eq!(plan.status, Some(2));
    let plane = world.plane("proxy");
    let asked = recorder.asked();
    assert!(!asked.is_empty() && asked.iter().all(|line| plane.is_question(line)), "{asked:#?}");
    assert!(!world.run_dir("proxy").exists());

    let _daemon = the_daemon(&world, &flags, &sources, (&plan, http)).await;
    let commands = plan.plan()["commands"].as_array().unwrap().clone();
    let commands: Vec<&str> = commands.iter().map(|command| command.as_str().unwrap()).collect();
    plane.was_told(&commands, &recorder.asked().split_off(asked.len()), &[]);
}
