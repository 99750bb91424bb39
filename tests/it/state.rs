//! The state directory and the repository when they fail or are shared: rolling updates on one state directory,
//! mounts that lose their files, directories that vanish, disks that are full.

mod directory;
mod emptied;
mod gateway;
mod rolling_update;
