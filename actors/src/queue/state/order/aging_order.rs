//! Which message is next while messages age, among the first ones of any number of priorities.
//!
//! A message of priority `p` pushed at `t` has risen to 0 at `p · interval + t`, its *summit*, and
//! at any time before that it stands `⌈(summit - now) / interval⌉` steps below. So the order of
//! summits never changes: next is, among all that stand on the step of the lowest summit, whoever
//! arrived first. A tree ordered by summits, each node of which knows the first arrival below it,
//! finds it in as many steps as the tree is deep.

use lanekeeper_storage::key::{Arrival, Priority};

/// The first message of a priority, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PriorityHead {
    pub(crate) priority: Priority,
    /// When it will have risen to 0 (Unix milliseconds).
    pub(crate) summit_ms: u128,
    pub(crate) arrival: Arrival,
    /// Whether this is the message, or a bound: the message has neither an earlier summit nor an
    /// earlier arrival.
    pub(crate) is_exact: bool,
}

impl PriorityHead {
    fn order(&self) -> (u128, Arrival, Priority) {
        (self.summit_ms, self.arrival, self.priority)
    }
}

/// When a message of this priority will have risen to 0.
pub(crate) fn summit_ms(priority: Priority, pushed_at_ms: u64, aging_ms: u64) -> u128 {
    u128::from(priority.get()) * u128::from(aging_ms.max(1)) + u128::from(pushed_at_ms)
}

/// No node.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Node {
    head: PriorityHead,
    /// Random: no node has a child of greater weight.
    weight: u32,
    left: u32,
    right: u32,
    /// The node of the first arrival from here down.
    first: u32,
}

/// The heads of the priorities in use: a treap ordered by summits.
#[derive(Debug)]
pub(crate) struct Heads {
    nodes: Vec<Node>,
    free: Vec<u32>,
    root: u32,
    /// The state of the sequence that weights are taken from.
    seed: u32,
}

impl Default for Heads {
    fn default() -> Self {
        Self { nodes: Vec::new(), free: Vec::new(), root: NONE, seed: 0x9e37_79b9 }
    }
}

