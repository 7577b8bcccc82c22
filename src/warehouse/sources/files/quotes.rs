//! Quotes of CSV: a field that opens with one and never closes holds all rows that follow, which nobody would miss.

use datafusion::common::Result;

use super::failure::FileFailure;
use super::text::BYTE_ORDER_MARK;

/// Where in a field the bytes so far end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    FieldStart,
    Unquoted,
    Quoted,
    /// After a quote within quotes, which ends the field or stands for itself together with another.
    Quote,
}

/// A look at the bytes of one file as they pass.
#[derive(Debug)]
pub(super) struct Quotes {
    at: At,
    /// Bytes and line ends so far.
    bytes: usize,
    lines: usize,
    /// The line on which the last quoted field opened.
    opened: usize,
    last: u8,
}

impl Quotes {
    pub(super) fn new() -> Self {
        Self { at: At::FieldStart, bytes: 0, lines: 0, opened: 0, last: 0 }
    }

    /// Looks at the next bytes.
    ///
    /// # Errors
    /// When something follows a quoted field within its place: one of its quotes is missing, or not doubled.
    pub(super) fn push(&mut self, file: &str, block: &[u8]) -> Result<()> {
        for byte in block {
            let is_mark = BYTE_ORDER_MARK.get(self.bytes) == Some(byte);
            self.bytes += 1;
            if is_mark {
                continue;
            }
            self.last = *byte;
            self.lines += usize::from(*byte == b'\n');
            self.at = match (self.at, byte) {
                (At::FieldStart, b'"') => {
                    self.opened = self.lines + 1;
                    At::Quoted
                }
                (At::Quoted, b'"') => At::Quote,
                (At::Quoted, _) | (At::Quote, b'"') => At::Quoted,
                (_, b',' | b'\n' | b'\r') => At::FieldStart,
                (At::Quote, _) => return Err(self.followed(file, *byte).into()),
                (At::FieldStart | At::Unquoted, _) => At::Unquoted,
            };
        }
        Ok(())
    }

    /// The end of the file.
    ///
    /// # Errors
    /// When it lies within quotes.
    pub(super) fn finish(&self, file: &str) -> Result<()> {
        if self.at != At::Quoted {
            return Ok(());
        }
        let reason = format!("the quote that opens a field on line {} is never closed", self.opened);
        // A writer that was stopped stops anywhere; one that forgot a quote has ended its last line.
        Err(if self.last == b'\n' {
            damaged(file, reason)
        } else {
            FileFailure::CutShort { file: file.to_owned(), reason }
        }
        .into())
    }

    fn followed(&self, file: &str, byte: u8) -> FileFailure {
        let found = if byte.is_ascii_graphic() { format!("`{}`", char::from(byte)) } else { "text".to_owned() };
        let reason = format!(
            "the quoted field that opens on line {} has {found} after its closing quote on line {}: a quote is missing, or \
             quotes within the field are not doubled",
            self.opened,
            self.lines + 1
        );
        damaged(file, reason)
    }
}

fn damaged(file: &str, reason: String) -> FileFailure {
    FileFailure::Damaged { file: file.to_owned(), format: "CSV file", reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a file that comes in blocks of every size.
    fn said(text: &[u8]) -> String {
        let all = (1..=text.len()).map(|size| {
            let mut quotes = Quotes::new();
            let pushed = text.chunks(size).try_for_each(|block| quotes.push("f.csv", block));
            pushed.and_then(|()| quotes.finish("f.csv")).err().map(|error| error.to_string()).unwrap_or_default()
        });
        let mut all: Vec<String> = all.collect();
        all.dedup();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    #[test]
    fn quotes_that_close_say_nothing() {
        for text in [
            "a,b\n1,\"x\"\n",
            "a,b\n1,\"x",
            "\u{feff}\"a\",b\n\"x\ny\",\"\"\n",
            "a,b\r\n\"he said \"\"no\"\"\",\"\"\"\"\r\n",
            "a,b\n5\" nail, \"x\" y\n",
            "a\n\"x\"",
        ] {
            let is_open = text.ends_with("\"x");
            assert_eq!(said(text.as_bytes()).is_empty(), !is_open, "{text}");
        }
    }

    #[test]
    fn the_line_of_a_quote_that_never_closes_is_told() {
        let ended = said(b"a,b\n1,x\n2,\"y\n3,z\n");
        assert!(ended.contains("damaged") && ended.contains("line 3 is never closed"), "{ended}");
        let cut = said(b"a,b\n1,x\n2,\"y\n3,z");
        assert!(cut.contains("cut short") && cut.contains("line 3 is never closed"), "{cut}");
        let followed = said(b"a,b\n2,\"y\n3,\"z\"\n");
        assert!(followed.contains("opens on line 2 has `z`") && followed.contains("on line 3"), "{followed}");
        let escaped = said(b"a\n\"say \\\"no\\\"\"\n");
        assert!(escaped.contains("not doubled"), "{escaped}");
    }
}
