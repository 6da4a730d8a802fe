//! What the promises are tested with, as far as it is needed here.

#[path = "../spec/support/http.rs"]
pub(crate) mod http;
#[path = "../spec/support/loadtest.rs"]
pub(crate) mod loadtest;
#[path = "../spec/support/process.rs"]
pub(crate) mod process;
