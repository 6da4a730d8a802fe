//! What owns the machine for a while: kills, full disks, exhausted descriptors and memory, failing
//! devices, damaged files. Each test runs a few rounds here; `SOAK=n` runs n times as many, and
//! `SEED=n` repeats a run.

/// How many rounds a test runs that by itself runs `few`.
fn rounds(few: u64) -> u64 {
    let factor = std::env::var("SOAK").ok();
    few * factor.map_or(1, |factor| factor.parse::<u64>().expect("SOAK is a whole number"))
}

#[test]
fn without_a_factor_the_rounds_are_few() {
    assert!(rounds(3) >= 3);
}
