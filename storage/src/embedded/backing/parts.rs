//! Large values, cut into parts: what a store below keeps as one entry is small.
//!
//! The store keeps neighbours in one page, and a page that grows too large in a file of its own,
//! for which no space can be taken in advance: a full disk breaks the store there. Of small entries
//! all pages fit into its log, for which space can be taken.
//!
//! A large value has a *head* in its place: the number of its parts' keys, and its length. The
//! parts lie elsewhere, by that number. Parts are written before their head and removed after it,
//! and no number is used twice, so that whoever reads a head while it is replaced finds a part
//! missing, never a wrong one, and looks again. Where many parts are to be removed, more than there
//! may be space for at once, the head says that it is removed until all of them are.

use bytes::Bytes;

/// Bytes of an entry at most. Sixteen of them and a few more are half of what a page may be.
const PART_BYTES: usize = 4 << 10;
/// What a head begins with. A value that does is kept in parts, too.
const MAGIC: [u8; 16] = *b"LKLARGE-IN-PARTS";
/// The same once it is being removed.
const REMOVED: [u8; 16] = *b"LKLARGE-IN-PART-";
const HEAD_BYTES: usize = 32;
/// Parts that are removed at once at most.
const AT_ONCE: u32 = 64;
/// Room made for a value at once at most: its length may be damaged.
const VALUE_BYTES: u64 = 32 << 20;

/// A part of a store with an order of its own.
pub(crate) trait Entries {
    type Value: AsRef<[u8]>;
    type Error;
    fn get(&self, key: &[u8]) -> Result<Option<Self::Value>, Self::Error>;
    /// Sets a key; answers what it had.
    fn set(&self, key: &[u8], value: &[u8]) -> Result<Option<Self::Value>, Self::Error>;
    /// Removes a key; answers what it had.
    fn remove(&self, key: &[u8]) -> Result<Option<Self::Value>, Self::Error>;
    /// The error that something is not as it was written.
    fn damaged(what: &str) -> Self::Error;
}

/// Values by key, and the parts of the large ones.
#[derive(Clone)]
pub(crate) struct Values<E> {
    pub(crate) entries: E,
    pub(crate) parts: E,
}

