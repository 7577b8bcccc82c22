//! Where in a piece of HTML each stand-in stands, since a value must be made harmless differently in each place.

use std::ops::Range;

use html5gum::{DefaultEmitter, Span, StartTag, Token, Tokenizer};

use super::stand_ins;

/// A place in HTML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// Between tags, in a title or a comment.
    Text,
    /// In a quoted attribute whose value is plain text.
    Attribute,
    /// In an attribute that holds an address, with how far the address is written before it.
    Address(Written),
    /// In a `style` attribute.
    Style,
    /// Where no value can be made harmless, and why.
    Refused(&'static str),
}

/// How much of an address stands before a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// Nothing, on some way through the template: the value may decide the scheme.
    Nothing,
    /// Another value, but nothing that ends the scheme.
    OpenScheme,
    /// Enough that the scheme is settled.
    Scheme,
}

/// Where not even a tag may stand.
pub(super) const BETWEEN_ATTRIBUTES: &str = "between the attributes of an element";

/// A stretch of HTML that is not plain text.
struct Region {
    span: Range<usize>,
    kind: RegionKind,
}

enum RegionKind {
    /// Within a start tag.
    Tag,
    /// An attribute with its name, its value and whether it is quoted.
    Attribute { name: String, value: String, quoted: bool },
    /// The content of a style or script.
    Code,
}

/// Addresses that a mail program may open or load.
const ADDRESSES: [&str; 10] =
    ["href", "src", "action", "formaction", "background", "poster", "cite", "xlink:href", "longdesc", "data"];

/// The position of every stand-in, in the order of their occurrence.
pub(super) fn positions(html: &str, is_control: impl Fn(usize) -> bool) -> Vec<Position> {
    let mut regions = Vec::new();
    collect(html, 0, &mut regions);
    stand_ins::find(html)
        .into_iter()
        .map(|(span, index)| {
            let word = &html[span.clone()];
            let around = regions.iter().filter(|region| region.span.start <= span.start && span.end <= region.span.end);
            match around.min_by_key(|region| region.span.len()).map(|region| &region.kind) {
                None => Position::Text,
                Some(RegionKind::Tag) => Position::Refused(BETWEEN_ATTRIBUTES),
                Some(RegionKind::Code) => Position::Refused("in a style or script"),
                Some(RegionKind::Attribute { name, value, quoted }) => {
                    let quoted = *quoted || is_control(index);
                    in_attribute(name, value, quoted, word, &is_control)
                }
            }
        })
        .collect()
}

fn in_attribute(name: &str, value: &str, quoted: bool, word: &str, is_control: &impl Fn(usize) -> bool) -> Position {
    if !stand_ins::find(name).is_empty() {
        return Position::Refused(BETWEEN_ATTRIBUTES);
    }
    if name.starts_with("on") {
        return Position::Refused("in an event handler");
    }
    if !quoted {
        return Position::Refused("in an attribute without quotes");
    }
    if name == "style" {
        return Position::Style;
    }
    if name == "srcset" {
        return Position::Refused("in `srcset`");
    }
    if !ADDRESSES.contains(&name) {
        return Position::Attribute;
    }
    let before = value.split(word).next().unwrap_or_default();
    let words = stand_ins::find(before);
    // What stands between the last tag and the value is printed whenever the value is.
    let certain = words.iter().rev().find(|(_, index)| is_control(*index)).map_or(0, |(span, _)| span.end);
    let literal = stand_ins::restore(&before[certain..], |_, _| String::new());
    Position::Address(if literal.contains([':', '/', '?', '#']) {
        Written::Scheme
    } else if certain > 0 || (literal.trim().is_empty() && words.is_empty()) {
        Written::Nothing
    } else {
        Written::OpenScheme
    })
}

/// Addresses written in the template whose scheme runs code, by their bytes.
pub(super) fn dangerous_addresses(html: &str) -> Vec<Range<usize>> {
    let mut regions = Vec::new();
    collect(html, 0, &mut regions);
    regions
        .into_iter()
        .filter(|region| match &region.kind {
            RegionKind::Attribute { name, value, .. } => {
                let read: String =
                    value.chars().filter(|letter| !letter.is_control() && !letter.is_whitespace()).collect();
                let read = read.to_ascii_lowercase();
                (ADDRESSES.contains(&name.as_str())
                    && ["javascript:", "vbscript:"].iter().any(|scheme| read.starts_with(scheme)))
                    || (name == "href" && read.starts_with("data:"))
            }
            _ => false,
        })
        .map(|region| region.span)
        .collect()
}

