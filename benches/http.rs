//! Pushes and pops over HTTP with 64 keep-alive connections, as a ratio to a handler that parses
//! and echoes the same JSON; leases and acks as a ratio to pops.
//!
//! `cargo bench --bench http`, or `-- throughput`, `-- latency` for a part; `BENCH_DIR` chooses the
//! disk.

#![expect(clippy::unwrap_used, reason = "a bench ends at the first failure")]

mod support;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{App, HttpServer, web};
use hdrhistogram::Histogram;
use lanekeeper::{
    Durability, Lanekeeper,
    server::{Server, ServerOptions},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use support::{Measured, median, paced_loop, scratch};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Runtime,
    sync::Mutex,
};

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LEVELS: [Durability; 2] = [Durability::Relaxed, Durability::Durable];
const CONNECTIONS: usize = 64;
const TIME: Duration = Duration::from_secs(2);
const ROUNDS: usize = 3;
/// Requests a second that leave the processors room.
const PACE: u32 = 5_000;
const REACH: f64 = 0.6;
/// How much longer a lease or an ack may take than a pop.
const LEASE_MAX: f64 = 1.3;

#[derive(Serialize, Deserialize)]
struct Echo {
    item: Box<RawValue>,
    priority: u32,
}

/// Runs the servers on threads of their own, as they would run, beside the clients.
#[actix_web::main]
async fn main() {
    let clients =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let only = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let is_wanted = |part| only.as_deref().is_none_or(|only| only == part);
    if is_wanted("throughput") {
        throughputs(&clients).await;
    }
    if is_wanted("latency") {
        latencies(&clients).await;
    }
    clients.shutdown_background();
}

async fn throughputs(clients: &Runtime) {
    println!(
        "{:<10} {:>10} {:>10} {:>10}  ratios (reach {REACH})",
        "", "echo/s", "push/s", "pop/s"
    );
    for durability in LEVELS {
        throughput(clients, durability).await;
    }
}

async fn latencies(clients: &Runtime) {
    println!("latency of leases and acks to that of pops (at most {LEASE_MAX})");
    for durability in LEVELS {
        for connections in [1, 8, CONNECTIONS] {
            for order in [Order::InTurn, Order::Apart] {
                latency(&Clients::saturating(clients, connections), durability, order).await;
            }
        }
        for connections in [8, CONNECTIONS] {
            let every = Duration::from_secs(1) * connections as u32 / PACE;
            let clients = Clients { runtime: clients, connections, every };
            latency(&clients, durability, Order::InTurn).await;
        }
    }
}

/// When messages are acked.
#[derive(Clone, Copy, Debug)]
enum Order {
    /// Each as soon as it is leased, as workers do.
    InTurn,
    /// Once all are leased: a hundred thousand and more.
    Apart,
}

async fn throughput(clients: &Runtime, durability: Durability) {
    let (mut echo, mut push, mut pop) = (Vec::new(), Vec::new(), Vec::new());
    let (mut push_ratio, mut pop_ratio) = (Vec::new(), Vec::new());
    let mut latency = String::new();
    for _ in 0..ROUNDS {
        let limit = measure_echo(clients).await;
        let clients = Clients::saturating(clients, CONNECTIONS);
        let measured = measure_queue(&clients, durability, None).await;
        let [pushed, popped] = &measured[..] else { unreachable!("nothing else is asked for") };
        latency = format!("p50 {:.0} µs p99 {:.0} µs", pushed.micros(0.5), pushed.micros(0.99));
        push_ratio.push(pushed.per_second / limit.per_second);
        pop_ratio.push(popped.per_second / limit.per_second);
        echo.push(limit.per_second);
        push.push(pushed.per_second);
        pop.push(popped.per_second);
    }
    println!(
        "{durability:<10} {:>10.0} {:>10.0} {:>10.0}  push {:.2} pop {:.2}, push {latency}",
        median(echo),
        median(push),
        median(pop),
        median(push_ratio),
        median(pop_ratio)
    );
}

