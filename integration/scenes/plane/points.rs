//! The points of an apply at which an lb can be ended, in the order in which each driver passes them.

use backchat::demo::Driver;

/// Those of a change of endpoints alone.
pub(in crate::scenes) fn endpoint_points(driver: Driver) -> Vec<&'static str> {
    match driver {
        Driver::Haproxy => [&["push:begin", "push:some", "push:end"], HAPROXY_FILES].concat(),
        Driver::Nginx => [&["push:begin"], NGINX_FILES, &["reload:begin", "reload:sent"]].concat(),
        // The file is written after it, for the next start: what nginx reads of it is as it was, and checked.
        Driver::Openresty => vec!["push:begin", "push:end", "files:half-written", "file:kept", "file:placed"],
    }
}

/// Those of a new structure.
pub(in crate::scenes) fn structure_points(driver: Driver) -> Vec<&'static str> {
    match driver {
        Driver::Haproxy => [HAPROXY_FILES, &["files:checked", "reload:begin", "reload:sent"]].concat(),
        Driver::Nginx | Driver::Openresty => [NGINX_FILES, &["reload:begin", "reload:sent"]].concat(),
    }
}

/// Every point at which HAProxy's three files come to their places.
const HAPROXY_FILES: &[&str] =
    &["files:half-written", "files:one-written", "files:written", "files:kept", "files:placed", "files:synced"];

/// Every point at which a single file does.
const NGINX_FILES: &[&str] = &["files:half-written", "files:checked", "file:kept", "file:placed"];
