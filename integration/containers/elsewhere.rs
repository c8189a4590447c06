//! Beyond one bridge: a web on another network and one on the host itself, which nobody there could reach by what they see
//! of themselves; and the images that the scene of `compose.yaml` does not use.

use std::{net::SocketAddr, path::Path, sync::Arc};

use backchat::demo::{Child, Web, child::Folder, ports};

use super::{
    engine::{Made, docker, last_words},
    engine_is_there,
    images::{Images, images},
    scene::{Key, PATIENCE, eventually, name_of, none_failed, reached, traffic},
};

/// Containers that are run one by one; gone with this, and then their networks.
struct Yard {
    images: Arc<Images>,
    key: Key,
    containers: Vec<(String, Made)>,
    networks: Vec<Made>,
    /// What begins the names.
    name: String,
}

impl Yard {
    fn new(name: &str) -> Self {
        let name = format!("bc{}{name}", std::process::id());
        Self { images: images(), key: Key::new(), containers: Vec::new(), networks: Vec::new(), name }
    }

    fn network(&mut self, name: &str) -> String {
        let name = format!("{}-{name}", self.name);
        docker(&["network", "create", &name]);
        self.networks.push(Made::new(&["network", "rm", &name]));
        name
    }

    /// Runs an image as its Dockerfile says it can be run: with nothing to write to but two tmpfs, and no capability.
    fn run(&mut self, target: &str, more: &[&str], args: &[&str]) -> String {
        let (image, key) = (self.images.of(target), format!("{}:/run/secrets/key:ro", self.key.file));
        let fixed = ["run", "-d", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"];
        let mounts = ["--tmpfs", "/run/backchat:uid=10001,gid=10001,mode=700", "--tmpfs", "/tmp", "-v", &key];
        let ports = ["--sysctl", "net.ipv4.ip_unprivileged_port_start=0"];
        // Whose network is another container's has its ports set already.
        let ports = if more.iter().any(|arg| arg.starts_with("container:")) { &[][..] } else { &ports[..] };
        let id = docker(&[&fixed[..], &mounts[..], ports, more, &[&image], args].concat());
        self.containers.push((id.clone(), Made::new(&["rm", "-f", "-v", &id])));
        id
    }

    /// A port of the host's that leads into a container, UDP and TCP, under the same number.
    fn gossip(host: &str) -> (String, [String; 2]) {
        let port = ports::free().expect("a free port").port();
        (format!("{host}:{port}"), [format!("{port}:{port}"), format!("{port}:{port}/udp")])
    }

    fn last_words(&self) -> String {
        last_words(self.containers.iter().map(|(id, _)| id.as_str()))
    }

    /// Waits until these answer at the balancer, and nobody else.
    async fn serves(&self, http: SocketAddr, names: &[&str]) {
        let wanted = names.iter().map(ToString::to_string).collect();
        let seen = || async { reached(http, 3 * names.len()).await == wanted };
        eventually(&format!("{names:?} serve"), seen, || self.last_words()).await;
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        // A network is let go by its containers first.
        self.containers.clear();
        self.networks.clear();
    }
}

/// A web whose container is reached by ports of the host's alone.
fn far_web(yard: &mut Yard, host: &str, network: &str, balancer: &str) -> String {
    let (at, [tcp, udp]) = Yard::gossip(host);
    let port = ports::free().expect("a free port").port();
    let bind = format!("0.0.0.0:{}", at.rsplit(':').next().unwrap());
    // Which the agent cannot see from inside: it looks at the port that the service has there.
    let service = format!("web:{port},check=tcp://127.0.0.1:8080");
    let published = format!("{port}:8080");
    let more = ["--network", network, "-p", &tcp, "-p", &udp, "-p", &published];
    let args = ["agent", "--bind", &bind, "--advertise", &at, "--join", balancer, "--key-file", "/run/secrets/key"];
    let service = ["--service", &service, "--", "nginx", "-g", "daemon off;"];
    yard.run("web", &more, &[&args[..], &service[..]].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn webs_on_another_network_and_outside_join_by_what_they_advertise() {
    if !engine_is_there() {
        return;
    }
    let mut yard = Yard::new("far");
    let (near, far) = (yard.network("near"), yard.network("far"));
    // An address of this host's, which all of them reach, as they would that of a machine.
    let host = docker(&["network", "inspect", &near, "-f", "{{(index .IPAM.Config 0).Gateway}}"]);
    let (at, [tcp, udp]) = Yard::gossip(&host);
    let http = ports::free().expect("a free port");
    let (bind, published) = (format!("0.0.0.0:{}", at.rsplit(':').next().unwrap()), format!("{}:80", http.port()));
    let balancer = yard.run(
        "haproxy",
        &["--network", &near, "-p", &tcp, "-p", &udp, "-p", &published],
        &["lb", "--node", "proxy", "--bind", &bind, "--advertise", &at, "--key-file", "/run/secrets/key"],
    );
    let webs = [near.as_str(), &far].map(|network| far_web(&mut yard, &host, network, &at));

    // On the host, with no container around it.
    let folder = Folder::new("backchat-outside-").unwrap();
    let web = Web::start(format!("{host}:0").parse().unwrap(), "outside").await.unwrap();
    let own_key = folder.path().join("key");
    std::fs::copy(&yard.key.file, &own_key).unwrap();
    let outside = ports::free().expect("a free port").port();
    let args = [
        ["--bind".to_owned(), format!("0.0.0.0:{outside}")],
        ["--advertise".to_owned(), format!("{host}:{outside}")],
        ["--join".to_owned(), at.clone()],
        ["--service".to_owned(), format!("web:{}", web.addr().port())],
        ["--node".to_owned(), "outside".into()],
        ["--key-file".to_owned(), own_key.display().to_string()],
        ["--run-dir".to_owned(), folder.path().join("run").display().to_string()],
    ];
    let args = ["agent".to_owned()].into_iter().chain(args.into_iter().flatten());
    let agent = Child::start(Path::new(env!("CARGO_BIN_EXE_backchat")), args, &folder.path().join("log")).unwrap();

    let [first, second] = [0, 1].map(|nth: usize| name_of(&webs[nth]));
    yard.serves(http, &[&first, &second, "outside"]).await;

    let load = traffic(http);
    docker(&["stop", &webs[1]]);
    agent.stop(PATIENCE).await.unwrap();
    none_failed("leaves from another network and from outside", load, || yard.last_words()).await;
    yard.serves(http, &[&first]).await;
    docker(&["start", &webs[1]]);
    yard.serves(http, &[&first, &second]).await;
    docker(&["restart", &balancer]);
    yard.serves(http, &[&first, &second]).await;
}

/// A balancer of nginx and Lua, and beside a container that knows nothing of backchat an agent that is nothing but the
/// program.
#[tokio::test(flavor = "multi_thread")]
async fn nginx_with_lua_balances_what_an_agent_of_nothing_else_speaks_for() {
    if !engine_is_there() {
        return;
    }
    let mut yard = Yard::new("lua");
    let net = yard.network("net");
    let http = ports::free().expect("a free port");
    let published = format!("{}:80", http.port());
    let key = ["--key-file", "/run/secrets/key"];
    let balancer = yard.run(
        "openresty",
        &["--network", &net, "--network-alias", "balancer", "-p", &published],
        &[&["lb", "--node", "proxy"], &key[..]].concat(),
    );
    let web =
        yard.run("web", &["--network", &net, "--entrypoint", "nginx", "--no-healthcheck"], &["-g", "daemon off;"]);
    let theirs = format!("container:{web}");
    let agent = yard.run(
        "agent",
        &["--network", &theirs],
        &[&["agent", "--join", "balancer", "--service", "web:8080"], &key[..]].concat(),
    );
    yard.serves(http, &[&name_of(&web)]).await;
    for id in [&balancer, &agent] {
        let healthy = || async { docker(&["inspect", "-f", "{{.State.Health.Status}}", id]) == "healthy" };
        eventually("it is healthy", healthy, || yard.last_words()).await;
        assert!(["10001:10001", "backchat"].contains(&docker(&["inspect", "-f", "{{.Config.User}}", id]).as_str()));
    }
    docker(&["stop", &agent]);
    yard.serves(http, &[]).await;
}
