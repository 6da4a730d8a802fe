//! What reads promise.

use bytes::Bytes;

use crate::{
    batch::Batch,
    engine::seam::{Durability, ScanLimit},
    key::Key,
    testing::conformance::{Open, Owner, batch, key, range},
};

const ALL: ScanLimit = ScanLimit { count_max: usize::MAX, bytes_max: usize::MAX };

/// Names of what a scan found.
fn names(entries: &[(Key, Bytes)]) -> Vec<String> {
    let names = entries.iter().map(|(key, _)| String::from_utf8_lossy(key.as_bytes()));
    names.map(|name| name.into_owned()).collect()
}

fn scan(owner: &Owner, start: &str, end: &str, limit: ScanLimit) -> Vec<String> {
    names(&owner.engine.scan(&range(start, end), limit).expect("a sound engine is read"))
}

fn scan_back(owner: &Owner, start: &str, end: &str, limit: ScanLimit) -> Vec<String> {
    names(&owner.engine.scan_back(&range(start, end), limit).expect("a sound engine is read"))
}

/// An engine whose keys lie in every layer an engine may have: `a` to `h`, without `c` and `f`.
fn layered(open: Open<'_>) -> Owner {
    let owner = Owner::new(open);
    owner.commit(batch(&[("a", Some("1")), ("c", Some("1")), ("e", Some("1")), ("f", Some("1"))]));
    owner.engine.maintain().expect("upkeep of a sound engine");
    owner.commit(batch(&[("b", Some("2")), ("c", None), ("e", Some("22")), ("h", Some("2"))]));
    owner.commit_at(batch(&[("d", Some("3")), ("f", None), ("g", Some("3"))]), Durability::Memory);
    owner
}

/// `get` and `scan` answer with a batch once `commit` has returned.
pub fn reads_see_a_batch_at_once(open: Open<'_>) {
    let owner = Owner::new(open);
    assert_eq!(owner.get("a"), None);
    owner.commit(batch(&[("a", Some("1")), ("b", Some("2"))]));
    assert_eq!(owner.get("a").as_deref(), Some("1"));
    assert_eq!(scan(&owner, "a", "z", ALL), ["a", "b"]);
}

/// Keys and values are opaque.
pub fn keys_and_values_of_any_bytes_come_back(open: Open<'_>) {
    let owner = Owner::new(open);
    let keys = [vec![], vec![0], vec![0, 0], vec![0xff; 3], (0..=255).collect(), vec![7; 300]];
    for (index, bytes) in keys.iter().enumerate() {
        let mut batch = Batch::new();
        batch.put(Key::from_bytes(bytes), vec![index as u8; index * 40_000]);
        owner.commit(batch);
    }
    for _ in 0..2 {
        for (index, bytes) in keys.iter().enumerate() {
            let value = owner.engine.get(&Key::from_bytes(bytes)).expect("a sound engine is read");
            assert_eq!(value, Some(Bytes::from(vec![index as u8; index * 40_000])));
        }
        owner.engine.maintain().expect("upkeep of a sound engine");
    }
}

/// A delete hides the key, whether the put before it was folded in or not.
pub fn a_deleted_key_is_gone_wherever_it_was(open: Open<'_>) {
    let owner = layered(open);
    for name in ["c", "f"] {
        assert_eq!(owner.get(name), None, "{name}");
    }
    assert_eq!(scan(&owner, "a", "z", ALL), ["a", "b", "d", "e", "g", "h"]);
    owner.commit(batch(&[("d", None), ("a", None), ("x", None)]));
    assert_eq!(scan(&owner, "a", "z", ALL), ["b", "e", "g", "h"]);
}

/// The start of a range belongs to it, its end does not; an empty or reversed one holds nothing.
pub fn a_range_ends_before_its_end(open: Open<'_>) {
    let owner = layered(open);
    assert_eq!(scan(&owner, "b", "g", ALL), ["b", "d", "e"]);
    assert_eq!(scan_back(&owner, "b", "g", ALL), ["e", "d", "b"]);
    for (start, end) in [("b", "b"), ("g", "b"), ("x", "z")] {
        assert!(scan(&owner, start, end, ALL).is_empty(), "{start}..{end}");
        assert!(scan_back(&owner, start, end, ALL).is_empty(), "{start}..{end}");
    }
}

/// `count_max` entries at most, and none if it is zero.
pub fn a_bound_on_entries_ends_a_scan(open: Open<'_>) {
    let owner = layered(open);
    let all = ["a", "b", "d", "e", "g", "h"];
    for count in 0..=7 {
        let end = count.min(all.len());
        assert_eq!(scan(&owner, "a", "z", ScanLimit::count(count)), all[..end]);
    }
}

