//! What a client may send over a WebSocket, checked before a byte of it is kept.
//!
//! The parser behind this collects a frame up to the length that the frame itself declares, and
//! every part of a message of many parts. So the heads of frames are read here first.

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use actix_web::{dev::Payload, error::PayloadError};
use bytes::Bytes;
use futures_util::Stream;
use lanekeeper_actors::{MemoryBudget, MemoryPermit, MemoryUse};

use crate::server::http::body::COPIES;

/// Parts of one message at most: each keeps a read buffer alive.
const PARTS_MAX: u32 = 64;

/// The bytes of a connection as far as their frames are within bounds.
pub(crate) struct FrameLimiter {
    payload: Payload,
    heads: Heads,
    /// The memory of the message that is arriving.
    permit: MemoryPermit,
    is_breached: Rc<Cell<bool>>,
}

impl FrameLimiter {
    /// Bounds the frames and messages of a connection; also gives what is true once one was broken.
    pub(crate) fn new(
        payload: Payload,
        bytes_max: u64,
        memory: &MemoryBudget,
    ) -> (Self, Rc<Cell<bool>>) {
        let is_breached = Rc::new(Cell::new(false));
        let (heads, permit) = (Heads::new(bytes_max), memory.permit(MemoryUse::Body));
        (Self { payload, heads, permit, is_breached: Rc::clone(&is_breached) }, is_breached)
    }
}

impl Stream for FrameLimiter {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let next = ready!(Pin::new(&mut this.payload).poll_next(cx));
        if let Some(Ok(bytes)) = &next
            && (this.heads.read(bytes).is_err()
                || this.permit.resize(this.heads.arrived_bytes() * COPIES).is_err())
        {
            this.is_breached.set(true);
            this.payload = Payload::None;
            return Poll::Ready(Some(Err(PayloadError::Overflow)));
        }
        Poll::Ready(next)
    }
}

/// The longest head of a frame: two bytes, a length of eight and a mask of four.
const HEAD_BYTES_MAX: usize = 14;

/// A bound was broken.
#[derive(Debug, PartialEq, Eq)]
struct Breach;

/// Reads heads, skips payloads, and adds up messages.
struct Heads {
    bytes_max: u64,
    head: [u8; HEAD_BYTES_MAX],
    head_length: usize,
    /// Bytes of the current frame's payload that are still to come.
    skip: u64,
    /// Bytes of the current frame's payload altogether.
    length: u64,
    /// The message so far, if it comes in parts.
    message_bytes: u64,
    parts: u32,
}

impl Heads {
    fn new(bytes_max: u64) -> Self {
        let head = [0; HEAD_BYTES_MAX];
        Self { bytes_max, head, head_length: 0, skip: 0, length: 0, message_bytes: 0, parts: 0 }
    }

    fn read(&mut self, mut bytes: &[u8]) -> Result<(), Breach> {
        while !bytes.is_empty() {
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
            self.skip -= skipped as u64;
            bytes = &bytes[skipped..];
            let Some((&byte, rest)) = bytes.split_first() else { break };
            bytes = rest;
            self.head[self.head_length] = byte;
            self.head_length += 1;
            if self.head_length == self.whole_head() {
                self.head_length = 0;
                self.admit()?;
            }
        }
        Ok(())
    }

    /// Bytes of the message that is not whole yet.
    fn arrived_bytes(&self) -> u64 {
        let in_parts =
            if self.skip > 0 { self.length.max(self.message_bytes) } else { self.message_bytes };
        in_parts - self.skip.min(in_parts)
    }

    /// The length of the head as far as its first bytes tell.
    fn whole_head(&self) -> usize {
        if self.head_length < 2 {
            return 2;
        }
        let mask = if self.head[1] & 0x80 == 0 { 0 } else { 4 };
        match self.head[1] & 0x7f {
            126 => 4 + mask,
            127 => 10 + mask,
            _ => 2 + mask,
        }
    }

    /// A head is whole: its frame is let in or not.
    fn admit(&mut self) -> Result<(), Breach> {
        let extended = |range: std::ops::Range<usize>| {
            self.head[range].iter().fold(0, |length: u64, &byte| length << 8 | u64::from(byte))
        };
        let length = match self.head[1] & 0x7f {
            126 => extended(2..4),
            127 => extended(2..10),
            short => u64::from(short),
        };
        let (is_last, is_control) = (self.head[0] & 0x80 != 0, self.head[0] & 0x08 != 0);
        if !is_control {
            self.parts += 1;
            self.message_bytes = self.message_bytes.saturating_add(length);
        }
        if length > self.bytes_max || self.message_bytes > self.bytes_max || self.parts > PARTS_MAX
        {
            return Err(Breach);
        }
        if is_last && !is_control {
            (self.message_bytes, self.parts) = (0, 0);
        }
        (self.skip, self.length) = (length, length);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: u8 = 0x1;
    const CONTINUED: u8 = 0x0;
    const PING: u8 = 0x9;
    const LAST: u8 = 0x80;

    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut bytes = vec![first];
        match length {
            0..126 => bytes.push(0x80 | length as u8),
            126..65_536 => {
                bytes.push(0x80 | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(0x80 | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend([1, 2, 3, 4]);
        bytes.extend(std::iter::repeat_n(0xff, length));
        bytes
    }

    fn read(frames: &[Vec<u8>], step: usize) -> Result<(), Breach> {
        let bytes = frames.concat();
        let mut heads = Heads::new(1_000);
        bytes.chunks(step).try_for_each(|chunk| heads.read(chunk))
    }

    #[test]
    fn frames_are_bounded_however_they_arrive() {
        for step in [1, 2, 3, 7, 1_000, 1 << 20] {
            let within =
                [frame(LAST | TEXT, 0), frame(LAST | TEXT, 1_000), frame(LAST | PING, 125)];
            assert_eq!(read(&[within.concat(), within.concat()], step), Ok(()), "{step}");
            let beyond = [frame(LAST | TEXT, 200), frame(LAST | TEXT, 1_001)];
            assert_eq!(read(&beyond, step), Err(Breach), "{step}");
            assert_eq!(read(&[frame(LAST | TEXT, 70_000)], step), Err(Breach), "{step}");
        }
    }

    #[test]
    fn a_length_is_refused_before_its_payload_comes() {
        let mut heads = Heads::new(1_000);
        let head = [LAST | TEXT, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3];
        assert_eq!(heads.read(&head), Ok(()));
        assert_eq!(heads.read(&[4]), Err(Breach));
    }

    #[test]
    fn the_parts_of_a_message_are_bounded_together() {
        let parts = [frame(TEXT, 500), frame(LAST | PING, 100), frame(LAST | CONTINUED, 500)];
        assert_eq!(read(&[parts.concat(), parts.concat()], 9), Ok(()), "pings are no parts");
        let parts = [frame(TEXT, 500), frame(CONTINUED, 500), frame(LAST | CONTINUED, 1)];
        assert_eq!(read(&parts, 9), Err(Breach));
        let mut parts = vec![frame(TEXT, 1)];
        parts.extend(std::iter::repeat_n(frame(CONTINUED, 0), 63));
        assert_eq!(read(&parts, 9), Ok(()));
        parts.push(frame(CONTINUED, 0));
        assert_eq!(read(&parts, 9), Err(Breach));
    }
}
