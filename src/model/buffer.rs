//! Elements of a tensor: either an own list of numbers, or a part of the received body, which is not copied.

use std::{
    fmt,
    ops::{Deref, Range},
};

use bytemuck::{AnyBitPattern, NoUninit};
use bytes::{Buf, Bytes};

/// A list of numbers, row-major.
#[derive(Clone)]
pub struct Buffer<T>(Memory<T>);

#[derive(Clone)]
enum Memory<T> {
    Own(Vec<T>),
    /// Bytes whose layout in memory is that of a list of `T`.
    Received(Bytes),
}

impl<T: AnyBitPattern> Buffer<T> {
    /// Returns the numbers of this range, without copying received bytes; `None` if the range is out of bounds.
    #[must_use]
    pub fn part(&self, range: Range<usize>) -> Option<Self> {
        let part = self.get(range.clone())?;
        Some(Self(match &self.0 {
            Memory::Own(_) => Memory::Own(part.to_vec()),
            Memory::Received(bytes) => {
                Memory::Received(bytes.slice(range.start * size_of::<T>()..range.end * size_of::<T>()))
            }
        }))
    }

    /// Appends numbers; received bytes are copied first.
    pub fn append(&mut self, other: &[T]) {
        if let Memory::Received(_) = self.0 {
            self.0 = Memory::Own(self.to_vec());
        }
        if let Memory::Own(own) = &mut self.0 {
            own.extend_from_slice(other);
        }
    }

    /// Reads little-endian bytes as numbers; `None` if the last number is cut short. Bytes that are not aligned are
    /// moved within their memory if no other handle shares it, or else copied.
    ///
    /// `from_bytes` makes a number from its bytes.
    pub fn received(bytes: Bytes, from_bytes: impl Fn(&[u8]) -> T) -> Option<Self> {
        let size = size_of::<T>();
        if !bytes.len().is_multiple_of(size) {
            return None;
        }
        let bytes = if cfg!(target_endian = "little") { aligned::<T>(bytes) } else { Err(bytes) };
        Some(Self(match bytes {
            Ok(bytes) => Memory::Received(bytes),
            Err(bytes) => Memory::Own(bytes.chunks_exact(size).map(from_bytes).collect()),
        }))
    }

    /// Returns the numbers as bytes, in the order of the machine; received bytes are not copied.
    pub fn to_bytes(&self) -> Bytes
    where
        T: NoUninit,
    {
        match &self.0 {
            Memory::Own(elements) => Bytes::copy_from_slice(bytemuck::cast_slice(elements)),
            Memory::Received(bytes) => bytes.clone(),
        }
    }
}

/// Returns the bytes aligned for `T`, moved if no other handle shares their memory. `Err` has them unchanged.
fn aligned<T: AnyBitPattern>(bytes: Bytes) -> Result<Bytes, Bytes> {
    let fits = |bytes: &[u8]| bytemuck::try_cast_slice::<u8, T>(bytes).is_ok();
    if fits(&bytes) {
        return Ok(bytes);
    }
    let mut bytes = bytes.try_into_mut()?;
    let length = bytes.len();
    // A large block grows in place.
    bytes.reserve(align_of::<T>());
    let shift = bytes.as_ptr().align_offset(align_of::<T>());
    if shift >= align_of::<T>() {
        return Err(bytes.freeze());
    }
    bytes.resize(length + shift, 0);
    bytes.copy_within(..length, shift);
    bytes.advance(shift);
    let bytes = bytes.freeze();
    if fits(&bytes) { Ok(bytes) } else { Err(bytes) }
}

impl<T: AnyBitPattern> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.0 {
            Memory::Own(elements) => elements,
            // The alignment was checked when they were received, and they do not move.
            Memory::Received(bytes) => bytemuck::try_cast_slice(bytes).unwrap_or_default(),
        }
    }
}

impl<T> From<Vec<T>> for Buffer<T> {
    fn from(elements: Vec<T>) -> Self {
        Self(Memory::Own(elements))
    }
}

impl<T> FromIterator<T> for Buffer<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        Vec::from_iter(elements).into()
    }
}

impl<T: AnyBitPattern + PartialEq> PartialEq for Buffer<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: AnyBitPattern + fmt::Debug> fmt::Debug for Buffer<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(bytes: Bytes) -> Option<Buffer<u32>> {
        Buffer::received(bytes, |bytes| u32::from_le_bytes(bytes.try_into().unwrap()))
    }

    #[test]
    fn aligned_bytes_are_not_copied_and_others_are_read_all_the_same() {
        let numbers = [1_u32, 2, u32::MAX];
        let mut bytes = vec![0; 8];
        bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        let bytes = Bytes::from(bytes);
        let misalignment = bytes.as_ptr().align_offset(4);
        for shift in 0..4 {
            let start = bytes.slice(misalignment + shift..);
            let part = start.slice(..start.len() / 4 * 4);
            let buffer = received(part.clone()).unwrap();
            let expected: Vec<u32> =
                part.chunks_exact(4).map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap())).collect();
            assert_eq!(*buffer, expected);
            let is_same_memory = std::ptr::eq(buffer.as_ptr().cast(), part.as_ptr());
            assert_eq!(is_same_memory, shift == 0, "{shift}");
        }
    }

    #[test]
    fn unaligned_bytes_that_nothing_else_holds_are_moved_within_their_memory() {
        let numbers: Vec<u32> = (0..100_000).collect();
        for shift in 0..4 {
            let mut bytes = vec![0; shift];
            bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
            let mut bytes = Bytes::from(bytes);
            bytes.advance(shift);
            let before = bytes.as_ptr().addr();
            let buffer = received(bytes).unwrap();
            assert_eq!(*buffer, numbers);
            assert!(matches!(buffer.0, Memory::Received(_)), "{shift}");
            assert!(shift > 0 || buffer.as_ptr().addr() == before);
        }
    }

    #[test]
    fn half_a_number_is_none() {
        assert!(received(Bytes::from_static(&[0; 6])).is_none());
        assert_eq!(received(Bytes::new()).as_deref(), Some(&[][..]));
    }
}
