//! The built-in load test: it asks a server as its users do, on a schedule that does not wait for
//! answers, and follows every item from its push to its pop meanwhile.
//!
//! A [`plan::Plan`] says what is run: a [`scenario::Scenario`] of the [`catalog`] or of a file,
//! against a [`subject::Subject`]. [`run::run`] fills the queues (`prepopulate`), lets the
//! `generator`s send, follows them on a [`timeline::Timeline`], empties the queues (`drain`) and
//! judges what came back (`verification`). A [`result::RunResult`] is what remains of it.

pub(crate) mod action;
mod answer;
mod backlog;
pub(crate) mod bulk;
pub(crate) mod catalog;
mod chart;
mod client;
pub(crate) mod compare;
mod connection;
mod drain;
mod generator;
pub(crate) mod html;
mod item;
pub(crate) mod junit;
pub(crate) mod latency;
mod ledger;
pub(crate) mod live;
pub(crate) mod locust;
mod moment;
pub(crate) mod monitor;
pub(crate) mod plan;
pub(crate) mod prepopulate;
mod request;
pub(crate) mod result;
pub(crate) mod run;
mod sampling;
pub(crate) mod scenario;
pub(crate) mod schedule;
pub(crate) mod subject;
mod subscribers;
pub(crate) mod summary;
pub(crate) mod tally;
pub(crate) mod team;
pub(crate) mod threshold;
pub(crate) mod timeline;
pub(crate) mod verification;
pub(crate) mod web;
mod work;
