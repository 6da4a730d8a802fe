//! Subscribers of a stream beside a run: some read everything, some never read.
//!
//! Those that read are verified: every message that was published is received, once and in order,
//! or announced as missing.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{Shutdown, TcpStream},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde::Deserialize;
use socket2::SockRef;

use crate::loadtest::{generate::request::queue_name, plan::run_plan::Plan, verify::Verification};

/// How long what was published may be on its way after the run.
const LINGER: Duration = Duration::from_secs(3);

/// How long an attempt to read lasts.
const LOOK: Duration = Duration::from_millis(50);

/// Bytes the system keeps for a subscriber that never reads, so that the server notices it soon.
const SLOW_BYTES: usize = 4 << 10;

/// Subscribers of a run.
pub(crate) struct Subscribers {
    slow: Vec<TcpStream>,
    brisk: Vec<Brisk>,
}

/// A subscriber that reads, on a thread of its own.
struct Brisk {
    stream: TcpStream,
    heard: Arc<Mutex<Heard>>,
    task: JoinHandle<()>,
}

/// What a subscriber that reads has received.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    messages: u64,
    /// Announced as missing.
    missing: u64,
    misordered: u64,
    last: Option<u64>,
}

impl Heard {
    /// Messages whose fate is known.
    fn accounted(&self) -> u64 {
        self.messages + self.missing
    }
}

#[derive(Deserialize)]
struct StreamFrame {
    seq: Option<u64>,
    gap: Option<Gap>,
}

#[derive(Deserialize)]
struct Gap {
    count: u64,
}

impl Subscribers {
    /// Subscribes to the first of a run's topics: so many that read, so many that never do.
    ///
    /// # Errors
    /// As the server or the way to it says.
    pub(crate) fn begin(plan: &Plan, brisk: usize, slow: usize) -> io::Result<Self> {
        let mut subscribers = Self { slow: Vec::new(), brisk: Vec::new() };
        for _ in 0..slow {
            subscribers.slow.push(subscribe(plan, Some(SLOW_BYTES))?.into_inner());
        }
        for _ in 0..brisk {
            let reader = subscribe(plan, None)?;
            let stream = reader.get_ref().try_clone()?;
            stream.set_read_timeout(None)?;
            let heard = Arc::new(Mutex::new(Heard::default()));
            let shared = Arc::clone(&heard);
            let task = thread::spawn(move || listen(reader, &shared));
            subscribers.brisk.push(Brisk { stream, heard, task });
        }
        Ok(subscribers)
    }

    /// Ends, and holds what was received against what was published; `unknown` publishes had no
    /// answer and may have been received or not.
    pub(crate) fn end(self, (published, unknown): (u64, u64), found: &mut Verification) {
        let began = Instant::now();
        for Brisk { stream, heard, task } in self.brisk {
            let heard_now = || *heard.lock().expect("nobody panics with it");
            while began.elapsed() < LINGER && heard_now().accounted() < published {
                thread::sleep(LOOK);
            }
            drop(stream.shutdown(Shutdown::Both));
            task.join().expect("a subscriber does not panic");
            let heard = heard_now();
            found.lost += published.saturating_sub(heard.accounted());
            found.duplicated += heard.accounted().saturating_sub(published + unknown);
            found.misordered += heard.misordered;
            found.received += heard.messages;
            found.announced_missing += heard.missing;
        }
        drop(self.slow);
    }
}

/// Asks for the messages as server-sent events, and waits until that is granted.
fn subscribe(plan: &Plan, receive_bytes: Option<usize>) -> io::Result<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect(plan.addr)?;
    if let Some(bytes) = receive_bytes {
        SockRef::from(&stream).set_recv_buffer_size(bytes)?;
    }
    stream.set_read_timeout(Some(LINGER))?;
    let token = plan.token.as_ref();
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let (topic, host) = (queue_name(&plan.run, 0), &plan.host);
    let request = format!(
        "GET /stream/{topic} HTTP/1.1\r\nHost: {host}\r\n{token}Accept: text/event-stream\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    if !line.contains(" 200 ") {
        return Err(io::Error::other(format!("no subscription: {}", line.trim())));
    }
    while line.trim() != "" {
        line.clear();
        reader.read_line(&mut line)?;
    }
    Ok(reader)
}

/// Reads until the connection is closed.
fn listen(mut reader: BufReader<TcpStream>, heard: &Mutex<Heard>) {
    let mut line = Vec::new();
    loop {
        line.clear();
        // Lines between are those that frame chunks and events.
        match reader.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let Some(data) = line.strip_prefix(b"data: ") else { continue };
        let Ok(frame) = serde_json::from_slice::<StreamFrame>(data) else { continue };
        let mut heard = heard.lock().expect("nobody panics with it");
        if let Some(seq) = frame.seq {
            heard.messages += 1;
            heard.misordered += u64::from(heard.last.is_some_and(|last| last >= seq));
            heard.last = Some(seq);
        }
        heard.missing += frame.gap.map_or(0, |gap| gap.count);
    }
}
