//! The books: what the records say of each other.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    check::{CheckReport, gate::GateChecks, references, worker},
    codec::CodecError,
    embedded::commit::memtable::Memtable,
    error::LoadError,
    key::{
        self, Key,
        decode::DecodedKey,
        queue::{Arrival, MessageState, Priority, QueueNo},
    },
    record::{
        actor::{ActorState, OutboxRecord, ReminderDue, ReminderRecord},
        message::{DedupRecord, DueEntry, MessageRecord, MovedRecord, SinkRecord},
        node::ClockRecord,
        queue::{PriorityMeta, QueueEntry, QueueMeta, QueueSettings},
        stream::{RetainedMessage, StreamSettings},
        worker::WorkerLease,
    },
};

/// What is known of a queue from its own records and from its messages.
#[derive(Debug, Default)]
struct QueueAccount {
    id: Option<String>,
    meta: Option<QueueMeta>,
    priority_counts: BTreeMap<Priority, PriorityCount>,
    scheduled_count: u64,
    leased_count: u64,
    message_bytes: u64,
    arrival_max: Option<Arrival>,
}

/// Messages of one priority: as its record says, and as there are.
#[derive(Clone, Copy, Debug, Default)]
struct PriorityCount {
    told_count: u64,
    message_count: u64,
}

pub(crate) struct QueueChecks<'a> {
    records: &'a Memtable,
    queues: BTreeMap<QueueNo, QueueAccount>,
    gates: GateChecks,
}

impl<'a> QueueChecks<'a> {
    pub(crate) fn new(records: &'a Memtable) -> Self {
        Self { records, queues: BTreeMap::new(), gates: GateChecks::default() }
    }

    /// Enters one record.
    pub(crate) fn enter(
        &mut self,
        key: &Key,
        value: &Bytes,
        report: &mut CheckReport,
    ) -> Result<(), LoadError> {
        let Some(meaning) = key::decode::meaning(key) else {
            report.add(format_args!("{key:?}"), "the key is unknown");
            return Ok(());
        };
        match self.decode(key, meaning, value, report) {
            Ok(()) => {
                self.check_retained(key, meaning, report)?;
                worker::check(self.records, meaning, value, report)?;
                references::check(self.records, key, meaning, value, report)
            }
            Err(error) => {
                report.add(format_args!("{key:?}"), error);
                Ok(())
            }
        }
    }

    fn decode(
        &mut self,
        key: &Key,
        meaning: DecodedKey<'_>,
        value: &Bytes,
        report: &mut CheckReport,
    ) -> Result<(), CodecError> {
        match meaning {
            DecodedKey::Actor(..) => {
                ActorState::decode(value)?;
                report.actor_count += 1;
            }
            DecodedKey::Reminder => {
                ReminderRecord::decode(value)?;
                report.reminder_count += 1;
            }
            DecodedKey::ReminderDue(..) => drop(ReminderDue::decode(value)?),
            DecodedKey::Letter(_) => {
                OutboxRecord::decode(value)?;
                report.letter_count += 1;
            }
            DecodedKey::Clock => drop(ClockRecord::decode(value)?),
            DecodedKey::Worker(_) | DecodedKey::WorkerMeta(_) | DecodedKey::Departure => {
                worker::decode(meaning, value, report)?;
            }
            DecodedKey::StreamSettings(_) => drop(StreamSettings::decode(value)?),
            DecodedKey::StreamRetained(_) => drop(RetainedMessage::decode(value)?),
            DecodedKey::GateMeta(_)
            | DecodedKey::GatePlace(..)
            | DecodedKey::GatePolicy(_)
            | DecodedKey::GateUsage(_)
            | DecodedKey::GateWaits(_) => self.gates.enter(meaning, value, report)?,
            _ => self.decode_of_queue(key, meaning, value, report)?,
        }
        Ok(())
    }

