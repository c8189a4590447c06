//! A set without any nginx that runs: the file that it would be, and nginx's own check of it.
//!
//! `nginx -t` binds what a file listens on, makes its log and its folders: here all of that is within a folder of the
//! caller's own, and what listens on the network listens on sockets in it instead.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

use backchat_contract::{Desired, DriverError};

use crate::{
    check::{self, Call},
    config::{ConfigSettings, Rendered, located, render},
    keys,
    layout::Layout,
};

/// The name of our file where it is part of another.
const INCLUDE: &str = "include.conf";

/// The set as a file, by the settings' template. Pure.
pub fn rendered(config: &ConfigSettings, set: &Desired) -> Result<Rendered, DriverError> {
    render(config, &Layout::of(set, &Layout::default(), 1), 1)
}

/// Has nginx check it. The folder of the settings' paths is to be one of the caller's own: files are written there.
pub async fn check(config: &ConfigSettings, program: &str, set: &Desired, limit: Duration) -> Result<(), DriverError> {
    let folder = &config.paths.folder;
    let config = ConfigSettings { temp: Some(folder.join("temp")), ..config.clone() };
    let text = rendered(&config, set)?.text;
    keys::keep(&config.paths.certificates, &set.certificates).await?;
    let checked = if config.is_include {
        part(folder, program, ("", &text), limit).await
    } else {
        whole(folder, program, &text, limit).await
    };
    checked.map_err(|error| located(&config, &text, &error).unwrap_or(error))
}

/// Has nginx check a file that is all there is.
pub async fn whole(folder: &Path, program: &str, text: &str, limit: Duration) -> Result<(), DriverError> {
    let file = folder.join("nginx.conf");
    write(folder, &file, text)?;
    check::check(&call(folder, program), &file, &file, limit).await
}

/// Has nginx check a part, within the least that it can be a part of: behind `head`, what it needs of the main part.
pub async fn part(
    folder: &Path,
    program: &str,
    (head, text): (&str, &str),
    limit: Duration,
) -> Result<(), DriverError> {
    let (file, part, shown) = (folder.join("nginx.conf"), folder.join(INCLUDE), folder.display());
    write(folder, &part, text)?;
    let frame = format!(
        "{head}pid {shown}/nginx.pid;\nerror_log {shown}/nginx.log;\nevents {{}}\nhttp {{\n    access_log off;\n    \
         client_body_temp_path {shown}/temp/body;\n    proxy_temp_path {shown}/temp/proxy;\n    \
         fastcgi_temp_path {shown}/temp/fastcgi;\n    uwsgi_temp_path {shown}/temp/uwsgi;\n    \
         scgi_temp_path {shown}/temp/scgi;\n    include {};\n}}\n",
        part.display()
    );
    write(folder, &file, &frame)?;
    let checked = check::check(&call(folder, program), &file, &file, limit).await;
    checked.map_err(|error| match error {
        DriverError::Check { message, .. } => DriverError::Check { file: part.display().to_string(), message },
        other => other,
    })
}

fn call(folder: &Path, program: &str) -> Call {
    let flags =
        ["-p".into(), format!("{}/", folder.display()), "-e".into(), folder.join("nginx.log").display().to_string()];
    Call { program: program.to_owned(), flags: flags.into() }
}

fn write(folder: &Path, file: &Path, text: &str) -> Result<(), DriverError> {
    let temp = folder.join("temp");
    fs::create_dir_all(&temp).map_err(DriverError::file("make", temp))?;
    fs::write(file, unbound(text, folder)).map_err(DriverError::file("write", file))
}

/// The file with sockets in this folder for all that it listens on elsewhere. Line by line the same otherwise.
fn unbound(text: &str, folder: &Path) -> String {
    let mut known = BTreeMap::new();
    let line = |line: &str| {
        let (code, comment) = line.split_at(line.find('#').unwrap_or(line.len()));
        let statements: Vec<_> = code.split(';').map(|one| statement(one, folder, &mut known)).collect();
        statements.join(";") + comment
    };
    text.split_inclusive('\n').map(line).collect()
}

/// `listen 0.0.0.0:80 reuseport` as `listen unix:FOLDER/listen-1`; all else as it is.
fn statement(text: &str, folder: &Path, known: &mut BTreeMap<String, usize>) -> String {
    let same = || text.to_owned();
    let Some((before, after)) = text.rsplit_once("listen") else { return same() };
    let begins = before.is_empty() || before.ends_with([' ', '\t', '{']);
    let mut words = after.split_whitespace();
    let (true, true, Some(address)) = (begins, after.starts_with([' ', '\t']), words.next()) else { return same() };
    if !is_address(address, folder) {
        return same();
    }
    let next = known.len() + 1;
    let number = *known.entry(address.to_owned()).or_insert(next);
    // What a socket of this kind does not have.
    let options = words.filter(|word| *word != "reuseport" && !word.starts_with("ipv6only="));
    let listen = format!("{before}listen unix:{}/listen-{number}", folder.display());
    options.fold(listen, |listen, option| listen + " " + option)
}

/// Whether it is one that nginx would take, and listen on: what is no address is nginx's to say.
fn is_address(text: &str, folder: &Path) -> bool {
    if let Some(path) = text.strip_prefix("unix:") {
        return !Path::new(path).starts_with(folder);
    }
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    let named = |text: &str| text.rsplit_once(':').is_some_and(|(host, port)| is_port(port) && is_host(host));
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    is_port(text)
        || bare.parse::<IpAddr>().is_ok()
        || text.parse::<SocketAddr>().is_ok_and(|a| a.port() > 0)
        || named(text)
}

fn is_host(text: &str) -> bool {
    text == "*" || (!text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(unbound(text, Path::new("/t")), expected, "{text}");
    }

    #[test]
    fn nothing_listens_outside_the_folder() {
        check(
            "    listen 0.0.0.0:80;\n    listen [::]:80;\n",
            "    listen unix:/t/listen-1;\n    listen unix:/t/listen-2;\n",
        );
        check(
            "server { listen 80 default_server reuseport; listen 80; }",
            "server { listen unix:/t/listen-1 default_server; listen unix:/t/listen-1; }",
        );
        check("listen [::1]:443 ssl ipv6only=on;\n", "listen unix:/t/listen-1 ssl;\n");
        check("\tlisten localhost:8080;", "\tlisten unix:/t/listen-1;");
        check("listen *:80; # listen 90;", "listen unix:/t/listen-1; # listen 90;");
        check("listen unix:/run/x.sock;", "listen unix:/t/listen-1;");
        check("listen 10.0.0.1;", "listen unix:/t/listen-1;");
    }

    #[test]
    fn what_listens_nowhere_is_left_as_it_is() {
        for text in [
            "listen unix:/t/nginx.sock;",
            "listen 0;",
            "listen 1.2.3.4:99999;",
            "relisten 80;",
            "listening 80;",
            "# listen 80;\n",
            "listen;",
        ] {
            check(text, text);
        }
    }
}
