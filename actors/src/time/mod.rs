//! The clock, and turns that time brings: timers and reminders.

pub(crate) mod clock;
pub(crate) mod clock_stamp;
pub(crate) mod reminder;
pub(crate) mod timer;
