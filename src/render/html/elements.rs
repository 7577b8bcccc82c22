//! What the text part needs to know of HTML's elements: which are blocks, void or hidden, and which close each other.

/// An element's name as a number, so that names are compared without copies.
pub(super) type Name = u64;

/// The number of a lower-case name.
pub(super) const fn name(text: &str) -> Name {
    let bytes = text.as_bytes();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

macro_rules! names {
    ($($constant:ident = $text:literal),* $(,)?) => {
        $(pub(super) const $constant: Name = name($text);)*
    };
}

names! {
    A = "a", BODY = "body", BR = "br", CAPTION = "caption", DD = "dd", DT = "dt", HEAD = "head", HTML = "html",
    IMG = "img", LI = "li", OL = "ol", OPTION = "option", P = "p", PRE = "pre", SVG = "svg", TABLE = "table",
    TBODY = "tbody", TD = "td", TFOOT = "tfoot", TH = "th", THEAD = "thead", TR = "tr", UL = "ul",
}

/// Elements without content.
pub(super) fn is_void(element: &str) -> bool {
    matches!(
        element,
        "area"
            | "base"
            | "basefont"
            | "bgsound"
            | "br"
            | "col"
            | "embed"
            | "frame"
            | "hr"
            | "img"
            | "input"
            | "keygen"
            | "link"
            | "meta"
            | "param"
            | "source"
            | "track"
            | "wbr"
    )
}

/// Elements whose content is text up to their end tag, so that a `<` inside opens nothing.
pub(super) fn is_raw_text(element: &str) -> bool {
    matches!(element, "style" | "xmp" | "iframe" | "noembed" | "noframes" | "script" | "title" | "textarea")
}

/// Elements that no mail program shows.
pub(super) fn is_never_shown(element: &str) -> bool {
    matches!(
        element,
        "head"
            | "style"
            | "script"
            | "title"
            | "template"
            | "noscript"
            | "svg"
            | "iframe"
            | "noembed"
            | "noframes"
            | "datalist"
            | "math"
    )
}

/// Elements that may stand in `<head>`; any other one ends it.
pub(super) fn is_of_head(element: &str) -> bool {
    matches!(
        element,
        "base"
            | "basefont"
            | "bgsound"
            | "head"
            | "link"
            | "meta"
            | "noscript"
            | "script"
            | "style"
            | "template"
            | "title"
    )
}

/// How many line breaks an element is surrounded by.
pub(super) fn breaks_around(element: &str) -> u8 {
    match element {
        "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "ul" | "ol" | "dl" | "div" | "table" | "blockquote"
        | "section" | "hr" | "pre" | "figure" | "fieldset" | "form" => 2,
        "header" | "footer" | "article" | "aside" | "nav" | "main" | "center" | "body" | "tbody" | "thead"
        | "tfoot" | "tr" | "li" | "dt" | "dd" | "address" | "figcaption" | "caption" | "details" | "summary"
        | "legend" | "option" | "optgroup" | "dir" | "menu" | "hgroup" | "html" | "textarea" | "xmp" => 1,
        _ => 0,
    }
}

/// Whether an element is more than a stretch of text: the end tag of a stretch does not reach beyond it.
pub(super) fn is_special(element: &str) -> bool {
    breaks_around(element) > 0 || matches!(element, "td" | "th" | "button" | "object" | "marquee" | "applet" | "select")
}

/// Whether a start tag ends an open `<p>`.
pub(super) fn ends_paragraph(element: &str) -> bool {
    breaks_around(element) > 0
        && !matches!(
            element,
            "tr" | "tbody"
                | "thead"
                | "tfoot"
                | "caption"
                | "option"
                | "optgroup"
                | "legend"
                | "body"
                | "html"
                | "textarea"
        )
}

/// Which open elements a start tag ends when they are the innermost ones, and where looking for them stops.
pub(super) fn implied_ends(element: Name) -> (&'static [Name], &'static [Name]) {
    match element {
        LI => (&[LI], &[UL, OL, TABLE, TD, TH]),
        DT | DD => (&[DT, DD], &[TABLE, TD, TH]),
        TD | TH => (&[TD, TH], &[TABLE, TR]),
        TR => (&[TR, TD, TH], &[TABLE, TBODY, THEAD, TFOOT]),
        TBODY | THEAD | TFOOT => (&[TR, TD, TH, TBODY, THEAD, TFOOT, CAPTION], &[TABLE]),
        OPTION => (&[OPTION], &[TABLE, TD, TH]),
        _ => (&[], &[]),
    }
}

/// Elements that an end tag of something inside them does not reach beyond.
pub(super) fn is_barrier(element: Name) -> bool {
    matches!(element, TABLE | TD | TH | CAPTION)
}

/// Whether an end tag belongs to a table's own structure, which reaches beyond cells.
pub(super) fn is_of_table(element: Name) -> bool {
    matches!(element, TABLE | TBODY | THEAD | TFOOT | TR | TD | TH | CAPTION | BODY | HTML)
}

/// Whether the declarations of a `style` attribute take the element off the page.
pub(super) fn is_hidden_by(style: &str) -> bool {
    if !style.bytes().any(|byte| byte == b':') {
        return false;
    }
    let (mut display, mut visibility) = (Rule::default(), Rule::default());
    for declaration in style.split(';') {
        let Some((property, value)) = declaration.split_once(':') else { continue };
        let rule = match property.trim() {
            property if property.eq_ignore_ascii_case("display") => &mut display,
            property if property.eq_ignore_ascii_case("visibility") => &mut visibility,
            _ => continue,
        };
        let value = value.trim().to_ascii_lowercase();
        let (value, important) = match value.split_once('!') {
            Some((value, _)) => (value.trim_end(), true),
            None => (value.as_str(), false),
        };
        if important || !rule.important {
            *rule = Rule { hides: matches!(value, "none" | "hidden" | "collapse"), important };
        }
    }
    display.hides || visibility.hides
}

#[derive(Default)]
struct Rule {
    hides: bool,
    important: bool,
}
