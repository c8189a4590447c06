//! Plans as people and programs get them, out of the very pipeline of the daemon: members → desired → guard → the
//! driver's plan → its view → proposal → text and JSON. Only the data plane is on paper.

mod page;
mod read;
mod said;
mod world;
