//! Scans: the layers of the memtable and the store, merged.
//!
//! The active layer changes while a scan runs, so it is copied out in pieces that begin small; the
//! store is read without any lock. A scan therefore sees every batch handed over before it began,
//! and perhaps parts of batches handed over meanwhile.

use std::{cmp::Ordering, iter::Peekable, sync::Arc};

use bytes::Bytes;

use crate::{
    embedded::{
        backing::port::{Backing, Changes, Direction},
        commit::memtable::{FrozenMemtable, Memtable},
    },
    engine::seam::ScanLimit,
    error::LoadError,
    key::{Key, KeyRange},
};

/// Entries copied out of the active layer at first and at most, beyond what a scan may return.
const PIECE_MIN: usize = 16;
const PIECE_MAX: usize = 2_048;

impl Memtable {
    /// The entries of a range, merged from all layers.
    pub(crate) fn scan(
        &self,
        range: &KeyRange,
        limit: ScanLimit,
        direction: Direction,
    ) -> Result<Vec<(Key, Bytes)>, LoadError> {
        let mut taken = TakenKeys { limit, entries: Vec::new(), bytes: 0 };
        let mut rest = range.clone();
        let mut piece_max = limit.count_max.clamp(PIECE_MIN, PIECE_MAX);
        while limit.count_max > 0 && rest.start < rest.end {
            let piece = self.piece(&rest, piece_max, direction);
            let left = piece.cut(&mut rest, direction);
            if piece.merge_into(&mut taken, &left, direction)? {
                break;
            }
            piece_max = PIECE_MAX;
        }
        Ok(taken.entries)
    }

    /// Copies the first `count_max` entries of the changing layers out.
    fn piece(&self, range: &KeyRange, count_max: usize, direction: Direction) -> Piece {
        self.with_layers(|layers| {
            let volatile = entries(&layers.volatile.changes, range, direction);
            let active = entries(&layers.active.changes, range, direction);
            let upper =
                Shadow::new(volatile, active, direction).take(count_max).collect::<Vec<_>>();
            Piece {
                is_last: upper.len() < count_max,
                upper,
                frozen: layers.frozen.clone(),
                base: layers.base.clone(),
            }
        })
    }
}

/// A part of the changing layers, and what lies below at the same moment.
struct Piece {
    upper: Vec<(Key, Option<Bytes>)>,
    is_last: bool,
    frozen: Option<Arc<FrozenMemtable>>,
    base: Arc<dyn Backing>,
}

impl Piece {
    /// Takes the part this piece speaks for off the range and returns it.
    fn cut(&self, rest: &mut KeyRange, direction: Direction) -> KeyRange {
        let mut part = rest.clone();
        match self.upper.last() {
            Some((last, _)) if !self.is_last && direction == Direction::Back => {
                part.start = last.clone();
                rest.end = last.clone();
            }
            Some((last, _)) if !self.is_last => {
                *rest = rest.clone().after(last);
                part.end = rest.start.clone();
            }
            _ => rest.end = rest.start.clone(),
        }
        part
    }

    /// Appends what is alive in the part to `taken`, and says whether that is full.
    fn merge_into(
        self,
        taken: &mut TakenKeys,
        part: &KeyRange,
        direction: Direction,
    ) -> Result<bool, LoadError> {
        let mut base = self.base.scan(part, direction);
        let none = Changes::new();
        let frozen = self.frozen.as_ref().map_or(&none, |frozen| &frozen.changes);
        let lower = entries(frozen, part, direction);
        let mut upper = Shadow::new(self.upper.into_iter(), lower, direction).peekable();
        loop {
            let order = match (upper.peek(), base.key()?) {
                (None, None) => return Ok(false),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((upper, _)), Some(base)) => direction.order(upper.as_bytes().cmp(base)),
            };
            let entry = match order {
                Ordering::Less | Ordering::Equal => {
                    upper.next().and_then(|(key, value)| Some((key, value?)))
                }
                Ordering::Greater => base.entry()?,
            };
            if order != Ordering::Less {
                base.pass();
            }
            if let Some((key, value)) = entry
                && taken.is_full_after(key, value)
            {
                return Ok(true);
            }
        }
    }
}

impl Direction {
    /// The order in which two keys are met.
    fn order(self, order: Ordering) -> Ordering {
        match self {
            Self::Forward => order,
            Self::Back => order.reverse(),
        }
    }
}

fn entries<'a>(
    changes: &'a Changes,
    range: &KeyRange,
    direction: Direction,
) -> Box<dyn Iterator<Item = (Key, Option<Bytes>)> + 'a> {
    let found = changes.range::<Key, _>(&range.start..&range.end);
    let found = found.map(|(key, change)| (key.clone(), change.value.clone()));
    match direction {
        Direction::Forward => Box::new(found),
        Direction::Back => Box::new(found.rev()),
    }
}

/// What a scan has taken so far.
struct TakenKeys {
    limit: ScanLimit,
    entries: Vec<(Key, Bytes)>,
    bytes: usize,
}

impl TakenKeys {
    /// Takes an entry if it fits, and says whether the scan ends here.
    fn is_full_after(&mut self, key: Key, value: Bytes) -> bool {
        self.bytes = self.bytes.saturating_add(value.len());
        if self.bytes > self.limit.bytes_max && !self.entries.is_empty() {
            return true;
        }
        self.entries.push((key, value));
        self.entries.len() == self.limit.count_max || self.bytes >= self.limit.bytes_max
    }
}

/// Two layers in one order: where both know a key, the upper one answers.
struct Shadow<U: Iterator, L: Iterator> {
    upper: Peekable<U>,
    lower: Peekable<L>,
    direction: Direction,
}

type KnownKeys = (Key, Option<Bytes>);

impl<U: Iterator<Item = KnownKeys>, L: Iterator<Item = KnownKeys>> Shadow<U, L> {
    fn new(upper: U, lower: L, direction: Direction) -> Self {
        Self { upper: upper.peekable(), lower: lower.peekable(), direction }
    }
}

impl<U: Iterator<Item = KnownKeys>, L: Iterator<Item = KnownKeys>> Iterator for Shadow<U, L> {
    type Item = KnownKeys;

    fn next(&mut self) -> Option<KnownKeys> {
        let order = match (self.upper.peek(), self.lower.peek()) {
            (Some((upper, _)), Some((lower, _))) => upper.cmp(lower),
            (Some(_), None) => return self.upper.next(),
            (None, _) => return self.lower.next(),
        };
        match self.direction.order(order) {
            Ordering::Less => self.upper.next(),
            Ordering::Greater => self.lower.next(),
            Ordering::Equal => {
                self.lower.next();
                self.upper.next()
            }
        }
    }
}
