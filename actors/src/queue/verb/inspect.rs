//! Looking at messages that wait for a time: scheduled ones, and leased ones.

use std::{fmt, future::IntoFuture, str::FromStr, time::SystemTime};

use bytes::Bytes;
use lanekeeper_storage::{
    Engine, KeyRange, LoadError, ScanLimit,
    key::{self, Arrival, MessageState as State, QueueNo},
    record::{self, DueEntry, MessageRecord},
};

use crate::{
    actor::virtual_actor::{Handler, Request},
    queue::{
        actor::QueueActor,
        api::{error::QueueError, handle::Queue, message::Message},
        state::{message::stored_message::StoredMessage, order::position::Position},
        verb::peek::{afford_page, page_bytes_max},
    },
    runtime::{mailbox::BoxFuture, memory_budget::MemoryBudget, turn::Turn},
    time::clock::from_unix_ms,
};

/// Entries of the index of times that one turn passes at most. It holds what expires, too.
const SLICE: usize = 1_000;
/// Turns that one look takes at most.
const SLICES_MAX: usize = 16;

/// An opaque position in the order of times, where the next page begins. Its text is 32 lower-case
/// hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueCursor {
    due_ms: u64,
    arrival: Arrival,
}

impl fmt::Display for DueCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.due_ms, self.arrival.0)
    }
}

/// The text is not a valid cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("after must be the `next` of a page of scheduled or leased messages")]
pub struct InvalidDueCursor;

impl FromStr for DueCursor {
    type Err = InvalidDueCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_digit = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if text.len() != 32 || !text.bytes().all(is_digit) {
            return Err(InvalidDueCursor);
        }
        let number = |text| u64::from_str_radix(text, 16).map_err(|_| InvalidDueCursor);
        let arrival = Arrival(number(&text[16..])?);
        Ok(Self { due_ms: number(&text[..16])?, arrival })
    }
}

/// A message that waits for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueMessage {
    /// The message.
    pub message: Message,
    /// The time at which it becomes ready if it is scheduled, or at which its lease ends.
    pub due_at: SystemTime,
    /// The worker that holds the lease, if it was named.
    pub worker: Option<String>,
}

/// A page of messages in the order of their times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DuePage {
    /// The messages of this page.
    pub messages: Vec<DueMessage>,
    /// The value of `after` for the next page; `None` at the end. A page may be short or empty and
    /// have a next one.
    pub next: Option<DueCursor>,
}

/// A peek at scheduled or leased messages that was not sent yet; await it to send it. Dropping its
/// future is safe.
#[must_use = "nothing is looked at before it is awaited"]
#[derive(Debug)]
pub struct PeekDue {
    queue: Queue,
    state: State,
    depth: usize,
    after: Option<DueCursor>,
}

impl PeekDue {
    /// Only messages after this position.
    pub fn after(mut self, after: DueCursor) -> Self {
        self.after = Some(after);
        self
    }
}

impl IntoFuture for PeekDue {
    type Output = Result<DuePage, QueueError>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { queue, state, depth, after } = self;
        Box::pin(async move {
            let depth = queue.checked_depth(depth)?;
            let mut page = DuePage { messages: Vec::new(), next: after };
            let mut bytes = 0;
            for _ in 0..SLICES_MAX {
                let (after, depth) = (page.next, depth - page.messages.len());
                let slice = queue.ask(PeekDueSlice { state, depth, after, bytes }).await??;
                bytes = slice.bytes;
                page.messages.extend(slice.messages);
                page.next = slice.next;
                if page.next.is_none() || slice.is_full {
                    break;
                }
            }
            Ok(page)
        })
    }
}

/// A slice of the index of times.
struct PeekDueSlice {
    state: State,
    depth: usize,
    after: Option<DueCursor>,
    /// Bytes of the records that the page has already.
    bytes: usize,
}

/// What is in it.
#[derive(Debug, Default)]
struct DueSlice {
    messages: Vec<DueMessage>,
    next: Option<DueCursor>,
    /// Bytes of the records of the page so far.
    bytes: usize,
    /// Whether it has as many messages as were asked for, or as there is memory for.
    is_full: bool,
}

impl Request for PeekDueSlice {
    type Reply = Result<DueSlice, QueueError>;
}

