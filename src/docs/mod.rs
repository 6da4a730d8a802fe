//! The guides, as rustdoc shows them and as `lanekeeper docs` prints them: each is a Markdown file
//! beside this one, and every Rust block in it is a doc test.

macro_rules! guides {
    ($($name:ident $title:literal;)+) => {
        $(
            #[doc = include_str!(concat!(stringify!($name), ".md"))]
            pub mod $name {}
        )+

        /// Every guide by its name, with its first line and its text.
        pub const GUIDES: &[Guide] = &[
            $(Guide {
                name: stringify!($name),
                title: $title,
                text: include_str!(concat!(stringify!($name), ".md")),
            },)+
        ];
    };
}

/// A guide: a topic of its own, told in one page.
#[derive(Clone, Copy, Debug)]
pub struct Guide {
    /// The word that names it: `lanekeeper docs NAME`.
    pub name: &'static str,
    /// What it is about, in a few words.
    pub title: &'static str,
    /// The Markdown text.
    pub text: &'static str,
}

guides! {
    model "guarantees and their limits; the life of a request; a map of the code";
    queue "push, pop, lease, ack, dead letters, consumers, settings";
    gate "distributed semaphores: at most N at once, in order of priority and arrival";
    stream "fan-out in four classes that a slow reader cannot delay";
    worker "heartbeats, the sweep, what an offline worker gives back";
    actor "actors of your own: state, deadlines, timers, reminders, tests with a manual clock";
    webhook "messages of a queue posted to an address";
    http "every call, its body and its answer";
    cli "the commands, their settings and exit codes";
    operations "running a server: signals, health, full disks, damaged data directories";
    limits "every limit, its setting and what happens at it";
    loadtest "scenarios, thresholds, reports, comparison";
    figures "what was measured, each beside its limit";
    glossary "the terms of the guides and the source, one line each";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guide_has_a_name_of_its_own_and_begins_with_a_heading() {
        for (index, guide) in GUIDES.iter().enumerate() {
            assert!(guide.text.starts_with("# "), "{} begins with no heading", guide.name);
            assert!(GUIDES[..index].iter().all(|other| other.name != guide.name));
        }
    }
}
