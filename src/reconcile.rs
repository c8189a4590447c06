//! The loop that brings the data plane to the desired set. What it publishes of itself is `model::status`.
