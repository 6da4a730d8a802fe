//! What all generators count, second by second and together.

use std::collections::BTreeMap;

use crate::loadtest::{
    generate::Report,
    record::{
        monitor::Sample,
        result::{Figures, Second},
        tally::SecondCounts,
    },
};

/// A run so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timeline {
    /// When it began, in Unix milliseconds.
    pub(crate) started_at: u64,
    /// How long was measured, in seconds.
    pub(crate) measured_seconds: f64,
    /// Seconds that all generators have told of.
    pub(crate) seconds: Vec<Second>,
    /// Everything.
    pub(crate) all: SecondCounts,
    /// Seconds that not all have told of, and by how many they were.
    open: BTreeMap<u64, (usize, SecondCounts)>,
    samples: BTreeMap<u64, Sample>,
    generators: usize,
}

impl Timeline {
    /// An empty one of so many generators.
    pub(crate) fn new(generators: usize, started_at: u64) -> Self {
        Self { generators, started_at, ..Self::default() }
    }

    /// Takes what a generator told; true if a second is complete now.
    pub(crate) fn take(&mut self, report: &Report) -> bool {
        self.all.add(&report.tally);
        let (told, tally) = self.open.entry(report.second).or_default();
        tally.add(&report.tally);
        *told += 1;
        if *told < self.generators {
            return false;
        }
        self.close(report.second);
        true
    }

    /// Notes what the server used.
    pub(crate) fn sample(&mut self, second: u64, sample: Sample) {
        self.samples.insert(second, sample);
    }

    /// Closes every second, told of by all or not.
    pub(crate) fn finish(&mut self) {
        while let Some((&second, _)) = self.open.first_key_value() {
            self.close(second);
        }
    }

    /// Closes a second and those before it: whoever tells of them later was held up over them.
    fn close(&mut self, last: u64) {
        let later = self.open.split_off(&(last + 1));
        for (second, (_, tally)) in std::mem::replace(&mut self.open, later) {
            let place = self.seconds.partition_point(|known| known.second < second);
            if self.seconds.get(place).is_some_and(|known| known.second == second) {
                continue;
            }
            let users = if tally.users > 0 { tally.users } else { tally.busy };
            let closed = Second {
                second,
                requests: figures(&tally),
                total: Figures::from(&tally.total()),
                so_far: Figures::from(&self.all.total()),
                users,
                sample: self.samples.remove(&second),
            };
            self.seconds.insert(place, closed);
        }
    }
}

/// What was counted of each kind of request, in figures.
pub(crate) fn figures(tally: &SecondCounts) -> BTreeMap<String, Figures> {
    let named = tally.counts.iter();
    named.map(|(action, count)| (action.name().to_owned(), Figures::from(count))).collect()
}