fn collect(html: &str, offset: usize, regions: &mut Vec<Region>) {
    let mut emitter = DefaultEmitter::<usize>::new_with_span();
    emitter.naively_switch_states(true);
    let mut code = false;
    for token in Tokenizer::new_with_emitter(html, emitter) {
        match token {
            Ok(Token::StartTag(tag)) => {
                code = matches!(tag.name.as_slice(), b"style" | b"script");
                tag_regions(html, offset, &tag, regions);
            }
            Ok(Token::EndTag(_)) => code = false,
            Ok(Token::String(text)) if code => {
                regions.push(Region { span: moved(text.span, offset), kind: RegionKind::Code });
            }
            // Outlook reads what stands in a conditional comment as HTML.
            Ok(Token::Comment(comment)) if comment.value.starts_with(b"[if") => {
                let text = &html[comment.span.start.min(html.len())..comment.span.end.min(html.len())];
                if let Some(start) = text.find('>') {
                    collect(&text[start + 1..], offset + comment.span.start + start + 1, regions);
                }
            }
            _ => {}
        }
    }
}

fn tag_regions(html: &str, offset: usize, tag: &StartTag<usize>, regions: &mut Vec<Region>) {
    regions.push(Region { span: moved(tag.span, offset), kind: RegionKind::Tag });
    for (name, value) in &tag.attributes {
        let written = &html[value.span.start.min(html.len())..value.span.end.min(html.len())];
        let after = written.split_once('=').map_or("", |(_, after)| after.trim_start());
        regions.push(Region {
            span: moved(value.span, offset),
            kind: RegionKind::Attribute {
                name: String::from_utf8_lossy(name).to_ascii_lowercase(),
                value: String::from_utf8_lossy(&value.value).into_owned(),
                quoted: after.starts_with(['"', '\'']),
            },
        });
    }
}

fn moved(span: Span<usize>, offset: usize) -> Range<usize> {
    span.start + offset..span.end + offset
}

#[cfg(test)]
mod tests {
    use super::*;
    use Position::{Address, Attribute, Refused, Style, Text};

    fn at(html: &str) -> Vec<Position> {
        // Odd indexes stand for tags.
        positions(html, |index| index % 2 == 1)
    }

    #[test]
    fn tells_places_apart() {
        assert_eq!(at("<p title=\"mlpq0qplm\">mlpq2qplm</p><!-- mlpq4qplm -->"), [Attribute, Text, Text]);
        assert_eq!(at("<p style='color:mlpq0qplm'>é<b>mlpq2qplm</b>"), [Style, Text]);
        assert_eq!(at("<title>mlpq0qplm</title><style>mlpq2qplm</style>mlpq4qplm").len(), 3);
        assert_eq!(
            at("a\r\nb\r\n<p\r\n title=\"mlpq0qplm\" style='a\r\nmlpq2qplm'>\r\nmlpq4qplm"),
            [Attribute, Style, Text]
        );
        assert!(matches!(at("<style>p{color:mlpq0qplm}</style>mlpq2qplm").as_slice(), [Refused(_), Text]));
        assert!(matches!(at("<script>mlpq0qplm</script>").as_slice(), [Refused(_)]));
        assert!(matches!(at("<p mlpq0qplm>").as_slice(), [Refused(_)]));
        assert!(matches!(at("<p mlpq0qplm=\"a\">").as_slice(), [Refused(_)]));
        assert!(matches!(at("<p title=mlpq0qplm>").as_slice(), [Refused(_)]));
        assert!(matches!(at("<p title=a-mlpq0qplm>").as_slice(), [Refused(_)]));
        assert!(matches!(at("<p onclick=\"mlpq0qplm\">").as_slice(), [Refused(_)]));
    }

    #[test]
    fn knows_how_far_an_address_is_settled() {
        use Written::{Nothing, OpenScheme, Scheme};
        assert_eq!(at("<a href=\"mlpq0qplm\">"), [Address(Nothing)]);
        assert_eq!(at("<a href=\"https://a.test/mlpq0qplm?x=mlpq2qplm\">"), [Address(Scheme), Address(Scheme)]);
        assert_eq!(at("<a href=\"mlpq0qplmmlpq2qplm\">"), [Address(Nothing), Address(OpenScheme)]);
        assert_eq!(at("<a href=\"javamlpq0qplm\">"), [Address(OpenScheme)]);
        assert_eq!(at("<a href=\"mlpq1qplmhttps://a/mlpq3qplmmlpq0qplmmlpq5qplm\">")[2], Address(Nothing));
        assert_eq!(at("<a href=\"mlpq0qplmmlpq1qplm/mlpq2qplmmlpq3qplm\">")[2], Address(Scheme));
        assert_eq!(at("<!--[if mso]><v:rect href=\"mlpq0qplm\"><![endif]-->"), [Address(Nothing)]);
    }

    #[test]
    fn finds_addresses_that_run_code() {
        assert_eq!(dangerous_addresses("<a href=\" JavaScript:x\"></a><a href=\"https://a.test\"></a>").len(), 1);
    }
}
