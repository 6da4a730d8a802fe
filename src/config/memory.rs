//! How much memory the process may take, where nobody says it.

use std::{fs, path::Path};

/// Three quarters of what there is: of the least limit of the process's control groups, or of what
/// the machine has available. `None` where the system does not tell.
pub(crate) fn default_bytes() -> Option<u64> {
    let read = |path: &Path| fs::read_to_string(path).ok();
    let available = read(Path::new("/proc/meminfo")).and_then(|text| available(&text));
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().flat_map(limit_files);
    let limits = limits.filter_map(|path| read(path.as_ref())?.trim().parse::<u64>().ok());
    limits.chain(available).min().map(share)
}

fn share(bytes: u64) -> u64 {
    (bytes / 4 * 3).max(BYTES_MIN)
}

/// With less, the usual bounds of a body do not fit.
const BYTES_MIN: u64 = 128 << 20;

/// Where the limits of a control group are told, and of those that it is in.
fn limit_files(line: &str) -> Vec<String> {
    let mut parts = line.splitn(3, ':');
    let (_, controllers, path) = (parts.next(), parts.next(), parts.next());
    let (root, name) = match controllers {
        Some("") => ("/sys/fs/cgroup", "memory.max"),
        Some(all) if all.split(',').any(|one| one == "memory") => {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    let folders = Path::new(path.unwrap_or("/")).ancestors();
    folders
        .map(|folder| {
            format!("{root}{}/{name}", folder.display().to_string().trim_end_matches('/'))
        })
        .collect()
}

/// What `/proc/meminfo` says is available.
fn available(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_and_every_group_around_the_process_are_looked_at() {
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:   2048 kB\n"), Some(2 << 20));
        let files = limit_files("0::/system.slice/lanekeeper.service");
        let expected = [
            "/sys/fs/cgroup/system.slice/lanekeeper.service/memory.max",
            "/sys/fs/cgroup/system.slice/memory.max",
            "/sys/fs/cgroup/memory.max",
        ];
        assert_eq!(files, expected);
        let files = limit_files("4:cpu,memory:/a");
        assert_eq!(files[0], "/sys/fs/cgroup/memory/a/memory.limit_in_bytes");
        assert!(limit_files("4:cpu:/a").is_empty());
        assert_eq!((share(1 << 30), share(1)), (768 << 20, BYTES_MIN));
    }
}