/// `bytes_max` bytes of values at most, but one entry if there is one.
pub fn a_bound_on_bytes_ends_a_scan_but_not_before_its_first_entry(open: Open<'_>) {
    let owner = layered(open);
    let bytes = |bytes_max| ScanLimit { bytes_max, ..ALL };
    assert_eq!(scan(&owner, "a", "z", bytes(4)), ["a", "b", "d"]);
    assert_eq!(scan(&owner, "a", "z", bytes(5)), ["a", "b", "d", "e"]);
    assert_eq!(scan(&owner, "e", "z", bytes(1)), ["e"]);
    assert_eq!(scan(&owner, "e", "z", bytes(0)), ["e"]);
    assert_eq!(scan_back(&owner, "a", "z", bytes(3)), ["h", "g"]);
}

/// The last key first, and the bounds apply from there.
pub fn a_scan_backwards_is_the_scan_reversed(open: Open<'_>) {
    let owner = layered(open);
    let mut forward = scan(&owner, "a", "z", ALL);
    forward.reverse();
    assert_eq!(scan_back(&owner, "a", "z", ALL), forward);
    assert_eq!(scan_back(&owner, "a", "z", ScanLimit::count(2)), ["h", "g"]);
    assert_eq!(scan_back(&owner, "a", "h", ScanLimit::count(3)), ["g", "e", "d"]);
}

/// A batch that nothing keeps is read like any other, and outdone like any other.
pub fn a_volatile_batch_is_read_like_any_other(open: Open<'_>) {
    let owner = Owner::new(open);
    owner.commit(batch(&[("a", Some("kept")), ("b", Some("kept"))]));
    owner.commit_at(batch(&[("a", Some("volatile")), ("b", None)]), Durability::Memory);
    assert_eq!(owner.get("a").as_deref(), Some("volatile"));
    assert_eq!(owner.get("b"), None);
    owner.commit(batch(&[("a", Some("kept again"))]));
    owner.commit_at(batch(&[("b", Some("later"))]), Durability::Relaxed);
    assert_eq!(owner.get("a").as_deref(), Some("kept again"));
    assert_eq!(owner.get("b").as_deref(), Some("later"));
}

/// A key that was added and deleted is gone, whatever was below it or was folded in meanwhile.
pub fn an_added_key_that_is_deleted_is_gone(open: Open<'_>) {
    let owner = Owner::new(open);
    let add = |name: &str| {
        let mut batch = Batch::new();
        batch.add(key(name), name.to_owned());
        batch
    };
    let maintain = || _ = owner.engine.maintain().expect("upkeep of a sound engine");
    owner.commit(batch(&[("hidden", Some("kept"))]));
    maintain();
    owner.commit_at(batch(&[("hidden", None)]), Durability::Memory);
    for level in [Durability::Relaxed, Durability::Memory] {
        for name in ["hidden", "never there"] {
            for upkeeps in 0..4 {
                owner.commit_at(add(name), level);
                assert_eq!(owner.get(name).as_deref(), Some(name));
                if upkeeps & 1 == 1 {
                    maintain();
                }
                owner.commit_at(batch(&[(name, Some("changed"))]), level);
                assert_eq!(owner.get(name).as_deref(), Some("changed"));
                owner.commit_at(batch(&[(name, None)]), level);
                if upkeeps & 2 == 2 {
                    maintain();
                }
                assert_eq!(owner.get(name), None, "{name} at {level} after {upkeeps}");
                assert_eq!(scan(&owner, "a", "z", ALL), [""; 0]);
            }
        }
    }
}

/// What is read does not depend on what was folded in meanwhile.
pub fn upkeep_changes_no_answer(open: Open<'_>) {
    let owner = Owner::new(open);
    let mut expected = std::collections::BTreeMap::new();
    for step in 0..300_u32 {
        let name = format!("{:03}", step * 7 % 101);
        if step % 5 == 4 {
            owner.commit(batch(&[(&name, None)]));
            expected.remove(&name);
        } else {
            owner.commit(batch(&[(&name, Some(&step.to_string()))]));
            expected.insert(name, step.to_string());
        }
        if step % 37 == 0 {
            owner.engine.maintain().expect("upkeep of a sound engine");
        }
        if step % 20 == 0 {
            let names: Vec<_> = expected.keys().cloned().collect();
            assert_eq!(scan(&owner, "0", "9", ALL), names, "after {step}");
            let tail: Vec<_> = names.iter().rev().take(9).cloned().collect();
            assert_eq!(scan_back(&owner, "0", "9", ScanLimit::count(9)), tail, "after {step}");
        }
    }
    for (name, value) in &expected {
        assert_eq!(owner.get(name).as_deref(), Some(value.as_str()));
    }
    assert_eq!(owner.engine.get(&key("none")).expect("a sound engine is read"), None);
}
