//! How many messages a run has in its queues, however many those are: one request tells.

use serde::Deserialize;

use crate::loadtest::{
    generate::request::queue_name, plan::run_plan::Plan, target::client::Client,
};

/// Queues that are asked one by one after a restart, at most, and how often at most.
const ASKED_MAX: u32 = 16;
const TRIES_MAX: usize = 20;

/// What the server counts of messages: those that came into a queue, and those that left one.
const CAME: [&str; 2] = ["pushed", "received"];
const LEFT: [&str; 8] =
    ["popped", "acked", "dropped", "dead_lettered", "redriven", "evicted", "cancelled", "purged"];

/// The balance of all queues of a server when a run had no messages there. What others push and pop
/// on the same server meanwhile counts as the run's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueuedCount {
    before: Option<i64>,
}

impl QueuedCount {
    /// Of a run that has not begun.
    pub(crate) fn begin(client: &mut Client) -> Self {
        Self { before: told(client) }
    }

    /// Of a run whose server was restarted and counts anew: its queues are asked, as long as they
    /// are few, until nothing happens meanwhile.
    pub(crate) fn resume(client: &mut Client, plan: &Plan) -> Self {
        if plan.scenario.queues > ASKED_MAX {
            return Self { before: None };
        }
        let mut earlier = told(client);
        for _ in 0..TRIES_MAX {
            let there = depths(client, plan);
            let later = told(client);
            if let Some((there, later)) = there.zip(later)
                && earlier == Some(later)
            {
                return Self { before: Some(later - there) };
            }
            earlier = later;
        }
        Self { before: None }
    }

    /// Messages that wait, are scheduled or leased, in dead-letter queues too, by what the server
    /// tells in its metrics.
    pub(crate) fn messages(self, metrics: &str) -> Option<u64> {
        let there = balance(metrics)? - self.before?;
        Some(u64::try_from(there).unwrap_or(0))
    }
}

/// The balance as the server tells it now.
fn told(client: &mut Client) -> Option<i64> {
    match client.exchange("GET", "/metrics", b"") {
        Ok((200, body)) => balance(&String::from_utf8_lossy(&body)),
        _ => None,
    }
}

/// Messages in the queues of a plan, each asked.
fn depths(client: &mut Client, plan: &Plan) -> Option<i64> {
    #[derive(Deserialize)]
    struct Stats {
        ready: i64,
        scheduled: i64,
        leased: i64,
        dead: i64,
    }
    let mut sum = 0;
    for queue in 0..plan.scenario.queues {
        let path = format!("/queue/{}/stats", queue_name(&plan.run, queue));
        let stats: Stats = client.ask("GET", &path, b"").ok()?;
        sum += stats.ready + stats.scheduled + stats.leased + stats.dead;
    }
    Some(sum)
}

/// Messages that came less those that left, since the server was started.
fn balance(metrics: &str) -> Option<i64> {
    let mut counted = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix("lanekeeper_queue_messages_total{event=\"")?;
        let (event, count) = rest.split_once("\"} ")?;
        Some((event, count.trim().parse::<i64>().ok()?))
    });
    let (mut balance, mut is_known) = (0, false);
    for (event, count) in &mut counted {
        is_known = true;
        balance += count * (i64::from(CAME.contains(&event)) - i64::from(LEFT.contains(&event)));
    }
    is_known.then_some(balance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(counts: &[(&str, u64)]) -> String {
        let line = |(event, count): &(&str, u64)| {
            format!("lanekeeper_queue_messages_total{{event=\"{event}\"}} {count}\n")
        };
        counts.iter().map(line).collect()
    }

    #[test]
    fn what_came_and_did_not_leave_is_there() {
        let text = metrics(&[("pushed", 20), ("received", 3), ("nacked", 7), ("expired", 5)]);
        let left = metrics(&[("popped", 4), ("acked", 6), ("dead_lettered", 3), ("redriven", 2)]);
        assert_eq!(balance(&(text + &left)), Some(8));
        assert_eq!(balance("lanekeeper_activations 3\n"), None);
    }

    #[test]
    fn what_was_there_before_is_not_counted() {
        let backlog = QueuedCount { before: Some(1_000) };
        assert_eq!(backlog.messages(&metrics(&[("pushed", 1_010)])), Some(10));
        assert_eq!(backlog.messages(&metrics(&[("pushed", 900)])), Some(0));
        assert_eq!(QueuedCount { before: None }.messages(&metrics(&[("pushed", 1)])), None);
    }
}
