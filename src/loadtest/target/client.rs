//! A client that waits for its answers: for what is done before and after a run.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use lanekeeper::wire::Problem;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{
    cli::unreachable::sentence,
    loadtest::generate::response_head::{self, Reading},
};

/// How long a connection may take, and an answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a server may be too busy, and how long it is left alone before the next try.
const BUSY_TIMEOUT: Duration = Duration::from_secs(60);
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// One keep-alive connection, made anew when it is lost.
pub(crate) struct Client {
    addr: SocketAddr,
    host: String,
    token: Option<String>,
    patience: Duration,
    stream: Option<TcpStream>,
    input: Vec<u8>,
}

/// Why there is no answer as wanted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The server cannot be reached.
    #[error("{}", sentence(&format!("http://{_0}"), _1))]
    Unreached(SocketAddr, io::Error),
    /// The connection was lost; what was asked may have happened.
    #[error("{}", sentence(&format!("http://{_0}"), _1))]
    Lost(SocketAddr, io::Error),
    /// The server said no.
    #[error("{}", refusal(*status, body))]
    Refused {
        /// The status code.
        status: u16,
        /// What it said.
        body: String,
    },
}

/// What a server said no with, for a person.
pub(crate) fn refusal(status: u16, body: &str) -> String {
    match serde_json::from_str::<Problem>(body) {
        Ok(problem) => format!("{} ({})", problem.detail, problem.code),
        Err(_) => format!("the server answered {status}, and not as Lanekeeper does"),
    }
}

/// The answer to a pop.
#[derive(Deserialize)]
pub(crate) struct Popped {
    /// The items as they were sent.
    pub(crate) items: Vec<Box<RawValue>>,
}

impl Client {
    /// A client that connects when it first asks.
    pub(crate) fn new(addr: SocketAddr, host: &str, token: Option<&str>) -> Self {
        let token = token.map(str::to_owned);
        let (host, patience) = (host.to_owned(), ANSWER_TIMEOUT);
        Self { addr, host, token, patience, stream: None, input: Vec::new() }
    }

    /// Waits no longer than this for an answer.
    pub(crate) fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Asks and reads the answer as JSON.
    pub(crate) fn ask<T: DeserializeOwned>(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Result<T, ClientError> {
        let (status, body) = self.exchange(method, path, body)?;
        let refused = |body: &[u8]| ClientError::Refused {
            status,
            body: String::from_utf8_lossy(body).into(),
        };
        if status != 200 {
            return Err(refused(&body));
        }
        serde_json::from_slice(&body).map_err(|_| refused(&body))
    }

    /// Posts, and again while the server is too busy to take it: such a refusal changes nothing.
    pub(crate) fn post<T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &[u8],
    ) -> Result<T, ClientError> {
        let began = Instant::now();
        loop {
            match self.ask("POST", path, body) {
                Err(ClientError::Refused { status: 429 | 503, .. })
                    if began.elapsed() < BUSY_TIMEOUT =>
                {
                    thread::sleep(BUSY_PAUSE);
                }
                answer => return answer,
            }
        }
    }

    /// Asks and takes whatever is answered.
    pub(crate) fn exchange(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Result<(u16, Vec<u8>), ClientError> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect().map_err(|error| ClientError::Unreached(self.addr, error))?,
        };
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n",
            self.host
        );
        if let Some(token) = &self.token {
            request.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        let mut request = request.into_bytes();
        request.extend_from_slice(body);
        let lost = |error| ClientError::Lost(self.addr, error);
        stream.write_all(&request).map_err(lost)?;
        let (status, body, is_last) = receive(&mut stream, &mut self.input).map_err(lost)?;
        if !is_last {
            self.stream = Some(stream);
        }
        Ok((status, body))
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.addr, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.patience))?;
        stream.set_write_timeout(Some(self.patience))?;
        Ok(stream)
    }
}

fn receive(stream: &mut TcpStream, input: &mut Vec<u8>) -> io::Result<(u16, Vec<u8>, bool)> {
    let mut filled = 0;
    input.resize(input.len().max(64 << 10), 0);
    loop {
        match stream.read(&mut input[filled..])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            bytes => filled += bytes,
        }
        match response_head::read(&input[..filled]) {
            Reading::Broken => return Err(io::Error::other("the answer is not understood")),
            Reading::Whole(answer) => {
                let body = input[answer.body_begin..answer.body_end].to_vec();
                return Ok((answer.status, body, answer.is_last));
            }
            Reading::Partial(Some(bytes)) if bytes > input.len() => input.resize(bytes, 0),
            Reading::Partial(_) if filled == input.len() => input.resize(filled * 2, 0),
            Reading::Partial(_) => {}
        }
    }
}
