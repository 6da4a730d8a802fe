//! The books: what the records say of each other.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{CheckReport, gate::Gates, worker};
use crate::{
    CodecError, Key, LoadError,
    embedded::overlay::Overlay,
    key::{self, Arrival, Meaning, Priority, QueueNo},
    record::{
        ActorState, LaneMeta, MessageRecord, QueueEntry, QueueMeta, QueueSettings, ReminderDue,
        ReminderRecord, RetainedMessage, StreamSettings,
    },
};

/// What is known of a queue from its own records and from its messages.
#[derive(Debug, Default)]
struct Account {
    id: Option<String>,
    meta: Option<QueueMeta>,
    lanes: BTreeMap<Priority, Lane>,
    message_bytes: u64,
    arrival_max: Option<Arrival>,
}

/// Messages of one priority: as its record says, and as there are.
#[derive(Clone, Copy, Debug, Default)]
struct Lane {
    told_count: u64,
    message_count: u64,
}

pub(super) struct Ledger<'a> {
    records: &'a Overlay,
    queues: BTreeMap<QueueNo, Account>,
    gates: Gates,
}

impl<'a> Ledger<'a> {
    pub(super) fn new(records: &'a Overlay) -> Self {
        Self { records, queues: BTreeMap::new(), gates: Gates::default() }
    }

    /// Enters one record.
    pub(super) fn enter(
        &mut self,
        key: &Key,
        value: &Bytes,
        report: &mut CheckReport,
    ) -> Result<(), LoadError> {
        let Some(meaning) = key::meaning(key) else {
            report.add(format_args!("{key:?}"), "no record has such a key");
            return Ok(());
        };
        match self.decode(meaning, value, report) {
            Ok(()) => {
                self.check_retained(key, meaning, report)?;
                worker::check(self.records, meaning, report)?;
                self.check_reminder(key, meaning, value, report)
            }
            Err(error) => {
                report.add(format_args!("{key:?}"), error);
                Ok(())
            }
        }
    }

    fn decode(
        &mut self,
        meaning: Meaning<'_>,
        value: &Bytes,
        report: &mut CheckReport,
    ) -> Result<(), CodecError> {
        match meaning {
            Meaning::Actor(..) => {
                ActorState::decode(value)?;
                report.actor_count += 1;
            }
            Meaning::Reminder => {
                ReminderRecord::decode(value)?;
                report.reminder_count += 1;
            }
            Meaning::ReminderDue(..) => drop(ReminderDue::decode(value)?),
            Meaning::QueueEntry(id) => {
                let queue = QueueEntry::decode(value)?.queue();
                report.queue_count += 1;
                if let Some(other) = self.account(queue).id.replace(id.to_string()) {
                    let what = format!("it has the number of queue {other:?}");
                    report.add(format_args!("queue {id:?}"), what);
                }
            }
            Meaning::QueueMeta(queue) => {
                self.account(queue).meta = Some(QueueMeta::decode(value)?);
            }
            Meaning::QueueSettings(queue) => {
                QueueSettings::decode(value)?;
                self.account(queue);
            }
            Meaning::Lane(queue, priority) => {
                let told_count = LaneMeta::decode(value)?.ready_count;
                self.account(queue).lanes.entry(priority).or_default().told_count = told_count;
            }
            Meaning::Message(queue, priority, arrival) => {
                let message_bytes = MessageRecord::decode(value)?.payload.len() as u64;
                report.message_count += 1;
                let account = self.account(queue);
                account.lanes.entry(priority).or_default().message_count += 1;
                account.message_bytes += message_bytes;
                account.arrival_max = account.arrival_max.max(Some(arrival));
            }
            Meaning::Worker(_) | Meaning::WorkerMeta(_) | Meaning::Departure => {
                worker::decode(meaning, value, report)?;
            }
            Meaning::StreamSettings(_) => drop(StreamSettings::decode(value)?),
            Meaning::StreamRetained(_) => drop(RetainedMessage::decode(value)?),
            Meaning::GateMeta(_)
            | Meaning::GatePlace(..)
            | Meaning::GatePolicy(_)
            | Meaning::GateUsage(_)
            | Meaning::GateWaits(_) => self.gates.enter(meaning, value, report)?,
        }
        Ok(())
    }

