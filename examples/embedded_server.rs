//! The HTTP server inside a process of your own, beside the in-process API of the same node.
//!
//! `cargo run --example embedded_server`

use std::{error::Error, time::Duration};

use lanekeeper::{
    Lanekeeper, json,
    server::{Server, ServerOptions},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let node = Lanekeeper::in_memory();
    let listen = "127.0.0.1:0".parse()?;
    let server = Server::bind(node.clone(), ServerOptions { listen, ..ServerOptions::default() })?;
    let (url, handle) = (format!("http://{}", server.addr()), server.handle());
    let running = tokio::spawn(server.run());

    // Pushed in process, popped over HTTP.
    node.queue("mail").push(json!({"to": "ada@example.org"})).await?;
    let popped = tokio::task::spawn_blocking(move || {
        ureq::post(format!("{url}/queue/mail/pop")).send_empty()?.body_mut().read_to_string()
    });
    println!("{}", popped.await??);

    node.shutdown(Duration::from_secs(10)).await?;
    handle.stop(Duration::from_secs(10)).await;
    running.await??;
    println!("stopped");
    Ok(())
}
