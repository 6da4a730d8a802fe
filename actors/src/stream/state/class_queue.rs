//! A bounded queue of four classes.

use std::collections::VecDeque;

use crate::stream::api::priority_class::{CLASS_COUNT, Class};

/// Control messages that a queue holds at most, beyond its capacity if need be.
pub const CONTROL_MAX: usize = 100;

/// A bounded queue of four classes: what stays when there is no room.
///
/// Classes leave in their order, first in, first out inside one. While there is room every message
/// is taken. When the queue is full, the newcomer takes the place of the *oldest* message of the
/// class named below; `–` refuses the newcomer, `+` takes it beyond the capacity:
///
/// | the full queue holds | control | critical | important | bulk |
/// |---|---|---|---|---|
/// | control | + | – | – | – |
/// | critical | critical | critical | – | – |
/// | important | important | important | important | – |
/// | bulk | bulk | bulk | bulk | – |
/// | control critical | critical | critical | – | – |
/// | control important | important | important | important | – |
/// | control bulk | bulk | bulk | bulk | – |
/// | critical important | important | important | important | – |
/// | critical bulk | bulk | bulk | bulk | – |
/// | important bulk | bulk | bulk | bulk | – |
/// | control critical important | important | important | important | – |
/// | control critical bulk | bulk | bulk | bulk | – |
/// | control important bulk | bulk | bulk | bulk | – |
/// | critical important bulk | bulk | bulk | bulk | – |
/// | control critical important bulk | bulk | bulk | bulk | – |
///
/// In words: the least urgent class present gives way if it is less urgent than the newcomer;
/// failing that, the newcomer's own class does, unless that is bulk. Control never gives way and is
/// never refused, but for its own bound: with [`CONTROL_MAX`] control messages waiting, one more
/// overflows, whatever else the queue holds.
///
/// Pushing, popping and giving way touch the ends of four rings and nothing else.
#[derive(Debug)]
pub struct ClassQueue<T> {
    lanes: [VecDeque<T>; CLASS_COUNT],
    len: usize,
    capacity: usize,
}

/// What became of a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum ClassPushed<T> {
    /// It was taken.
    Queued,
    /// It was taken in the place of this one, the oldest of its class.
    Replaced(Class, T),
    /// The queue is full and nothing in it gives way.
    Refused(T),
    /// As many control messages wait as may.
    Overflowed(T),
}

impl<T> ClassQueue<T> {
    /// An empty queue for so many messages; at least one.
    pub fn new(capacity: usize) -> Self {
        Self { lanes: Default::default(), len: 0, capacity: capacity.max(1) }
    }

    /// Messages that it holds before anything gives way.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Messages in it: beyond the capacity only if all of them are control.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Messages of one class.
    pub fn len_of(&self, class: Class) -> usize {
        self.lanes[class as usize].len()
    }

    /// Adds a message, as the table says.
    pub fn push(&mut self, class: Class, message: T) -> ClassPushed<T> {
        if class == Class::Control && self.len_of(class) >= CONTROL_MAX {
            return ClassPushed::Overflowed(message);
        }
        if self.len < self.capacity {
            self.add(class, message);
            return ClassPushed::Queued;
        }
        match self.gives_way_to(class) {
            Some(victim) => {
                let oldest = self.pop_of(victim);
                self.add(class, message);
                ClassPushed::Replaced(
                    victim,
                    oldest.expect("a class that is present has a message"),
                )
            }
            None if class == Class::Control => {
                self.add(class, message);
                ClassPushed::Queued
            }
            None => ClassPushed::Refused(message),
        }
    }

    /// Takes the oldest message of the most urgent class present.
    pub fn pop(&mut self) -> Option<(Class, T)> {
        let class = Class::ALL.into_iter().find(|&class| self.is_present(class))?;
        Some((class, self.pop_of(class)?))
    }

    /// Takes the oldest message of one class.
    pub fn pop_of(&mut self, class: Class) -> Option<T> {
        let oldest = self.lanes[class as usize].pop_front()?;
        self.len -= 1;
        Some(oldest)
    }