async fn latency(clients: &Clients<'_>, durability: Durability, order: Order) {
    let mut ratios: [Vec<f64>; 4] = Default::default();
    let mut pop = String::new();
    for _ in 0..ROUNDS {
        let measured = measure_queue(clients, durability, Some(order)).await;
        let [_, popped, leased, acked] = &measured[..] else {
            unreachable!("leases are asked for")
        };
        pop = format!("p50 {:.0} µs p99 {:.0} µs", popped.micros(0.5), popped.micros(0.99));
        let of = [(leased, 0.5), (leased, 0.99), (acked, 0.5), (acked, 0.99)];
        for (ratios, (verb, quantile)) in ratios.iter_mut().zip(of) {
            ratios.push(verb.micros(quantile) / popped.micros(quantile));
        }
    }
    let [lease_p50, lease_p99, ack_p50, ack_p99] = ratios.map(median);
    let connections = clients.connections;
    let pace = if clients.every.is_zero() { "saturating".to_owned() } else { format!("{PACE}/s") };
    println!(
        "{durability:<10} {connections:>3} connections, {pace}, {order:?}: lease p50 \
         {lease_p50:.2} p99 {lease_p99:.2}, ack p50 {ack_p50:.2} p99 {ack_p99:.2}; pop {pop}"
    );
}

fn request(path: &str, body: &str) -> Arc<[u8]> {
    let text = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    text.into_bytes().into()
}

fn push_body() -> String {
    format!("{{\"item\":{{\"item\":\"{}\"}},\"priority\":1}}", "x".repeat(245))
}

async fn measure_echo(runtime: &Runtime) -> Measured {
    let app = || {
        let echo = |body: web::Bytes| async move {
            let echo: Echo = serde_json::from_slice(&body).unwrap();
            web::Json(echo)
        };
        App::new().route("/echo", web::post().to(echo))
    };
    let server = HttpServer::new(app).workers(2).disable_signals().bind("127.0.0.1:0").unwrap();
    let addr = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    let running = actix_web::rt::spawn(server);
    let measured = Clients::saturating(runtime, CONNECTIONS)
        .load(addr, Verb::Same(request("/echo", &push_body())))
        .await;
    handle.stop(false).await;
    running.await.unwrap().unwrap();
    measured
}

/// Those who ask.
struct Clients<'a> {
    runtime: &'a Runtime,
    connections: usize,
    /// How often each of them asks; as fast as it is answered if zero.
    every: Duration,
}

/// Pushes and pops, and then leases and acks, if they are wanted.
async fn measure_queue(
    clients: &Clients<'_>,
    durability: Durability,
    order: Option<Order>,
) -> Vec<Measured> {
    let dir = scratch();
    let builder = Lanekeeper::builder().data(dir.path()).durability(durability);
    let node = builder.open().await.unwrap();
    let options = ServerOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        worker_count: 2,
        ..ServerOptions::default()
    };
    let server = Server::bind(node.clone(), options).unwrap();
    let (addr, handle) = (server.addr(), server.handle());
    let running = actix_web::rt::spawn(server.run());
    let push = request("/queue/bench/push", &push_body());
    let pushed = clients.load(addr, Verb::Same(push.clone())).await;
    let popped = clients.load(addr, Verb::Same(request("/queue/bench/pop", ""))).await;
    let mut measured = vec![pushed, popped];
    if let Some(order) = order {
        clients.load(addr, Verb::Same(push)).await;
        measured.extend(measure_leases(clients, addr, order).await);
    }
    node.shutdown(Duration::from_secs(60)).await.unwrap();
    handle.stop(Duration::from_secs(10)).await;
    running.await.unwrap().unwrap();
    measured
}

