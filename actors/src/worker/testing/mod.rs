//! The rules of liveness against a simple model.

#[cfg(test)]
mod model;