impl Handler<PeekDueSlice> for QueueActor {
    async fn handle(
        &mut self,
        PeekDueSlice { state, depth, after, bytes }: PeekDueSlice,
        turn: &mut Turn<'_, Self>,
    ) -> Result<DueSlice, QueueError> {
        let Some(queue) = self.rules.queue else { return Ok(DueSlice::default()) };
        let mut range = key::dues(queue);
        if let Some(DueCursor { due_ms, arrival }) = after {
            range = range.after(&key::due(queue, due_ms, arrival));
        }
        let memory = turn.store().memory().clone();
        let bytes_max = page_bytes_max(&memory)?;
        let limit = ScanLimit { count_max: depth, bytes_max };
        let reader = DueReader { queue, state, memory: memory.clone() };
        let slice = DueSlice { bytes, ..DueSlice::default() };
        let read = move |engine: &dyn Engine, limit| reader.read(engine, &range, limit, slice);
        let slice = turn.store().read_within(limit, read).await?;
        afford_page(&memory, slice.bytes - bytes, bytes_max)?;
        Ok(slice)
    }
}

/// What reads a slice of the index of times, and what there is memory for of the messages.
struct DueReader {
    queue: QueueNo,
    state: State,
    memory: MemoryBudget,
}

impl DueReader {
    fn read(
        &self,
        engine: &dyn Engine,
        range: &KeyRange,
        limit: ScanLimit,
        mut slice: DueSlice,
    ) -> Result<DueSlice, LoadError> {
        let found = engine.scan(range, ScanLimit::count(SLICE))?;
        let is_last = found.len() < SLICE;
        for (due, entry) in found {
            let Some((due_ms, arrival)) = key::due_of(&due) else { continue };
            let next = Some(DueCursor { due_ms, arrival });
            let Some((position, record)) = self.message(engine, &entry, arrival)? else {
                slice.next = next;
                continue;
            };
            let bytes = slice.bytes.saturating_add(record.len());
            // The first message of a page is in it whatever its size.
            if slice.bytes > 0 && bytes > limit.bytes_max {
                slice.is_full = true;
                return Ok(slice);
            }
            let message = due_message(position, &self.memory.counted(record), due_ms)?;
            slice.messages.push(message);
            (slice.next, slice.bytes) = (next, bytes);
            if slice.messages.len() == limit.count_max {
                slice.is_full = true;
                return Ok(slice);
            }
        }
        if is_last {
            slice.next = None;
        }
        Ok(slice)
    }

    /// The message that an entry of the index is about, if it is in the state asked for.
    fn message(
        &self,
        engine: &dyn Engine,
        entry: &[u8],
        arrival: Arrival,
    ) -> Result<Option<(Position, Bytes)>, LoadError> {
        let entry = DueEntry::decode(entry)?;
        if entry.state != self.state {
            return Ok(None);
        }
        let position = Position { priority: entry.priority(), arrival };
        let record = engine.get(&position.key(self.queue, self.state))?;
        Ok(record.map(|record| (position, record)))
    }
}

fn due_message(position: Position, record: &Bytes, due_ms: u64) -> Result<DueMessage, LoadError> {
    let record = MessageRecord::decode(record)?;
    let worker = match &record.state {
        record::MessageStateRecord::Leased(lease) => lease.worker.clone(),
        _ => None,
    };
    let message = StoredMessage::of(record).into_message(position);
    Ok(DueMessage { message, due_at: from_unix_ms(due_ms), worker })
}

impl Queue {
    /// Shows up to `depth` scheduled messages in the order in which they become ready; await the
    /// result. Its cost does not depend on the number of messages in the queue.
    ///
    /// # Errors
    /// [`QueueError::InvalidDepth`].
    pub fn peek_scheduled(&self, depth: usize) -> PeekDue {
        PeekDue { queue: self.clone(), state: State::Scheduled, depth, after: None }
    }

    /// As [`Queue::peek_scheduled`], for leased messages in the order in which their leases end,
    /// without their tokens.
    ///
    /// # Errors
    /// [`QueueError::InvalidDepth`].
    pub fn peek_leased(&self, depth: usize) -> PeekDue {
        PeekDue { queue: self.clone(), state: State::Leased, depth, after: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_from_its_text() {
        let cursor = DueCursor { due_ms: 1_800_000_000_000, arrival: Arrival(77) };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        let text = cursor.to_string();
        for text in ["", "7", &text[1..], &text.to_uppercase(), &format!("{text}0")] {
            assert_eq!(text.parse::<DueCursor>(), Err(InvalidDueCursor), "{text}");
        }
    }
}
