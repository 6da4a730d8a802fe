//! The side that does its part.

use std::{
    io::{self, BufReader},
    net::{SocketAddr, TcpStream},
    sync::{Arc, mpsc::channel},
    thread,
    time::Duration,
};

use crate::loadtest::{
    cluster::{AgentOrder, Message, hear, machine, say},
    generate::Generator,
    load_clock::now,
    plan::run_plan::{Control, Plan},
};

/// How long the leader is looked for.
const JOIN_TRIES: u32 = 100;
const JOIN_PAUSE: Duration = Duration::from_millis(100);

/// Joins a leader and does its part of every run until the leader hangs up.
///
/// # Errors
/// When there is no leader, or it is lost during a run.
pub(crate) fn join(addr: SocketAddr) -> io::Result<()> {
    let mut writer = connect(addr)?;
    writer.set_nodelay(true)?;
    let mut reader = BufReader::new(writer.try_clone()?);
    let version = env!("CARGO_PKG_VERSION").to_owned();
    say(&mut writer, &Message::Here { version, machine: machine() })?;
    let mut control: Option<Arc<Control>> = None;
    loop {
        match hear(&mut reader) {
            Ok(Some(AgentOrder::Run { plan, start, delay })) => {
                let given = Arc::new(Control::new(&plan.model));
                control = Some(Arc::clone(&given));
                let start = if start > 0 { start } else { now() + delay };
                let writer = writer.try_clone()?;
                thread::spawn(move || work(writer, &Arc::new(*plan), &given, start));
            }
            Ok(Some(order)) => {
                if let Some(control) = &control {
                    obey(control, &order);
                }
            }
            Ok(None) | Err(_) => {
                if let Some(control) = &control {
                    control.stop();
                }
                return Ok(());
            }
        }
    }
}

fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
    let mut tries = 0;
    loop {
        match TcpStream::connect(addr) {
            Ok(stream) => return Ok(stream),
            Err(error) if tries == JOIN_TRIES => return Err(error),
            Err(_) => thread::sleep(JOIN_PAUSE),
        }
        tries += 1;
    }
}

fn obey(control: &Control, order: &AgentOrder) {
    match order {
        AgentOrder::Stop => control.stop(),
        AgentOrder::Scale(scale) => control.scale(*scale),
        AgentOrder::Users(users) => control.users(*users),
        AgentOrder::Run { .. } => {}
    }
}

/// Runs this member's part and tells of it; the leader notices when that fails.
fn work(mut writer: TcpStream, plan: &Arc<Plan>, control: &Arc<Control>, start: u64) {
    let worked = generate(&mut writer, plan, control, start);
    let last = match worked {
        Ok(()) => Message::Done,
        Err(error) => Message::Failed(error.to_string()),
    };
    drop(say(&mut writer, &last));
}

fn generate(
    writer: &mut TcpStream,
    plan: &Arc<Plan>,
    control: &Arc<Control>,
    start: u64,
) -> io::Result<()> {
    let (sender, reports) = channel();
    let mut running = Vec::new();
    for place in 0..plan.threads {
        let generator = Generator::new(plan, control, sender.clone(), start, place)?;
        running.push(thread::spawn(move || generator.run()));
    }
    drop(sender);
    for report in reports {
        let tally = Box::new(report.tally);
        say(writer, &Message::Report { second: report.second, tally })?;
    }
    for generator in running {
        let ledger = generator.join().expect("a generator does not panic")?;
        say(writer, &Message::ExpectedItems(Box::new(ledger)))?;
    }
    Ok(())
}
