//! Streams: the class queue, fan-out in process, fan-out over WebSockets beside a bare echo of the
//! same bytes, and what stalled readers do to healthy ones.
//!
//! `cargo bench --bench stream`; a word after `--` picks the parts whose names hold it.

#![expect(clippy::unwrap_used, reason = "a bench ends at the first failure")]

mod reader;
mod support;

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use lanekeeper::{
    Lanekeeper,
    queue::Item,
    server::{Server, ServerHandle, ServerOptions, SocketOptions},
    stream::{Class, ClassQueue, StreamEvent, Subscriber, Topic},
};
use reader::{Echo, Publishers, Readers};
use support::{Measured, closed_loop, median};
use tokio::sync::Notify;

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 3;

#[actix_web::main]
async fn main() {
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    let is_wanted = |part: &str| part.contains(&wanted);
    let clients = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if is_wanted("queue") {
        class_queue();
    }
    if is_wanted("fan-out") {
        clients.spawn(fan_out()).await.unwrap();
    }
    if is_wanted("socket") {
        socket(&clients).await;
    }
    if is_wanted("slow") {
        // The first server of a process is slower than those that follow.
        warm_up(&clients).await;
        for (healthy, stalled) in [(20, 1), (100, 100)] {
            beside_stalled(&clients, healthy, stalled).await;
        }
    }
    if is_wanted("publishers") {
        clients.spawn(publishers()).await.unwrap();
        http_publishers(&clients).await;
    }
    clients.shutdown_background();
}

/// 256 bytes of JSON.
fn item() -> Item {
    let item = Item::from_json(format!("{{\"item\":\"{}\"}}", "x".repeat(245))).unwrap();
    assert_eq!(item.size_bytes(), 256);
    item
}

fn class_queue() {
    const COUNT: u64 = 20_000_000;
    let mut figures = Vec::new();
    for _ in 0..ROUNDS {
        let mut queue = ClassQueue::new(1_000);
        for n in 0..900 {
            let _ = queue.push(Class::ALL[1 + n % 3], n as u64);
        }
        let began = Instant::now();
        for n in 0..COUNT {
            let class = Class::ALL[1 + (n % 3) as usize];
            let _ = black_box(queue.push(class, black_box(n)));
            black_box(queue.pop());
        }
        figures.push(COUNT as f64 / began.elapsed().as_secs_f64());
    }
    let figure = median(figures) / 1e6;
    println!("class queue, push + pop: {figure:.1} million/s (reach 20)");
}

/// Rounds of messages to 1,000 subscribers, each round read by all before the next begins.
async fn fan_out() {
    const SUBSCRIBERS: u64 = 1_000;
    const IN_A_ROUND: u64 = 256;
    const COUNT: u64 = 16 * IN_A_ROUND;
    let mut figures = Vec::new();
    for _ in 0..ROUNDS {
        let node = Lanekeeper::in_memory();
        let topic = node.stream("bench");
        let (arrived, all) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
        for _ in 0..SUBSCRIBERS {
            let subscriber = topic.subscribe().await.unwrap();
            let (arrived, all) = (Arc::clone(&arrived), Arc::clone(&all));
            tokio::spawn(read(subscriber, move |seq| {
                let is_last = seq % IN_A_ROUND == 0;
                if is_last && (arrived.fetch_add(1, Ordering::Relaxed) + 1) % SUBSCRIBERS == 0 {
                    all.notify_one();
                }
            }));
        }
        let (item, began) = (item(), Instant::now());
        for n in 1..=COUNT {
            let done = topic.publish(Class::Important, item.clone()).await.unwrap();
            assert_eq!(done.queued - done.evicted, SUBSCRIBERS);
            if n % IN_A_ROUND == 0 {
                all.notified().await;
            }
        }
        figures.push((COUNT * SUBSCRIBERS) as f64 / began.elapsed().as_secs_f64());
    }
    let figure = median(figures) / 1e6;
    println!("fan-out to {SUBSCRIBERS} in process: {figure:.2} million deliveries/s (reach 2)");
}

async fn read(mut subscriber: Subscriber, mut seen: impl FnMut(u64)) {
    while let Some(event) = subscriber.next().await {
        if let StreamEvent::Message(message) = event {
            seen(message.seq);
        }
    }
}

/// A server in this process, and the stream that its clients subscribe to.
struct Serving {
    topic: Topic,
    addr: std::net::SocketAddr,
    node: Lanekeeper,
    handle: ServerHandle,
}

impl Serving {
    fn start() -> Self {
        let node = Lanekeeper::in_memory();
        let listen = "127.0.0.1:0".parse().unwrap();
        // Whoever stalls stays.
        let send_timeout = Duration::from_secs(600);
        let socket = SocketOptions { send_timeout, ..SocketOptions::default() };
        let options = ServerOptions { listen, worker_count: 2, socket, ..ServerOptions::default() };
        let server = Server::bind(node.clone(), options).unwrap();
        let (addr, handle) = (server.addr(), server.handle());
        actix_web::rt::spawn(server.run());
        Self { topic: node.stream("bench"), addr, node, handle }
    }

