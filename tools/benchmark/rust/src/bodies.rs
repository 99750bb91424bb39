//! Files of request bodies.

use std::{fs, io, path::Path};

const LENGTH_BYTES: usize = size_of::<u32>();

/// All bodies of a file in which each stands behind its length, a little-endian `u32`.
///
/// # Errors
///
/// If the file cannot be read, is cut short, or has no body in it.
pub fn read(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let content = fs::read(path)?;
    let mut rest = content.as_slice();
    let mut bodies = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<LENGTH_BYTES>() {
        let length = u32::from_le_bytes(*length) as usize;
        let body = after.get(..length).ok_or_else(|| io::Error::other("the file of bodies is cut short"))?;
        bodies.push(body.to_vec());
        rest = &after[length..];
    }
    if bodies.is_empty() {
        return Err(io::Error::other("the file of bodies has none"));
    }
    Ok(bodies)
}
