//! The digits of a number in a JSON object, as they are written: parsers keep doubles, which many numbers are not.

/// The first value at a path of names joined by `joint`, where that is a number, in an object that a parser has accepted.
pub(super) fn number_at<'a>(line: &'a [u8], wanted: &str, joint: char) -> Option<&'a str> {
    let mut scanner = Scanner { line, at: 0, wanted, joint };
    scanner.skip_blanks();
    scanner.object(&mut String::new())
}

struct Scanner<'a, 'b> {
    line: &'a [u8],
    at: usize,
    wanted: &'b str,
    joint: char,
}

impl<'a> Scanner<'a, '_> {
    fn next(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while self.next().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Takes the byte that comes next, after blanks.
    fn take(&mut self, byte: u8) -> Option<()> {
        self.skip_blanks();
        (self.next()? == byte).then(|| self.at += 1)
    }

    /// Looks through the members of the object that begins here, whose own path this is.
    fn object(&mut self, path: &mut String) -> Option<&'a str> {
        self.take(b'{')?;
        loop {
            self.skip_blanks();
            let name: String = serde_json::from_slice(self.text()?).ok()?;
            self.take(b':')?;
            self.skip_blanks();
            let stem = path.len();
            path.push_str(&name);
            let found = match self.next()? {
                b'-' | b'0'..=b'9' if path.as_str() == self.wanted => return self.number(),
                b'{' => {
                    path.push(self.joint);
                    let start = self.at;
                    let found = if self.wanted.starts_with(path.as_str()) { self.object(path) } else { None };
                    self.at = start;
                    found
                }
                _ => None,
            };
            if found.is_some() {
                return found;
            }
            path.truncate(stem);
            self.skip_value()?;
            self.take(b',')?;
        }
    }

    fn number(&mut self) -> Option<&'a str> {
        let start = self.at;
        while self.next().is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')) {
            self.at += 1;
        }
        std::str::from_utf8(&self.line[start..self.at]).ok()
    }

    /// The text that begins here, with its quotes.
    fn text(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        self.take(b'"')?;
        loop {
            match self.next()? {
                b'\\' => self.at += 2,
                b'"' => break,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(&self.line[start..self.at])
    }

    fn skip_value(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.next()? {
                b'"' => {
                    self.text()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                _ => self.at += 1,
            }
            if depth == 0 && self.next().is_none_or(|byte| matches!(byte, b',' | b'}')) {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_found_as_they_are_written() {
        let line = br#" {"a": {"id": "x", "b": {"id": 1.50 }}, "t": "},{\"id\":9", "l": [1, {"id": 2}], "id" : 123456789012345678901234567890, "id": 4}"#;
        for (path, expected) in [
            ("a_b_id", Some("1.50")),
            ("id", Some("123456789012345678901234567890")),
            ("a_id", None),
            ("l_id", None),
            ("none", None),
        ] {
            assert_eq!(number_at(line, path, '_'), expected, "{path}");
        }
        assert_eq!(number_at(br#"{"x":-1e3}"#, "x", '_'), Some("-1e3"));
    }
}
