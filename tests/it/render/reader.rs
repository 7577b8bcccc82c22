//! What a reader of HTML sees, by plain code that shares nothing with milepost's: for HTML that nests as it should.

const VOID: &[&str] = &["br", "hr", "img", "input", "link", "meta", "col", "area", "base"];
const INLINE: &[&str] = &["a", "b", "i", "em", "strong", "span", "u", "font", "img", "small", "code"];
const NEVER: &[&str] = &["head", "style", "script", "title", "template", "noscript", "svg"];

/// A piece of HTML.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Open(String, Vec<(String, String)>),
    Close(String),
    Text(String),
}

/// Cuts HTML into tags and text; comments are left out.
pub(super) fn pieces(html: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = html;
    while !rest.is_empty() {
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
        } else if rest.starts_with("<!") {
            rest = rest.find('>').map_or("", |end| &rest[end + 1..]);
        } else if let Some(tag) = rest.strip_prefix("</") {
            let end = tag.find('>').expect("an end tag ends");
            pieces.push(Piece::Close(tag[..end].trim().to_ascii_lowercase()));
            rest = &tag[end + 1..];
        } else if rest.starts_with('<') {
            let (piece, after) = open(&rest[1..]);
            rest = after;
            if let Piece::Open(name, _) = &piece
                && matches!(name.as_str(), "style" | "script")
            {
                let end = rest.find(&format!("</{name}")).expect("a style ends");
                rest = &rest[end..];
            }
            pieces.push(piece);
        } else {
            let end = rest.find('<').unwrap_or(rest.len());
            pieces.push(Piece::Text(unescaped(&rest[..end])));
            rest = &rest[end..];
        }
    }
    pieces
}

fn open(tag: &str) -> (Piece, &str) {
    let name_end = tag.find(|letter: char| letter.is_whitespace() || matches!(letter, '>' | '/')).expect("a tag ends");
    let name = tag[..name_end].to_ascii_lowercase();
    let mut attributes = Vec::new();
    let mut rest = tag[name_end..].trim_start();
    loop {
        rest = rest.trim_start_matches('/').trim_start();
        if let Some(after) = rest.strip_prefix('>') {
            return (Piece::Open(name, attributes), after);
        }
        let end = rest
            .find(|letter: char| letter.is_whitespace() || matches!(letter, '=' | '>' | '/'))
            .expect("an attribute ends");
        let attribute = rest[..end].to_ascii_lowercase();
        rest = rest[end..].trim_start();
        let mut value = "";
        if let Some(after) = rest.strip_prefix('=') {
            let after = after.trim_start();
            let quote = after.chars().next().filter(|letter| matches!(letter, '"' | '\''));
            let (start, end) = match quote {
                Some(quote) => (1, 1 + after[1..].find(quote).expect("a quote ends")),
                None => (0, after.find(|letter: char| letter.is_whitespace() || letter == '>').expect("a value ends")),
            };
            value = &after[start..end];
            rest = after[end + start..].trim_start();
        }
        attributes.push((attribute, unescaped(value)));
    }
}

pub(super) fn unescaped(text: &str) -> String {
    let mut read = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        read.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.find(';').expect("an entity ends");
        read.push(match &rest[1..end] {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "nbsp" => '\u{a0}',
            "zwnj" => '\u{200c}',
            number => {
                let number = number.strip_prefix('#').unwrap_or_else(|| panic!("an unknown entity `{number}`"));
                char::from_u32(number.parse().expect("a number")).expect("a character")
            }
        });
        rest = &rest[end + 1..];
    }
    read + rest
}

/// The words a reader sees, in order; pictures by their text, links with their address.
pub(super) fn words(html: &str) -> Vec<String> {
    let mut seen = String::new();
    let mut stack: Vec<(String, bool, Option<(usize, String)>)> = Vec::new();
    for piece in pieces(html) {
        let hidden = stack.last().is_some_and(|(_, hidden, _)| *hidden);
        match piece {
            Piece::Text(text) if !hidden => seen.push_str(&text),
            Piece::Text(_) => {}
            Piece::Open(name, attributes) => {
                let get =
                    |wanted: &str| attributes.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
                let style = get("style").unwrap_or_default().replace(' ', "").to_ascii_lowercase();
                let hides = hidden
                    || NEVER.contains(&name.as_str())
                    || get("hidden").is_some()
                    || style.contains("display:none");
                if !hides && !INLINE.contains(&name.as_str()) {
                    seen.push(' ');
                }
                if name == "img" && !hides {
                    seen.push_str(&get("alt").unwrap_or_default());
                }
                if !VOID.contains(&name.as_str()) {
                    let link = (name == "a" && !hides).then(|| (seen.len(), get("href").unwrap_or_default()));
                    stack.push((name, hides, link));
                }
            }
            Piece::Close(name) => {
                let (opened, hidden, link) = stack.pop().expect("an end tag has a start tag");
                assert_eq!(opened, name, "elements nest: {html}");
                if let Some((start, address)) = link
                    && !address.is_empty()
                    && !address.starts_with('#')
                    && seen[start..].trim() != address
                {
                    let after = if seen.is_empty() || seen.ends_with(char::is_whitespace) { " " } else { "" };
                    seen.push_str(&format!(" ({}){after}", address.replace(' ', "%20")));
                }
                if !hidden && !INLINE.contains(&name.as_str()) {
                    seen.push(' ');
                }
            }
        }
    }
    assert!(stack.is_empty(), "never closed: {stack:?} in {html}");
    seen.split_whitespace().map(ToOwned::to_owned).collect()
}

/// Tags and the names of their attributes: what no value may change.
pub(super) fn skeleton(html: &str) -> Vec<String> {
    pieces(html)
        .into_iter()
        .filter_map(|piece| match piece {
            Piece::Open(name, attributes) => {
                let names: Vec<String> = attributes.into_iter().map(|(name, _)| name).collect();
                Some(format!("<{name} {}>", names.join(" ")))
            }
            Piece::Close(name) => Some(format!("</{name}>")),
            Piece::Text(_) => None,
        })
        .collect()
}
