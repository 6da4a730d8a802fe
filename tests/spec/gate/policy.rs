//! Policies of gates: whose applies, what they refuse and in which order, and groups.

use std::time::Duration;

use futures_util::poll;
use lanekeeper_actors::{
    Event,
    gate::{
        Acquire, BlockedBy, GateError, GatePolicy, GroupLimit, Period, PolicySource, Quota, Rate,
        TicketState,
    },
};

use crate::support::gate::{Gates, granted, next, position, waiting};

fn limit(name: &str, max_concurrent: u32) -> GroupLimit {
    GroupLimit { name: name.into(), max_concurrent }
}

async fn blocked_by(acquire: Acquire) -> Option<BlockedBy> {
    acquire.timeout(Duration::ZERO).await.unwrap_err().blocked_by()
}

#[tokio::test]
async fn the_most_specific_policy_applies_as_a_whole() {
    let default = GatePolicy::concurrent(9);
    let gates = Gates::with(|builder| builder.gate_policy(default).unwrap());
    let gate = gates.node.gate("pack.sub.action");
    let applied = async || {
        let applied = gate.policy().await.unwrap();
        (applied.source, applied.policy.max_concurrent)
    };
    assert_eq!(applied().await, (PolicySource::Default, Some(9)));
    let of_pack = GatePolicy { rate: Some(Rate::per_second(1, 1)), ..GatePolicy::concurrent(3) };
    gates.node.gate("pack").set_policy(of_pack).await.unwrap();
    assert_eq!(applied().await, (PolicySource::Parent("pack".into()), Some(3)));
    gates.gate("pack.sub", 2).await;
    assert_eq!(applied().await, (PolicySource::Parent("pack.sub".into()), Some(2)));
    gate.set_policy(GatePolicy::concurrent(1)).await.unwrap();
    assert_eq!(applied().await, (PolicySource::Own, Some(1)));
    assert_eq!(gate.policy().await.unwrap().policy.rate, None, "nothing is mixed in");
    assert_eq!(gate.stats().await.unwrap().policy, PolicySource::Own);
    gate.set_policy(None).await.unwrap();
    gates.node.gate("pack.sub").set_policy(None).await.unwrap();
    assert_eq!(applied().await, (PolicySource::Parent("pack".into()), Some(3)));
    gates.node.gate("pack").set_policy(None).await.unwrap();
    assert_eq!(applied().await, (PolicySource::Default, Some(9)));
    let other = Gates::new().node.gate("packer").policy().await.unwrap();
    assert_eq!((other.source, other.policy.max_concurrent), (PolicySource::Unlimited, None));
}

#[tokio::test]
async fn a_changed_policy_of_a_parent_lets_in_at_once_who_waits_below() {
    let gates = Gates::new();
    let pack = gates.gate("pack", 1).await;
    let (active, asleep) = (gates.node.gate("pack.active"), gates.node.gate("pack.asleep"));
    for gate in [&active, &asleep] {
        granted(gate, "a").await;
        gate.acquire("b").ticket().await.unwrap();
    }
    let waits = waiting(active.acquire("c")).await;
    assert!(asleep.passivate().await);
    pack.set_policy(GatePolicy::concurrent(3)).await.unwrap();
    waits.await.unwrap();
    assert_eq!(active.ticket("b").await.unwrap().state, TicketState::Granted);
    assert_eq!(asleep.ticket("b").await.unwrap().state, TicketState::Granted);
}

#[tokio::test]
async fn a_changed_policy_reaches_a_gate_that_was_not_active_since_the_restart() {
    let gates = Gates::new();
    gates.gate("pack", 1).await;
    let gate = gates.node.gate("pack.action");
    granted(&gate, "a").await;
    gate.acquire("b").ticket().await.unwrap();
    let gates = gates.crash();
    let gate = gates.node.gate("pack.action");
    gates.node.gate("pack").set_policy(GatePolicy::concurrent(2)).await.unwrap();
    // Told without being asked: the stats of the node count it.
    assert_eq!(gate.ticket("b").await.unwrap().state, TicketState::Granted);
}

#[tokio::test]
async fn a_change_that_a_crash_interrupts_is_told_below_after_the_restart() {
    let gates = Gates::new();
    let pack = gates.gate("pack", 1).await;
    let gate = gates.node.gate("pack.action");
    granted(&gate, "a").await;
    gate.acquire("b").ticket().await.unwrap();
    // As far as the commit, and no further.
    let mut change = Box::pin(pack.set_policy(GatePolicy::concurrent(2)));
    gates.engine.hold_commits();
    assert!(poll!(&mut change).is_pending());
    gates.engine.let_commits_go();
    gates.engine.flush();
    drop(change);
    let gates = gates.crash();
    let mut events = gates.node.events();
    gates.advance(Duration::from_millis(1)).await;
    let is_told = |event: &Event| matches!(event, Event::Turn { id } if &*id.key == "pack.action");
    events.until(is_told).await.unwrap();
    let totals = gates.node.gate_totals();
    assert_eq!((totals.waiting, totals.granted_total), (0, 1), "nobody has asked the gate");
}

