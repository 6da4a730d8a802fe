//! Looking at messages that wait for a time: scheduled ones, and leased ones.

use std::{fmt, future::IntoFuture, str::FromStr, time::SystemTime};

use lanekeeper_storage::{
    Engine, KeyRange, LoadError, ScanLimit,
    key::{self, Arrival, MessageState as State, QueueNo},
    record::{self, DueEntry, MessageRecord},
};

use super::{Message, Queue, QueueError, actor::QueueActor, held::Held, place::Place};
use crate::{Handler, Request, Turn, clock::from_unix_ms, request::BoxFuture};

/// Entries of the index of times that one turn passes at most. It holds what expires, too.
const SLICE: usize = 1_000;
/// Turns that one look takes at most.
const SLICES_MAX: usize = 16;

/// A place in the order of times, opaque: where a page goes on. Its text is 32 characters of
/// lower-case hexadecimal.
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

/// A text that is not a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not the next of a page of scheduled or leased messages")]
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
    /// When it is ready, if it is scheduled; when its lease ends, if it is leased.
    pub due_at: SystemTime,
    /// Who has the lease, if that was said.
    pub worker: Option<String>,
}

/// Messages in the order of their times, and where the next page begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DuePage {
    /// The messages of this page.
    pub messages: Vec<DueMessage>,
    /// What to ask `after` for the next page, if there may be one: also behind a page that is not
    /// full, or empty, where much else is due in between.
    pub next: Option<DueCursor>,
}

/// A look at what waits for a time that was not sent yet: await it. Dropping its future is safe.
#[must_use = "nothing is looked at before it is awaited"]
#[derive(Debug)]
pub struct PeekDue {
    queue: Queue,
    state: State,
    depth: usize,
    after: Option<DueCursor>,
}

impl PeekDue {
    /// Only messages behind this place, whether or not anything is still there.
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
            for _ in 0..SLICES_MAX {
                let (after, depth) = (page.next, depth - page.messages.len());
                let slice = queue.ask(PeekDueSlice { state, depth, after }).await??;
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
}

/// What is in it.
#[derive(Debug, Default)]
struct DueSlice {
    messages: Vec<DueMessage>,
    next: Option<DueCursor>,
    /// Whether it has as many messages as were asked for.
    is_full: bool,
}

impl Request for PeekDueSlice {
    type Reply = Result<DueSlice, QueueError>;
}

impl Handler<PeekDueSlice> for QueueActor {
    async fn handle(
        &mut self,
        PeekDueSlice { state, depth, after }: PeekDueSlice,
        turn: &mut Turn<'_, Self>,
    ) -> Result<DueSlice, QueueError> {
        let Some(queue) = self.rules.queue else { return Ok(DueSlice::default()) };
        let mut range = key::dues(queue);
        if let Some(DueCursor { due_ms, arrival }) = after {
            range = range.after(&key::due(queue, due_ms, arrival));
        }
        let read = move |engine: &dyn Engine| read(engine, queue, &range, (state, depth));
        Ok(turn.store().read(read).await?)
    }
}

fn read(
    engine: &dyn Engine,
    queue: QueueNo,
    range: &KeyRange,
    (state, depth): (State, usize),
) -> Result<DueSlice, LoadError> {
    let mut slice = DueSlice::default();
    let found = engine.scan(range, ScanLimit::count(SLICE))?;
    let is_last = found.len() < SLICE;
    for (due, entry) in found {
        let Some((due_ms, arrival)) = key::due_of(&due) else { continue };
        slice.next = Some(DueCursor { due_ms, arrival });
        let entry = DueEntry::decode(&entry)?;
        if entry.state != state {
            continue;
        }
        let place = Place { priority: entry.priority(), arrival };
        let Some(record) = engine.get(&place.key(queue, state))? else { continue };
        let record = MessageRecord::decode(&record)?;
        let worker = match &record.state {
            record::State::Leased(lease) => lease.worker.clone(),
            _ => None,
        };
        let (message, due_at) = (Held::of(record).into_message(place), from_unix_ms(due_ms));
        slice.messages.push(DueMessage { message, due_at, worker });
        if slice.messages.len() == depth {
            slice.is_full = true;
            return Ok(slice);
        }
    }
    if is_last {
        slice.next = None;
    }
    Ok(slice)
}

impl Queue {
    /// Looks at the first scheduled messages in the order in which they become ready, `depth` at
    /// most, and changes nothing: await what this returns. What it costs does not depend on what
    /// the queue holds.
    ///
    /// # Errors
    /// [`QueueError::InvalidDepth`].
    pub fn peek_scheduled(&self, depth: usize) -> PeekDue {
        PeekDue { queue: self.clone(), state: State::Scheduled, depth, after: None }
    }

    /// As [`Queue::peek_scheduled`], at leased messages in the order in which their leases end. It
    /// does not tell their tokens.
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
