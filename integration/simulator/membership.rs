//! Joining, leaving, failing, coming back: what every node must come to see.

use backchat::{
    cluster::{
        identity::first_epoch,
        node::{Effect, Known},
    },
    model::{Kind, Liveness},
};

use super::world::{World, ms, secs};

#[test]
fn a_hundred_nodes_converge_under_20_percent_loss() {
    let mut world = World::with(1, 100, |world| world.network.loss = 0.2);
    let took = world.until(secs(30), World::converged);
    println!("converged in {took:?}");
}
