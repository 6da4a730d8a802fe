//! Where the next batch goes in the journal, and whether there is room for it, decided before
//! anything is applied: preallocated files are the only room that is certain.

/// Preallocated room that only batches which free space may use once the disk is full.
const RESERVE_BYTES: u64 = 4 << 20;

/// Where a group is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FramePlace {
    /// Behind the group before it.
    #[default]
    Behind,
    /// At the beginning of the next segment.
    Next,
    /// In a segment of its own, made for so many bytes.
    Own(u64),
}

/// No room that is certain: the disk is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JournalFull;

#[derive(Debug)]
pub(crate) struct JournalSpace {
    /// Bytes a segment holds.
    capacity: u64,
    /// Bytes left in the segment that the batch handed over last goes to.
    left: u64,
    /// Prepared segments that nothing goes to yet.
    spares: u64,
    /// Segments that something goes to although they are not prepared.
    owed: u64,
    /// Whether the disk has so much space that a segment can be prepared when it is needed.
    is_ample: bool,
    /// Whether a batch was refused and no room has come since.
    is_refusing: bool,
    /// Whether what is left is for batches that free space alone.
    is_last: bool,
    /// Whether the store had too little space for what is in the journal already.
    is_short: bool,
}

impl JournalSpace {
    /// No segment in use, and none prepared.
    pub(crate) fn new(capacity: u64) -> Self {
        Self {
            capacity,
            left: 0,
            spares: 0,
            owed: 0,
            is_ample: false,
            is_refusing: false,
            is_last: false,
            is_short: false,
        }
    }

    /// Finds a place for a batch of so many bytes, its share of a group's header included.
    pub(crate) fn place(
        &mut self,
        bytes: u64,
        frees_space: bool,
    ) -> Result<FramePlace, JournalFull> {
        let place = self.place_for(bytes);
        if !self.is_ample && !self.is_certain(bytes, place, frees_space) {
            self.is_refusing = true;
            return Err(JournalFull);
        }
        match place {
            FramePlace::Behind => self.left -= bytes,
            FramePlace::Own(_) => self.left = 0,
            FramePlace::Next => {
                self.left = self.capacity - bytes;
                let is_prepared = self.spares > 0;
                self.spares -= u64::from(is_prepared);
                self.owed += u64::from(!is_prepared);
            }
        }
        Ok(place)
    }

    /// Whether room for a batch is only expected to come: it is time to look at the disk again.
    pub(crate) fn is_doubtful(&self, bytes: u64, frees_space: bool) -> bool {
        self.is_ample && !self.is_certain(bytes, self.place_for(bytes), frees_space)
    }

    /// Segments that have to be prepared for what was handed over.
    pub(crate) fn owed_count(&self) -> u64 {
        self.owed
    }

    fn place_for(&self, bytes: u64) -> FramePlace {
        if bytes > self.capacity {
            FramePlace::Own(bytes)
        } else if bytes > self.left {
            FramePlace::Next
        } else {
            FramePlace::Behind
        }
    }

    fn is_certain(&self, bytes: u64, place: FramePlace, frees_space: bool) -> bool {
        let left = match place {
            FramePlace::Behind => self.left - bytes + self.spares * self.capacity,
            FramePlace::Next if self.spares > 0 => self.spares * self.capacity - bytes,
            FramePlace::Next | FramePlace::Own(_) => return false,
        };
        frees_space || (left >= self.reserve() && !self.is_last && !self.is_short)
    }

    fn reserve(&self) -> u64 {
        RESERVE_BYTES.min(self.capacity / 2)
    }

    /// Gives back what was put aside and not needed, in the segment written to now.
    pub(crate) fn give_back(&mut self, bytes: u64) {
        self.left = (self.left + bytes).min(self.capacity);
    }

    /// A segment was prepared.
    pub(crate) fn spare_ready(&mut self) {
        let pays = self.owed > 0;
        self.owed -= u64::from(pays);
        self.spares += u64::from(!pays);
        self.is_refusing = false;
        self.is_last = false;
    }

    /// A segment was prepared with the last space there is.
    pub(crate) fn last_spare_ready(&mut self) {
        self.spare_ready();
        self.is_last = true;
    }

    /// Says whether the store has too little space for what is in the journal already: then nothing
    /// more is taken that does not free space.
    pub(crate) fn short(&mut self, is_short: bool) {
        self.is_short = is_short;
    }

    fn is_closed(&self) -> bool {
        self.is_refusing || self.is_last || self.is_short
    }

