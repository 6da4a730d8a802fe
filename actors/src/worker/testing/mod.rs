//! The rules of liveness against a simple model.

mod model;
