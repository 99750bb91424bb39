//! Available memory, memory in use, and the return of freed memory to the system.

mod trim_later;

use std::{
    fs::{self, File},
    io::{self, Read, Seek},
    path::Path,
};

pub use trim_later::trim_heap_later;

/// Value from which a limit means none: version 1 control groups report a number near the maximum.
const NO_LIMIT: u64 = 1 << 60;

/// Returns the bytes that this process may still use: those available on the system, or less if a control group limits
/// it.
#[must_use]
pub fn available_bytes() -> Option<u64> {
    let system = fs::read_to_string("/proc/meminfo").ok().and_then(|text| kibibytes(&text, "MemAvailable:"));
    let group = fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| groups_available(&text));
    system.into_iter().chain(group).min()
}

/// Returns the bytes that this process may still use, within `limit` if it is not 0, and within the memory available.
/// Bytes that it holds and can free (`held`) count as left.
#[must_use]
pub fn bytes_left(limit: u64, held: u64) -> Option<u64> {
    let there_are = available_bytes().map(|left| left.saturating_add(held));
    let may_be = (limit > 0).then(|| {
        let resident = resident_bytes().unwrap_or(0);
        limit.saturating_add(held).saturating_sub(resident)
    });
    there_are.into_iter().chain(may_be).min()
}

/// Returns the resident memory of this process in bytes.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    status_bytes(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// Returns a field of `/proc/PID/status`, such as `VmHWM:`, the peak resident size.
#[must_use]
pub fn status_bytes(status: &str, field: &str) -> Option<u64> {
    kibibytes(status, field)
}

/// The kernel's account of this process's memory. It stays readable in the sandbox, which lets no file be opened.
pub struct MemoryStatus(File);

impl MemoryStatus {
    /// Opens the account. Where the system has none, every size in it is 0.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened.
    pub fn open() -> io::Result<Self> {
        File::open(if cfg!(target_os = "linux") { "/proc/self/status" } else { "/dev/null" }).map(Self)
    }

    /// Reads the bytes of a field as they are now; 0 if there is no such field.
    pub fn bytes(&mut self, field: &str) -> u64 {
        let mut text = String::new();
        let read = self.0.rewind().and_then(|()| self.0.read_to_string(&mut text));
        read.ok().and_then(|_| status_bytes(&text, field)).unwrap_or(0)
    }
}

/// Returns freed memory to the system, which the allocator would keep: hundreds of megabytes after a large model.
pub fn trim_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    trim();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the C library has no safe form of it")]
fn trim() {
    // SAFETY: it takes a number, touches only the allocator's own free lists, and may be called from any thread
    // (malloc_trim(3): MT-Safe).
    unsafe { libc::malloc_trim(0) };
}

/// Size from which a block is mapped by itself, and unmapped when it is freed. Mapping costs about as much as reading a
/// body, so smaller blocks are kept for reuse.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_BYTES: libc::c_int = 4 << 20;

/// Free memory at the end of each thread's heap that the allocator keeps without an explicit trim.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT_BYTES: libc::c_int = 4 << 20;

/// Makes the allocator return large blocks to the system when they are freed, for the life of the process. Otherwise it
/// learns from large requests to keep blocks of up to 32 MiB.
pub fn return_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    set_thresholds();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the C library has no safe form of it")]
fn set_thresholds() {
    // SAFETY: both take a number, which any thread may change at any time (mallopt(3): MT-Safe); one that is refused
    // changes nothing.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES);
    }
}

fn kibibytes(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Returns the least memory still available in any of this process's control groups or their ancestors.
fn groups_available(groups: &str) -> Option<u64> {
    groups.lines().filter_map(group_available).min()
}

/// Parses a line of `/proc/self/cgroup`: `0::/path` for version 2, `7:memory:/path` for version 1.
fn group_available(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once(':')?;
    let (controllers, path) = rest.split_once(':')?;
    let (root, limit, usage, reclaimable) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
        names if names.split(',').any(|name| name == "memory") => {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        }
        _ => return None,
    };
    let of = |folder: &Path| {
        let number = |file| fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok();
        let limit = number(limit).filter(|limit| *limit < NO_LIMIT)?;
        let cached = fs::read_to_string(folder.join("memory.stat")).ok();
        let cached = cached.and_then(|text| {
            text.lines().find_map(|line| line.strip_prefix(reclaimable)?.trim().parse::<u64>().ok())
        });
        // Cached file pages count as used, but the kernel reclaims them on demand.
        Some(limit.saturating_sub(number(usage)?.saturating_sub(cached.unwrap_or(0))))
    };
    // Inside a container the path may exist only on the host; the root is then the container's own group.
    let inside = Path::new(root).join(path.trim_start_matches('/'));
    inside.ancestors().take_while(|folder| folder.starts_with(root)).filter_map(of).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let text = "Name:\tx\nVmHWM:\t   31200 kB\nVmRSS:\t 100 kB\n";
        assert_eq!(status_bytes(text, "VmHWM:"), Some(31_200 * 1024));
        assert_eq!(status_bytes(text, "VmSwap:"), None);
        assert!(available_bytes().is_some_and(|bytes| bytes > 0));
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn memory_that_was_freed_is_given_back() {
        let blocks: Vec<Vec<u8>> = (0..20_000).map(|_| vec![1_u8; 4096]).collect();
        let full = resident_bytes().unwrap();
        drop(blocks);
        trim_heap();
        assert!(resident_bytes().unwrap() + (40 << 20) < full);
    }
}
