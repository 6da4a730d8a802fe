//! What a key says of the message it was pushed with, and when it can be used again.

use std::time::Duration;

use lanekeeper_actors::queue::{
    Lease, MessageId, MessageState, NewMessage, OnFull, Pushed, Queue, QueueConfig, Redrive,
};
use serde_json::json;

use crate::support::{
    fleet::Fleet,
    node::{settling, soon},
};

const SECOND: Duration = Duration::from_secs(1);

fn keyed(key: &str) -> NewMessage {
    NewMessage::new(json!({ "key": key })).unwrap().key(key)
}

async fn push(queue: &Queue, key: &str) -> Pushed {
    queue.push_message(keyed(key)).report().await.unwrap()
}

/// What a push of the key answers, which is a repetition.
async fn state(queue: &Queue, key: &str) -> MessageState {
    push(queue, key).await.duplicate.expect("it is a repetition")
}

async fn lease(queue: &Queue) -> Lease {
    queue.lease(1).await.unwrap().remove(0)
}

#[tokio::test]
async fn a_key_says_what_became_of_its_message() {
    let fleet = Fleet::new();
    let queue = fleet.node.queue("q");
    push(&queue, "k").await;
    assert_eq!(state(&queue, "k").await, MessageState::Ready);
    let held = lease(&queue).await;
    assert_eq!(state(&queue, "k").await, MessageState::Leased);
    held.ack().await.unwrap();
    assert_eq!(state(&queue, "k").await, MessageState::Done);
    push(&queue, "popped").await;
    queue.pop(1).await.unwrap();
    assert_eq!(state(&queue, "popped").await, MessageState::Done);
    push(&queue, "dead").await;
    settling(&fleet.node, lease(&queue).await.dead_letter("no")).await.unwrap();
    assert_eq!(state(&queue, "dead").await, MessageState::Dead);
    queue.push_message(keyed("expired").ttl(SECOND)).await.unwrap();
    fleet.pass(2).await;
    assert_eq!(state(&queue, "expired").await, MessageState::Expired);
    queue.push_message(keyed("later").delay(SECOND)).await.unwrap();
    assert_eq!(state(&queue, "later").await, MessageState::Scheduled);
}

#[tokio::test]
async fn a_message_that_dies_of_too_many_deliveries_is_dead_and_one_that_gave_way_is_evicted() {
    let fleet = Fleet::new();
    let queue = fleet.node.queue("q");
    let config = QueueConfig {
        max_deliveries: Some(1),
        capacity: Some(1),
        on_full: OnFull::EvictLowest,
        ..QueueConfig::default()
    };
    queue.configure(config).await.unwrap();
    queue.push_message(keyed("evicted").priority(9)).await.unwrap();
    for _ in 0..2 {
        // Also one that memory knows nothing of.
        queue.push_message(keyed("first").priority(0)).await.unwrap();
        assert_eq!(state(&queue, "evicted").await, MessageState::Evicted);
        assert!(queue.passivate().await);
    }
    settling(&fleet.node, lease(&queue).await.nack()).await.unwrap();
    fleet.node.settle_duties().await.unwrap();
    assert_eq!(state(&queue, "first").await, MessageState::Dead);
}

#[tokio::test]
async fn the_key_of_a_message_that_was_taken_out_can_be_used_again() {
    let fleet = Fleet::new();
    let queue = fleet.node.queue("q");
    let first = push(&queue, "k").await.id;
    queue.cancel(first).await.unwrap();
    let second = push(&queue, "k").await;
    assert!(second.duplicate.is_none() && second.id != first, "{second:?}");
    assert_eq!(queue.purge(None).await.unwrap(), 1);
    let third = queue.push_message(keyed("k").delay(9 * SECOND)).report().await.unwrap();
    assert!(third.duplicate.is_none(), "{third:?}");
    assert_eq!(queue.purge(None).await.unwrap(), 1, "scheduled ones, too");
    assert!(push(&queue, "k").await.duplicate.is_none());
    // What was due for the keys that were freed forgets none that came later.
    fleet.pass(299).await;
    assert_eq!(state(&queue, "k").await, MessageState::Ready);
}

