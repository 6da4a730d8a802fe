//! The scenarios that come with the program.

use crate::loadtest::{
    generate::lease_work::Work,
    plan::{
        action::Action,
        scenario::{Fault, Scenario, Share},
        schedule::Shape,
    },
};

const KILOBYTE: usize = 1 << 10;

/// All of them, in order.
pub(crate) fn all() -> Vec<Scenario> {
    let mut all = Vec::new();
    all.extend(push_only());
    all.extend(pop_only());
    all.extend(mixed());
    all.extend(concurrent());
    all.extend(deep());
    all.extend(bursts());
    all.extend(failures());
    all.extend([abandoned(), slow(), idle(), storm(), full()]);
    all
}

/// Those of a name: one scenario (`s3a`), a group of them (`s3`) or `all`.
pub(crate) fn named(name: &str) -> Vec<Scenario> {
    let name = name.to_ascii_lowercase();
    let is_group = name.len() == 2;
    let is_meant = |scenario: &Scenario| {
        name == "all" || scenario.id == name || (is_group && scenario.id.starts_with(&name))
    };
    all().into_iter().filter(is_meant).collect()
}

/// A scenario of 30 seconds on one queue with one priority.
fn scenario(id: &str, title: &str, shape: Shape, mix: &[(Action, u32)]) -> Scenario {
    Scenario {
        id: id.to_owned(),
        title: title.to_owned(),
        shape,
        seconds: 30,
        queues: 1,
        active: None,
        mix: mix.iter().map(|&(action, weight)| Share { action, weight }).collect(),
        priorities: 1,
        depth: 1,
        item_bytes: vec![256],
        prepopulated: 0,
        is_topped_up: false,
        subscribers: 0,
        slow_subscribers: 0,
        work: Work::default(),
        fault: None,
    }
}

fn constant(rate: f64) -> Shape {
    Shape::Constant { rate }
}

const PUSH: &[(Action, u32)] = &[(Action::Push, 1)];
const POP: &[(Action, u32)] = &[(Action::Pop, 1)];
const HALVES: &[(Action, u32)] = &[(Action::Push, 1), (Action::Pop, 1)];
const RAMP: Shape = Shape::Ramp { from: 10.0, to: 100.0 };

fn push_only() -> [Scenario; 3] {
    let one = scenario("s1a", "push: one queue, 10 to 100 a second", RAMP, PUSH);
    let ten = scenario("s1b", "push: 10 queues, 50 a second in all", constant(50.0), PUSH);
    let five = scenario("s1c", "push: one queue, 5 priorities, 50 a second", constant(50.0), PUSH);
    [one, Scenario { queues: 10, ..ten }, Scenario { priorities: 5, ..five }]
}

fn pop_only() -> [Scenario; 3] {
    let one = scenario("s2a", "pop: depth 1, 10 to 100 a second", RAMP, POP);
    let ten = scenario("s2b", "pop: depth 10, 3 priorities, 50 a second", constant(50.0), POP);
    let hundred = scenario("s2c", "pop: depth 100, 3 priorities, 20 a second", constant(20.0), POP);
    let filled = |scenario, depth, priorities| Scenario {
        depth,
        priorities,
        prepopulated: 10_000,
        is_topped_up: depth > 1,
        ..scenario
    };
    [filled(one, 1, 1), filled(ten, 10, 3), filled(hundred, 100, 3)]
}

fn mixed() -> [Scenario; 5] {
    let producers: &[_] = &[(Action::Push, 4), (Action::Pop, 1)];
    let consumers: &[_] = &[(Action::Push, 1), (Action::Pop, 4)];
    let of = |id, title, mix| scenario(id, title, constant(100.0), mix);
    let sizes = of("s3e", "mixed: half and half, items of 1 and 10 KB", HALVES);
    let ranked = of("s3d", "mixed: half and half, priorities 0 to 4", HALVES);
    [
        of("s3a", "mixed: half pushes, half pops", HALVES),
        of("s3b", "mixed: 80 pushes to 20 pops", producers),
        of("s3c", "mixed: 20 pushes to 80 pops", consumers),
        Scenario { priorities: 5, ..ranked },
        Scenario { item_bytes: vec![KILOBYTE, 10 * KILOBYTE], ..sizes },
    ]
}

fn concurrent() -> [Scenario; 6] {
    let of = |id: &str, queues: u32| {
        let title = format!("concurrent: {queues} queues, 200 a second in all");
        // So many queues are only met by chance; one item each sees to it that all are there.
        let prepopulated = if queues < 1_000 { 0 } else { u64::from(queues) };
        Scenario { queues, prepopulated, ..scenario(id, &title, constant(200.0), HALVES) }
    };
    [
        of("s4a", 1),
        of("s4b", 10),
        of("s4c", 50),
        of("s4d", 100),
        of("s4e", 10_000),
        of("s4f", 100_000),
    ]
}

