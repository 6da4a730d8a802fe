//! Background services: supervised, run once at a time, each with a test.

pub(crate) mod in_flight;
pub(crate) mod service;
pub(crate) mod supervisor;
