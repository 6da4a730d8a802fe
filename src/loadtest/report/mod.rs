//! Results for people and tools: terminal, HTML, CSV, JUnit, comparison.

mod chart;
pub(crate) mod compare;
pub(crate) mod html;
pub(crate) mod junit;
pub(crate) mod locust;
mod sampling;
pub(crate) mod summary;
