//! Figures of the HTTP surface. Each worker thread counts for itself, so that counting contends for
//! nothing; whoever reads adds up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use actix_web::http::StatusCode;

use crate::server::router::{ROUTE_COUNT, Route};

/// The bounds of the duration histogram, in microseconds; one bucket more is without bound.
pub(crate) const BUCKET_MICROS: [u64; 13] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
    5_000_000,
];

const BUCKET_COUNT: usize = BUCKET_MICROS.len() + 1;

/// The classes of statuses, 1xx to 5xx.
pub(crate) const CLASS_COUNT: usize = 5;

/// What one worker has counted.
#[derive(Debug)]
pub(crate) struct Counters {
    /// By route; the last one is for requests that found none.
    routes: [RouteCounters; ROUTE_COUNT + 1],
    in_flight: AtomicI64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            routes: std::array::from_fn(|_| RouteCounters::default()),
            in_flight: AtomicI64::new(0),
        }
    }
}

#[derive(Debug, Default)]
struct RouteCounters {
    classes: [AtomicU64; CLASS_COUNT],
    buckets: [AtomicU64; BUCKET_COUNT],
    micros: AtomicU64,
}

/// Figures of one route, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RouteFigures {
    /// Requests by class of their status.
    pub(crate) classes: [u64; CLASS_COUNT],
    /// Requests by duration, not cumulated.
    pub(crate) buckets: [u64; BUCKET_COUNT],
    /// All durations together, in microseconds.
    pub(crate) micros: u64,
}

/// All figures, added up.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    /// By route; the last one is for requests that found none.
    pub(crate) routes: [RouteFigures; ROUTE_COUNT + 1],
    /// Requests being answered.
    pub(crate) in_flight: i64,
}

impl Default for Figures {
    fn default() -> Self {
        Self { routes: [RouteFigures::default(); ROUTE_COUNT + 1], in_flight: 0 }
    }
}

impl Counters {
    /// Begins to count a request.
    pub(crate) fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight { counters: Arc::clone(self), began: Instant::now() }
    }

    fn record(&self, route: Option<Route>, status: StatusCode, took: Duration) {
        let counters = &self.routes[route.map_or(ROUTE_COUNT, |route| route as usize)];
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASS_COUNT) - 1;
        counters.classes[class].fetch_add(1, Relaxed);
        let micros = took.as_micros() as u64;
        let bucket = BUCKET_MICROS.iter().take_while(|&&bound| micros > bound).count();
        counters.buckets[bucket].fetch_add(1, Relaxed);
        counters.micros.fetch_add(micros, Relaxed);
    }

    /// Adds this worker's figures to those of others.
    pub(crate) fn add_to(&self, figures: &mut Figures) {
        for (own, sum) in self.routes.iter().zip(&mut figures.routes) {
            add(&own.classes, &mut sum.classes);
            add(&own.buckets, &mut sum.buckets);
            sum.micros += own.micros.load(Relaxed);
        }
        figures.in_flight += self.in_flight.load(Relaxed);
    }
}

fn add(own: &[AtomicU64], sums: &mut [u64]) {
    for (own, sum) in own.iter().zip(sums) {
        *sum += own.load(Relaxed);
    }
}

/// A request being answered. It ends when this is dropped, also if its client went away.
#[derive(Debug)]
pub(crate) struct InFlight {
    counters: Arc<Counters>,
    began: Instant,
}

impl InFlight {
    /// Counts the answer.
    pub(crate) fn end(self, route: Option<Route>, status: StatusCode) -> Duration {
        let took = self.began.elapsed();
        self.counters.record(route, status, took);
        took
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.counters.in_flight.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workers_add_up() {
        let workers = [Arc::new(Counters::default()), Arc::new(Counters::default())];
        let micros = [100, 101, 9_000_000];
        for (place, micros) in micros.into_iter().enumerate() {
            let took = Duration::from_micros(micros);
            workers[place % 2].record(Some(Route::Push), StatusCode::OK, took);
        }
        workers[0].record(None, StatusCode::NOT_FOUND, Duration::ZERO);
        let mut figures = Figures::default();
        workers.iter().for_each(|worker| worker.add_to(&mut figures));
        let push = figures.routes[Route::Push as usize];
        assert_eq!(push.classes, [0, 3, 0, 0, 0]);
        assert_eq!((push.buckets[0], push.buckets[1], push.buckets[13]), (1, 1, 1));
        assert_eq!(push.micros, 9_000_201);
        assert_eq!(figures.routes[ROUTE_COUNT].classes, [0, 0, 0, 1, 0]);
    }

    #[test]
    fn a_request_that_is_dropped_is_in_flight_no_more() {
        let worker = Arc::new(Counters::default());
        let (first, second) = (worker.begin(), worker.begin());
        let in_flight = || {
            let mut figures = Figures::default();
            worker.add_to(&mut figures);
            figures.in_flight
        };
        assert_eq!(in_flight(), 2);
        drop(first);
        second.end(Some(Route::Pop), StatusCode::OK);
        assert_eq!(in_flight(), 0);
    }
}
