//! What the system says of processes.

use std::{fs, process::Command};

/// A child of a process.
#[derive(Debug)]
pub struct Child {
    pub id: u32,
    pub is_zombie: bool,
    pub command_line: String,
}

impl Child {
    /// Returns true if it is there to prove a model.
    pub fn is_proof(&self) -> bool {
        !self.is_zombie && self.command_line.contains(" admit")
    }
}

/// The children that a process has now.
pub fn children(parent: u32) -> Vec<Child> {
    let child = |id: u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name, in parentheses, may hold anything; state and parent follow it.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let is_zombie = fields.next()? == "Z";
        (fields.next()?.parse() == Ok(parent)).then_some(())?;
        let command_line = fs::read_to_string(format!("/proc/{id}/cmdline")).ok()?.replace('\0', " ");
        Some(Child { id, is_zombie, command_line })
    };
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(child).collect()
}

/// A field of a process's memory, in bytes.
pub fn memory(id: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

/// Sends a signal; whether the process was still there.
pub fn signal(id: u32, name: &str) -> bool {
    Command::new("kill").args([&format!("-{name}"), &id.to_string()]).status().unwrap().success()
}
