//! What is promised of actors.

mod clock;
mod passivation;
mod shutdown;
mod state;
mod time;
mod turns;
