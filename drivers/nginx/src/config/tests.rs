//! What is rendered, and what a template must say.

use backchat_contract::{Desired, Route, ServicePolicy, policy::Balance};
use backchat_template::Seal;

use super::*;
use crate::version::Http2;

fn settings() -> ConfigSettings {
    let text = include_str!("../../../../templates/nginx.conf.jinja").into();
    let template = Template { name: "nginx.conf.jinja".into(), text };
    let paths = Paths::new(std::path::Path::new("/run/backchat/proxy")).unwrap();
    let listen = ["0.0.0.0:80", "[::]:80"].map(|addr| addr.parse().unwrap());
    ConfigSettings::new(template, paths, listen.into())
}

fn layout() -> Layout {
    let text = "\
#bc set 7 0
#bc service Web http
#bc service db tcp
#bc service empty http
#bc service web http
#bc endpoint Web/web1 10.0.0.7:8080 weight 100
#bc endpoint db/db1 10.0.0.7:5432 weight 100
#bc endpoint web/web1 10.0.0.7:8080 weight 100
#bc endpoint web/web2 [2001:db8::1]:8080 weight 30
#bc endpoint web/web3 10.0.0.9:8080 weight 0
#bc endpoint web/web4 10.0.0.10:8080 weight 100 drain@3
#bc route * / web
#bc route *.example.com / web
#bc route *.example.com /api empty
#bc route db.example.com / db
#bc route www.example.com /api/v1 Web
";
    lines::parse(text).unwrap().layout
}

#[test]
fn a_file() {
    let rendered = render(&settings(), &layout(), 7).unwrap();
    assert_eq!(Seal::of(&rendered.text), Seal::Whole);
    insta::assert_snapshot!(rendered.text);
}

#[test]
fn an_empty_file() {
    insta::assert_snapshot!(render(&settings(), &Layout::default(), 1).unwrap().text);
}

/// What `--hipache` changes, in a file of our own and in somebody else's, and that one which runs without it is told apart.
#[test]
fn hipaches_manners() {
    let text = include_str!("../../../../templates/nginx-include.conf.jinja").into();
    let template = Template { name: "nginx-include.conf.jinja".into(), text };
    for (name, settings) in
        [("hipache", settings()), ("hipache_include", ConfigSettings { is_include: true, template, ..settings() })]
    {
        let plain = render(&settings, &layout(), 7).unwrap();
        let rendered = render(&settings.mannered(Manners::Hipache), &layout(), 7).unwrap();
        assert_ne!(rendered.structure, plain.structure);
        let before: Vec<&str> = plain.text.lines().collect();
        let lines: Vec<&str> = rendered.text.lines().filter(|line| !before.contains(line)).collect();
        let lines = lines.iter().filter(|line| !line.contains(&rendered.structure) && !line.starts_with("# backchat"));
        insta::assert_snapshot!(name, lines.copied().collect::<Vec<_>>().join("\n"));
    }
}

/// The page on templates has each field, and an example of it that is true.
#[test]
fn what_a_template_gets_is_documented() {
    let settings = ConfigSettings {
        temp: Some("/run/backchat/proxy/temp".into()),
        modules: vec!["/usr/lib/nginx/modules/ngx_stream_module.so".into()],
        tcp_listen: vec!["0.0.0.0:5432=db".parse().unwrap()],
        speaks: Speaks { http2: Http2::Directive, http3: true },
        ..settings()
    };
    let file = PathBuf::from("/var/log/backchat/access.log").try_into().unwrap();
    let access = Some(AccessLog { file, format: "%h %{service}x %B".parse().unwrap() });
    let tls_listen = vec!["0.0.0.0:443".parse().unwrap()];
    check_documented("nginx", &ConfigSettings { tls_listen, access, ..settings }, "eu");
}

#[test]
fn what_the_template_of_an_include_gets_is_documented() {
    let settings = ConfigSettings { is_include: true, ..settings() };
    check_documented("nginx of somebody else's", &settings, "a-region-whose-name-is-long-enough-for-this");
}

const CERTIFICATES: &str = "\
#bc certificate api.example.com 4d1f7b6ac0d0c1d0a1b2c3d4e5f60718293a4b5c6d7e8f900112233445566778 4057d68badd19c94fa4b64e29c1f1dd24a42b3db 1798934400 -
#bc host api.example.com api.example.com
#bc certificate www.example.com b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9 211e737cf92a5717ef5dbf7713bad57c3d4eba12 1798934400 default
#bc host www.example.com *.example.com
#bc host www.example.com www.example.com
";

#[test]
fn a_file_with_certificates() {
    let layout = lines::parse(&format!("#bc set 1 0\n{CERTIFICATES}")).unwrap().layout;
    let tls_listen = vec!["0.0.0.0:443".parse().unwrap(), "[::]:443".parse().unwrap()];
    let settings = ConfigSettings { tls_listen, ..settings() };
    let tls = |text: &str| {
        let is = |line: &&str| ["ssl", "listen ", "http2", "server_name"].iter().any(|word| line.contains(word));
        text.lines().filter(is).fold(String::new(), |all, line| all + line + "\n")
    };
    insta::assert_snapshot!(tls(&render(&settings, &layout, 1).unwrap().text));
    let newer = ConfigSettings { speaks: Speaks { http2: Http2::Directive, http3: true }, ..settings.clone() };
    let text = render(&newer, &layout, 1).unwrap().text;
    assert_eq!((text.matches("        http2 on;\n").count(), text.contains("ssl http2")), (2, false));
    let without = render(&settings, &Layout::default(), 1).unwrap();
    assert_eq!(without, render(&super::tests::settings(), &Layout::default(), 1).unwrap());
}

