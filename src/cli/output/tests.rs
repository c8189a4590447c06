//! Snapshots of what people see.
