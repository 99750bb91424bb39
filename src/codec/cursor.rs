//! Byte-wise JSON reader for the few forms that are worth a parser of their own. Anything unusual is `None`: the caller
//! then reads the text with the full parser, which reports every error.

/// A position in JSON text.
pub(crate) struct Cursor<'t> {
    text: &'t [u8],
    at: usize,
}

/// Powers of ten that 64-bit floats hold exactly.
const POWERS_OF_TEN: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// Maximum number of digits that always fit into 64 bits.
const MAX_DIGITS: usize = 19;

/// Maximum integer up to which 64-bit floats hold every integer.
const MAX_EXACT: u64 = 1 << 53;

impl<'t> Cursor<'t> {
    pub(crate) fn new(text: &'t [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// Returns the number of bytes read.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    #[inline]
    pub(crate) fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Skips whitespace and these bytes, if they come next.
    pub(crate) fn take(&mut self, expected: &[u8]) -> Option<()> {
        self.skip_whitespace();
        self.text.get(self.at..)?.starts_with(expected).then(|| self.at += expected.len())
    }

    /// Skips whitespace and this byte, if it comes next.
    pub(crate) fn byte(&mut self, expected: u8) -> Option<()> {
        (self.next()? == expected).then_some(())
    }

    /// Skips whitespace and the byte after it, which is returned.
    pub(crate) fn next(&mut self) -> Option<u8> {
        self.skip_whitespace();
        let next = self.peek()?;
        self.at += 1;
        Some(next)
    }

    /// Returns true if only whitespace is left.
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.skip_whitespace();
        self.at == self.text.len()
    }

    /// Skips whitespace and reads a number (RFC 8259, section 6) as the nearest 64-bit float. Returns `None` also if
    /// that would be infinite.
    pub(crate) fn number(&mut self) -> Option<f64> {
        self.skip_whitespace();
        let begin = self.at;
        let is_negative = self.peek() == Some(b'-');
        self.at += usize::from(is_negative);
        let mut significand = 0;
        let starts_with_zero = self.peek() == Some(b'0');
        let mut digits = self.digits(&mut significand);
        if digits == 0 || (starts_with_zero && digits > 1) {
            return None;
        }
        let mut exponent = 0;
        if self.peek() == Some(b'.') {
            self.at += 1;
            let decimals = self.digits(&mut significand);
            if decimals == 0 {
                return None;
            }
            digits += decimals;
            exponent = -i64::try_from(decimals).ok()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            exponent += self.exponent()?;
        }
        let magnitude = if digits <= MAX_DIGITS { exact(significand, exponent) } else { None };
        match magnitude {
            Some(magnitude) if is_negative => Some(-magnitude),
            Some(magnitude) => Some(magnitude),
            None => parsed(self.text.get(begin..self.at)?),
        }
    }

    /// Appends digits to `number`, which overflows after more than [`MAX_DIGITS`]; returns how many there are.
    fn digits(&mut self, number: &mut u64) -> usize {
        let begin = self.at;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            *number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        self.at - begin
    }

    /// Reads the exponent, at whose letter the cursor is; `None` if it has more than nine digits.
    fn exponent(&mut self) -> Option<i64> {
        self.at += 1;
        let sign = self.peek();
        self.at += usize::from(matches!(sign, Some(b'+' | b'-')));
        let mut exponent = 0;
        let digits = self.digits(&mut exponent);
        let exponent = i64::try_from(exponent).ok().filter(|_| (1..=9).contains(&digits))?;
        Some(if sign == Some(b'-') { -exponent } else { exponent })
    }
}

/// Computes `significand * 10^exponent` if one operation on exact floats can do it, which rounds once (Clinger 1990,
/// "How to read floating point numbers accurately").
fn exact(significand: u64, exponent: i64) -> Option<f64> {
    if significand > MAX_EXACT {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "there is none up to `MAX_EXACT`")]
    let significand = significand as f64;
    let power = *POWERS_OF_TEN.get(usize::try_from(exponent.unsigned_abs()).ok()?)?;
    Some(if exponent < 0 { significand / power } else { significand * power })
}

#[cold]
fn parsed(number: &[u8]) -> Option<f64> {
    let number: f64 = std::str::from_utf8(number).ok()?.parse().ok()?;
    number.is_finite().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Option<f64> {
        let mut cursor = Cursor::new(text.as_bytes());
        let number = cursor.number()?;
        cursor.is_at_end().then_some(number)
    }

    #[test]
    fn what_is_no_json_number_is_none() {
        for text in [
            "",
            "-",
            "+1",
            "01",
            "-01",
            "00",
            "1.",
            "-.5",
            ".5",
            "1.e5",
            "1e",
            "1e+",
            "1e-",
            "e5",
            "0x10",
            "1_000",
            "inf",
            "Infinity",
            "NaN",
            "1e400",
            "-1e400",
            "1e0000000001",
            "1,5",
            "1 2",
            "--1",
            "1f",
            "\u{c}1",
            "\u{661}",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
        assert_eq!(number(&"9".repeat(400)), None);
    }

    #[test]
    fn every_number_is_the_nearest_float() {
        for text in [
            "0",
            "-0",
            "0.0",
            "-0.0",
            "0e5",
            "1",
            "-1",
            "5.1",
            "0.1",
            "1e5",
            "1E5",
            "1e+5",
            "1e-5",
            "1.5e22",
            "1e23",
            "9007199254740992",
            "9007199254740993",
            "9007199254740993.0",
            "18446744073709551615",
            "18446744073709551616",
            "0.30000000000000004",
            "1e-50",
            "1e-400",
            "-1e-400",
            "5e-324",
            "2.2250738585072011e-308",
            "1.7976931348623157e308",
            "1234567890123456789012345",
            "0.1234567890123456789012345",
            "0.00000000000000000000000000001",
            "8.41e21",
            "9007199254740991e-22",
            "123456789.123456789",
        ] {
            let nearest: f64 = text.parse().unwrap();
            let slow: f64 = serde_json::from_str(text).unwrap();
            assert_eq!(number(text).map(f64::to_bits), Some(nearest.to_bits()), "{text}");
            assert_eq!(slow.to_bits(), nearest.to_bits(), "{text}");
        }
        let long = format!("0.{}1", "0".repeat(300));
        assert_eq!(number(&long), long.parse().ok());
        assert_eq!(number(" \t\r\n7 "), Some(7.0));
    }
}
