//! The tests that need more than one piece: simulated clusters, and real daemons.

mod simulator;
