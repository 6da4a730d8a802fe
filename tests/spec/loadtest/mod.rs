//! What is promised of the load test.

mod beyond;
mod folder;
mod results;
mod search;
mod verification;
