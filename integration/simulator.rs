//! Clusters of pure nodes on a virtual clock, with a network that delays, loses, splits and stalls. Seeded:
//! a failure comes back with its seed.

mod checks;
mod crashes;
mod cures;
mod cuts;
mod host;
mod membership;
mod network;
mod plane;
mod profiles;
mod records;
mod report;
mod suspicion;
mod sweep;
mod tcp;
mod world;
