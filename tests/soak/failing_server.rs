//! A node, and the real binary, whose disk fails: everybody is answered, and they end in order and
//! say what is the matter.

use std::sync::Arc;

use lanekeeper_actors::{Node, ShutdownError};
use lanekeeper_storage::{CommitError, Crash, EmbeddedEngine, Engine, Failure, FaultDisk};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use serde_json::json;
use ureq::Agent;

use crate::{
    failing_device::{PATIENCE, options},
    seed,
    support::process::{Serving, lanekeeper},
};

/// Fails fsyncs until one was the journal's; answers how many pushes were acknowledged before.
async fn poison(node: &Node, disk: &FaultDisk) -> u64 {
    let mut acknowledged = 0;
    while node.status().engine.poisoned.is_none() {
        // One write, then the fsync, if nobody else comes between.
        disk.fail_after(1, Failure::Io);
        acknowledged += u64::from(node.queue("q").push(json!({})).await.is_ok());
    }
    acknowledged
}

#[tokio::test]
async fn a_poisoned_node_answers_everybody_and_ends_with_what_is_the_matter() {
    let _machine = crate::machine();
    let disk = FaultDisk::new(seed());
    let start = |disk: &FaultDisk| {
        let engine: Arc<dyn Engine> = Arc::new(EmbeddedEngine::open_on(disk, options()).unwrap());
        Node::builder().start(engine).unwrap()
    };
    let node = start(&disk);
    let acknowledged = poison(&node, &disk).await;
    for n in 0..20 {
        let queue = node.queue(&format!("q{n}"));
        let answer = tokio::time::timeout(PATIENCE, async { queue.push(json!({})).await });
        assert!(answer.await.unwrap().is_err());
    }
    let ended = node.shutdown(PATIENCE).await;
    assert!(matches!(ended, Err(ShutdownError::Commit(CommitError::Poisoned(_)))), "{ended:?}");
    let found = disk.crash(Crash::PowerCut);
    drop(node);
    let stats = start(&found).queue("q").stats().await.unwrap();
    assert!([acknowledged, acknowledged + 1].contains(&stats.ready), "{acknowledged} {stats:?}");
}

/// No write of a process grows a file, or all do again.
fn limit_files(pid: u32, bytes: Option<u64>) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap());
    prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

#[test]
fn a_server_whose_writes_fail_answers_goes_on_when_they_do_not_and_ends_with_a_sentence() {
    let _machine = crate::machine();
    let dir = tempfile::tempdir().unwrap();
    let start = || {
        let mut command = lanekeeper(["serve", "--listen", "127.0.0.1:0", "--data"]);
        command.arg(dir.path()).env("RUST_LOG", "off");
        Serving::start(command)
    };
    let agent = Agent::config_builder().http_status_as_error(false);
    let agent = agent.timeout_global(Some(PATIENCE)).build().new_agent();
    let push = |server: &Serving| {
        let url = format!("{}/queue/q/push", server.url);
        agent.post(url).send(r#"{"item":{}}"#).unwrap().status().as_u16()
    };
    let server = start();
    let mut acknowledged = 0;
    for limit in [Some(0), None, Some(0)] {
        limit_files(server.pid(), limit);
        let mut status = push(&server);
        while limit.is_none() && status == 503 {
            // Until it looks again.
            std::thread::yield_now();
            status = push(&server);
        }
        assert!(if limit.is_none() { status == 200 } else { status >= 500 }, "{status}");
        acknowledged += u64::from(status == 200);
    }
    server.signal(Signal::TERM);
    let ended = server.wait();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.starts_with("error: the drain was not clean: "), "{}", ended.stderr);
    assert!(ended.stderr.contains("limit on the size of files"), "{}", ended.stderr);
    let server = start();
    assert_eq!(push(&server), 200);
    let mut stats = agent.get(format!("{}/queue/q/stats", server.url)).call().unwrap();
    let stats: serde_json::Value =
        serde_json::from_str(&stats.body_mut().read_to_string().unwrap()).unwrap();
    assert!(stats["ready"].as_u64().unwrap() > acknowledged, "{stats}");
}
