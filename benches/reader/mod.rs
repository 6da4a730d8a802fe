//! Clients of a stream over WebSockets, and the bare echo they are measured against.

mod publisher;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use lanekeeper::{
    json,
    queue::Item,
    stream::{Class, Topic},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::{Builder, Runtime},
    sync::Notify,
    task::JoinHandle,
};

pub(crate) use publisher::Publishers;

/// Bytes around a payload of 256 bytes in its frame: a head of four, and
/// `{"class":"important","seq":…,"data":…}` with a number of five digits.
pub(crate) const ENVELOPE_BYTES: usize = 4 + 41;

const TIME: Duration = Duration::from_secs(2);

/// Connections that read whatever comes.
pub(crate) struct Readers {
    count: u64,
    clients: tokio::runtime::Handle,
    streams: Vec<TcpStream>,
}

/// Connections that send at once.
async fn connect(addr: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..count {
        let stream = TcpStream::connect(addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        streams.push(stream);
    }
    streams
}

async fn subscribe(stream: &mut TcpStream, path: &str) {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
}

impl Readers {
    pub(crate) async fn open(clients: &Runtime, addr: SocketAddr, count: usize) -> Self {
        Self::open_to(clients, addr, count, "/stream/bench?queue_max=10000").await
    }

    pub(crate) async fn open_to(
        clients: &Runtime,
        addr: SocketAddr,
        count: usize,
        path: &str,
    ) -> Self {
        let path = path.to_owned();
        let opening = clients.spawn(async move {
            let mut streams = connect(addr, count).await;
            for stream in &mut streams {
                subscribe(stream, &path).await;
            }
            streams
        });
        let streams = opening.await.unwrap();
        Self { count: count as u64, clients: clients.handle().clone(), streams }
    }

    /// Reads for as long as there is anything.
    pub(crate) fn drain(self) {
        for stream in self.streams {
            self.clients.spawn(frames(stream, |_, _| {}));
        }
    }

    /// Subscribers that never read, with small buffers, once all of them are full.
    pub(crate) async fn stall(addr: SocketAddr, count: usize, topic: &Topic) -> Vec<TcpStream> {
        let mut streams = Vec::new();
        for _ in 0..count {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(4096).unwrap();
            let mut stream = socket.connect(addr).await.unwrap();
            subscribe(&mut stream, "/stream/bench?queue_max=100").await;
            streams.push(stream);
        }
        let large = Item::from_value(&json!({ "pad": "x".repeat(50_000) })).unwrap();
        let mut evicted = 0;
        while evicted < count as u64 * 10 {
            let done = topic.publish(Class::Important, large.clone()).await.unwrap();
            evicted += done.evicted;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        streams
    }

    /// Messages that arrive in a second, with so many on their way to each reader at a time.
    pub(crate) async fn deliveries(self, topic: &Topic, item: &Item, in_flight: usize) -> f64 {
        let (arrived, all) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
        let goal = self.count * in_flight as u64;
        for stream in self.streams {
            let (arrived, all) = (Arc::clone(&arrived), Arc::clone(&all));
            self.clients.spawn(frames(stream, move |count, _| {
                let before = arrived.fetch_add(count, Ordering::Relaxed);
                if before / goal != (before + count) / goal {
                    all.notify_one();
                }
            }));
        }
        let (topic, item, count) = (topic.clone(), item.clone(), self.count);
        let publishing = self.clients.spawn(async move {
            let (began, mut rounds) = (Instant::now(), 0);
            while began.elapsed() < TIME {
                for _ in 0..in_flight {
                    let done = topic.publish(Class::Important, item.clone()).await.unwrap();
                    assert_eq!(done.queued - done.evicted, count);
                }
                all.notified().await;
                rounds += 1;
            }
            (rounds * goal) as f64 / began.elapsed().as_secs_f64()
        });
        publishing.await.unwrap()
    }

    /// How long messages take from publish to each reader, at 500 a second.
    pub(crate) async fn latency(self, topic: &Topic) -> Histogram<u64> {
        let began = Instant::now();
        let tasks: Vec<JoinHandle<Histogram<u64>>> = self
            .streams
            .into_iter()
            .map(|stream| {
                self.clients.spawn(async move {
                    let mut latency = Histogram::<u64>::new(3).unwrap();
                    let record = |_, text: &[u8]| {
                        let sent = sent_at(text).expect("every message says when it was sent");
                        let took = (began.elapsed().as_nanos() as u64).saturating_sub(sent);
                        latency.record(took.max(1)).unwrap();
                    };
                    frames(stream, record).await;
                    latency
                })
            })
            .collect();
        let topic = topic.clone();
        let publishing = self.clients.spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(2));
            for _ in 0..1_000 {
                ticks.tick().await;
                let sent = began.elapsed().as_nanos() as u64;
                let data = json!({ "pad": "x".repeat(200), "sent": sent });
                topic.publish(Class::Important, data).await.unwrap();
            }
            // It would overtake what is still on its way.
            tokio::time::sleep(Duration::from_millis(500)).await;
            topic.publish(Class::Control, json!({ "end": true })).await.unwrap();
        });
        publishing.await.unwrap();
        let mut latency = Histogram::<u64>::new(3).unwrap();
        for task in tasks {
            latency.add(task.await.unwrap()).unwrap();
        }
        latency
    }
}

