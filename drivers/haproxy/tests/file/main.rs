//! The file half of the driver against a real HAProxy: `BACKCHAT_HAPROXY` names the binary, `haproxy` in PATH
//! otherwise.

mod life;
mod lookups;
mod reload;

mod rig;
