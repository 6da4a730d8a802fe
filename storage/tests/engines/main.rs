//! What the engines promise: each one the contract, the embedded ones what a crash leaves.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod check;
mod conformance;
mod crash;
mod disk_failure;
mod embedded;
mod format_document;
mod history;
mod opening;
mod salvage;