impl<E: Entries> Values<E> {
    /// The value of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, E::Error> {
        let found = self.entries.get(key)?;
        found.map_or(Ok(None), |found| self.whole(key, found.as_ref()))
    }

    /// The value of a key whose entry was found a moment ago; nothing if it is gone by now.
    pub(crate) fn whole(&self, key: &[u8], found: &[u8]) -> Result<Option<Bytes>, E::Error> {
        let (mut now, mut last) = (None::<E::Value>, None);
        loop {
            let head = match PartsLookup::of(now.as_ref().map_or(found, AsRef::as_ref)) {
                PartsLookup::Value(value) => return Ok(Some(Bytes::copy_from_slice(value))),
                PartsLookup::Removed(_) => return Ok(None),
                PartsLookup::Head(head) if last == Some(head) => {
                    return Err(E::damaged("a part of a value is gone"));
                }
                PartsLookup::Head(head) => head,
            };
            if let Some(value) = self.join(head)? {
                return Ok(Some(value));
            }
            last = Some(head);
            now = Some(match self.entries.get(key)? {
                Some(now) => now,
                None => return Ok(None),
            });
        }
    }

    fn join(&self, head: PartsHead) -> Result<Option<Bytes>, E::Error> {
        let mut value = Vec::with_capacity(head.len.min(VALUE_BYTES) as usize);
        for key in head.part_keys(0) {
            let Some(part) = self.parts.get(&key)? else { return Ok(None) };
            value.extend_from_slice(part.as_ref());
        }
        if value.len() as u64 != head.len {
            return Err(E::damaged("a part of a value is cut short"));
        }
        Ok(Some(value.into()))
    }

    /// Sets a key; `number` gives out one that was never given out. Answers the length of the
    /// value it had.
    pub(crate) fn set(
        &self,
        key: &[u8],
        value: &[u8],
        number: impl FnOnce() -> Result<u64, E::Error>,
    ) -> Result<Option<u64>, E::Error> {
        if value.len() <= PART_BYTES && !value.starts_with(&MAGIC[..15]) {
            return self.replace(key, value);
        }
        let head = PartsHead { number: number()?, len: value.len() as u64 };
        for (key, part) in head.part_keys(0).zip(value.chunks(PART_BYTES)) {
            self.parts.set(&key, part)?;
        }
        self.replace(key, &head.encode(&MAGIC))
    }

    fn replace(&self, key: &[u8], entry: &[u8]) -> Result<Option<u64>, E::Error> {
        let Some(old) = self.entries.set(key, entry)? else { return Ok(None) };
        match PartsLookup::of(old.as_ref()) {
            PartsLookup::Value(value) => Ok(Some(value.len() as u64)),
            PartsLookup::Head(head) | PartsLookup::Removed(head) => {
                for key in head.part_keys(0) {
                    self.parts.remove(&key)?;
                }
                Ok(Some(head.len))
            }
        }
    }

    /// Removes a key. Answers the length of the value it had, and what is left to be removed.
    pub(crate) fn remove(&self, key: &[u8]) -> Result<Option<(u64, Option<Rest>)>, E::Error> {
        let Some(old) = self.entries.remove(key)? else { return Ok(None) };
        let head = match PartsLookup::of(old.as_ref()) {
            PartsLookup::Value(value) => return Ok(Some((value.len() as u64, None))),
            PartsLookup::Head(head) | PartsLookup::Removed(head) => head,
        };
        let rest = Rest { head, from: 0 };
        if entry_count(head.len) > u64::from(AT_ONCE) {
            self.entries.set(key, &head.encode(&REMOVED))?;
            return Ok(Some((head.len, Some(rest))));
        }
        head.part_keys(0).try_for_each(|key| self.parts.remove(&key).map(drop))?;
        Ok(Some((head.len, None)))
    }

    /// Removes some of what is left of a key; answers what then is.
    pub(crate) fn go_on(&self, key: &[u8], rest: Rest) -> Result<Option<Rest>, E::Error> {
        let Rest { head, from } = rest;
        let mut is_done = true;
        for (count, key) in (0..=AT_ONCE).zip(head.part_keys(from)) {
            is_done = count < AT_ONCE;
            if is_done {
                self.parts.remove(&key)?;
            }
        }
        if is_done {
            self.entries.remove(key)?;
        }
        Ok((!is_done).then_some(Rest { head, from: from + AT_ONCE }))
    }
}

/// Parts of a removed value that are still there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    head: PartsHead,
    from: u32,
}

/// What an entry is.
enum PartsLookup<'a> {
    Value(&'a [u8]),
    Head(PartsHead),
    Removed(PartsHead),
}

impl<'a> PartsLookup<'a> {
    fn of(entry: &'a [u8]) -> Self {
        let head = |magic: &[u8; 16]| entry.strip_prefix(magic).and_then(PartsHead::decode);
        if let Some(head) = head(&MAGIC) {
            return Self::Head(head);
        }
        let removed = head(&REMOVED).map(Self::Removed);
        removed.unwrap_or(Self::Value(entry))
    }
}

/// How many entries of the store a value is.
pub(crate) fn entry_count(value_bytes: u64) -> u64 {
    value_bytes.div_ceil(PART_BYTES as u64).max(1)
}

/// What stands in the place of a large value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PartsHead {
    number: u64,
    /// Bytes of the value.
    len: u64,
}