    fn decode_of_queue(
        &mut self,
        key: &Key,
        meaning: DecodedKey<'_>,
        value: &Bytes,
        report: &mut CheckReport,
    ) -> Result<(), CodecError> {
        match meaning {
            DecodedKey::QueueEntry(id) => {
                let queue = QueueEntry::decode(value)?.queue();
                report.queue_count += 1;
                if let Some(other) = self.account(queue).id.replace(id.to_string()) {
                    let what = format!("it has the number of queue {other:?}");
                    report.add(format_args!("queue {id:?}"), what);
                }
            }
            DecodedKey::QueueMeta(queue) => {
                self.account(queue).meta = Some(QueueMeta::decode(value)?);
            }
            DecodedKey::QueueSettings(queue) => {
                QueueSettings::decode(value)?;
                self.account(queue);
            }
            DecodedKey::Lane(queue, priority) => {
                let told_count = PriorityMeta::decode(value)?.ready_count;
                self.account(queue).priority_counts.entry(priority).or_default().told_count =
                    told_count;
            }
            DecodedKey::Message(queue, state, priority, arrival) => {
                let message = MessageRecord::decode(value)?;
                report.message_count += 1;
                if message.state.of_key() != state {
                    report.add(format_args!("{key:?}"), "the message says another state");
                }
                self.account(queue).enter(state, priority, arrival, &message);
            }
            DecodedKey::Due(..) => drop(DueEntry::decode(value)?),
            DecodedKey::Dedup(..) => drop(DedupRecord::decode(value)?),
            DecodedKey::Moved(..) => drop(MovedRecord::decode(value)?),
            DecodedKey::Sink(_) => drop(SinkRecord::decode(value)?),
            DecodedKey::WorkerLease(..) => drop(WorkerLease::decode(value)?),
            _ => {}
        }
        Ok(())
    }

    /// A stream keeps messages only where its settings say so.
    fn check_retained(
        &self,
        key: &Key,
        meaning: DecodedKey<'_>,
        report: &mut CheckReport,
    ) -> Result<(), LoadError> {
        let DecodedKey::StreamRetained(topic) = meaning else { return Ok(()) };
        let settings = self.records.get(&key::stream::stream_settings(topic))?;
        let settings = settings.and_then(|settings| StreamSettings::decode(&settings).ok());
        if !settings.is_some_and(|settings| settings.is_persistent) {
            report.add(format_args!("{key:?}"), "its stream retains no messages");
        }
        Ok(())
    }

    fn account(&mut self, queue: QueueNo) -> &mut QueueAccount {
        self.queues.entry(queue).or_default()
    }

    /// Compares the accounts of all queues.
    pub(crate) fn close(self, report: &mut CheckReport) {
        for (queue, account) in &self.queues {
            account.close(*queue, report);
        }
        self.gates.close(report);
    }
}

impl QueueAccount {
    fn enter(
        &mut self,
        state: MessageState,
        priority: Priority,
        arrival: Arrival,
        message: &MessageRecord,
    ) {
        match state {
            MessageState::Ready => {
                self.priority_counts.entry(priority).or_default().message_count += 1;
            }
            MessageState::Scheduled => self.scheduled_count += 1,
            MessageState::Leased => self.leased_count += 1,
        }
        self.message_bytes += message.payload.len() as u64;
        self.arrival_max = self.arrival_max.max(Some(arrival));
    }

    fn close(&self, queue: QueueNo, report: &mut CheckReport) {
        let place = match &self.id {
            Some(id) => format!("queue {id:?}"),
            None => format!("queue number {}", queue.0),
        };
        if self.id.is_none() {
            report.add(&place, "it has no queue id");
        }
        let meta = self.meta.unwrap_or_default();
        let message_count: u64 =
            self.priority_counts.values().map(|priority_count| priority_count.message_count).sum();
        let told_count: u64 =
            self.priority_counts.values().map(|priority_count| priority_count.told_count).sum();
        let pairs = [
            ("ready messages", meta.ready_count, message_count),
            ("ready messages by priority", told_count, message_count),
            ("scheduled messages", meta.scheduled_count, self.scheduled_count),
            ("leased messages", meta.leased_count, self.leased_count),
            ("bytes of messages", meta.bytes, self.message_bytes),
        ];
        for (what, told, found) in pairs.into_iter().filter(|(_, told, found)| told != found) {
            report.add(&place, format_args!("{told} {what} are recorded, {found} are there"));
        }
        for (priority, PriorityCount { told_count, message_count }) in &self.priority_counts {
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
