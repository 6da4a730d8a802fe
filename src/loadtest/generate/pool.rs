//! The connections of one generator, and waiting for a sign from any of them.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use rustix::{
    buffer::spare_capacity,
    event::{
        PollFd, PollFlags, Timespec,
        epoll::{self, CreateFlags, Event, EventData, EventFlags},
        poll,
    },
};

use crate::loadtest::generate::{
    PlannedRequest,
    connection::{Connection, Loss},
};

/// Signs taken at once.
const EVENTS_MAX: usize = 256;

/// A connection and the call on it, if there is one.
pub(crate) struct PooledConnection {
    pub(crate) connection: Connection,
    pub(crate) call: Option<PlannedRequest>,
    /// Tells a sign for this connection from a late one for its predecessor at the same place.
    generation: u32,
}

/// Connections, by place.
pub(crate) struct Pool {
    addr: SocketAddr,
    epoll: OwnedFd,
    lines: Vec<Option<PooledConnection>>,
    idle: Vec<usize>,
    vacant: Vec<usize>,
    line_max: usize,
    generation: u32,
}

impl Pool {
    /// A pool without connections.
    ///
    /// # Errors
    /// As the operating system says.
    pub(crate) fn new(addr: SocketAddr, line_max: usize) -> io::Result<Self> {
        Ok(Self {
            addr,
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            lines: Vec::new(),
            idle: Vec::new(),
            vacant: Vec::new(),
            line_max,
            generation: 0,
        })
    }

    /// A connection that is free, opened if need be; nothing if all there may be are busy.
    pub(crate) fn take(&mut self) -> Option<Result<usize, Loss>> {
        if let Some(place) = self.idle.pop() {
            return Some(Ok(place));
        }
        let place = match self.vacant.pop() {
            Some(place) => place,
            None if self.lines.len() < self.line_max => {
                self.lines.push(None);
                self.lines.len() - 1
            }
            None => return None,
        };
        let opened = self.open(place);
        if opened.is_err() {
            self.vacant.push(place);
        }
        Some(opened.map(|()| place))
    }

    fn open(&mut self, place: usize) -> Result<(), Loss> {
        let connection = Connection::open(self.addr)?;
        self.generation = self.generation.wrapping_add(1);
        let data = EventData::new_u64((u64::from(self.generation) << 32) | place as u64);
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, connection.stream(), data, flags)
            .map_err(|error| Loss { reason: error.to_string(), was_sent: false })?;
        let generation = self.generation;
        self.lines[place] = Some(PooledConnection { connection, call: None, generation });
        Ok(())
    }

    /// The connection at a place.
    pub(crate) fn line(&mut self, place: usize) -> &mut PooledConnection {
        self.lines[place].as_mut().expect("a place in use has a connection")
    }

    /// Gives a connection back.
    pub(crate) fn release(&mut self, place: usize) {
        self.idle.push(place);
    }

    /// Closes a connection.
    pub(crate) fn close(&mut self, place: usize) {
        self.lines[place] = None;
        self.idle.retain(|idle| *idle != place);
        self.vacant.push(place);
    }

    /// Calls under way.
    pub(crate) fn busy_count(&self) -> usize {
        self.lines.len() - self.vacant.len() - self.idle.len()
    }

    /// Whether a connection is there to be taken or opened.
    pub(crate) fn is_free(&self) -> bool {
        !self.idle.is_empty() || !self.vacant.is_empty() || self.lines.len() < self.line_max
    }

    /// Places whose call has been under way since before a moment.
    pub(crate) fn overdue(&self, since: u64) -> Vec<usize> {
        let is_overdue =
            |line: &PooledConnection| line.call.as_ref().is_some_and(|call| call.sent < since);
        let places = self.lines.iter().enumerate();
        let overdue = places.filter(|(_, line)| line.as_ref().is_some_and(is_overdue));
        overdue.map(|(place, _)| place).collect()
    }

    /// Waits for signs, at most so long, to the nanosecond; adds the places that gave one.
    ///
    /// # Errors
    /// As the operating system says.
    pub(crate) fn wait(&mut self, span: Duration, signs: &mut Vec<usize>) -> io::Result<()> {
        self.gather(signs)?;
        if signs.is_empty() && !span.is_zero() {
            // Epoll counts in milliseconds; its descriptor can be waited for more finely.
            let timeout =
                Timespec { tv_sec: span.as_secs() as i64, tv_nsec: span.subsec_nanos().into() };
            match poll(&mut [PollFd::new(&self.epoll.as_fd(), PollFlags::IN)], Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            self.gather(signs)?;
        }
        Ok(())
    }

    fn gather(&mut self, signs: &mut Vec<usize>) -> io::Result<()> {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS_MAX);
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&at_once)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let data = event.data.u64();
            let (place, generation) = ((data & 0xffff_ffff) as usize, (data >> 32) as u32);
            let line = self.lines.get(place).and_then(Option::as_ref);
            if line.is_some_and(|line| line.generation == generation) {
                signs.push(place);
            }
        }
        Ok(())
    }
}