    /// Whether there is no room that is certain but the reserve.
    pub(crate) fn is_at_its_end(&self) -> bool {
        self.spares == 0 && self.left <= self.reserve()
    }

    /// A prepared segment that something goes to was lost: it takes another one.
    pub(crate) fn spare_lost(&mut self) {
        if !self.take_spare() {
            self.owed += 1;
        }
    }

    /// The segment in use takes no more.
    pub(crate) fn end_segment(&mut self) {
        self.left = 0;
    }

    /// Takes a prepared segment away, if there is one nothing goes to.
    pub(crate) fn take_spare(&mut self) -> bool {
        let has_one = self.spares > 0;
        self.spares -= u64::from(has_one);
        has_one
    }

    /// Whether a segment should be prepared now.
    pub(crate) fn wants_spare(&self) -> bool {
        self.spares == 0
    }

    /// Whether the disk has ample space.
    pub(crate) fn is_ample(&self) -> bool {
        self.is_ample
    }

    /// Whether next to nothing is left, even of the reserve.
    pub(crate) fn is_bare(&self) -> bool {
        self.spares == 0 && self.left < self.capacity / 8
    }

    /// Says whether the disk has ample space.
    pub(crate) fn ample(&mut self, is_ample: bool) {
        self.is_ample = is_ample;
        self.is_last &= !is_ample;
        self.is_refusing &= !is_ample;
    }

    /// Whether batches that do not free space are refused.
    pub(crate) fn is_full(&self) -> bool {
        let left = self.left + self.spares * self.capacity;
        !self.is_ample && (self.is_closed() || left <= self.reserve())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_ample_space_only_prepared_room_counts() {
        let mut journal_space = JournalSpace::new(100);
        assert_eq!(journal_space.place(10, true), Err(JournalFull));
        journal_space.spare_ready();
        assert_eq!(journal_space.place(10, false), Ok(FramePlace::Next));
        assert_eq!(journal_space.place(40, false), Ok(FramePlace::Behind));
        assert_eq!(
            journal_space.place(1, false),
            Err(JournalFull),
            "the reserve is half of the room"
        );
        assert_eq!(journal_space.place(50, true), Ok(FramePlace::Behind));
        assert_eq!(journal_space.place(1, true), Err(JournalFull));
        journal_space.give_back(20);
        assert_eq!(journal_space.place(20, true), Ok(FramePlace::Behind));
        assert_eq!(
            journal_space.place(101, true),
            Err(JournalFull),
            "a segment of its own is not certain"
        );
    }

    #[test]
    fn with_ample_space_a_segment_is_owed_and_paid() {
        let mut journal_space = JournalSpace::new(100);
        journal_space.ample(true);
        assert_eq!(journal_space.place(90, false), Ok(FramePlace::Next));
        assert_eq!(journal_space.place(11, false), Ok(FramePlace::Next));
        assert_eq!(journal_space.place(101, false), Ok(FramePlace::Own(101)));
        assert_eq!(journal_space.place(1, false), Ok(FramePlace::Next));
        for spares in [0, 0, 0, 1] {
            journal_space.spare_ready();
            assert_eq!(journal_space.spares, spares);
        }
        assert!(journal_space.take_spare());
        assert!(!journal_space.take_spare());
    }

    #[test]
    fn room_is_doubtful_where_only_the_reserve_is_certain() {
        let mut journal_space = JournalSpace::new(100);
        journal_space.spare_ready();
        journal_space.ample(true);
        assert!(!journal_space.is_doubtful(50, false));
        assert!(journal_space.is_doubtful(51, false) && !journal_space.is_doubtful(51, true));
        assert_eq!(journal_space.place(60, false), Ok(FramePlace::Next));
        assert!(journal_space.is_doubtful(1, false) && journal_space.is_doubtful(41, true));
        journal_space.ample(false);
        assert!(!journal_space.is_doubtful(1, false), "it is certain that there is none");
    }

    #[test]
    fn what_is_short_or_last_is_for_what_frees_space() {
        let mut journal_space = JournalSpace::new(100);
        journal_space.spare_ready();
        journal_space.short(true);
        assert_eq!(journal_space.place(1, false), Err(JournalFull));
        assert!(journal_space.is_full());
        assert_eq!(journal_space.place(1, true), Ok(FramePlace::Next));
        journal_space.short(false);
        journal_space.last_spare_ready();
        assert_eq!(journal_space.place(1, false), Err(JournalFull));
        journal_space.spare_ready();
        assert_eq!(journal_space.place(1, false), Ok(FramePlace::Behind));
    }
}
