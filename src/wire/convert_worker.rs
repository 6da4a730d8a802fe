//! From what the handle of a worker gives to what the wire carries.

use lanekeeper_actors::worker;
use serde_json::value::RawValue;

use crate::wire::{
    convert::unix_millis,
    worker::{Beat, Worker, WorkerList, WorkerStatus},
};

impl From<worker::WorkerStatus> for WorkerStatus {
    fn from(status: worker::WorkerStatus) -> Self {
        match status {
            worker::WorkerStatus::Online => Self::Online,
            worker::WorkerStatus::Offline => Self::Offline,
        }
    }
}

impl From<worker::Beat> for Beat {
    fn from(beat: worker::Beat) -> Self {
        Self { status: beat.status.into(), drain: beat.drain, life: beat.life }
    }
}

impl From<worker::WorkerInfo> for Worker {
    fn from(info: worker::WorkerInfo) -> Self {
        let meta = info.meta.map(|meta| {
            let text = meta.as_str().to_owned();
            RawValue::from_string(text).expect("what was taken as JSON stays JSON")
        });
        Self {
            id: info.id.to_string(),
            status: info.status.into(),
            last_seen_at: unix_millis(info.last_seen_at),
            first_seen_at: unix_millis(info.first_seen_at),
            offline_since: info.offline_since.map(unix_millis),
            meta,
        }
    }
}

impl From<worker::WorkerList> for WorkerList {
    fn from(list: worker::WorkerList) -> Self {
        let workers: Vec<_> = list.workers.into_iter().map(Worker::from).collect();
        Self { count: workers.len(), workers, next: list.next }
    }
}