impl Heads {
    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>() + self.free.capacity() * size_of::<u32>()
    }

    /// Takes a head in; its priority has none.
    pub(crate) fn insert(&mut self, head: PriorityHead) {
        // xorshift: as good as any for this.
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 17;
        self.seed ^= self.seed << 5;
        let node = Node { head, weight: self.seed, left: NONE, right: NONE, first: NONE };
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.nodes.push(node);
                u32::try_from(self.nodes.len() - 1).expect("there are fewer priorities")
            }
        };
        self.nodes[index as usize] = node;
        self.update(index);
        let (left, right) = self.split(self.root, &head);
        let left = self.merge(left, index);
        self.root = self.merge(left, right);
    }

    /// Takes a head out that was taken in.
    pub(crate) fn remove(&mut self, head: &PriorityHead) {
        self.root = self.remove_from(self.root, head);
        if self.root == NONE {
            (self.nodes, self.free) = (Vec::new(), Vec::new());
        }
    }

    /// Whose turn it is now.
    pub(crate) fn next(&self, aging_ms: u64, now_ms: u64) -> Option<PriorityHead> {
        let mut lowest = self.root;
        while self.get(lowest)?.left != NONE {
            lowest = self.get(lowest)?.left;
        }
        let (aging_ms, now_ms) = (u128::from(aging_ms.max(1)), u128::from(now_ms));
        let steps = self.get(lowest)?.head.summit_ms.saturating_sub(now_ms).div_ceil(aging_ms);
        // All of the same step, which 0 is for whatever has risen so far.
        let bound_ms = now_ms + steps * aging_ms;
        let (mut best, mut index) = (NONE, self.root);
        while let Some(node) = self.get(index) {
            if node.head.summit_ms <= bound_ms {
                best = self.earlier(self.earlier(best, index), self.first(node.left));
                index = node.right;
            } else {
                index = node.left;
            }
        }
        self.get(best).map(|node| node.head)
    }

    fn get(&self, index: u32) -> Option<&Node> {
        self.nodes.get(index as usize)
    }

    fn first(&self, index: u32) -> u32 {
        self.get(index).map_or(NONE, |node| node.first)
    }

    fn earlier(&self, a: u32, b: u32) -> u32 {
        let arrival = |index| self.get(index).map(|node: &Node| node.head.arrival);
        match (arrival(a), arrival(b)) {
            (Some(of_a), Some(of_b)) if of_b < of_a => b,
            (Some(_), _) => a,
            (None, _) => b,
        }
    }

    /// Says again what a node knows of those below it.
    fn update(&mut self, index: u32) {
        let Node { left, right, .. } = self.nodes[index as usize];
        let below = self.earlier(self.first(left), self.first(right));
        self.nodes[index as usize].first = self.earlier(index, below);
    }

    /// Those before `head`, and those behind.
    fn split(&mut self, index: u32, head: &PriorityHead) -> (u32, u32) {
        let Some(&Node { head: own, left, right, .. }) = self.get(index) else {
            return (NONE, NONE);
        };
        if own.order() < head.order() {
            let (near, far) = self.split(right, head);
            self.nodes[index as usize].right = near;
            self.update(index);
            (index, far)
        } else {
            let (far, near) = self.split(left, head);
            self.nodes[index as usize].left = near;
            self.update(index);
            (far, index)
        }
    }

    /// One tree of two, all of the first before all of the second.
    fn merge(&mut self, a: u32, b: u32) -> u32 {
        let (Some(of_a), Some(of_b)) = (self.get(a), self.get(b)) else {
            return if a == NONE { b } else { a };
        };
        let top = if of_a.weight >= of_b.weight {
            let right = self.merge(of_a.right, b);
            self.nodes[a as usize].right = right;
            a
        } else {
            let left = self.merge(a, of_b.left);
            self.nodes[b as usize].left = left;
            b
        };
        self.update(top);
        top
    }

    fn remove_from(&mut self, index: u32, head: &PriorityHead) -> u32 {
        let Some(&Node { head: own, left, right, .. }) = self.get(index) else {
            debug_assert!(false, "{head:?} is not there");
            return NONE;
        };
        match head.order().cmp(&own.order()) {
            std::cmp::Ordering::Equal => {
                self.free.push(index);
                return self.merge(left, right);
            }
            std::cmp::Ordering::Less => {
                let left = self.remove_from(left, head);
                self.nodes[index as usize].left = left;
            }
            std::cmp::Ordering::Greater => {
                let right = self.remove_from(right, head);
                self.nodes[index as usize].right = right;
            }
        }
        self.update(index);
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_is_the_one_that_a_look_at_all_of_them_finds() {
        let seed =
            std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
        println!("SEED={seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut heads, mut naive, mut now_ms) =
            (Heads::default(), Vec::<PriorityHead>::new(), 0_u64);
        for arrival in 0..4_000 {
            now_ms += random.u64(0..30);
            if random.u8(..3) > 0 && naive.len() < 300 {
                let priority = Priority::new(random.u32(0..500)).expect("in bounds");
                let summit_ms = summit_ms(priority, now_ms, 100);
                let arrival = Arrival(if random.bool() { arrival } else { 10_000 - arrival });
                let head = PriorityHead { priority, summit_ms, arrival, is_exact: true };
                if !naive.contains(&head) {
                    heads.insert(head);
                    naive.push(head);
                }
            } else if !naive.is_empty() {
                let head = naive.swap_remove(random.usize(..naive.len()));
                heads.remove(&head);
            }
            let step =
                |head: &PriorityHead| head.summit_ms.saturating_sub(now_ms.into()).div_ceil(100);
            let expected = naive.iter().min_by_key(|head| (step(head), head.arrival));
            let next = heads.next(100, now_ms);
            assert_eq!(next.map(|head| head.arrival), expected.map(|head| head.arrival));
        }
    }
}