#[tokio::test]
async fn a_key_leads_to_the_dead_letter_that_has_come_back() {
    let fleet = Fleet::new();
    let queue = fleet.node.queue("q");
    let first = push(&queue, "k").await.id;
    settling(&fleet.node, lease(&queue).await.dead_letter("no")).await.unwrap();
    assert_eq!(state(&queue, "k").await, MessageState::Dead);
    settling(&fleet.node, queue.redrive(Redrive::All)).await.unwrap();
    let again = push(&queue, "k").await;
    assert_eq!(again.duplicate, Some(MessageState::Ready));
    assert_ne!(again.id, first, "it has arrived anew");
    lease(&queue).await.ack().await.unwrap();
    assert_eq!(state(&queue, "k").await, MessageState::Done);
}

#[tokio::test]
async fn what_became_of_a_message_is_known_after_a_crash_and_forgotten_in_time() {
    let mut fleet = Fleet::new();
    push(&fleet.node.queue("q"), "k").await;
    settling(&fleet.node, lease(&fleet.node.queue("q")).await.dead_letter("no")).await.unwrap();
    fleet = fleet.reopened(|builder| builder);
    let queue = fleet.node.queue("q");
    assert_eq!(state(&queue, "k").await, MessageState::Dead);
    fleet.pass(300).await;
    assert!(push(&queue, "k").await.duplicate.is_none(), "the window has passed");
}

/// The numbers of what is ready, in pop order.
async fn shown(queue: &Queue) -> Vec<(MessageId, u32)> {
    let page = queue.peek(100).await.unwrap();
    page.messages.iter().map(|message| (message.id, message.priority)).collect()
}

#[tokio::test]
async fn a_message_moves_among_those_of_its_new_priority_by_arrival_and_keeps_its_id() {
    let fleet = Fleet::new();
    let queue = fleet.node.queue("q");
    let mut ids = Vec::new();
    for priority in [5, 1, 5, 1] {
        let message = NewMessage::new(json!({})).unwrap().priority(priority);
        ids.push(queue.push_message(message).await.unwrap());
    }
    let (moved, state) = queue.reprioritise(ids[2], 1).await.unwrap();
    assert_eq!((moved.id, moved.priority, state), (ids[2], 1, MessageState::Ready));
    let expected = [(ids[1], 1), (ids[2], 1), (ids[3], 1), (ids[0], 5)];
    assert_eq!(shown(&queue).await, expected);
    assert!(queue.passivate().await);
    assert_eq!(shown(&queue).await, expected);
    let mut seen = Vec::new();
    let mut page = queue.peek(1).await.unwrap();
    while let Some(next) = page.next {
        seen.extend(page.messages.iter().map(|message| message.id));
        page = queue.peek(1).after(next).await.unwrap();
    }
    assert_eq!(seen, [ids[1], ids[2], ids[3], ids[0]], "pages follow each other");
    let behind = queue.peek(9).after(ids[2]).await.unwrap().messages;
    assert_eq!(behind.iter().map(|message| message.id).collect::<Vec<_>>(), [ids[3], ids[0]]);
    queue.pop(1).await.unwrap();
    let leased = lease(&queue).await;
    assert_eq!(leased.id, ids[2]);
    let refused = queue.reprioritise(ids[2], 0).await.unwrap_err();
    assert!(matches!(refused, lanekeeper_actors::queue::QueueError::Leased), "{refused:?}");
    leased.nack().await.unwrap();
    queue.reprioritise(ids[2], 5).await.unwrap();
    assert_eq!(shown(&queue).await, [(ids[3], 1), (ids[0], 5), (ids[2], 5)], "and back");
    queue.reprioritise(ids[2], 7).await.unwrap();
    queue.cancel(ids[2]).await.unwrap();
    assert_eq!(queue.stats().await.unwrap().ready, 2);
}

