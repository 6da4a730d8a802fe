//! Which count a number of a stream belongs to.
//!
//! Each activation counts under an epoch of its own, whatever it read back. What it went on from
//! was counted under others: it knows these by the epochs in the records of what is kept. Of such
//! an epoch it knows the numbers up to the last that is kept; those behind it may be lost, or went
//! to one subscriber alone, and were given anew since.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    str::FromStr,
};

use thiserror::Error;

/// A place in a stream: the number of a message, and which count it belongs to. Written
/// `EPOCH-SEQ`, the epoch in up to 16 hexadecimal digits; a bare number is of no known count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventId {
    /// Which count: another one each time that the stream is activated. 0 is none of any stream.
    pub epoch: u64,
    /// The number of the message.
    pub seq: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.epoch, self.seq)
    }
}

/// The text is no [`EventId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an event id must be EPOCH-SEQ, as sent by the stream: hexadecimal digits, -, a number")]
pub struct InvalidEventId;

impl FromStr for EventId {
    type Err = InvalidEventId;

    fn from_str(text: &str) -> Result<Self, InvalidEventId> {
        let (epoch, seq) = text.split_once('-').unwrap_or(("0", text));
        // Numbers may have a sign elsewhere.
        if !epoch.bytes().chain(seq.bytes()).all(|byte| byte.is_ascii_hexdigit()) {
            return Err(InvalidEventId);
        }
        let epoch = u64::from_str_radix(epoch, 16).map_err(|_| InvalidEventId)?;
        let seq = seq.parse().map_err(|_| InvalidEventId)?;
        Ok(Self { epoch, seq })
    }
}

/// The count of one activation, and those that it went on from.
#[derive(Debug, Default)]
pub(crate) struct Numbering {
    /// Its own.
    epoch: u64,
    /// Those before it, the oldest first: their epochs, and the last number of each that is kept.
    past: Vec<EventId>,
}

impl Numbering {
    /// Of an activation that read back messages of these epochs and numbers. Epoch 0 stands for
    /// those of which nobody has noted it.
    pub(crate) fn new(kept: impl Iterator<Item = EventId>) -> Self {
        let mut past: Vec<EventId> = Vec::new();
        for id in kept.filter(|id| id.epoch != 0) {
            match past.last_mut() {
                Some(last) if last.epoch == id.epoch => last.seq = id.seq,
                _ => past.push(id),
            }
        }
        // Unlike the time, it is another one even if the clock stands or was set back.
        let epoch = RandomState::new().hash_one(past.len()).max(1);
        Self { epoch, past }
    }

    /// The id of a number of this stream.
    pub(crate) fn id(&self, seq: u64) -> EventId {
        let counted = self.past.iter().find(|last| seq <= last.seq);
        EventId { epoch: counted.map_or(self.epoch, |last| last.epoch), seq }
    }

    /// Whether the message of this id was before what comes after its number here: `seq_last` is
    /// the last number so far.
    pub(crate) fn is_known(&self, id: EventId, seq_last: u64) -> bool {
        let own = EventId { epoch: self.epoch, seq: seq_last };
        let mut counts = self.past.iter().chain([&own]);
        counts.any(|last| last.epoch == id.epoch && id.seq <= last.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(epoch: u64, seq: u64) -> EventId {
        EventId { epoch, seq }
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        for id in [id(0xfe, 7), id(u64::MAX, u64::MAX), id(1, 0)] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        assert_eq!("17".parse(), Ok(id(0, 17)), "of no known count");
        for text in ["", "-", "-1", "1-", "x-1", "+1-1", "1-+1", "1-1-1", "1 -1", "1-a", "a"] {
            assert_eq!(text.parse::<EventId>(), Err(InvalidEventId), "{text:?}");
        }
        assert!("10000000000000000-1".parse::<EventId>().is_err());
        assert!("1-18446744073709551616".parse::<EventId>().is_err());
    }

    #[test]
    fn a_number_is_known_as_far_as_its_count_is_kept() {
        let kept = [id(0, 2), id(8, 3), id(8, 5), id(9, 6)];
        let numbering = Numbering::new(kept.into_iter());
        let own = numbering.epoch;
        let ids: Vec<_> = (2..8).map(|seq| numbering.id(seq).epoch).collect();
        assert_eq!(ids, [8, 8, 8, 8, 9, own]);
        let known = |epoch, seq| numbering.is_known(id(epoch, seq), 7);
        assert!(known(8, 1) && known(8, 5) && known(9, 6) && known(own, 7));
        assert!(!known(8, 6) && !known(9, 7) && !known(own, 8) && !known(0, 2) && !known(7, 1));
        assert_ne!(Numbering::new(kept.into_iter()).epoch, own);
    }
}