impl PartsHead {
    fn encode(self, magic: &[u8; 16]) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[..16].copy_from_slice(magic);
        bytes[16..24].copy_from_slice(&self.number.to_be_bytes());
        bytes[24..].copy_from_slice(&self.len.to_be_bytes());
        bytes
    }

    fn decode(rest: &[u8]) -> Option<Self> {
        let (number, len) = rest.split_at_checked(8)?;
        let number = u64::from_be_bytes(number.try_into().ok()?);
        Some(Self { number, len: u64::from_be_bytes(len.try_into().ok()?) })
    }

    /// The keys of its parts from one on, in order.
    fn part_keys(self, from: u32) -> impl Iterator<Item = [u8; 12]> {
        let count = entry_count(self.len) as u32;
        (from..count).map(move |part| {
            let mut key = [0; 12];
            key[..8].copy_from_slice(&self.number.to_be_bytes());
            key[8..].copy_from_slice(&part.to_be_bytes());
            key
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::BTreeMap};

    use super::*;

    #[derive(Default)]
    struct Map(RefCell<BTreeMap<Vec<u8>, Vec<u8>>>);

    impl Entries for Map {
        type Value = Vec<u8>;
        type Error = String;

        fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
            Ok(self.0.borrow().get(key).cloned())
        }

        fn set(&self, key: &[u8], value: &[u8]) -> Result<Option<Vec<u8>>, String> {
            assert!(value.len() <= PART_BYTES, "an entry is small");
            Ok(self.0.borrow_mut().insert(key.to_vec(), value.to_vec()))
        }

        fn remove(&self, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
            Ok(self.0.borrow_mut().remove(key))
        }

        fn damaged(what: &str) -> String {
            what.to_owned()
        }
    }

    fn count(map: &Map) -> usize {
        map.0.borrow().len()
    }

    #[test]
    fn a_value_of_any_length_comes_back_and_leaves_nothing() {
        let values = Values { entries: Map::default(), parts: Map::default() };
        let mut earlier = None;
        for (number, len) in (1..).zip([0, 1, 4_096, 4_097, 8_192, 100_000, 8_193, 5]) {
            let value: Vec<u8> = (0..len).map(|at| (at * 7) as u8).collect();
            let had = values.set(b"key", &value, || Ok(number)).unwrap();
            assert_eq!(had, earlier);
            earlier = Some(len as u64);
            assert_eq!(values.get(b"key").unwrap().as_deref(), Some(&*value));
            let is_large = len > PART_BYTES;
            assert_eq!(count(&values.parts), if is_large { len.div_ceil(PART_BYTES) } else { 0 });
        }
        values.set(b"key", &[1; 10_000], || Ok(99)).unwrap();
        assert!(matches!(values.remove(b"key").unwrap(), Some((10_000, None))));
        assert_eq!((count(&values.entries), count(&values.parts)), (0, 0));
        assert_eq!(values.get(b"key").unwrap(), None);
    }

    #[test]
    fn a_value_that_looks_like_a_head_is_none() {
        let values = Values { entries: Map::default(), parts: Map::default() };
        let value = PartsHead { number: 1, len: 9 }.encode(&REMOVED);
        values.set(b"key", &value, || Ok(1)).unwrap();
        assert_eq!(values.get(b"key").unwrap().as_deref(), Some(&value[..]));
    }

    #[test]
    fn whoever_found_a_head_that_was_replaced_reads_what_came_after() {
        let values = Values { entries: Map::default(), parts: Map::default() };
        values.set(b"key", &[1; 9_000], || Ok(1)).unwrap();
        let found = values.entries.get(b"key").unwrap().unwrap();
        values.set(b"key", &[2; 9_000], || Ok(2)).unwrap();
        assert_eq!(values.whole(b"key", &found).unwrap().as_deref(), Some(&[2; 9_000][..]));
        values.set(b"key", &[3], || Ok(3)).unwrap();
        assert_eq!(values.whole(b"key", &found).unwrap().as_deref(), Some(&[3][..]));
        values.remove(b"key").unwrap();
        assert_eq!(values.whole(b"key", &found).unwrap(), None);
        values.set(b"key", &[4; 9_000], || Ok(4)).unwrap();
        values.parts.0.borrow_mut().pop_first();
        assert!(values.get(b"key").unwrap_err().contains("is gone"));
    }

    #[test]
    fn many_parts_are_removed_some_at_a_time_and_by_whoever_comes_next() {
        let values = Values { entries: Map::default(), parts: Map::default() };
        values.set(b"key", &[1; 150 * PART_BYTES], || Ok(1)).unwrap();
        let (_, rest) = values.remove(b"key").unwrap().unwrap();
        assert_eq!(count(&values.parts), 150);
        assert_eq!(values.get(b"key").unwrap(), None);
        // This one came no further.
        assert!(values.go_on(b"key", rest.unwrap()).unwrap().is_some());
        assert_eq!(count(&values.parts), 150 - AT_ONCE as usize);
        let (_, mut rest) = values.remove(b"key").unwrap().unwrap();
        let mut steps = 0;
        while let Some(left) = rest {
            rest = values.go_on(b"key", left).unwrap();
            steps += 1;
        }
        assert_eq!((steps, count(&values.entries), count(&values.parts)), (3, 0, 0));
    }
}
