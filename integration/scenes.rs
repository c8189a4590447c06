//! The main job as its users see it: real `backchat` processes, a real HAProxy, real web servers, on loopback.

mod attached;
mod by_hand;
mod child;
mod clocks;
mod cluster;
mod crashes;
mod cuts;
mod disk;
mod failpoints;
mod flapping;
mod init;
mod leaving;
mod namespaces;
mod plane;
mod proxy;
mod recorder;
mod restarts;
mod serving;
mod signals;
mod strangers;
mod world;
