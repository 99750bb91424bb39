//! The state directory and the repository when they fail or are shared: rolling updates on one state directory,
//! mounts that lose their files, directories that vanish, disks that are full.
#![allow(clippy::allow_attributes, reason = "what a test file needs of these differs from one to the next")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(clippy::missing_panics_doc, reason = "a test that cannot go on fails")]

mod support;

mod state {
    mod directory;
    mod emptied;
    mod gateway;
    mod rolling_update;
}
