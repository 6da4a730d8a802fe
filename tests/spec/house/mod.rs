//! The house rules, and the examples.

mod examples;
mod tidy;
