//! The built-in load test: it asks a server as its users do, on a schedule that does not wait for
//! answers, and follows every item from its push to its pop meanwhile.
//!
//! A [`plan::Plan`] says what is run: a [`scenario::Scenario`] of the [`catalog`] or of a file,
//! against a [`subject::Subject`]. [`run::run`] fills the queues (`prepopulate`), lets the
//! `generator`s send, follows them on a [`timeline::Timeline`], empties the queues (`drain`) and
//! judges what came back (`verification`). A [`result::RunResult`] is what remains of it.

pub(crate) mod cluster;
pub(crate) mod fill;
mod generate;
mod item;
mod load_clock;
pub(crate) mod page;
pub(crate) mod plan;
pub(crate) mod record;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod target;
mod verify;
