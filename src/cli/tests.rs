//! Snapshots of the help pages.
