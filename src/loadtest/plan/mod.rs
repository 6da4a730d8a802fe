//! What a run is to do: scenarios, schedules, thresholds, decided before it begins.

pub(crate) mod action;
pub(crate) mod catalog;
pub(crate) mod run_plan;
pub(crate) mod scenario;
pub(crate) mod schedule;
pub(crate) mod threshold;
