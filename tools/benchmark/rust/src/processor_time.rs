//! CPU time of a server's processes, to the nanosecond, as the kernel's scheduler counts it.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// CPU time of each thread of a process and of those that it started, at one moment.
pub struct Snapshot {
    threads: HashMap<PathBuf, u64>,
}

impl Snapshot {
    /// Takes a snapshot of the process with this id and all its descendants.
    #[must_use]
    pub fn of_tree(process: u32) -> Self {
        let mut threads = HashMap::new();
        let mut pending = vec![process];
        while let Some(process) = pending.pop() {
            // A process that ends meanwhile has no folder any more.
            let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else { continue };
            for task in tasks.flatten() {
                let folder = task.path();
                if let Some(nanoseconds) = first_number(&folder.join("schedstat")) {
                    threads.insert(folder.clone(), nanoseconds);
                }
                let children = fs::read_to_string(folder.join("children")).unwrap_or_default();
                pending.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
            }
        }
        Self { threads }
    }

    /// CPU time from an earlier snapshot to this one, without threads that ended between them.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Duration {
        let used = |(thread, now): (&PathBuf, &u64)| {
            now.saturating_sub(earlier.threads.get(thread).copied().unwrap_or_default())
        };
        Duration::from_nanos(self.threads.iter().map(used).sum())
    }
}

fn first_number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.split_whitespace().next()?.parse().ok()
}
