//! The books: what the records say of each other.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    check::{CheckReport, gate::Gates, references, worker},
    codec::CodecError,
    embedded::commit::memtable::Overlay,
    error::LoadError,
    key::{
        self, Key,
        decode::Meaning,
        queue::{Arrival, MessageState, Priority, QueueNo},
    },
    record::{
        actor::{ActorState, LetterRecord, ReminderDue, ReminderRecord},
        message::{DedupRecord, DueEntry, MessageRecord, MovedRecord, SinkRecord},
        node::ClockRecord,
        queue::{LaneMeta, QueueEntry, QueueMeta, QueueSettings},
        stream::{RetainedMessage, StreamSettings},
        worker::WorkerLease,
    },
};

/// What is known of a queue from its own records and from its messages.
#[derive(Debug, Default)]
struct Account {
    id: Option<String>,
    meta: Option<QueueMeta>,
    lanes: BTreeMap<Priority, Lane>,
    scheduled_count: u64,
    leased_count: u64,
    message_bytes: u64,
    arrival_max: Option<Arrival>,
}

/// Messages of one priority: as its record says, and as there are.
#[derive(Clone, Copy, Debug, Default)]
struct Lane {
    told_count: u64,
    message_count: u64,
}

pub(crate) struct Ledger<'a> {
    records: &'a Overlay,
    queues: BTreeMap<QueueNo, Account>,
    gates: Gates,
}

impl<'a> Ledger<'a> {
    pub(crate) fn new(records: &'a Overlay) -> Self {
        Self { records, queues: BTreeMap::new(), gates: Gates::default() }
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
            Meaning::Letter(_) => {
                LetterRecord::decode(value)?;
                report.letter_count += 1;
            }
            Meaning::Clock => drop(ClockRecord::decode(value)?),
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
            _ => self.decode_of_queue(key, meaning, value, report)?,
        }
        Ok(())
    }

    fn decode_of_queue(
        &mut self,
        key: &Key,
        meaning: Meaning<'_>,
        value: &Bytes,
        report: &mut CheckReport,
    ) -> Result<(), CodecError> {
        match meaning {
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
            Meaning::Message(queue, state, priority, arrival) => {
                let message = MessageRecord::decode(value)?;
                report.message_count += 1;
                if message.state.of_key() != state {
                    report.add(format_args!("{key:?}"), "the message says another state");
                }
                self.account(queue).enter(state, priority, arrival, &message);
            }
            Meaning::Due(..) => drop(DueEntry::decode(value)?),
            Meaning::Dedup(..) => drop(DedupRecord::decode(value)?),
            Meaning::Moved(..) => drop(MovedRecord::decode(value)?),
            Meaning::Sink(_) => drop(SinkRecord::decode(value)?),
            Meaning::WorkerLease(..) => drop(WorkerLease::decode(value)?),
            _ => {}
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
        let settings = self.records.get(&key::stream::stream_settings(topic))?;
        let settings = settings.and_then(|settings| StreamSettings::decode(&settings).ok());
        if !settings.is_some_and(|settings| settings.is_persistent) {
            report.add(format_args!("{key:?}"), "its stream retains no messages");
        }
        Ok(())
    }

    fn account(&mut self, queue: QueueNo) -> &mut Account {
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

impl Account {
    fn enter(
        &mut self,
        state: MessageState,
        priority: Priority,
        arrival: Arrival,
        message: &MessageRecord,
    ) {
        match state {
            MessageState::Ready => self.lanes.entry(priority).or_default().message_count += 1,
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
        let message_count: u64 = self.lanes.values().map(|lane| lane.message_count).sum();
        let told_count: u64 = self.lanes.values().map(|lane| lane.told_count).sum();
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