#[tokio::test]
async fn a_rate_accepts_its_burst_and_then_says_truly_when_to_come_back() {
    let gates = Gates::new();
    let gate = gates.node.gate("g");
    let rate = Some(Rate::per_second(4, 2));
    gate.set_policy(GatePolicy { rate, ..GatePolicy::default() }).await.unwrap();
    granted(&gate, "a").await;
    granted(&gate, "b").await;
    let refused = gate.acquire("c").await.unwrap_err();
    assert_eq!(refused.blocked_by(), Some(BlockedBy::Rate));
    let wait = refused.retry_after().unwrap();
    assert_eq!(wait, Duration::from_millis(250));
    gate.acquire("a").await.unwrap();
    gates.clock.advance(wait - Duration::from_millis(1));
    assert!(matches!(gate.acquire("c").await, Err(GateError::RateLimited { .. })));
    gates.clock.advance(Duration::from_millis(1));
    granted(&gate, "c").await;
    let gates = gates.crash();
    let gate = gates.node.gate("g");
    assert!(matches!(gate.acquire("d").await, Err(GateError::RateLimited { .. })));
}

#[tokio::test]
async fn a_quota_accepts_so_many_in_a_rolling_window() {
    let gates = Gates::new();
    let gate = gates.node.gate("g");
    let quota = Some(Quota { limit: 2, per: Period::Minute });
    gate.set_policy(GatePolicy { quota, ..GatePolicy::concurrent(1) }).await.unwrap();
    granted(&gate, "a").await;
    gates.clock.advance(Duration::from_secs(30));
    gate.acquire("b").ticket().await.unwrap();
    let refused = gate.acquire("c").ticket().await.unwrap_err();
    assert_eq!(refused.blocked_by(), Some(BlockedBy::Quota));
    let wait = refused.retry_after().unwrap();
    assert!((30..=31).contains(&wait.as_secs()), "{wait:?}");
    gates.clock.advance(wait - Duration::from_millis(1));
    assert!(matches!(gate.acquire("c").ticket().await, Err(GateError::QuotaExceeded { .. })));
    gates.clock.advance(Duration::from_millis(1));
    gate.acquire("c").ticket().await.unwrap();
    let gates = gates.crash();
    let gate = gates.node.gate("g");
    assert!(matches!(gate.acquire("d").ticket().await, Err(GateError::QuotaExceeded { .. })));
}

#[tokio::test]
async fn of_several_reasons_the_first_in_the_documented_order_is_told() {
    let gates = Gates::new();
    let gate = gates.node.gate("g");
    let everything = GatePolicy {
        queue_length_max: 1,
        quota: Some(Quota { limit: 2, per: Period::Day }),
        rate: Some(Rate::per_second(1, 2)),
        ..GatePolicy::concurrent(1)
    };
    gate.set_policy(everything.clone()).await.unwrap();
    granted(&gate, "a").await;
    gate.acquire("b").ticket().await.unwrap();
    gate.pause().await.unwrap();
    assert_eq!(blocked_by(gate.acquire("c")).await, Some(BlockedBy::Pause));
    gate.resume().await.unwrap();
    assert_eq!(blocked_by(gate.acquire("c")).await, Some(BlockedBy::Full));
    gate.set_policy(GatePolicy { queue_length_max: 9, ..everything.clone() }).await.unwrap();
    assert_eq!(blocked_by(gate.acquire("c")).await, Some(BlockedBy::Quota));
    let no_quota = GatePolicy { queue_length_max: 9, quota: None, ..everything.clone() };
    gate.set_policy(no_quota).await.unwrap();
    assert_eq!(blocked_by(gate.acquire("c")).await, Some(BlockedBy::Rate));
    gate.set_policy(GatePolicy { queue_length_max: 9, ..GatePolicy::concurrent(1) }).await.unwrap();
    assert_eq!(blocked_by(gate.acquire("c")).await, Some(BlockedBy::Concurrency));
    gates.node.stop_admission();
    assert_eq!(blocked_by(gate.acquire("c")).await, Some(BlockedBy::Drain));
}

#[tokio::test]
async fn a_refusal_uses_nothing_up() {
    let gates = Gates::new();
    let gate = gates.node.gate("g");
    let rate = Some(Rate::per_second(1, 2));
    gate.set_policy(GatePolicy { rate, ..GatePolicy::concurrent(1) }).await.unwrap();
    granted(&gate, "a").await;
    for _ in 0..5 {
        assert_eq!(blocked_by(gate.acquire("b")).await, Some(BlockedBy::Concurrency));
    }
    gate.acquire("b").ticket().await.unwrap();
    assert_eq!(gate.stats().await.unwrap().total_enqueued, 2);
}