#[tokio::test]
async fn a_scheduled_message_that_is_promoted_is_ready_at_its_own_place() {
    let fleet = Fleet::new();
    let queue = fleet.node.queue("q");
    let later = |delay| NewMessage::new(json!({})).unwrap().delay(delay);
    let first = queue.push_message(later(9 * SECOND)).await.unwrap();
    let second = queue.push_message(later(5 * SECOND)).await.unwrap();
    let ready = queue.push(json!({})).await.unwrap();
    let mut waiting = Box::pin(async { queue.clone().lease(1).await });
    assert!(queue.promote(first).await.unwrap());
    assert!(!queue.promote(first).await.unwrap(), "it is ready already");
    assert_eq!(shown(&queue).await, [(first, 1), (ready, 1)]);
    assert_eq!(waiting.as_mut().await.unwrap()[0].id, first);
    let refused = queue.promote(MessageId::clone(&second)).await;
    assert!(refused.unwrap());
    fleet.pass(20).await;
    assert_eq!(queue.stats().await.unwrap().scheduled, 0);
    assert_eq!(
        queue.pop(9).await.unwrap().len(),
        3,
        "the lease was dropped, and none is there twice"
    );
}

#[tokio::test]
async fn whoever_waits_gets_what_is_promoted() {
    let fleet = Fleet::new();
    let queue = fleet.node.queue("q");
    let message = NewMessage::new(json!({})).unwrap().delay(9 * SECOND);
    let id = queue.push_message(message).await.unwrap();
    let popping = tokio::spawn({
        let queue = queue.clone();
        async move { queue.pop(1).wait(60 * SECOND).await }
    });
    assert!(queue.promote(id).await.unwrap());
    assert_eq!(soon(popping).await.unwrap().unwrap()[0].id, id);
}

#[tokio::test]
async fn scheduled_and_leased_messages_are_shown_in_the_order_of_their_times() {
    let fleet = Fleet::new();
    let queue = fleet.node.queue("q");
    let mut scheduled = Vec::new();
    for n in 0..2_500_u64 {
        // Much else is due in between.
        let message = NewMessage::new(json!({ "n": n })).unwrap();
        let message = match n % 10 {
            0 => message.delay((10_000 - n) as u32 * SECOND),
            _ => message.ttl((10_000 - n) as u32 * SECOND),
        };
        let id = queue.push_message(message).await.unwrap();
        if n % 10 == 0 {
            scheduled.insert(0, id);
        }
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let mut peek = queue.peek_scheduled(100);
        if let Some(after) = after {
            peek = peek.after(after);
        }
        let page = peek.await.unwrap();
        assert!(page.messages.is_sorted_by_key(|due| due.due_at));
        seen.extend(page.messages.iter().map(|due| due.message.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, scheduled);
    let short = queue.lease(1).ttl(SECOND).worker("w").await.unwrap();
    let long = queue.lease(1).ttl(9 * SECOND).await.unwrap();
    let page = queue.peek_leased(9).await.unwrap();
    let shown: Vec<_> = page.messages.iter().map(|due| due.message.id).collect();
    assert_eq!(shown, [short[0].id, long[0].id]);
    assert_eq!(page.messages[0].worker.as_deref(), Some("w"));
    assert_eq!(page.messages[0].due_at, short[0].expires_at());
}

#[tokio::test]
async fn depths_are_read_without_waking_a_queue() {
    let fleet = Fleet::new();
    let queue = fleet.node.queue("q");
    for key in ["a", "b", "c"] {
        push(&queue, key).await;
    }
    settling(&fleet.node, lease(&queue).await.dead_letter("no")).await.unwrap();
    let _held = lease(&queue).await;
    queue.push_message(keyed("d").delay(SECOND)).await.unwrap();
    let ids = ["q".to_owned(), "never".to_owned()];
    let depths = fleet.node.queue_counts(&ids).await.unwrap();
    let depth = depths[0];
    assert_eq!((depth.ready, depth.scheduled, depth.leased, depth.dead), (1, 1, 1, 1));
    assert_eq!(depths[1], lanekeeper_actors::queue::QueueCounts::default());
}
