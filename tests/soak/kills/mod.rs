//! `kill -9` of the real binary at random moments while clients use every verb: nothing
//! acknowledged is lost, nothing settled comes back, what is held stays held, and `check` finds
//! nothing.
//!
//! `SOAK=125 SEED=7 cargo test --test soak kills` for 1,000 kills.

mod client;
mod ledger;

use std::{
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Sender, channel},
    },
    thread,
};

use rustix::process::Signal;

use crate::{
    rounds, seed,
    support::process::{Serving, lanekeeper, run},
};
use client::Client;
use ledger::Ledger;

/// Kills between two looks at everything there is.
const KILLS_A_LOOK: u64 = 4;

fn serve(data: &Path) -> Serving {
    let mut command = lanekeeper(["serve", "--listen", "127.0.0.1:0", "--data"]);
    command.arg(data);
    Serving::start(command)
}

/// One life of the server, as its clients see it.
struct Life<'a> {
    url: &'a str,
    ledger: &'a Mutex<Ledger>,
    is_dead: AtomicBool,
    /// Answers until the server is to be killed.
    answers_left: AtomicU64,
    is_due: Sender<()>,
}

impl Life<'_> {
    /// Notes an answer, or that none came.
    fn answered(&self) {
        if self.answers_left.fetch_sub(1, Ordering::Relaxed) == 1 {
            let _ = self.is_due.send(());
        }
    }
}

/// Lets clients work until the server was killed after a number of answers.
fn live(server: Serving, ledger: &Mutex<Ledger>, random: &mut fastrand::Rng) {
    let (is_due, due) = channel();
    let url = server.url.clone();
    let life = Life {
        url: &url,
        ledger,
        is_dead: AtomicBool::new(false),
        answers_left: AtomicU64::new(random.u64(1..250)),
        is_due,
    };
    let verbs: [fn(&mut Client<'_>); 7] = [
        |client| client.push(),
        |client| client.push(),
        |client| client.work(),
        |client| client.work(),
        |client| client.pop(),
        |client| client.look_after(),
        |client| client.hold(),
    ];
    thread::scope(|scope| {
        for verb in verbs {
            let mut client = Client::new(&life, random.fork());
            scope.spawn(move || {
                while !client.life.is_dead.load(Ordering::Relaxed) {
                    verb(&mut client);
                    client.life.answered();
                }
            });
        }
        due.recv().unwrap();
        server.signal(Signal::KILL);
        life.is_dead.store(true, Ordering::Relaxed);
    });
    server.wait();
}

fn check(data: &Path) {
    let checked = run(lanekeeper(["check", data.to_str().unwrap()]));
    assert_eq!(checked.code, Some(0), "{checked:?}");
}

#[test]
fn nothing_acknowledged_is_lost_to_kills_under_every_verb() {
    let _machine = crate::machine();
    let (kills, seed) = (rounds(8), seed());
    println!("{kills} kills, SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let data = tempfile::tempdir().unwrap();
    let ledger = Mutex::new(Ledger::default());
    for kill in 1..=kills {
        live(serve(data.path()), &ledger, &mut random);
        if kill.is_multiple_of(KILLS_A_LOOK) {
            check(data.path());
            let server = serve(data.path());
            client::drain(&server.url, &mut ledger.lock().unwrap());
            server.signal(Signal::TERM);
            assert_eq!(server.wait().code, Some(0));
            check(data.path());
        }
    }
    println!("{}", ledger.into_inner().unwrap());
}
