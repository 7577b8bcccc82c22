//! The places of HTML where a value may stand, as an allow-list: each has the escape that is right for it, and a place
//! that is not listed is refused.

use std::ops::Range;

use html5gum::{DefaultEmitter, Span, StartTag, Token, Tokenizer};

use super::address::{Address, ends_host, is_scheme};
use super::elements;
use super::flow::{self, Piece};
use super::style::Style;
use crate::render::filters::{CSS, CSS_TEXT, CSS_URL, ESCAPE, URL, URL_OPAQUE, URL_PIECE, URL_REST, URL_TAIL};
use crate::render::stand_ins;

/// What a value becomes where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Context {
    /// Between tags or in a title.
    Text,
    /// In a comment, also the text of one that Outlook reads.
    Comment,
    /// In an attribute, through these filters.
    Attribute(&'static [&'static str]),
    /// In an address after `?` or in its path, where an author may have encoded the value already.
    Piece,
    /// Where no value can be made harmless: where that is, and what to do.
    Refused(String, &'static str),
}

/// Where not even a tag may stand.
pub(super) const BETWEEN_ATTRIBUTES: &str = "between the attributes of an element";
/// Where a tag may stand, but nothing that prints.
pub(super) const IN_CODE: &str = "in a style or script";

const MOVE: &str = "move it into text or into a quoted attribute";
const WHOLE_RULE: &str = "write the property here and print only its value: `style=\"color: {{ ... }}\"`";
const WHOLE_ADDRESS: &str = "print the whole address in one `{{ }}`, or write it up to its first `/` before the value";

/// What an attribute holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    /// Text, a number, a colour or a word: nothing that is followed, loaded or run.
    Plain,
    /// An address that a reader opens or a mail program loads.
    Address,
    /// Declarations.
    Style,
}

/// Attributes of text, on every element that is not [`RUNS`].
const PLAIN: &[&str] = &[
    "abbr",
    "align",
    "alink",
    "alt",
    "arcsize",
    "aspect",
    "axis",
    "bgcolor",
    "border",
    "bordercolor",
    "cellpadding",
    "cellspacing",
    "class",
    "clear",
    "color",
    "color2",
    "cols",
    "colspan",
    "compact",
    "content",
    "coordsize",
    "cx",
    "cy",
    "datetime",
    "dir",
    "face",
    "fill",
    "fillcolor",
    "filled",
    "for",
    "frame",
    "headers",
    "height",
    "hspace",
    "id",
    "inset",
    "itemprop",
    "label",
    "lang",
    "link",
    "max",
    "maxlength",
    "min",
    "name",
    "noshade",
    "nowrap",
    "opacity",
    "origin",
    "placeholder",
    "position",
    "property",
    "r",
    "role",
    "rows",
    "rowspan",
    "rules",
    "rx",
    "ry",
    "scope",
    "size",
    "span",
    "start",
    "step",
    "stroke",
    "strokecolor",
    "stroked",
    "strokeweight",
    "summary",
    "tabindex",
    "text",
    "title",
    "type",
    "valign",
    "value",
    "viewbox",
    "vlink",
    "vspace",
    "width",
    "x",
    "x1",
    "x2",
    "xml:lang",
    "y",
    "y1",
    "y2",
];

/// Attributes that hold an address.
const ADDRESSES: &[&str] = &["action", "background", "cite", "formaction", "href", "longdesc", "poster", "src"];

/// Elements that run, redirect, embed or animate something: no attribute of theirs takes a value.
const RUNS: &[&str] = &[
    "animate",
    "animatecolor",
    "animatemotion",
    "animatetransform",
    "applet",
    "base",
    "bgsound",
    "embed",
    "fencedframe",
    "foreignobject",
    "frame",
    "frameset",
    "iframe",
    "keygen",
    "link",
    "noembed",
    "noframes",
    "object",
    "param",
    "plaintext",
    "portal",
    "script",
    "set",
    "style",
    "track",
    "use",
    "xmp",
];

/// A stretch of HTML that is not plain text.
struct Region {
    span: Range<usize>,
    kind: RegionKind,
}

enum RegionKind {
    /// Within a start tag.
    Tag,
    Attribute(Attribute),
    Comment,
    /// The content of a style or script.
    Code,
}

struct Attribute {
    element: String,
    name: String,
    value: String,
    quoted: bool,
    /// Whether its element tells a mail program what to do, as `<meta http-equiv>` does.
    commands: bool,
}

