//! Something that is posted to, and answers what a test wants when the test wants it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver as Channel, Sender, channel},
    thread,
    time::Duration,
};

/// How long a test waits for a delivery before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Listens on a free port of loopback.
pub(crate) struct Receiver {
    pub(crate) addr: SocketAddr,
    posts: Channel<Post>,
}

/// A request that waits for its answer; without one the connection stays as it is.
pub(crate) struct Post {
    /// Which connection it came over.
    pub(crate) connection: usize,
    head: Vec<String>,
    pub(crate) body: String,
    stream: TcpStream,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        Self::at(([127, 0, 0, 1], 0).into())
    }

    /// Listens on an address.
    pub(crate) fn at(addr: SocketAddr) -> Self {
        let listener = TcpListener::bind(addr).unwrap();
        let addr = listener.local_addr().unwrap();
        let (sender, posts) = channel();
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let (stream, sender) = (stream.unwrap(), sender.clone());
                thread::spawn(move || read(&stream, connection, &sender));
            }
        });
        Self { addr, posts }
    }

    /// An address of it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/in?x=1", self.addr)
    }

    /// The next request.
    #[track_caller]
    pub(crate) fn next(&self) -> Post {
        self.posts.recv_timeout(PATIENCE).expect("a delivery")
    }

    /// Whether there is a request that was not looked at.
    pub(crate) fn has_more(&self) -> bool {
        self.posts.try_recv().is_ok()
    }
}

/// Reads requests until the connection ends.
fn read(stream: &TcpStream, connection: usize, sender: &Sender<Post>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if !reader.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                return;
            }
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_owned()),
            }
        }
        let length = header_of(&head, "content-length").unwrap().parse().unwrap();
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let body = String::from_utf8(body).unwrap();
        let post = Post { connection, head, body, stream: stream.try_clone().unwrap() };
        if sender.send(post).is_err() {
            return;
        }
    }
}

fn header_of<'h>(head: &'h [String], name: &str) -> Option<&'h str> {
    let mut headers = head.iter().skip(1).filter_map(|line| line.split_once(": "));
    headers.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

impl Post {
    /// The first line.
    pub(crate) fn line(&self) -> &str {
        &self.head[0]
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        header_of(&self.head, name).unwrap_or_else(|| panic!("{name} in {:?}", self.head))
    }

    /// Closes the connection without an answer.
    pub(crate) fn close(self) {
        self.stream.shutdown(std::net::Shutdown::Both).unwrap();
    }

    /// Answers with a status and a body.
    pub(crate) fn answer(self, status: u16) {
        self.answer_with(status, "");
    }

    /// Answers with a status and a header line, which ends in a line break.
    pub(crate) fn answer_with(mut self, status: u16, header: &str) {
        let head = format!("HTTP/1.1 {status} As Told\r\n{header}content-length: 2\r\n\r\nok");
        self.stream.write_all(head.as_bytes()).unwrap();
    }
}
