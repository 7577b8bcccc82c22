//! What a mail shows of its profile: as values, or written down as the JSON that crosses from deciding to mailing.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value};

/// `profile`, and `milestone` or `period`, `metrics`, `matrix`: what a template sees beside run-wide values.
#[derive(Clone, Debug)]
pub enum TemplateContext {
    /// Fields by their names.
    Fields(Map<String, Value>),
    /// The same as one JSON object without line breaks.
    Written(Vec<u8>),
}

impl Default for TemplateContext {
    fn default() -> Self {
        Self::Fields(Map::new())
    }
}

impl From<Map<String, Value>> for TemplateContext {
    fn from(fields: Map<String, Value>) -> Self {
        Self::Fields(fields)
    }
}

impl PartialEq for TemplateContext {
    fn eq(&self, other: &Self) -> bool {
        match (self.fields(), other.fields()) {
            (Ok(own), Ok(other)) => own == other,
            _ => false,
        }
    }
}

impl TemplateContext {
    /// The fields by their names.
    ///
    /// # Errors
    /// When what was written down does not read.
    pub fn fields(&self) -> serde_json::Result<Cow<'_, Map<String, Value>>> {
        match self {
            Self::Fields(fields) => Ok(Cow::Borrowed(fields)),
            Self::Written(bytes) => serde_json::from_slice(bytes).map(Cow::Owned),
        }
    }

    /// The fields as one JSON object without line breaks.
    ///
    /// # Errors
    /// Never for values as JSON knows them.
    pub fn written(&self) -> serde_json::Result<Cow<'_, [u8]>> {
        match self {
            Self::Fields(fields) => serde_json::to_vec(fields).map(Cow::Owned),
            Self::Written(bytes) => Ok(Cow::Borrowed(bytes)),
        }
    }
}

/// Writes JSON from pieces: texts that are the same for a million profiles, and values between them.
#[derive(Clone, Debug, Default)]
pub struct ContextWriter {
    bytes: Vec<u8>,
}

impl ContextWriter {
    /// With room for so many bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }

    /// Adds a piece of JSON.
    pub fn json(&mut self, piece: &str) {
        self.bytes.extend_from_slice(piece.as_bytes());
    }

    /// Adds a value.
    pub fn value(&mut self, value: &impl Serialize) {
        serde_json::to_writer(&mut self.bytes, value).expect("maps with text keys are written to memory");
    }

    /// How many bytes were written.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "nobody asks whether nothing was written")]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What was written: one whole object.
    #[must_use]
    pub fn finish(self) -> TemplateContext {
        TemplateContext::Written(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_reads_as_the_fields() {
        let fields = json!({"profile": {"name": "Zoë \"Z\"\n"}, "metrics": [1, 2.5, null]});
        let Value::Object(fields) = fields else { unreachable!("an object") };
        let own = TemplateContext::from(fields.clone());
        let written = TemplateContext::Written(own.written().expect("JSON").into_owned());
        assert!(!written.written().expect("bytes").contains(&b'\n'));
        assert_eq!(written.fields().expect("reads").as_ref(), &fields);
        assert_eq!(own, written);
        let mut pieces = ContextWriter::default();
        pieces.json("{\"profile\":");
        pieces.value(&fields["profile"]);
        pieces.json(",\"metrics\":");
        pieces.value(&fields["metrics"]);
        pieces.json("}");
        assert_eq!(pieces.finish(), own);
        assert!(TemplateContext::Written(b"{\"cut".to_vec()).fields().is_err());
    }
}