    /// The oldest message of one class.
    pub fn first(&self, class: Class) -> Option<&T> {
        self.lanes[class as usize].front()
    }

    /// The oldest message of one class, to be changed.
    pub fn first_mut(&mut self, class: Class) -> Option<&mut T> {
        self.lanes[class as usize].front_mut()
    }

    /// Empties it, and gives its memory back.
    pub fn clear(&mut self) {
        self.lanes = Default::default();
        self.len = 0;
    }

    /// The class whose oldest message gives way to a newcomer of `class` when there is no room.
    fn gives_way_to(&self, class: Class) -> Option<Class> {
        let less_urgent = Class::ALL.into_iter().rev().take_while(|&other| other > class);
        let is_own = matches!(class, Class::Critical | Class::Important);
        less_urgent.chain(is_own.then_some(class)).find(|&other| self.is_present(other))
    }

    fn is_present(&self, class: Class) -> bool {
        !self.lanes[class as usize].is_empty()
    }

    fn add(&mut self, class: Class, message: T) {
        self.lanes[class as usize].push_back(message);
        self.len += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// The table as it is documented: what the queue holds, the newcomer, the cell.
    fn table() -> Vec<(Vec<Class>, Class, &'static str)> {
        let rows = include_str!("class_queue.rs").lines().filter(|line| line.starts_with("/// |"));
        let mut cells = Vec::new();
        for row in rows.skip(2) {
            let columns: Vec<_> = row.split('|').map(str::trim).collect();
            let held = columns[1].split(' ').map(|word| word.parse().expect("a class"));
            let held: Vec<Class> = held.collect();
            for (class, cell) in Class::ALL.into_iter().zip(&columns[2..6]) {
                cells.push((held.clone(), class, *cell));
            }
        }
        cells
    }

    #[test]
    fn every_cell_of_the_table_holds() {
        let cells = table();
        let distinct: HashMap<_, _> =
            cells.iter().map(|(held, class, cell)| ((held.clone(), class), cell)).collect();
        assert_eq!(distinct.len(), 15 * 4, "every content that there is, and every newcomer");
        for (held, newcomer, cell) in cells {
            let mut queue = ClassQueue::new(2 * held.len());
            for (place, &class) in held.iter().chain(&held).enumerate() {
                assert_eq!(queue.push(class, place), ClassPushed::Queued);
            }
            let pushed = queue.push(newcomer, 99);
            let oldest = |class: Class| held.iter().position(|&own| own == class);
            let expected = match cell {
                "+" => ClassPushed::Queued,
                "–" => ClassPushed::Refused(99),
                word => {
                    let class = word.parse().expect("a class");
                    ClassPushed::Replaced(class, oldest(class).expect("it is present"))
                }
            };
            assert_eq!(pushed, expected, "{newcomer} into a queue full of {held:?}");
            assert_eq!(queue.len(), 2 * held.len() + usize::from(cell == "+"));
        }
    }

    #[test]
    fn control_overflows_at_its_bound_whatever_the_room() {
        let mut queue = ClassQueue::new(1_000);
        for n in 0..CONTROL_MAX {
            assert_eq!(queue.push(Class::Control, n), ClassPushed::Queued);
        }
        assert_eq!(queue.push(Class::Control, 100), ClassPushed::Overflowed(100));
        assert_eq!(queue.push(Class::Bulk, 7), ClassPushed::Queued);
        assert_eq!(queue.pop(), Some((Class::Control, 0)));
        assert_eq!(queue.push(Class::Control, 101), ClassPushed::Queued);
    }

    #[test]
    fn control_beyond_the_capacity_leaves_no_room_for_others() {
        let mut queue = ClassQueue::new(2);
        for n in 0..5 {
            assert_eq!(queue.push(Class::Control, n), ClassPushed::Queued);
        }
        assert_eq!(queue.push(Class::Critical, 9), ClassPushed::Refused(9));
        for _ in 0..4 {
            queue.pop();
        }
        assert_eq!(queue.push(Class::Critical, 9), ClassPushed::Queued);
    }
}