/// The context of every stand-in, in the order of their occurrence.
pub(super) fn contexts(html: &str, piece: impl Fn(usize) -> Piece) -> Vec<Context> {
    let mut regions = Vec::new();
    collect(html, 0, &mut regions);
    regions.sort_by_key(|region| region.span.start);
    let words = stand_ins::find(html);
    let mut contexts = vec![Context::Text; words.len()];
    // Later regions lie within earlier ones, or after them.
    for region in &regions {
        let first = words.partition_point(|(span, _)| span.start < region.span.start);
        let last = words.partition_point(|(span, _)| span.end <= region.span.end);
        if first >= last {
            continue;
        }
        let within = match &region.kind {
            RegionKind::Tag => vec![Context::Refused(BETWEEN_ATTRIBUTES.into(), MOVE); last - first],
            RegionKind::Comment => vec![Context::Comment; last - first],
            RegionKind::Code => vec![Context::Refused(IN_CODE.into(), MOVE); last - first],
            RegionKind::Attribute(attribute) => in_attribute(attribute, last - first, &piece),
        };
        contexts.splice(first..last, within);
    }
    contexts
}

fn in_attribute(attribute: &Attribute, count: usize, piece: &impl Fn(usize) -> Piece) -> Vec<Context> {
    let words = stand_ins::find(&attribute.value);
    if words.len() != count {
        return vec![Context::Refused(BETWEEN_ATTRIBUTES.into(), MOVE); count];
    }
    let refused = |place: String| vec![Context::Refused(place, MOVE); count];
    let held = match holds(attribute) {
        Ok(held) => held,
        Err(place) => return refused(place),
    };
    if !attribute.quoted {
        let in_value = |index| if piece(index) == Piece::Value { "in an attribute without quotes" } else { "" };
        return words.iter().map(|(_, index)| Context::Refused(in_value(*index).into(), MOVE)).collect();
    }
    match held {
        Holds::Plain => vec![Context::Attribute(&[ESCAPE]); count],
        Holds::Address => flow::states(Address::Start, &attribute.value, piece)
            .iter()
            .zip(&words)
            .map(|(states, (span, _))| in_address(states, &attribute.value[span.end..]))
            .collect(),
        Holds::Style => flow::states(Style::Property, &attribute.value, piece)
            .iter()
            .zip(&words)
            .map(|(states, (span, _))| in_style(states, &attribute.value[span.end..]))
            .collect(),
    }
}

/// What an attribute holds, or why it takes no value.
fn holds(attribute: &Attribute) -> Result<Holds, String> {
    let name = attribute.name.as_str();
    let element = attribute.element.as_str();
    if name.starts_with("on") {
        return Err("in an event handler".into());
    }
    if RUNS.contains(&element) || attribute.commands {
        return Err(format!("in an attribute of `<{element}>`"));
    }
    if name == "style" {
        return Ok(Holds::Style);
    }
    if ADDRESSES.contains(&name) {
        return Ok(Holds::Address);
    }
    let named_by_author = name.strip_prefix("data-").or_else(|| name.strip_prefix("aria-"));
    if PLAIN.contains(&name) || named_by_author.is_some_and(|rest| !rest.is_empty()) {
        return Ok(Holds::Plain);
    }
    Err(format!("in the attribute `{name}`"))
}

fn in_address(states: &[Address], rest: &str) -> Context {
    let mut contexts = Vec::new();
    for state in states {
        let context = match state {
            Address::Start | Address::Scheme(_) if is_scheme(rest) => {
                Context::Refused("where it decides how an address is opened".into(), WHOLE_ADDRESS)
            }
            Address::Start => Context::Attribute(&[URL, ESCAPE]),
            Address::Scheme(_) | Address::AfterValue => Context::Attribute(&[URL_REST, ESCAPE]),
            Address::HostStart if ends_host(rest) => Context::Attribute(&[URL_TAIL, ESCAPE]),
            Address::Slashes(_) | Address::Broken => {
                Context::Refused("where it decides how an address is opened".into(), WHOLE_ADDRESS)
            }
            Address::HostStart | Address::Host | Address::Root | Address::Path | Address::Query | Address::Fragment => {
                Context::Piece
            }
            Address::Opaque => Context::Attribute(&[URL_OPAQUE, ESCAPE]),
        };
        if !contexts.contains(&context) {
            contexts.push(context);
        }
    }
    one_of(contexts, "in an address that begins differently in each branch", WHOLE_ADDRESS)
}

