//! Pushes and pops over HTTP with 64 keep-alive connections, as a ratio to a handler that parses
//! and echoes the same JSON.
//!
//! `cargo bench --bench http`; `BENCH_DIR` chooses the disk.

#![expect(clippy::unwrap_used, reason = "a bench ends at the first failure")]

mod support;

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use actix_web::{App, HttpServer, web};
use lanekeeper::{
    Durability, Lanekeeper,
    server::{Server, ServerOptions},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use support::{Measured, closed_loop, median, scratch};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Mutex,
};

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CONNECTIONS: usize = 64;
const TIME: Duration = Duration::from_secs(2);
const ROUNDS: usize = 3;
const REACH: f64 = 0.6;

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
    println!(
        "{:<10} {:>10} {:>10} {:>10}  ratios (reach {REACH})",
        "", "echo/s", "push/s", "pop/s"
    );
    for durability in [Durability::Relaxed, Durability::Durable] {
        let (mut echo, mut push, mut pop) = (Vec::new(), Vec::new(), Vec::new());
        let (mut push_ratio, mut pop_ratio) = (Vec::new(), Vec::new());
        let mut latency = String::new();
        for _ in 0..ROUNDS {
            let limit = measure_echo(&clients).await;
            let dir = scratch();
            let (pushed, popped) = measure_queue(&clients, dir.path(), durability).await;
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
    clients.shutdown_background();
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

async fn measure_echo(clients: &tokio::runtime::Runtime) -> Measured {
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
    let measured = load(clients, addr, request("/echo", &push_body())).await;
    handle.stop(false).await;
    running.await.unwrap().unwrap();
    measured
}

async fn measure_queue(
    clients: &tokio::runtime::Runtime,
    dir: &Path,
    durability: Durability,
) -> (Measured, Measured) {
    let builder = Lanekeeper::builder().data(dir).durability(durability);
    let node = builder.open().await.unwrap();
    let options = ServerOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        worker_count: 2,
        ..ServerOptions::default()
    };
    let server = Server::bind(node.clone(), options).unwrap();
    let (addr, handle) = (server.addr(), server.handle());
    let running = actix_web::rt::spawn(server.run());
    let pushed = load(clients, addr, request("/queue/bench/push", &push_body())).await;
    let popped = load(clients, addr, request("/queue/bench/pop", "")).await;
    node.shutdown(Duration::from_secs(60)).await.unwrap();
    handle.stop(Duration::from_secs(10)).await;
    running.await.unwrap().unwrap();
    (pushed, popped)
}

async fn load(clients: &tokio::runtime::Runtime, addr: SocketAddr, request: Arc<[u8]>) -> Measured {
    let task = clients.spawn(async move {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            let stream = TcpStream::connect(addr).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let connection = Connection { stream, buffer: vec![0; 16 << 10] };
            connections.push(Arc::new(Mutex::new(connection)));
        }
        closed_loop(CONNECTIONS, TIME, |caller| {
            let connection = Arc::clone(&connections[caller]);
            let request = Arc::clone(&request);
            move |_| {
                let (connection, request) = (Arc::clone(&connection), Arc::clone(&request));
                async move { connection.lock().await.ask(&request).await }
            }
        })
        .await
    });
    task.await.unwrap()
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Sends a request and reads its answer; false if that has no items to give.
    async fn ask(&mut self, request: &[u8]) -> bool {
        self.stream.write_all(request).await.unwrap();
        let mut filled = 0;
        loop {
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
                return !body.contains("\"count\":0");
            }
        }
    }
}