    /// A stream keeps messages only where its settings say so.
    fn check_retained(
        &self,
        key: &Key,
        meaning: Meaning<'_>,
        report: &mut CheckReport,
    ) -> Result<(), LoadError> {
        let Meaning::StreamRetained(topic) = meaning else { return Ok(()) };
        let settings = self.records.get(&key::stream_settings(topic))?;
        let settings = settings.and_then(|settings| StreamSettings::decode(&settings).ok());
        if !settings.is_some_and(|settings| settings.is_persistent) {
            report.add(format_args!("{key:?}"), "its stream keeps no messages");
        }
        Ok(())
    }

    fn account(&mut self, queue: QueueNo) -> &mut Account {
        self.queues.entry(queue).or_default()
    }

    /// A reminder is found by its due time and by its name: the two records must point at each
    /// other.
    fn check_reminder(
        &self,
        key: &Key,
        meaning: Meaning<'_>,
        value: &Bytes,
        report: &mut CheckReport,
    ) -> Result<(), LoadError> {
        let other = match meaning {
            Meaning::Reminder => {
                let ReminderRecord { kind, actor_key, name, due_ms, .. } =
                    ReminderRecord::decode(value)?;
                if key::reminder(due_ms, &kind, &actor_key, &name) != *key {
                    report.add(format_args!("{key:?}"), "the reminder says another place");
                }
                let due = self.records.get(&key::reminder_due(&kind, &actor_key, &name))?;
                due.is_some_and(|due| ReminderDue::decode(&due) == Ok(ReminderDue { due_ms }))
            }
            Meaning::ReminderDue(kind, actor_key, name) => {
                let due_ms = ReminderDue::decode(value)?.due_ms;
                self.records.get(&key::reminder(due_ms, kind, actor_key, name))?.is_some()
            }
            _ => true,
        };
        if !other {
            report.add(format_args!("{key:?}"), "the reminder's other record does not match");
        }
        Ok(())
    }

    /// Compares the accounts of all queues.
    pub(super) fn close(self, report: &mut CheckReport) {
        for (queue, account) in &self.queues {
            account.close(*queue, report);
        }
        self.gates.close(report);
    }
}

impl Account {
    fn close(&self, queue: QueueNo, report: &mut CheckReport) {
        let place = match &self.id {
            Some(id) => format!("queue {id:?}"),
            None => format!("queue number {}", queue.0),
        };
        if self.id.is_none() {
            report.add(&place, "no id leads to it");
        }
        let meta = self.meta.unwrap_or_default();
        let message_count: u64 = self.lanes.values().map(|lane| lane.message_count).sum();
        let told_count: u64 = self.lanes.values().map(|lane| lane.told_count).sum();
        let pairs = [
            ("messages", meta.ready_count, message_count),
            ("messages by priority", told_count, message_count),
            ("bytes of messages", meta.ready_bytes, self.message_bytes),
        ];
        for (what, told, found) in pairs.into_iter().filter(|(_, told, found)| told != found) {
            report.add(&place, format_args!("{told} {what} are recorded, {found} are there"));
        }
        for (priority, Lane { told_count, message_count }) in &self.lanes {
            if told_count != message_count {
                let what = format!("{told_count} are recorded, {message_count} are there");
                report.add(format_args!("{place}, priority {}", priority.get()), what);
            }
        }
        let is_late = |arrival: &Arrival| arrival.0 >= meta.arrival_next;
        if let Some(arrival) = self.arrival_max.filter(is_late) {
            let what = format!("message {} comes after the next one to be numbered", arrival.0);
            report.add(&place, what);
        }
    }
}
