//! What gates tell of themselves, what that costs, and what is refused.

use std::time::Duration;

use lanekeeper_actors::gate::{
    Gate, GateError, GatePolicy, GateSummary, OnFull, Period, PolicySource, Quota,
};

use crate::support::gate::{Gates, granted, next};

#[tokio::test]
async fn waits_cost_no_commit_of_their_own_and_survive_a_kill_but_for_the_last_seconds() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    let before = gates.node.status().engine.commits;
    for n in 0..101 {
        gate.acquire(&format!("o{n}")).ticket().await.unwrap();
    }
    for n in 0..100 {
        gates.clock.advance(Duration::from_secs(1));
        next(&gate, &format!("o{n}")).await;
    }
    let stats = gate.stats().await.unwrap();
    assert_eq!(stats.waits.count, 101);
    let commits = gates.node.status().engine.commits - before;
    assert_eq!(commits, 201, "one for each verb that changes something");
    let gates = gates.crash();
    let after = gates.node.gate("g").stats().await.unwrap();
    assert!((91..=101).contains(&after.waits.count), "{:?}", after.waits);
    assert!(after.waits.p50 >= Duration::from_secs(40), "{:?}", after.waits);
    assert_eq!(after.releases_per_second, Some(1.0));
    assert_eq!(after.total_granted, 101);
}

#[tokio::test]
async fn a_quota_gives_back_what_left_its_window_of_an_hour_or_a_day_and_no_sooner() {
    let spans = [(Period::Minute, 60), (Period::Hour, 3_600), (Period::Day, 86_400)];
    for (per, seconds) in spans {
        let gates = Gates::new();
        let gate = gates.node.gate("g");
        let quota = Some(Quota { limit: 3, per });
        gate.set_policy(GatePolicy { quota, ..GatePolicy::default() }).await.unwrap();
        let third = Duration::from_secs(seconds) / 3;
        for owner in ["a", "b", "c"] {
            granted(&gate, owner).await;
            gates.clock.advance(third);
        }
        // The window has rolled past a by no more than a part of it: a sixtieth.
        let refused = gate.acquire("d").await.unwrap_err();
        assert!(matches!(refused, GateError::QuotaExceeded { limit: 3, .. }), "{refused:?}");
        let wait = refused.retry_after().unwrap();
        assert!(wait <= Duration::from_secs(seconds) / 60, "{per:?}: {wait:?}");
        gates.clock.advance(wait);
        let gates = gates.crash();
        let gate = gates.node.gate("g");
        granted(&gate, "d").await;
        let refused = gate.acquire("e").await.unwrap_err();
        let wait = refused.retry_after().unwrap();
        assert!(wait > third - Duration::from_secs(seconds) / 30, "{per:?}: {wait:?}");
        assert!(wait <= third, "{per:?}: {wait:?}");
    }
}

#[tokio::test]
async fn gates_are_listed_by_id_and_prefix_page_by_page_without_activating_any() {
    let gates = Gates::new();
    for id in ["pack.b", "pack.a", "other"] {
        let gate = gates.gate(id, 1).await;
        granted(&gate, "x").await;
        gate.acquire("y").ticket().await.unwrap();
    }
    next(&gates.node.gate("pack.b"), "x").await;
    let gates = gates.crash();
    let list = gates.node.gates().prefix("pack.").await.unwrap();
    let summary = |id: &str, waiting, granted_total| GateSummary {
        id: id.to_owned(),
        waiting,
        held: 1,
        granted_total,
        completed_total: granted_total - 1,
    };
    assert_eq!(list.gates, [summary("pack.a", 1, 1), summary("pack.b", 0, 2)]);
    assert_eq!(list.next, None);
    assert_eq!(gates.node.status().activations, 0);
    let page = gates.node.gates().limit(1).await.unwrap();
    assert_eq!((page.gates[0].id.as_str(), page.next.as_deref()), ("other", Some("other")));
    let rest = gates.node.gates().after("other").limit(2).await.unwrap();
    assert_eq!((rest.gates.len(), rest.next), (2, None));
    for limit in [0, 1_001] {
        let refused = gates.node.gates().limit(limit).await.unwrap_err();
        assert_eq!(refused.to_string(), format!("limit must be from 1 to 1000, not {limit}"));
    }
}

