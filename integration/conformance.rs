//! What every driver must do, whatever its data plane: the same cases, each run on a real one.
//!
//! A driver joins by a [`rig::Rig`] of its own and one `conformance!` list. The data plane's binary is found in
//! PATH, or named by an environment variable (`BACKCHAT_HAPROXY`, `BACKCHAT_NGINX`, `BACKCHAT_OPENRESTY`).

mod access;
mod bench;
pub(crate) mod client;
mod echo;
mod endpoints;
mod h3;
mod haproxy;
mod http2;
mod life;
mod magic;
mod many;
mod nginx;
mod openresty;
mod policies;
mod rig;
mod routes;
mod structure;
mod tcp;
pub(crate) mod tls;
mod web;
mod words;

/// Runs cases on a rig: `conformance!(HaproxyRig: endpoints::{come_and_go, drain}, …)`.
macro_rules! conformance {
    ($rig:ident: $($module:ident::{$($case:ident),* $(,)?}),* $(,)?) => {
        $(mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                crate::conformance::$module::$case::<super::$rig>().await;
            })*
        })*
    };
}
pub(crate) use bench::Bench;
use conformance;
pub(crate) use echo::{Answer, Echo, ask};
pub(crate) use haproxy::HaproxyRig;
pub(crate) use nginx::{NginxRig, attached::Theirs as AttachedNginx};
pub(crate) use openresty::{OpenrestyRig, attached::Theirs as AttachedOpenresty};
pub(crate) use policies::{header, policies};
pub(crate) use rig::{Rig, Tls};
pub(crate) use web::{LONG, Reserved, Web, send};
pub(crate) use words::Wanted;
