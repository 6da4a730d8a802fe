//! Scans: the layers of the overlay and the store, merged.
//!
//! The active layer changes while a scan runs, so it is copied out in pieces that begin small; the
//! store is read without any lock. A scan therefore sees every batch handed over before it began,
//! and perhaps parts of batches handed over meanwhile.

use std::{cmp::Ordering, iter::Peekable, sync::Arc};

use bytes::Bytes;

use crate::{
    Key, KeyRange, LoadError, ScanLimit,
    embedded::{
        base::{Base, Changes},
        overlay::{Frozen, Overlay},
    },
};

/// Entries copied out of the active layer at first and at most, beyond what a scan may return.
const PIECE_MIN: usize = 16;
const PIECE_MAX: usize = 2_048;

impl Overlay {
    /// The entries of a range, merged from all layers.
    pub(crate) fn scan(
        &self,
        range: &KeyRange,
        limit: ScanLimit,
        is_back: bool,
    ) -> Result<Vec<(Key, Bytes)>, LoadError> {
        let mut taken = Taken { limit, entries: Vec::new(), bytes: 0 };
        let mut rest = range.clone();
        let mut piece_max = limit.count_max.clamp(PIECE_MIN, PIECE_MAX);
        while limit.count_max > 0 && rest.start < rest.end {
            let piece = self.piece(&rest, piece_max, is_back);
            let left = piece.cut(&mut rest, is_back);
            if piece.merge_into(&mut taken, &left, is_back)? {
                break;
            }
            piece_max = PIECE_MAX;
        }
        Ok(taken.entries)
    }

    /// Copies the first `count_max` entries of the changing layers out.
    fn piece(&self, range: &KeyRange, count_max: usize, is_back: bool) -> Piece {
        self.with_layers(|layers| {
            let volatile = entries(&layers.volatile, range, is_back);
            let active = entries(&layers.active, range, is_back);
            let upper = Shadow::new(volatile, active, is_back).take(count_max).collect::<Vec<_>>();
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
    frozen: Option<Arc<Frozen>>,
    base: Arc<dyn Base>,
}

impl Piece {
    /// Takes the part this piece speaks for off the range and returns it.
    fn cut(&self, rest: &mut KeyRange, is_back: bool) -> KeyRange {
        let mut part = rest.clone();
        match self.upper.last() {
            Some((last, _)) if !self.is_last && is_back => {
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
        taken: &mut Taken,
        part: &KeyRange,
        is_back: bool,
    ) -> Result<bool, LoadError> {
        let mut failure = None;
        let base = self.base.scan(part, is_back).map_while(|entry| match entry {
            Ok((key, value)) => Some((key, Some(value))),
            Err(error) => {
                failure = Some(error);
                None
            }
        });
        let none = Changes::new();
        let frozen = self.frozen.as_ref().map_or(&none, |frozen| &frozen.changes);
        let lower = Shadow::new(entries(frozen, part, is_back), base, is_back);
        let merged = Shadow::new(self.upper.into_iter(), lower, is_back);
        let mut is_full = false;
        for (key, value) in merged {
            if let Some(value) = value {
                is_full = taken.is_full_after(key, value);
            }
            if is_full {
                break;
            }
        }
        failure.map_or(Ok(is_full), Err)
    }
}

fn entries<'a>(
    changes: &'a Changes,
    range: &KeyRange,
    is_back: bool,
) -> Box<dyn Iterator<Item = (Key, Option<Bytes>)> + 'a> {
    let found = changes.range::<Key, _>(&range.start..&range.end);
    let found = found.map(|(key, value)| (key.clone(), value.clone()));
    if is_back { Box::new(found.rev()) } else { Box::new(found) }
}

/// What a scan has taken so far.
struct Taken {
    limit: ScanLimit,
    entries: Vec<(Key, Bytes)>,
    bytes: usize,
}

impl Taken {
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
    is_back: bool,
}

type Known = (Key, Option<Bytes>);

impl<U: Iterator<Item = Known>, L: Iterator<Item = Known>> Shadow<U, L> {
    fn new(upper: U, lower: L, is_back: bool) -> Self {
        Self { upper: upper.peekable(), lower: lower.peekable(), is_back }
    }
}

impl<U: Iterator<Item = Known>, L: Iterator<Item = Known>> Iterator for Shadow<U, L> {
    type Item = Known;

    fn next(&mut self) -> Option<Known> {
        let order = match (self.upper.peek(), self.lower.peek()) {
            (Some((upper, _)), Some((lower, _))) => upper.cmp(lower),
            (Some(_), None) => return self.upper.next(),
            (None, _) => return self.lower.next(),
        };
        match if self.is_back { order.reverse() } else { order } {
            Ordering::Less => self.upper.next(),
            Ordering::Greater => self.lower.next(),
            Ordering::Equal => {
                self.lower.next();
                self.upper.next()
            }
        }
    }
}
