//! nginx itself, by the driver's own means: what its configuration refuses, what its reloads hide, how its processes die.

mod attached;
mod life;
mod reload;
mod rig;
mod sizes;
mod web;
