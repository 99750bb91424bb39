//! Release of machine code that is resident although it no longer runs.

use std::{fs, io, ops::Range};

/// Releases the machine code of this process and its libraries. Code that runs again is mapped again page by page, from
/// the file cache. Code that only the start or the loading of a model needs no longer counts as resident: about 20 MB,
/// mostly of ONNX Runtime.
pub fn release_code_pages() {
    let mappings = match fs::read_to_string("/proc/self/smaps") {
        Ok(smaps) => unchanged_code(&smaps),
        Err(error) => {
            tracing::debug!(%error, "failed to read the code mappings");
            return;
        }
    };
    for mapping in mappings {
        if let Err(error) = unmap_pages(&mapping) {
            tracing::debug!(%error, "failed to release code pages");
        }
    }
}

#[expect(unsafe_code, reason = "the C library has no safe form of it")]
fn unmap_pages(mapping: &Range<usize>) -> io::Result<()> {
    // SAFETY: the pages are those of a file, can be read and run but not written. None has been changed since it was
    // mapped (a relocation or a breakpoint would have made it anonymous). So what MADV_DONTNEED drops is what the next
    // access reads from the file again (madvise(2)). If the mapping were gone by now, the call would fail. Anything
    // mapped there instead would have to be code as well: this process unloads no library.
    let done = unsafe {
        libc::madvise(mapping.start as *mut libc::c_void, mapping.end - mapping.start, libc::MADV_DONTNEED)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Returns the mappings of unchanged code of files in `/proc/self/smaps` (proc(5)).
fn unchanged_code(smaps: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut code = None;
    for line in smaps.lines() {
        if let Some(mapping) = mapping(line) {
            code = mapping.is_code_of_file.then_some(mapping.addresses);
        } else if line.strip_prefix("Anonymous:").is_some_and(|size| size.trim() == "0 kB") {
            found.extend(code.take());
        }
    }
    found
}

struct Mapping {
    addresses: Range<usize>,
    is_code_of_file: bool,
}

/// Parses a line such as `55d0-55d8 r-xp 00002000 fe:00 1001 /path`; `None` for a line such as `Rss: 8 kB`.
fn mapping(line: &str) -> Option<Mapping> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    let addresses = address(start)?..address(end)?;
    let is_code = fields.next()? == "r-xp";
    let is_of_file = fields.nth(3).is_some_and(|path| path.starts_with('/'));
    Some(Mapping { addresses, is_code_of_file: is_code && is_of_file })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
55d0-55d8 r--p 00000000 fe:00 1001                   /app/gateway
Rss:                   8 kB
Anonymous:             0 kB
55d8-55f0 r-xp 00002000 fe:00 1001                   /app/gateway
Rss:                  16 kB
Anonymous:             0 kB
AnonHugePages:         0 kB
5600-5610 r-xp 00005000 fe:00 1001                   /app/gateway (deleted)
Anonymous:             0 kB
5610-5620 rw-p 00006000 fe:00 1001                   /app/gateway
Anonymous:             0 kB
7f00-7f10 r-xp 00000000 fe:00 1002                   /usr/lib/with relocations.so
Anonymous:             4 kB
7f10-7f20 r-xp 00000000 00:00 0 
Anonymous:             0 kB
7f20-7f30 r-xp 00000000 00:00 0                      [vdso]
Anonymous:             0 kB
7f30-7f40 r-xs 00000000 fe:00 1003                   /shared
Anonymous:             0 kB
";

    #[test]
    fn only_unchanged_code_of_files_is_found() {
        assert_eq!(unchanged_code(SMAPS), [0x55d8..0x55f0, 0x5600..0x5610]);
        assert!(unchanged_code("nonsense\n\nAnonymous: 0 kB\n-\n1-x r-xp").is_empty());
    }

    #[test]
    fn code_that_does_not_run_is_not_resident() {
        let resident = || {
            let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
            let mut sum = 0;
            let mut is_code = false;
            for line in smaps.lines() {
                if let Some(mapping) = mapping(line) {
                    is_code = mapping.is_code_of_file;
                } else if let Some(size) = line.strip_prefix("Rss:").filter(|_| is_code) {
                    sum += size.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
                }
            }
            sum
        };
        let before = resident();
        release_code_pages();
        let after = resident();
        assert!(after < before, "{after} kB of {before} kB are still there");
    }
}