fn deep() -> [Scenario; 5] {
    let of = |id: &str, prepopulated: u64| {
        let title = format!("depth: pop 10 at a time on {prepopulated} items, 50 a second");
        let is_topped_up = prepopulated > 0;
        let deep = scenario(id, &title, constant(50.0), POP);
        Scenario { prepopulated, depth: 10, is_topped_up, ..deep }
    };
    [of("s5a", 0), of("s5b", 1_000), of("s5c", 10_000), of("s5d", 100_000), of("s5e", 1_000_000)]
}

fn bursts() -> [Scenario; 3] {
    let of = |id, title, shape| Scenario { seconds: 300, ..scenario(id, title, shape, HALVES) };
    let square = Shape::Square { high: 200.0, low: 10.0, periods: 5 };
    let spike = Shape::Spike { base: 50.0, peak: 500.0, at: 0.8 };
    [
        of("s6a", "burst: a wave from 10 to 200 and back", Shape::Sine { low: 10.0, high: 200.0 }),
        of("s6b", "burst: 200 and 10 a second in turn", square),
        of("s6c", "burst: 50 a second, then 500", spike),
    ]
}

fn failures() -> [Scenario; 5] {
    let of = |id, title, mix| scenario(id, title, constant(50.0), mix);
    let item: &[_] = &[(Action::PushBadItem, 1), (Action::Push, 1), (Action::Pop, 1)];
    let priority: &[_] = &[(Action::PushBadPriority, 1), (Action::Push, 1), (Action::Pop, 1)];
    let depth: &[_] = &[(Action::PopBadDepth, 1), (Action::Push, 1), (Action::Pop, 1)];
    let kill = of("s7d", "failure: the server is killed and restarted under load", HALVES);
    let cut = of("s7e", "failure: connections are cut under load", HALVES);
    let brisk = constant(200.0);
    [
        of("s7a", "failure: items that are no objects", item),
        of("s7b", "failure: negative priorities", priority),
        of("s7c", "failure: a pop of more than 100", depth),
        Scenario { fault: Some(Fault::Kill), shape: brisk, ..kill },
        Scenario { fault: Some(Fault::Cut), shape: brisk, ..cut },
    ]
}

fn abandoned() -> Scenario {
    let mix: &[_] = &[(Action::Push, 2), (Action::Lease, 1)];
    let title = "beyond: 100 messages a second leased, acked, 5 in a hundred abandoned";
    let leased = scenario("s8a", title, constant(150.0), mix);
    let work = Work { ttl_ms: 1_000, abandoned: 5, ..Work::default() };
    Scenario { depth: 5, priorities: 3, prepopulated: 1_000, work, ..leased }
}

fn storm() -> Scenario {
    let mix: &[_] = &[(Action::Push, 10), (Action::Lease, 9), (Action::Redrive, 1)];
    let title = "beyond: three of four leased are nacked, die and are redriven";
    let storm = scenario("s8d", title, constant(200.0), mix);
    let work = Work { ttl_ms: 5_000, nacked: 75, max_deliveries: Some(2), ..Work::default() };
    Scenario { queues: 10, depth: 5, work, ..storm }
}

/// The first items leave so little space that the disk is full after a few seconds.
fn full() -> Scenario {
    let mix: &[_] = &[(Action::Push, 3), (Action::Pop, 1)];
    let title = "beyond: the disk is nearly full, has no space left, and has space again";
    let full = scenario("s8e", title, constant(200.0), mix);
    let filled = Scenario { prepopulated: 1_500, item_bytes: vec![16 * KILOBYTE], ..full };
    Scenario { fault: Some(Fault::Disk), ..filled }
}

fn slow() -> Scenario {
    let publish: &[_] = &[(Action::Publish, 1)];
    let title = "beyond: 200 a second to 5 subscribers beside 5 that never read";
    let slow = scenario("s8b", title, constant(200.0), publish);
    Scenario { subscribers: 5, slow_subscribers: 5, item_bytes: vec![2 * KILOBYTE], ..slow }
}

fn idle() -> Scenario {
    let idle = scenario(
        "s8c",
        "beyond: 100 a second on one queue beside 100,000 idle ones",
        constant(100.0),
        HALVES,
    );
    Scenario { queues: 100_000, active: Some(1), prepopulated: 100_000, ..idle }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_is_sound_and_has_a_name_of_its_own() {
        let all = all();
        for (place, scenario) in all.iter().enumerate() {
            assert_eq!(scenario.check(), Ok(()));
            assert!(all[..place].iter().all(|other| other.id != scenario.id), "{}", scenario.id);
        }
    }

    #[test]
    fn a_name_means_one_a_group_or_all() {
        assert_eq!(named("S3a").len(), 1);
        assert_eq!(named("s3").len(), 5);
        assert_eq!(named("all").len(), all().len());
        assert!(named("s9").is_empty() && named("").is_empty() && named("s").is_empty());
    }
}
