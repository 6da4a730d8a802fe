//! Answers in pieces: a large payload is neither copied into its answer nor, with it, into what the
//! connection writes.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use lanekeeper_actors::{MemoryBudget, MemoryPermit};

use crate::server::http::response::ApiResponse;

/// Payloads from this size on are a piece of their own.
const PIECE_BYTES: usize = 16 << 10;

/// Bytes that the connection is handed at once.
pub(crate) const SENT_BYTES: usize = 64 << 10;

/// JSON that is being written.
pub(crate) struct Pieces {
    /// What follows the pieces so far.
    pub(crate) text: Vec<u8>,
    pieces: Vec<Bytes>,
}

impl Pieces {
    /// Nothing yet; about so many bytes are to come.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { text: Vec::with_capacity(bytes.min(SENT_BYTES)), pieces: Vec::new() }
    }

    /// Adds a payload.
    pub(crate) fn payload(&mut self, payload: &Bytes) {
        if payload.len() < PIECE_BYTES {
            self.text.extend_from_slice(payload);
            return;
        }
        self.pieces.push(std::mem::take(&mut self.text).into());
        self.pieces.push(payload.clone());
    }

    /// The answer that it is.
    pub(crate) fn into_answer(mut self) -> ApiResponse {
        if self.pieces.is_empty() {
            return ApiResponse::json_text(self.text);
        }
        self.pieces.push(self.text.into());
        ApiResponse::Pieces(self.pieces)
    }
}

/// Pieces on their way to a client, a part at a time.
pub(crate) struct PieceBody {
    pieces: VecDeque<Bytes>,
    length: u64,
    /// For what was written; payloads count by themselves.
    _permit: MemoryPermit,
}

impl PieceBody {
    pub(crate) fn new(pieces: Vec<Bytes>, memory: &MemoryBudget) -> Self {
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        let written = if pieces.len() == 1 { length } else { (pieces.len() * 128) as u64 };
        Self { pieces: pieces.into(), length, _permit: memory.count(written) }
    }
}

impl MessageBody for PieceBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.length)
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let pieces = &mut self.get_mut().pieces;
        while pieces.front().is_some_and(Bytes::is_empty) {
            pieces.pop_front();
        }
        let Some(first) = pieces.front_mut() else { return Poll::Ready(None) };
        let sent = first.split_to(first.len().min(SENT_BYTES));
        Poll::Ready(Some(Ok(sent)))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;

    use super::*;

    #[test]
    fn what_is_sent_is_what_was_written() {
        let large = Bytes::from(vec![b'x'; 3 * SENT_BYTES + 1]);
        let mut pieces = Pieces::with_capacity(usize::MAX);
        pieces.text.push(b'[');
        pieces.payload(&Bytes::from_static(b"small"));
        pieces.payload(&large);
        pieces.payload(&large);
        pieces.text.push(b']');
        let ApiResponse::Pieces(pieces) = pieces.into_answer() else { panic!("it has pieces") };
        let memory = MemoryBudget::of_process(1 << 30);
        let body = PieceBody::new(pieces.clone(), &memory);
        assert_eq!(body.size(), BodySize::Sized((2 * large.len() + 7) as u64));
        assert!(memory.used() > 0);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let sent = runtime.block_on(to_bytes(body)).expect("a body");
        assert_eq!(sent, pieces.concat());
        assert_eq!(memory.used(), 0);
    }
}
