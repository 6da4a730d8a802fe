//! A server that breaks its promises once: a proxy that alters one message of the answers to pops,
//! or one request that settles leases.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use serde_json::value::RawValue;

/// What is done to one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alteration {
    /// It never arrives.
    Drop,
    /// It arrives twice.
    Double,
    /// It changes places with the one behind it in the same answer.
    Swap,
    /// It is held back and arrives with a later answer.
    Delay,
    /// Its ack is answered and not heard.
    ForgetAck,
    /// Its nack is taken for an ack.
    AckForNack,
}

/// Messages seen so far, and the one that is altered.
struct Altering {
    alteration: Alteration,
    seen: usize,
    target: usize,
    held: Option<String>,
    is_done: bool,
}

/// A proxy in front of a server; it ends with the test.
pub(crate) struct Altered {
    pub(crate) url: String,
    altering: Arc<Mutex<Altering>>,
    is_over: Arc<AtomicBool>,
    addr: SocketAddr,
}

impl Altered {
    /// Alters the message at a place, counted from 0 over all answers.
    pub(crate) fn start(server: SocketAddr, alteration: Alteration, target: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let altering = Altering { alteration, seen: 0, target, held: None, is_done: false };
        let altering = Arc::new(Mutex::new(altering));
        let is_over = Arc::new(AtomicBool::new(false));
        let (shared, over) = (Arc::clone(&altering), Arc::clone(&is_over));
        thread::spawn(move || {
            for client in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let (client, altering) = (client.unwrap(), Arc::clone(&shared));
                // A client that hangs up ends its thread.
                thread::spawn(move || drop(serve(client, server, &altering)));
            }
        });
        Self { url: format!("http://{addr}"), altering, is_over, addr }
    }

    /// Whether a message was altered.
    pub(crate) fn is_done(&self) -> bool {
        self.altering.lock().unwrap().is_done
    }
}

impl Drop for Altered {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.addr));
    }
}

fn serve(mut client: TcpStream, server: SocketAddr, altering: &Mutex<Altering>) -> io::Result<()> {
    let mut server = TcpStream::connect(server)?;
    server.set_nodelay(true)?;
    client.set_nodelay(true)?;
    loop {
        let request = message(&mut client)?;
        let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let is = |verb: &[u8]| line.windows(verb.len()).any(|bytes| bytes == verb);
        let is_pop = is(b"/pop?");
        if is(b"/ack ") && altering.lock().unwrap().is_hit(Alteration::ForgetAck) {
            client.write_all(&json(r#"{"acked":1,"failed":[]}"#))?;
            continue;
        }
        if is(b"/nack ") && altering.lock().unwrap().is_hit(Alteration::AckForNack) {
            server.write_all(&acking(&request))?;
            message(&mut server)?;
            client.write_all(&json(r#"{"nacked":1,"failed":[]}"#))?;
            continue;
        }
        server.write_all(&request)?;
        let answer = message(&mut server)?;
        let answer = if is_pop { altering.lock().unwrap().alter(answer) } else { answer };
        client.write_all(&answer)?;
    }
}

fn json(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The same request as an ack.
fn acking(request: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(request).unwrap();
    text.replacen("/nack ", "/ack ", 1).into_bytes()
}

/// Reads a head and the body whose length it tells.
fn message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length = length.map_or(0, |length| length.trim().parse().unwrap());
            if bytes.len() >= end + 4 + length {
                return Ok(bytes);
            }
        }
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

#[derive(serde::Deserialize)]
struct Popped<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

impl Altering {
    /// Whether a request is the one to be altered so.
    fn is_hit(&mut self, alteration: Alteration) -> bool {
        let is_hit = self.alteration == alteration && self.seen == self.target;
        self.seen += usize::from(self.alteration == alteration);
        self.is_done |= is_hit;
        is_hit
    }

    fn alter(&mut self, answer: Vec<u8>) -> Vec<u8> {
        let end = answer.windows(4).position(|part| part == b"\r\n\r\n").unwrap() + 4;
        if matches!(self.alteration, Alteration::ForgetAck | Alteration::AckForNack) {
            return answer;
        }
        let Ok(popped) = serde_json::from_slice::<Popped<'_>>(&answer[end..]) else {
            return answer;
        };
        let mut items: Vec<_> = popped.items.iter().map(|item| item.get().to_owned()).collect();
        let first = self.seen;
        self.seen += items.len();
        // A message alone in its answer has none to change places with: the next answer will do.
        let is_due = !self.is_done && self.held.is_none() && self.seen > self.target;
        if let Some(held) = self.held.take() {
            items.push(held);
            self.is_done = true;
        } else if is_due && items.len() > 1 {
            let place = self.target.saturating_sub(first).min(items.len() - 2);
            self.apply(&mut items, place);
        } else {
            return answer;
        }
        let count = items.len();
        let body = format!("{{\"items\":[{}],\"count\":{count}}}", items.join(","));
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        (head + &body).into_bytes()
    }

    fn apply(&mut self, items: &mut Vec<String>, place: usize) {
        self.is_done = true;
        match self.alteration {
            Alteration::Drop => drop(items.remove(place)),
            Alteration::Double => items.insert(place, items[place].clone()),
            Alteration::Swap => items.swap(place, place + 1),
            Alteration::Delay => {
                self.held = Some(items.remove(place));
                self.is_done = false;
            }
            Alteration::ForgetAck | Alteration::AckForNack => {}
        }
    }
}