    async fn stop(self) {
        self.node.shutdown(Duration::from_secs(1)).await.unwrap();
        self.handle.stop(Duration::from_secs(1)).await;
    }
}

const CONNECTIONS: usize = 100;
/// Messages that are on their way to each connection at a time.
const IN_FLIGHT: usize = 32;

async fn socket(clients: &tokio::runtime::Runtime) {
    let (mut echoes, mut streams, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let serving = Serving::start();
        let readers = Readers::open(clients, serving.addr, CONNECTIONS).await;
        let streamed = readers.deliveries(&serving.topic, &item(), IN_FLIGHT).await;
        serving.stop().await;
        let echo = Echo::start(clients, CONNECTIONS).await;
        let echoed = echo.messages(item().size_bytes() + reader::ENVELOPE_BYTES, IN_FLIGHT).await;
        ratios.push(streamed / echoed);
        echoes.push(echoed / 1e3);
        streams.push(streamed / 1e3);
    }
    println!(
        "{CONNECTIONS} WebSockets: {:.0} thousand deliveries/s; bare echo {:.0} thousand/s; \
         ratio {:.2} (reach 0.5)",
        median(streams),
        median(echoes),
        median(ratios)
    );
}

async fn warm_up(clients: &tokio::runtime::Runtime) {
    let serving = Serving::start();
    let readers = Readers::open(clients, serving.addr, 20).await;
    readers.latency(&serving.topic).await;
    serving.stop().await;
}

/// The p99 from publish to arrival at healthy readers, without and with stalled ones beside them.
async fn beside_stalled(clients: &tokio::runtime::Runtime, healthy: usize, stalled: usize) {
    const ROUNDS: usize = 5;
    let (mut alone, mut beside, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut p99 = [0.0; 2];
        for (place, stalled) in [0, stalled].into_iter().enumerate() {
            let serving = Serving::start();
            let _stalled = Readers::stall(serving.addr, stalled, &serving.topic).await;
            let readers = Readers::open(clients, serving.addr, healthy).await;
            p99[place] = readers.latency(&serving.topic).await.value_at_quantile(0.99) as f64 / 1e3;
            serving.stop().await;
        }
        alone.push(p99[0]);
        beside.push(p99[1]);
        ratios.push(p99[1] / p99[0]);
    }
    println!(
        "p99 of {healthy} healthy readers: {:.0} µs; beside {stalled} stalled {:.0} µs; \
         ratio {:.2} (at most 1.25)",
        median(alone),
        median(beside),
        median(ratios)
    );
}

/// 500 publishers at a time, on 5 streams of 20 subscribers each.
async fn publishers() {
    let node = Lanekeeper::in_memory();
    let topics: Vec<Topic> = (0..5).map(|n| node.stream(&format!("bench-{n}"))).collect();
    for topic in &topics {
        for _ in 0..20 {
            tokio::spawn(read(topic.subscribe().await.unwrap(), |_| {}));
        }
        let (began, item) = (Instant::now(), item());
        for _ in 0..100 {
            topic.publish(Class::Important, item.clone()).await.unwrap();
        }
        assert!(began.elapsed() < Duration::from_secs(1));
    }
    let topics: Arc<[Topic]> = topics.into();
    let measured = closed_loop(500, Duration::from_secs(2), |caller| {
        let (topic, item) = (topics[caller % 5].clone(), item());
        move |_| {
            let (topic, item) = (topic.clone(), item.clone());
            async move {
                topic.publish(Class::Important, item).await.unwrap();
                tokio::task::yield_now().await;
                true
            }
        }
    })
    .await;
    tell("500 publishers, 5 streams of 20", &measured);
}

fn tell(what: &str, measured: &Measured) {
    println!(
        "{what}: {:.0} thousand/s, p50 {:.1} ms, p99 {:.1} ms (under 50)",
        measured.per_second / 1e3,
        measured.micros(0.5) / 1e3,
        measured.micros(0.99) / 1e3
    );
}

/// 500 connections that publish to a server, on 5 streams of 20 WebSockets each.
async fn http_publishers(clients: &tokio::runtime::Runtime) {
    let serving = Serving::start();
    for n in 0..5 {
        let path = format!("/stream/bench-{n}");
        Readers::open_to(clients, serving.addr, 20, &path).await.drain();
    }
    let publishers = Publishers::open(clients, serving.addr, 500).await;
    let measured = publishers.publish(|caller| format!("/stream/bench-{}", caller % 5)).await;
    tell("500 publishers over HTTP, 5 streams of 20 WebSockets", &measured);
    serving.stop().await;
}
