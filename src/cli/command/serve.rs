//! `lanekeeper serve`: the server, from its settings to its orderly end.

use std::{
    io::{Write, stdout},
    os::unix::process::CommandExt,
    time::{Duration, Instant},
};

use lanekeeper::{
    Lanekeeper,
    server::{Server, ServerHandle},
    sink::{self, SinkOptions, Sinks},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{runtime::Builder, task::JoinHandle};

use crate::{
    cli::{
        args,
        exit::{CommandFailure, INTERRUPTED},
        output,
        signals::{Ending, Signals},
    },
    config::validated::Config,
    telemetry,
};

/// The least time that answers already made are given to reach their clients.
const STOP_TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// Serves until a signal, then drains.
pub(crate) fn run(args: args::Serve) -> Result<u8, CommandFailure> {
    let config =
        Config::resolve(args.settings, args.config.as_deref()).map_err(CommandFailure::usage)?;
    give_memory_back_at_once(&config);
    telemetry::start(config.log_format)?;
    if args.end_with_parent {
        let signal = Some(rustix::process::Signal::KILL);
        rustix::process::set_parent_process_death_signal(signal)
            .map_err(CommandFailure::not_started)?;
    }
    raise_file_limit();
    let runtime = Builder::new_multi_thread().enable_all().thread_name("node").build()?;
    let ended = runtime.block_on(serve(config));
    runtime.shutdown_background();
    ended
}

/// Below this, what was used once and is free again is missed elsewhere.
const SPARING_BYTES: u64 = 1 << 30;

/// What the allocator is told when the process starts: how long it keeps what is free, in ms.
const PURGE_DELAY: &str = "MIMALLOC_PURGE_DELAY";

/// Where there is little memory, starts this program anew in this process, with an allocator that
/// gives back what is free: it would keep as much again as was ever used at once.
fn give_memory_back_at_once(config: &Config) {
    let is_little = config.server.memory.process_bytes().is_some_and(|most| most < SPARING_BYTES);
    if !is_little || std::env::var_os(PURGE_DELAY).is_some() {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        let mut again = std::process::Command::new(program);
        // Comes back only if it fails; then things go on as they are.
        let _ = again.args(std::env::args_os().skip(1)).env(PURGE_DELAY, "0").exec();
    }
}

/// Takes as many open files as are allowed: each connection is one, and the usual first limit of
/// 1,024 is far below the connections that are served.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, current = limit.current, "the limit on open files was not raised");
    }
}

async fn serve(config: Config) -> Result<u8, CommandFailure> {
    let mut signals = Signals::of_server()?;
    let server =
        Server::bind_recovering(config.server.clone()).map_err(CommandFailure::not_started)?;
    let (addr, handle) = (server.addr(), server.handle());
    let posts_max = server.sink_posts_max();
    let running = tokio::spawn(server.run());
    let opened = tokio::select! {
        opened = config.open() => opened,
        ending = signals.next() => return Ok(ending.exit_code()),
    };
    let node = opened.map_err(CommandFailure::not_started)?;
    let sinks = sink::run(node.clone(), SinkOptions { posts_max, ..config.server.sink.clone() });
    handle.show_sinks(&sinks);
    handle.open(node.clone());
    announce(&format!("listening on http://{addr}"));
    tracing::info!(%addr, data = %config.data.display(), "ready");
    let drain_timeout = config.drain_timeout;
    let serving = Serving { node, sinks, handle, running, drain_timeout };
    serving.until(signals).await
}

/// A server that is ready.
struct Serving {
    node: Lanekeeper,
    sinks: Sinks,
    handle: ServerHandle,
    running: JoinHandle<std::io::Result<()>>,
    drain_timeout: Duration,
}

impl Serving {
    /// Serves until a signal, then drains; a second signal ends the process.
    async fn until(mut self, mut signals: Signals) -> Result<u8, CommandFailure> {
        let ending = tokio::select! {
            ending = signals.next() => ending,
            ended = &mut self.running => {
                let message = match ended {
                    Ok(Err(error)) => error.to_string(),
                    Ok(Ok(())) | Err(_) => "the server ended by itself".to_owned(),
                };
                return Err(CommandFailure::not_started(message));
            }
        };
        tracing::info!(signal = ending.name(), "draining");
        tokio::select! {
            ended = self.drain(ending) => ended,
            _ = signals.next() => {
                output::note("a second signal: ended without draining");
                std::process::exit(i32::from(INTERRUPTED));
            }
        }
    }

    async fn drain(self, ending: Ending) -> Result<u8, CommandFailure> {
        let began = Instant::now();
        self.handle.drain();
        // While the node still settles what they deliver.
        self.sinks.stop(self.drain_timeout).await;
        let left = self.drain_timeout.saturating_sub(began.elapsed());
        let shutdown = self.node.shutdown(left).await;
        let left = self.drain_timeout.saturating_sub(began.elapsed()).max(STOP_TIMEOUT_MIN);
        self.handle.stop(left).await;
        drop(self.running.await);
        match shutdown {
            Ok(()) => {
                tracing::info!(millis = began.elapsed().as_millis() as u64, "drained");
                Ok(ending.exit_code())
            }
            Err(error) => {
                tracing::error!(%error, "the drain was not clean");
                Err(CommandFailure::failed(format!("the drain was not clean: {error}")))
            }
        }
    }
}

/// Prints the line that says where the server is. A closed stdout is no reason to end.
fn announce(line: &str) {
    let mut stdout = stdout().lock();
    drop(writeln!(stdout, "{line}"));
    drop(stdout.flush());
}