fn in_style(states: &[Style], rest: &str) -> Context {
    let mut contexts = Vec::new();
    for state in states {
        let context = match state {
            Style::Property => Context::Refused("where a style names its properties".into(), WHOLE_RULE),
            Style::Value(_) => Context::Attribute(&[CSS, ESCAPE]),
            Style::Quoted(_) => Context::Attribute(&[CSS_TEXT, ESCAPE]),
            Style::Comment => Context::Refused("in a comment of a style".into(), WHOLE_RULE),
            Style::Url(_, address) => match in_address(std::slice::from_ref(address), rest) {
                Context::Attribute([URL, ..]) => Context::Attribute(&[CSS_URL, ESCAPE]),
                Context::Attribute([URL_TAIL, ..]) => Context::Attribute(&[URL_TAIL, ESCAPE]),
                Context::Attribute(_) => Context::Piece,
                other => other,
            },
        };
        if !contexts.contains(&context) {
            contexts.push(context);
        }
    }
    one_of(contexts, "in a style that reads differently in each branch", WHOLE_RULE)
}

/// The one context, or a refusal where the branches before it differ.
fn one_of(mut contexts: Vec<Context>, place: &str, help: &'static str) -> Context {
    let begins = |context: &Context| matches!(context, Context::Attribute([URL | CSS_URL, ..]));
    if let Some(refused) = contexts.iter().position(|context| matches!(context, Context::Refused(..))) {
        return contexts.swap_remove(refused);
    }
    match contexts.len() {
        // Encoding a piece is right for the rest of an address too.
        2.. if contexts.contains(&Context::Piece) && !contexts.iter().any(begins) => Context::Piece,
        1 => contexts.swap_remove(0),
        _ => Context::Refused(place.into(), help),
    }
}

/// Filters that make a value a piece of an address; `encoded` where its author encodes it already.
pub(super) fn piece_filters(encoded: bool) -> &'static [&'static str] {
    if encoded { &[URL_TAIL, ESCAPE] } else { &[URL_PIECE] }
}

/// Addresses written in the template whose scheme runs code, by their bytes.
pub(super) fn dangerous_addresses(html: &str) -> Vec<Range<usize>> {
    let mut regions = Vec::new();
    collect(html, 0, &mut regions);
    let is_dangerous = |attribute: &Attribute| {
        let read: String =
            attribute.value.chars().filter(|letter| !letter.is_control() && !letter.is_whitespace()).collect();
        let read = read.to_ascii_lowercase();
        let schemes = ["javascript:", "vbscript:"];
        let named = attribute.name.strip_prefix("xlink:").unwrap_or(&attribute.name);
        match named {
            "style" => schemes.iter().any(|scheme| read.contains(scheme)),
            "content" => attribute.commands && schemes.iter().any(|scheme| read.contains(scheme)),
            "href" | "action" | "formaction" => {
                schemes.iter().any(|scheme| read.starts_with(scheme)) || read.starts_with("data:")
            }
            name => {
                (ADDRESSES.contains(&name) || name == "data") && schemes.iter().any(|scheme| read.starts_with(scheme))
            }
        }
    };
    regions
        .into_iter()
        .filter(|region| matches!(&region.kind, RegionKind::Attribute(attribute) if is_dangerous(attribute)))
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
                let name = String::from_utf8_lossy(&tag.name);
                // The entities of a title and a text area are read; those of a script are not.
                code = (elements::is_raw_text(&name) || name == "plaintext") && name != "title" && name != "textarea";
                tag_regions(html, offset, &tag, regions);
            }
            Ok(Token::EndTag(tag)) => {
                code = false;
                regions.push(Region { span: moved(tag.span, offset), kind: RegionKind::Tag });
            }
            Ok(Token::String(text)) if code => {
                regions.push(Region { span: moved(text.span, offset), kind: RegionKind::Code });
            }
            Ok(Token::Comment(comment)) => {
                regions.push(Region { span: moved(comment.span, offset), kind: RegionKind::Comment });
                // Outlook reads what stands in a conditional comment as HTML.
                if !comment.value.starts_with(b"[if") {
                    continue;
                }
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
    let element = String::from_utf8_lossy(&tag.name).to_ascii_lowercase();
    let commands = tag.attributes.contains_key(b"http-equiv".as_slice());
    for (name, value) in &tag.attributes {
        let written = &html[value.span.start.min(html.len())..value.span.end.min(html.len())];
        let after = written.split_once('=').map_or("", |(_, after)| after.trim_start());
        regions.push(Region {
            span: moved(value.span, offset),
            kind: RegionKind::Attribute(Attribute {
                element: element.clone(),
                name: String::from_utf8_lossy(name).to_ascii_lowercase(),
                value: String::from_utf8_lossy(&value.value).into_owned(),
                quoted: after.starts_with(['"', '\'']),
                commands,
            }),
        });
    }
}

fn moved(span: Span<usize>, offset: usize) -> Range<usize> {
    span.start + offset..span.end + offset
}

#[cfg(test)]
#[path = "contexts_tests.rs"]
mod tests;
