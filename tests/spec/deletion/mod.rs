//! What is promised of deleting.

mod by_hand;
mod idle;
