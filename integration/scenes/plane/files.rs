//! What lies in the run folder: the files that a data plane is loaded from, and what somebody does to them.

use std::{fs, net::SocketAddr, os::unix::fs::MetadataExt as _, path::PathBuf, process::Command};

use backchat::demo::Driver;

use super::Plane;

impl Plane {
    /// The file that it is started with.
    pub(in crate::scenes) fn config(&self) -> PathBuf {
        self.path(self.names()[0])
    }

    /// What that says.
    pub(in crate::scenes) fn text(&self) -> String {
        fs::read_to_string(self.config()).unwrap_or_default()
    }

    /// All that it is loaded from; the first is the one above.
    fn names(&self) -> &'static [&'static str] {
        match self.driver() {
            Driver::Haproxy => &["haproxy.cfg", "hosts.map", "services.map"],
            Driver::Nginx | Driver::Openresty => &["nginx.conf"],
        }
    }

    /// What it is loaded from: which file each is, and what it says. Written again it would be another one.
    pub(in crate::scenes) fn files(&self) -> Vec<(u64, String)> {
        let read = |name: &&str| {
            let path = self.path(name);
            let inode = fs::metadata(&path).map_or(0, |file| file.ino());
            (inode, fs::read_to_string(&path).unwrap_or_default())
        };
        self.names().iter().map(read).collect()
    }

    /// Whether the file has this server.
    pub(in crate::scenes) fn has_written(&self, server: SocketAddr) -> bool {
        let (text, addr) = (self.text(), server.to_string());
        text.match_indices(&addr)
            .any(|(at, _)| !text[at + addr.len()..].starts_with(|next: char| next.is_ascii_digit()))
    }

    /// Whether it finds nothing wrong with the file at its place, and that is whole.
    pub(in crate::scenes) fn is_whole(&self) -> bool {
        let mut check = Command::new(self.driver().program());
        match self.driver() {
            Driver::Haproxy => check.args(["-c", "-f"]).arg(self.config()),
            Driver::Nginx | Driver::Openresty => {
                let (folder, log) = (self.run_dir().join(""), self.path("nginx.log"));
                check.arg("-t").arg("-p").arg(folder).arg("-e").arg(log).arg("-c").arg(self.config())
            }
        };
        let passes = check.output().unwrap().status.success();
        passes && self.text().lines().last().is_some_and(|line| line.starts_with("# backchat: end of file"))
    }

    /// A word of our text, and another in its place that passes the check too.
    fn retouch(&self) -> (&'static str, &'static str) {
        match self.driver() {
            Driver::Haproxy => ("retries 3", "retries 4"),
            Driver::Nginx | Driver::Openresty => ("proxy_read_timeout 60s", "proxy_read_timeout 61s"),
        }
    }

    /// What somebody makes of our text who knows better.
    pub(in crate::scenes) fn retouched(&self) -> String {
        let (ours, theirs) = self.retouch();
        assert!(self.is_as_rendered(), "{}", self.text());
        self.text().replace(ours, theirs)
    }

    /// Whether it is our text again, where it was retouched.
    pub(in crate::scenes) fn is_as_rendered(&self) -> bool {
        self.text().contains(self.retouch().0)
    }

    /// As `sed -i` and most editors do it: another file in the place of the one that was there.
    pub(in crate::scenes) fn edit(&self, text: &str) {
        let new = self.config().with_extension("tmp");
        fs::write(&new, text).unwrap();
        fs::rename(&new, self.config()).unwrap();
    }
}