/// One layout for both, but for how long the name of a domain is.
fn check_documented(part: &str, settings: &ConfigSettings, domain: &str) {
    let text = format!(
        "\
#bc set 42 0
#bc service Api http
#bc service blog http
#bc service db tcp
#bc service web http
#bc endpoint Api/web1 10.0.0.7:9090 weight 100
#bc endpoint db/db1 10.0.0.4:5432 weight 100
#bc endpoint web/web1 10.0.0.7:8080 weight 100
#bc endpoint web/web2 [2001:db8::1]:8080 weight 30
#bc route * / web
#bc route *.example.com / web
#bc route *.{domain}.example.com /api Api
#bc route blog.example.com / blog
#bc route web.<ip>.nip.io / web
"
    );
    let certificates = if settings.is_include { "" } else { CERTIFICATES };
    let layout = lines::parse(&(text + certificates)).unwrap().layout;
    let db = ServicePolicy { balance: Balance::LeastConn, retries: Some(1), ..ServicePolicy::DEFAULT };
    let policies = backchat_contract::paper::policies();
    let policies = policies.iter().map(|(service, policy)| (service.clone(), policy.clone()));
    let policies = policies.chain([("db".parse().unwrap(), db)]).collect();
    let settings = &ConfigSettings { policies, ..settings.clone() };
    let context = Context::new(settings, &layout, Generation::Is(42), "bb4c39e3ec0521b5");
    backchat_template::documented::check(include_str!("../../../../templates/README.md"), part, &context);
}

/// What takes no request is no part of the structure, nor is the number of the rendering.
#[test]
fn structure_is_what_a_reload_would_change() {
    let (settings, before) = (settings(), layout());
    let was = render(&settings, &before, 7).unwrap();
    let check = |change: &dyn Fn(&mut Desired), same: bool| {
        let mut desired = before.desired();
        change(&mut desired);
        assert_ne!(desired, before.desired());
        let now = render(&settings, &Layout::of(&desired, &before, 9), 9).unwrap();
        assert_eq!(now.structure == was.structure, same);
        assert_ne!(now.text, was.text);
    };
    let without = |endpoint: &'static str| {
        move |desired: &mut Desired| {
            let web = desired.services.get_mut(&"web".parse().unwrap()).unwrap();
            web.endpoints.remove(&endpoint.parse().unwrap()).unwrap();
        }
    };
    let without_service = |name: &'static str| {
        move |desired: &mut Desired| {
            desired.services.remove(&name.parse().unwrap()).unwrap();
        }
    };
    let without_default = |desired: &mut Desired| {
        let route = Route { host: "*".parse().unwrap(), path: "/".parse().unwrap() };
        desired.routes.remove(&route).unwrap();
    };
    check(&without("web4"), true);
    check(&without("web3"), true);
    check(&without("web2"), false);
    check(&without_service("db"), true);
    check(&without_service("empty"), false);
    check(&without_default, false);
}

#[test]
fn a_template_without_what_drives_nginx_is_refused() {
    let check = |lacks: &str, named: &str| {
        let mut settings = settings();
        settings.template.text = settings.template.text.replace(lacks, "");
        let error = render(&settings, &Layout::default(), 7).unwrap_err().to_string();
        assert!(
            error.starts_with("check nginx.conf.jinja: the template must render '") && error.contains(named),
            "{error}"
        );
    };
    check("unix:{{ paths.control }}", "unix:/run/backchat/proxy/nginx.sock");
    check("{{ paths.pid }}", "/run/backchat/proxy/nginx.pid");
    check("{{ paths.log }}", "/run/backchat/proxy/nginx.log");
    check("{{ generation }} ", "'{{ generation }} {{ structure }}'");
    check("{{ structure }}", "'{{ generation }} {{ structure }}'");
}

#[test]
fn a_template_that_does_not_render_names_its_line() {
    let mut settings = settings();
    settings.template.text = "a\n{{ servces }}\n".into();
    let error = render(&settings, &Layout::default(), 7).unwrap_err().to_string();
    assert_eq!(error, "check nginx.conf.jinja:2: 'servces' is undefined; did you mean 'services'?");
    settings.template.text = "#bc set 9 0\n".into();
    render(&settings, &Layout::default(), 7).unwrap_err();
}

/// What is filled in is what would be rendered: by the shipped template, and by one that does more with the values.
#[test]
fn a_file_is_the_same_whether_blanks_were_filled_in_or_not() {
    let by = |more: &str| {
        let settings = settings();
        let text = settings.template.text.clone() + more;
        settings.by(&Template { name: "t".into(), text })
    };
    let [filled, rendered] = ["# a", "# {% if generation >= 0 %}a{% endif %}"].map(by);
    assert_eq!(
        [&filled, &rendered].map(|settings| settings.template.leaves_blanks()),
        [true, false],
        "the one is filled in, the other is not"
    );
    for generation in [1, 7] {
        assert_eq!(render(&filled, &layout(), generation).unwrap(), render(&rendered, &layout(), generation).unwrap());
    }
}
