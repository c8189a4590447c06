//! `templates/balancer.lua` in a real nginx: `BACKCHAT_OPENRESTY` names the binary, `nginx` in PATH otherwise.

mod attached;
mod balance;
mod life;
mod patches;
mod push;
mod requests;
mod template;

mod rig;
#[path = "../../../../integration/conformance/web.rs"]
mod web;
