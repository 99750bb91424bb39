//! Giving way.

use rustix::process::nice;

/// How far: at a tenth of the weight there is progress even beside full load.
const NICENESS: i32 = 10;

/// Makes this thread, and those that it starts, give way to the others of this process and of the machine.
///
/// Linux keeps the priority by thread, whatever POSIX says.
pub fn give_way() {
    if let Err(error) = nice(NICENESS) {
        tracing::debug!(%error, "the priority stays what it is");
    }
}