#[tokio::test]
async fn a_paused_gate_keeps_its_line_and_lets_nobody_in() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    granted(&gate, "a").await;
    let mut b = waiting(gate.acquire("b")).await;
    gate.pause().await.unwrap();
    assert_eq!(next(&gate, "a").await, [""; 0]);
    assert!(poll!(&mut b).is_pending());
    let ticket = gate.ticket("b").await.unwrap();
    let is_paused =
        matches!(ticket.state, TicketState::Queued { blocked_by: BlockedBy::Pause, .. });
    assert!(is_paused, "{ticket:?}");
    let gates_stats = gate.stats().await.unwrap();
    assert!(gates_stats.is_paused);
    assert!(gate.resume().await.unwrap());
    b.await.unwrap();
}

#[tokio::test]
async fn a_permit_also_counts_against_its_group() {
    let gates = Gates::new();
    let gate = gates.node.gate("g");
    let group = vec![limit("tenant", 1)];
    gate.set_policy(GatePolicy { group, ..GatePolicy::concurrent(2) }).await.unwrap();
    let of = |owner: &str, tenant: &str| gate.acquire(owner).group("tenant", tenant);
    of("a1", "acme").await.unwrap();
    let a2 = waiting(of("a2", "acme")).await;
    let a3 = waiting(of("a3", "acme")).await;
    of("b1", "beta").await.unwrap();
    let b2 = waiting(of("b2", "beta")).await;
    let stats = gate.stats().await.unwrap();
    assert_eq!((stats.active_count, stats.queue_length), (2, 3), "summed over the tenants");
    assert_eq!(position(&gate.ticket("b2").await.unwrap()), 3);
    assert_eq!(next(&gate, "b1").await, ["b2"], "it goes past those whom their tenant holds up");
    b2.await.unwrap();
    assert_eq!(next(&gate, "a1").await, ["a2"], "inside a group nobody is passed");
    a2.await.unwrap();
    assert_eq!(next(&gate, "b2").await, [""; 0]);
    assert_eq!(next(&gate, "a2").await, ["a3"]);
    a3.await.unwrap();
    gates.check();
}

#[tokio::test]
async fn an_owner_is_counted_against_each_of_its_groups() {
    let gates = Gates::new();
    let gate = gates.node.gate("g");
    let group = vec![limit("tenant", 2), limit("host", 1)];
    gate.set_policy(GatePolicy { group, ..GatePolicy::default() }).await.unwrap();
    let of = |owner: &str, tenant: &str, host: &str| {
        gate.acquire(owner).group("tenant", tenant).group("host", host)
    };
    of("1", "a", "x").await.unwrap();
    let same_host = waiting(of("2", "b", "x")).await;
    of("3", "a", "y").await.unwrap();
    let same_tenant = waiting(of("4", "a", "z")).await;
    of("5", "b", "z").await.unwrap();
    gate.acquire("6").await.unwrap();
    assert_eq!(next(&gate, "1").await, ["2"], "the host is free, and tenant a's z is not");
    same_host.await.unwrap();
    assert_eq!(next(&gate, "5").await, ["4"]);
    same_tenant.await.unwrap();
}

#[tokio::test]
async fn limits_of_groups_can_be_changed_while_owners_wait() {
    let gates = Gates::new();
    let gate = gates.node.gate("g");
    let grouped = |max| GatePolicy { group: vec![limit("tenant", max)], ..GatePolicy::default() };
    gate.set_policy(grouped(1)).await.unwrap();
    for owner in ["a", "b", "c", "d"] {
        gate.acquire(owner).group("tenant", "t").ticket().await.unwrap();
    }
    gate.set_policy(grouped(3)).await.unwrap();
    let stats = gate.stats().await.unwrap();
    assert_eq!((stats.active_count, stats.queue_length), (3, 1));
    gate.set_policy(GatePolicy::default()).await.unwrap();
    assert_eq!(gate.stats().await.unwrap().active_count, 4);
    gate.set_policy(grouped(1)).await.unwrap();
    gate.acquire("e").group("tenant", "t").ticket().await.unwrap();
    assert_eq!(gate.stats().await.unwrap().active_count, 4, "nothing is revoked");
}

#[tokio::test]
async fn a_policy_out_of_bounds_is_refused_and_changes_nothing() {
    let gates = Gates::new();
    let gate = gates.gate("g", 2).await;
    let refused = gate.set_policy(GatePolicy::concurrent(0)).await.unwrap_err();
    assert_eq!(refused.to_string(), "max_concurrent: must be from 1 to 1000000");
    let many = (0..1_000).map(|n| limit(&format!("n{n}"), 1)).collect();
    let refused = gate.set_policy(GatePolicy { group: many, ..GatePolicy::default() }).await;
    assert_eq!(refused.unwrap_err().to_string(), "group: has at most 8 names");
    assert_eq!(gate.policy().await.unwrap().policy, GatePolicy::concurrent(2));
}
