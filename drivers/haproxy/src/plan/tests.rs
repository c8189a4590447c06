//! Plans case by case; the laws they all obey are in `laws`.

mod laws;
mod model;
