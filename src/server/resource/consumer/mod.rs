//! `GET /queue/{id}/consume`: leased messages over a WebSocket.

mod task;
pub(crate) mod upgrade;