/// The number at the end of a message.
fn sent_at(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    text.rsplit_once("\"sent\":")?.1.trim_end_matches('}').parse().ok()
}

/// Reads frames until one that says so, telling how many each chunk ended, and the last of them.
async fn frames(mut stream: TcpStream, mut seen: impl FnMut(u64, &[u8])) {
    let mut buffer = vec![0; 256 << 10];
    let mut filled = 0;
    loop {
        let Ok(read @ 1..) = stream.read(&mut buffer[filled..]).await else { return };
        filled += read;
        let (mut place, mut count, mut last) = (0, 0, 0..0);
        while let Some(frame) = frame_at(&buffer[place..filled]) {
            last = place + frame.start..place + frame.end;
            place = last.end;
            count += 1;
        }
        if buffer[last.clone()].ends_with(b"\"end\":true}}") {
            return;
        }
        if count > 0 {
            seen(count, &buffer[last]);
        }
        buffer.copy_within(place..filled, 0);
        filled -= place;
    }
}

/// Where the text of the first frame is, if it is whole.
fn frame_at(bytes: &[u8]) -> Option<std::ops::Range<usize>> {
    let (start, length) = match *bytes.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize),
        length => (2, usize::from(length)),
    };
    (bytes.len() >= start + length).then_some(start..start + length)
}

/// Answers every connection with what it sends.
async fn echo(listener: std::net::TcpListener) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        tokio::spawn(async move {
            let mut buffer = vec![0; 16 << 10];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                if stream.write_all(&buffer[..read]).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// Clients that get back what they send, bare bytes.
pub(crate) struct Echo {
    streams: Vec<TcpStream>,
    clients: tokio::runtime::Handle,
}

impl Echo {
    pub(crate) async fn start(clients: &Runtime, count: usize) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        for _ in 0..2 {
            let listener = listener.try_clone().unwrap();
            std::thread::spawn(move || {
                let runtime = Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(echo(listener));
            });
        }
        let opening = clients.spawn(connect(addr, count));
        Self { streams: opening.await.unwrap(), clients: clients.handle().clone() }
    }

    /// Messages that come back in a second, with so many on their way at a time.
    pub(crate) async fn messages(self, bytes: usize, in_flight: usize) -> f64 {
        let began = Instant::now();
        let tasks: Vec<JoinHandle<u64>> = self
            .streams
            .into_iter()
            .map(|mut stream| {
                self.clients.spawn(async move {
                    let (out, mut back) = (vec![1; bytes * in_flight], vec![0; bytes * in_flight]);
                    let mut count = 0;
                    while began.elapsed() < TIME {
                        stream.write_all(&out).await.unwrap();
                        stream.read_exact(&mut back).await.unwrap();
                        count += in_flight as u64;
                    }
                    count
                })
            })
            .collect();
        let mut count = 0;
        for task in tasks {
            count += task.await.unwrap();
        }
        count as f64 / began.elapsed().as_secs_f64()
    }
}