/// Leases and acks, as long as there are messages.
async fn measure_leases(clients: &Clients<'_>, addr: SocketAddr, order: Order) -> [Measured; 2] {
    let lease = request("/queue/bench/lease", r#"{"ttl_ms":600000}"#);
    match order {
        Order::Apart => {
            let leases = Leases::default();
            let leased = clients.load(addr, Verb::Lease(lease, leases.clone())).await;
            [leased, clients.load(addr, Verb::Ack(leases)).await]
        }
        Order::InTurn => {
            let both = Both::default();
            let clients = Clients { every: clients.every * 2, ..*clients };
            let cycles = clients.load(addr, Verb::LeaseAndAck(lease, both.clone())).await;
            let latencies = std::mem::take(&mut *both.lock().unwrap());
            let of = |latency| Measured { per_second: cycles.per_second, latency };
            [of(histogram(&latencies.0)), of(histogram(&latencies.1))]
        }
    }
}

fn histogram(nanos: &[u64]) -> Histogram<u64> {
    let mut histogram = Histogram::new(3).unwrap();
    nanos.iter().for_each(|nanos| histogram.record(*nanos).unwrap());
    histogram
}

/// How long leases took and acks, in nanoseconds.
type Both = Arc<std::sync::Mutex<(Vec<u64>, Vec<u64>)>>;

/// Tokens of leases to be acknowledged.
type Leases = Arc<std::sync::Mutex<Vec<String>>>;

/// What is asked again and again.
#[derive(Clone)]
enum Verb {
    Same(Arc<[u8]>),
    Lease(Arc<[u8]>, Leases),
    Ack(Leases),
    LeaseAndAck(Arc<[u8]>, Both),
}

impl Verb {
    /// Asks once; false if there was nothing to give, or to ask for.
    async fn ask(&self, connection: &mut Connection) -> bool {
        match self {
            Self::Same(request) => !connection.ask(request).await.contains("\"count\":0"),
            Self::Lease(request, leases) => {
                let lease = token(connection.ask(request).await);
                let is_given = lease.is_some();
                leases.lock().unwrap().extend(lease);
                is_given
            }
            Self::Ack(leases) => {
                let Some(lease) = leases.lock().unwrap().pop() else { return false };
                connection.ask(&ack(&lease)).await;
                true
            }
            Self::LeaseAndAck(request, both) => {
                let began = Instant::now();
                let Some(lease) = token(connection.ask(request).await) else { return false };
                let ack = ack(&lease);
                let leased = Instant::now();
                connection.ask(&ack).await;
                let acked = Instant::now();
                let mut both = both.lock().unwrap();
                both.0.push((leased - began).as_nanos() as u64);
                both.1.push((acked - leased).as_nanos() as u64);
                true
            }
        }
    }
}

/// The token of the lease in an answer.
fn token(answer: &str) -> Option<String> {
    let (_, rest) = answer.split_once("\"lease\":\"")?;
    rest.split_once('"').map(|(token, _)| token.to_owned())
}

fn ack(lease: &str) -> Arc<[u8]> {
    request("/queue/bench/ack", &format!("{{\"leases\":[\"{lease}\"]}}"))
}

impl<'a> Clients<'a> {
    /// Those who ask as fast as they are answered.
    fn saturating(runtime: &'a Runtime, connections: usize) -> Self {
        Self { runtime, connections, every: Duration::ZERO }
    }

    async fn load(&self, addr: SocketAddr, verb: Verb) -> Measured {
        let (count, every) = (self.connections, self.every);
        let task = self.runtime.spawn(async move {
            let mut connections = Vec::new();
            for _ in 0..count {
                let stream = TcpStream::connect(addr).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let connection = Connection { stream, buffer: vec![0; 16 << 10] };
                connections.push(Arc::new(Mutex::new(connection)));
            }
            paced_loop(count, TIME, every, |caller| {
                let connection = Arc::clone(&connections[caller]);
                let verb = verb.clone();
                move |_| {
                    let (connection, verb) = (Arc::clone(&connection), verb.clone());
                    async move { verb.ask(&mut *connection.lock().await).await }
                }
            })
            .await
        });
        task.await.unwrap()
    }
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Sends a request and reads the body of its answer.
    async fn ask(&mut self, request: &[u8]) -> &str {
        self.stream.write_all(request).await.unwrap();
        let mut filled = 0;
        let body_at = loop {
            filled += self.stream.read(&mut self.buffer[filled..]).await.unwrap();
            let text = std::str::from_utf8(&self.buffer[..filled]).unwrap();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
            });
            let length: usize = length.expect("every answer has a length");
            if body.len() == length {
                break filled - length;
            }
        };
        std::str::from_utf8(&self.buffer[body_at..filled]).unwrap()
    }
}
