//! backchat: agents gossip, the load balancer follows.
//!
//! The crate map, from the rim inwards; each may use what stands below it, never above:
//!
//! | module | what it is |
//! |---|---|
//! | `cli` | arguments, output; the only place that prints |
//! | `app` | the composition root: builds everything, spawns every task |
//! | `admin`, `reconcile`, `cluster`, `source`, `certificates`, `lifecycle`, `drivers` | the parts, which do not know one another |
//! | `data_dir`, `private_file` | how the files of `--data-dir` are written, how those with secrets are read |
//! | `demo` | a web server, traffic and child processes, for the demo, the tests and the benchmark; knows none of the above |
//! | `model` | pure: what is known, what should be |
//!
//! Tasks that live as long as the daemon are spawned by `app` alone, on its tracker. What lives as long as one
//! connection (an exchange, a request to the admin API) is spawned by its server, bounded and ended with it.
//!
//! Below the model stands the crate `backchat-contract`, which the drivers share.

pub mod admin;
pub mod app;
pub mod certificates;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod data_dir;
pub mod demo;
pub mod drivers;
pub mod lifecycle;
pub mod model;
pub mod private_file;
pub mod reconcile;
pub mod settings;
pub mod source;

/// musl's own allocator takes twice as long for a plan of ten thousand servers; this one takes no more memory.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;
