//! How often the kernel killed a process of the agent's control group because memory ran out.

use std::fs;

/// The counter of the agent's control group, which its workers share; 0 where it cannot be read.
/// Only its rise while a worker ran says something.
pub(super) fn kills() -> u64 {
    let Ok(groups) = fs::read_to_string("/proc/self/cgroup") else { return 0 };
    groups
        .lines()
        .filter_map(counter_file)
        .filter_map(|file| fs::read_to_string(file).ok())
        .filter_map(|text| counter(&text))
        .max()
        .unwrap_or(0)
}

/// Where a line of `/proc/self/cgroup` (`0::/a/b` in version 2, `8:memory:/a` in version 1) has its
/// counter.
fn counter_file(line: &str) -> Option<String> {
    let mut parts = line.splitn(3, ':');
    let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    match controllers {
        "" => Some(format!("/sys/fs/cgroup{path}/memory.events")),
        names if names.split(',').any(|name| name == "memory") => {
            Some(format!("/sys/fs/cgroup/memory{path}/memory.oom_control"))
        }
        _ => None,
    }
}

fn counter(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_control_groups() {
        let table = [
            (
                "0::/system.slice/vigie.service",
                Some("/sys/fs/cgroup/system.slice/vigie.service/memory.events"),
            ),
            ("8:cpu,memory:/a", Some("/sys/fs/cgroup/memory/a/memory.oom_control")),
            ("7:blkio:/", None),
            ("nonsense", None),
        ];
        for (line, file) in table {
            assert_eq!(counter_file(line).as_deref(), file, "{line}");
        }
        assert_eq!(counter("low 0\noom 3\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(counter("oom_kill_disable 0\nunder_oom 0\n"), None);
        let _ = kills();
    }
}