async fn everything_refused(gate: &Gate) {
    let long = "x".repeat(129);
    for owner in ["", "a b", ".a", "a..b", "ä", long.as_str()] {
        let is_owner = |error| matches!(error, GateError::InvalidOwner(_));
        assert!(is_owner(gate.acquire(owner).await.unwrap_err()), "{owner:?}");
        assert!(is_owner(gate.acquire(owner).ticket().await.unwrap_err()), "{owner:?}");
        assert!(is_owner(gate.release(owner).await.unwrap_err()), "{owner:?}");
        assert!(is_owner(gate.cancel(owner).await.unwrap_err()), "{owner:?}");
        assert!(is_owner(gate.ticket(owner).await.unwrap_err()), "{owner:?}");
        assert!(is_owner(gate.acquire("a").worker(owner).await.unwrap_err()), "{owner:?}");
    }
    let refused = gate.acquire("a").priority(1 << 31).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "priority must be an integer from 0 to 2147483647, not 2147483648"
    );
    for ttl in [Duration::ZERO, Duration::from_millis(999), Duration::from_secs(43_201)] {
        let refused = gate.acquire("a").ttl(ttl).await.unwrap_err();
        assert!(matches!(refused, GateError::InvalidTtl { .. }), "{refused:?}");
        let refused = gate.extend("holder", ttl).await.unwrap_err();
        assert!(matches!(refused, GateError::InvalidTtl { .. }), "{refused:?}");
    }
    let month = Duration::from_secs(30 * 86_400);
    let refused = gate.acquire("a").timeout(month + Duration::from_millis(1)).await.unwrap_err();
    assert!(refused.to_string().contains("from 0 to 2592000000 ms"), "{refused}");
    let groups = (0..1_000)
        .fold(gate.acquire("a"), |acquire, n| acquire.group(format!("g{n}"), n.to_string()));
    let refused = groups.await.unwrap_err();
    assert_eq!(refused.to_string(), "group: has at most 8 names, not 1000");
}

#[tokio::test]
async fn bad_input_is_refused_with_its_bound_and_changes_nothing() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    granted(&gate, "holder").await;
    let before = (gate.stats().await.unwrap(), gates.node.status().engine.commits);
    everything_refused(&gate).await;
    assert!(!gate.release("nobody").await.unwrap().released);
    assert!(matches!(gate.cancel("nobody").await, Err(GateError::TicketNotFound)));
    assert!(matches!(gate.ticket("nobody").await, Err(GateError::TicketNotFound)));
    assert!(matches!(gate.cancel("holder").await, Err(GateError::Granted)));
    let extended = gate.extend("nobody", Duration::from_secs(1)).await;
    assert!(matches!(extended, Err(GateError::PermitNotFound)));
    for policy in [
        GatePolicy::concurrent(0),
        GatePolicy { queue_length_max: 0, ..GatePolicy::default() },
        GatePolicy { timeout: Duration::ZERO, ..GatePolicy::default() },
        GatePolicy { quota: Some(Quota { limit: 0, per: Period::Day }), ..GatePolicy::default() },
    ] {
        let refused = gate.set_policy(policy).await.unwrap_err();
        assert!(matches!(refused, GateError::InvalidPolicy { .. }), "{refused:?}");
    }
    let invalid = gates.node.gate(&"x".repeat(129)).acquire("a").await.unwrap_err();
    assert!(matches!(invalid, GateError::InvalidId(_)), "{invalid:?}");
    let after = (gate.stats().await.unwrap(), gates.node.status().engine.commits);
    assert_eq!(after, before);
    assert_eq!(gate.policy().await.unwrap().source, PolicySource::Own);
    assert_eq!(gate.policy().await.unwrap().policy.on_full, OnFull::Reject);
}
