//! The side that decides.

use std::{
    io::{self, BufReader, ErrorKind, Read},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::loadtest::{
    cluster::{AgentOrder, Message, hear, machine, say},
    generate::Report,
    load_clock::now,
    plan::run_plan::{Control, Model, Plan},
    record::expected_items::ExpectedItems,
};

/// Members begin this long after they were told.
const HEAD_START: u64 = 300_000_000;

/// How long members of its own may take to join.
const SPAWN_TIMEOUT: Duration = Duration::from_secs(30);

/// How often changes are passed on.
const LOOK: Duration = Duration::from_millis(20);

/// How long whoever connects may take to say who it is, and in how many bytes.
const FIRST_WORD_TIMEOUT: Duration = Duration::from_secs(2);
const FIRST_WORD_BYTES: u64 = 4 << 10;

/// Members that have joined.
pub(crate) struct Team {
    members: Vec<AgentLink>,
    children: Vec<Child>,
}

struct AgentLink {
    writer: TcpStream,
    reader: BufReader<TcpStream>,
    machine: String,
}

type Running = Vec<JoinHandle<io::Result<Vec<ExpectedItems>>>>;

impl Team {
    /// Starts so many processes of this program on this machine.
    ///
    /// # Errors
    /// When they cannot be started or do not join.
    pub(crate) fn spawn(count: usize) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        let mut children = Vec::new();
        for _ in 0..count {
            let mut command = Command::new(std::env::current_exe()?);
            for (name, _) in std::env::vars_os() {
                if name.to_string_lossy().starts_with("LANEKEEPER_") {
                    command.env_remove(name);
                }
            }
            command.args(["loadtest", "--join", &addr.to_string()]);
            command.stdin(Stdio::null()).stdout(Stdio::null());
            // Ctrl-C is for the leader, which ends its members in order.
            command.process_group(0);
            children.push(command.spawn()?);
        }
        let mut cluster = Self { members: Vec::new(), children };
        let began = Instant::now();
        cluster.gather(&listener, count, || began.elapsed() > SPAWN_TIMEOUT)?;
        Ok(cluster)
    }

    /// Waits at an address until so many have joined.
    ///
    /// # Errors
    /// When the address cannot be had, or somebody joins who is no member.
    pub(crate) fn wait(
        addr: SocketAddr,
        count: usize,
        tell: impl FnOnce(SocketAddr),
        is_given_up: impl Fn() -> bool,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(addr)?;
        tell(listener.local_addr()?);
        let mut cluster = Self { members: Vec::new(), children: Vec::new() };
        cluster.gather(&listener, count, is_given_up)?;
        Ok(cluster)
    }

    fn gather(
        &mut self,
        listener: &TcpListener,
        count: usize,
        is_given_up: impl Fn() -> bool,
    ) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        while self.members.len() < count {
            let writer = match listener.accept() {
                Ok((writer, _)) => writer,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if is_given_up() {
                        let joined = self.members.len();
                        let message = format!("{joined} of {count} joined in time");
                        return Err(io::Error::other(message));
                    }
                    thread::sleep(LOOK);
                    continue;
                }
                Err(error) => return Err(error),
            };
            writer.set_nonblocking(false)?;
            writer.set_nodelay(true)?;
            let mut reader = BufReader::new(writer.try_clone()?);
            match first_word(&writer, &mut reader) {
                Ok(Some(Message::Here { version, machine }))
                    if version == env!("CARGO_PKG_VERSION") =>
                {
                    self.members.push(AgentLink { writer, reader, machine });
                }
                Ok(Some(Message::Here { version, .. })) => {
                    let message = format!("a member of version {version} cannot join");
                    return Err(io::Error::other(message));
                }
                // Nobody who could end a run by knocking: a browser, a port scan.
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Members there are.
    pub(crate) fn size(&self) -> usize {
        self.members.len()
    }

    /// Whether all share the leader's clock.
    pub(crate) fn is_on_one_machine(&self) -> bool {
        let own = machine();
        self.members.iter().all(|agent| agent.machine == own)
    }

    /// Tells all to run their part of a plan; its threads are those of each member.
    ///
    /// # Errors
    /// When a member is gone.
    pub(in crate::loadtest) fn start(
        &mut self,
        plan: &Arc<Plan>,
        control: &Arc<Control>,
    ) -> io::Result<(Receiver<Report>, Running, u64)> {
        let (sender, reports) = channel();
        let start = now() + HEAD_START;
        let own = machine();
        let left = Arc::new(AtomicUsize::new(self.members.len()));
        let mut running = Vec::new();
        for (place, agent) in self.members.iter_mut().enumerate() {
            let first_lane = plan.first_lane + (place * plan.threads) as u16;
            let part = Box::new(Plan { first_lane, ..Plan::clone(plan) });
            let is_near = agent.machine == own;
            let (start, delay) = if is_near { (start, 0) } else { (0, HEAD_START) };
            say(&mut agent.writer, &AgentOrder::Run { plan: part, start, delay })?;
            let reader = BufReader::new(agent.reader.get_ref().try_clone()?);
            let (sender, left) = (sender.clone(), Arc::clone(&left));
            running.push(thread::spawn(move || {
                let followed = follow(reader, &sender);
                left.fetch_sub(1, Ordering::Relaxed);
                followed
            }));
        }
        let writers: io::Result<Vec<_>> =
            self.members.iter().map(|agent| agent.writer.try_clone()).collect();
        let (writers, control, model) = (writers?, Arc::clone(control), plan.model);
        thread::spawn(move || pass_on(writers, &control, model, &left));
        Ok((reports, running, start))
    }
}

/// Takes what a member says until it is done.
fn follow(
    mut reader: BufReader<TcpStream>,
    reports: &Sender<Report>,
) -> io::Result<Vec<ExpectedItems>> {
    let mut ledgers = Vec::new();
    loop {
        match hear(&mut reader)? {
            Some(Message::Report { second, tally }) => {
                drop(reports.send(Report { second, tally: *tally }));
            }
            Some(Message::ExpectedItems(ledger)) => ledgers.push(*ledger),
            Some(Message::Done) => return Ok(ledgers),
            Some(Message::Failed(reason)) => return Err(io::Error::other(reason)),
            Some(Message::Here { .. }) => return Err(io::Error::other("a member joined twice")),
            None => return Err(io::Error::other("a member was lost: its part is not known")),
        }
    }
}

/// Tells members what is changed while they run.
fn pass_on(mut writers: Vec<TcpStream>, control: &Control, model: Model, left: &AtomicUsize) {
    let (mut scale, mut users) = (control.scale_now(), control.users_now());
    while left.load(Ordering::Relaxed) > 0 {
        thread::sleep(LOOK);
        let order = if control.is_stopped() {
            Some(AgentOrder::Stop)
        } else if matches!(model, Model::Open { .. }) && control.scale_now() != scale {
            scale = control.scale_now();
            Some(AgentOrder::Scale(scale))
        } else if matches!(model, Model::Closed { .. }) && control.users_now() != users {
            users = control.users_now();
            Some(AgentOrder::Users(users))
        } else {
            None
        };
        if let Some(order) = order {
            for writer in &mut writers {
                // Whoever is gone is noticed by whoever listens to it.
                drop(say(writer, &order));
            }
            if matches!(order, AgentOrder::Stop) {
                return;
            }
        }
    }
}

impl Drop for Team {
    /// Members end when their leader hangs up.
    fn drop(&mut self) {
        for agent in &self.members {
            drop(agent.writer.shutdown(std::net::Shutdown::Both));
        }
        for child in &mut self.children {
            drop(child.wait());
        }
    }
}

/// What whoever connected says first.
fn first_word(
    stream: &TcpStream,
    reader: &mut BufReader<TcpStream>,
) -> io::Result<Option<Message>> {
    stream.set_read_timeout(Some(FIRST_WORD_TIMEOUT))?;
    let word = hear(&mut reader.take(FIRST_WORD_BYTES))?;
    stream.set_read_timeout(None)?;
    Ok(word)
}
