//! What is known of workers, and what is refused.

use std::time::Duration;

use lanekeeper_actors::{
    InvalidId, Node,
    worker::{LivenessError, LivenessOptions, WorkerStatus},
};
use serde_json::json;

use crate::support::fleet::Fleet;

#[tokio::test]
async fn a_worker_says_what_it_is() {
    let fleet = Fleet::new();
    let began = fleet.clock.now();
    let text = "{ \"slots\" : 4,\t\"host\":\"é\" }";
    fleet.worker("w1").heartbeat().meta(text).await.unwrap();
    fleet.clock.advance(Duration::from_secs(7));
    fleet.beat("w1").await;
    let info = fleet.worker("w1").status().await.unwrap();
    assert_eq!((&*info.id, info.status), ("w1", WorkerStatus::Online));
    assert_eq!((info.first_seen_at, info.last_seen_at), (began, fleet.clock.now()));
    assert_eq!(info.meta.unwrap().as_str(), text, "a beat without a meta leaves it");
    fleet.worker("w1").heartbeat().meta(json!({})).await.unwrap();
    fleet.node.liveness().flush_now().await.unwrap();
    let fleet = fleet.reopened(|builder| builder);
    let found = fleet.worker("w1").status().await.unwrap();
    assert_eq!((found.first_seen_at, found.meta.unwrap().as_str()), (began, "{}"));
}

#[tokio::test]
async fn a_worker_never_seen_is_not_found_and_not_made() {
    let node = Node::in_memory();
    for error in [
        node.worker("w1").status().await.unwrap_err(),
        node.worker("w1").deregister().await.unwrap_err(),
    ] {
        assert!(matches!(error, LivenessError::NotFound), "{error}");
    }
    assert!(node.workers().await.unwrap().workers.is_empty());
}

#[tokio::test]
async fn bad_input_is_refused_with_its_bound_and_changes_nothing() {
    let options =
        LivenessOptions { meta_bytes_max: 20, metas_bytes_max: 30, ..LivenessOptions::default() };
    let fleet = Fleet::with(options);
    let long = "x".repeat(129);
    for id in ["", "a/b", ".a", "a..b", &long] {
        let error = fleet.worker(id).heartbeat().await.unwrap_err();
        assert!(matches!(error, LivenessError::InvalidId(_)), "{id:?}: {error}");
        assert!(fleet.worker(id).status().await.is_err());
        assert!(fleet.worker(id).deregister().await.is_err());
    }
    let error = fleet.worker(&long).heartbeat().await.unwrap_err();
    assert!(matches!(error, LivenessError::InvalidId(InvalidId::Length(129))), "{error}");
    let refused = async |meta: &str| {
        let error = fleet.worker("w1").heartbeat().meta(meta).await.unwrap_err();
        error.to_string()
    };
    assert_eq!(refused("[1]").await, "meta: must be one JSON object, not an array");
    assert!(refused("{").await.starts_with("meta: is not valid JSON"));
    let expected = "meta has 21 bytes; at most 20 are allowed";
    assert_eq!(refused(r#"{"a":"xxxxxxxxxxxxx"}"#).await, expected);
    assert!(fleet.node.workers().await.unwrap().workers.is_empty());
    fleet.worker("w2").heartbeat().meta(r#"{"a":"xxxxxxxxxxxx"}"#).await.unwrap();
    let expected = "the meta of all workers would be 31 bytes; at most 30 are kept";
    assert_eq!(refused(r#"{"a":"xxx"}"#).await, expected);
    fleet.worker("w1").heartbeat().meta(r#"{"a":"xx"}"#).await.unwrap();
    for limit in [0, 1_001] {
        let error = fleet.node.workers().limit(limit).await.unwrap_err();
        assert_eq!(error.to_string(), format!("limit must be from 1 to 1000, not {limit}"));
    }
}

#[tokio::test]
async fn workers_are_listed_by_id_and_status_page_by_page() {
    let fleet = Fleet::new();
    for id in ["b", "e", "a", "d", "c"] {
        fleet.beat(id).await;
    }
    fleet.worker("b").deregister().await.unwrap();
    fleet.worker("d").deregister().await.unwrap();
    let ids = |list: &lanekeeper_actors::worker::WorkerList| {
        list.workers.iter().map(|worker| worker.id.to_string()).collect::<Vec<_>>()
    };
    let all = fleet.node.workers().await.unwrap();
    assert_eq!((ids(&all).join(" "), all.next), ("a b c d e".into(), None));
    let page = fleet.node.workers().limit(2).await.unwrap();
    assert_eq!((ids(&page).join(" "), page.next.as_deref()), ("a b".into(), Some("b")));
    let page = fleet.node.workers().limit(3).after("b").await.unwrap();
    assert_eq!((ids(&page).join(" "), page.next), ("c d e".into(), None));
    let online = fleet.node.workers().status(WorkerStatus::Online).limit(2).await.unwrap();
    assert_eq!((ids(&online).join(" "), online.next.as_deref()), ("a c".into(), Some("c")));
    let offline = fleet.node.workers().status(WorkerStatus::Offline).await.unwrap();
    assert_eq!((ids(&offline).join(" "), offline.next), ("b d".into(), None));
    fleet.beat("ca").await;
    fleet.beat("cb").await;
    let named = fleet.node.workers().prefix("c").limit(2).await.unwrap();
    assert_eq!((ids(&named).join(" "), named.next.as_deref()), ("c ca".into(), Some("ca")));
    for (after, rest) in [("ca", "cb"), ("a", "c ca cb"), ("d", "")] {
        let named = fleet.node.workers().prefix("c").after(after).await.unwrap();
        assert_eq!((ids(&named).join(" ").as_str(), named.next), (rest, None));
    }
    let behind = fleet.node.workers().after("zzz").await.unwrap();
    assert_eq!((behind.workers.len(), behind.next), (0, None));
}

#[tokio::test]
async fn a_list_finds_the_few_among_the_many() {
    let fleet = Fleet::new();
    for number in 0..5_000 {
        fleet.beat(&format!("w{number:04}")).await;
    }
    fleet.worker("w4998").deregister().await.unwrap();
    let offline = fleet.node.workers().status(WorkerStatus::Offline).await.unwrap();
    assert_eq!((offline.workers.len(), &*offline.workers[0].id), (1, "w4998"));
}
