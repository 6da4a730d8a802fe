//! Clients that publish over HTTP, each one message after the other.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Runtime,
    sync::Mutex,
};

use super::{TIME, connect};
use crate::support::{Measured, closed_loop};

/// Connections that publish.
pub(crate) struct Publishers {
    clients: tokio::runtime::Handle,
    streams: Vec<Arc<Mutex<TcpStream>>>,
}

impl Publishers {
    pub(crate) async fn open(clients: &Runtime, addr: SocketAddr, count: usize) -> Self {
        let streams = clients.spawn(connect(addr, count)).await.unwrap();
        let streams = streams.into_iter().map(|stream| Arc::new(Mutex::new(stream))).collect();
        Self { clients: clients.handle().clone(), streams }
    }

    /// Publishes 256 bytes at a time to the stream of each connection.
    pub(crate) async fn publish(self, path: impl Fn(usize) -> String) -> Measured {
        let body = format!("{{\"item\":\"{}\"}}", "x".repeat(245));
        let body = format!("{{\"class\":\"important\",\"data\":{body}}}");
        let request = |caller| {
            let (path, length) = (path(caller), body.len());
            let text = format!(
                "POST {path}/publish HTTP/1.1\r\nhost: localhost\r\n\
                 content-length: {length}\r\n\r\n{body}"
            );
            Arc::<[u8]>::from(text.into_bytes())
        };
        let requests: Vec<_> = (0..self.streams.len()).map(request).collect();
        let measuring = self.clients.spawn(async move {
            closed_loop(self.streams.len(), TIME, |caller| {
                let (stream, request) =
                    (Arc::clone(&self.streams[caller]), Arc::clone(&requests[caller]));
                move |_| {
                    let (stream, request) = (Arc::clone(&stream), Arc::clone(&request));
                    async move { ask(&mut *stream.lock().await, &request).await }
                }
            })
            .await
        });
        measuring.await.unwrap()
    }
}

/// Sends a request and reads its answer, which is short.
async fn ask(stream: &mut TcpStream, request: &[u8]) -> bool {
    stream.write_all(request).await.unwrap();
    let (mut buffer, mut filled) = ([0; 1 << 10], 0);
    while !buffer[..filled].ends_with(b"}") {
        filled += stream.read(&mut buffer[filled..]).await.unwrap();
    }
    buffer.starts_with(b"HTTP/1.1 200 ")
}
