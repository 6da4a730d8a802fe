//! One keep-alive connection that never blocks: a request goes out, its answer comes in.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
};

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use crate::loadtest::generate::response_head::{self, Reading, ResponseHead};

/// What a buffer for answers holds at first.
const INPUT_BYTES: usize = 16 << 10;

/// A connection and what is under way on it.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    is_connected: bool,
    /// The request; kept to be filled again.
    pub(crate) output: Vec<u8>,
    written: usize,
    input: Vec<u8>,
    filled: usize,
}

/// How far a connection has come.
#[derive(Debug)]
pub(crate) enum Progress {
    /// Wait for the next sign from it.
    Pending,
    /// The answer is there; [`Connection::body`] has its body.
    Answered(ResponseHead),
    /// The connection is gone.
    Lost(Loss),
}

/// Why a connection is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    /// In words, for the table of failures.
    pub(crate) reason: String,
    /// Whether any byte of the request went out: if not, it was certainly not executed.
    pub(crate) was_sent: bool,
}

impl Connection {
    /// Begins to connect.
    ///
    /// # Errors
    /// As the operating system says, in words.
    pub(crate) fn open(addr: SocketAddr) -> Result<Self, Loss> {
        let begin = || {
            let kind = Type::STREAM.nonblocking();
            let socket = Socket::new(Domain::for_address(addr), kind, Some(Protocol::TCP))?;
            socket.set_tcp_nodelay(true)?;
            match socket.connect(&addr.into()) {
                Ok(()) => Ok((socket, true)),
                Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {
                    Ok((socket, false))
                }
                Err(error) => Err(error),
            }
        };
        let (socket, is_connected) = begin().map_err(|error| unsent(&error))?;
        Ok(Self {
            stream: socket.into(),
            is_connected,
            output: Vec::with_capacity(1 << 10),
            written: 0,
            input: vec![0; INPUT_BYTES],
            filled: 0,
        })
    }

    /// The socket, to wait for.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Makes room for the next request.
    pub(crate) fn clear(&mut self) {
        self.output.clear();
        (self.written, self.filled) = (0, 0);
    }

    /// The body of an answer.
    pub(crate) fn body(&self, answer: &ResponseHead) -> &[u8] {
        &self.input[answer.body_begin..answer.body_end]
    }

    /// Sends no more than a part of the request: what a cut in the middle leaves.
    pub(crate) fn send_part(&mut self, bytes: usize) {
        if self.is_connected {
            let part = &self.output[..bytes.min(self.output.len())];
            self.written = self.stream.write(part).unwrap_or(0);
        }
    }

    /// Goes on after a sign from the socket, or with a new request.
    pub(crate) fn advance(&mut self) -> Progress {
        if !self.is_connected && !self.connected() {
            let failure = self.stream.take_error().ok().flatten();
            return match failure {
                Some(error) => Progress::Lost(unsent(&error)),
                None => Progress::Pending,
            };
        }
        if let Err(loss) = self.write() {
            return Progress::Lost(loss);
        }
        self.read()
    }

    fn connected(&mut self) -> bool {
        self.is_connected = self.stream.peer_addr().is_ok();
        self.is_connected
    }

    fn write(&mut self) -> Result<(), Loss> {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(bytes) => self.written += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.lost(&words(&error))),
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Progress {
        loop {
            if self.filled == self.input.len() {
                self.input.resize(self.input.len() * 2, 0);
            }
            match self.stream.read(&mut self.input[self.filled..]) {
                Ok(0) => return Progress::Lost(self.lost("connection closed before the answer")),
                Ok(bytes) => self.filled += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::Pending,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Progress::Lost(self.lost(&words(&error))),
            }
            match response_head::read(&self.input[..self.filled]) {
                Reading::Partial(Some(bytes)) if bytes > self.input.len() => {
                    self.input.resize(bytes, 0);
                }
                Reading::Partial(_) => {}
                Reading::Whole(answer) => return Progress::Answered(answer),
                Reading::Broken => return Progress::Lost(self.lost("answer not understood")),
            }
        }
    }

    /// That the connection is gone with its request as far as it is.
    pub(crate) fn lost(&self, reason: &str) -> Loss {
        Loss { reason: reason.to_owned(), was_sent: self.written > 0 }
    }
}

fn unsent(error: &std::io::Error) -> Loss {
    Loss { reason: words(error), was_sent: false }
}

/// The same words for the same failure, without numbers.
fn words(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::ConnectionReset => "connection reset".to_owned(),
        ErrorKind::BrokenPipe => "connection closed before the request".to_owned(),
        _ => error.to_string(),
    }
}
