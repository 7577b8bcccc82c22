//! The components of MJML: what each may hold and which attributes it reads.

/// Components whose children are components: text between those is lost.
pub(super) const CONTAINERS: [&str; 15] = [
    "mjml",
    "mj-head",
    "mj-body",
    "mj-wrapper",
    "mj-section",
    "mj-group",
    "mj-column",
    "mj-hero",
    "mj-navbar",
    "mj-social",
    "mj-accordion",
    "mj-accordion-element",
    "mj-carousel",
    "mj-attributes",
    "mj-html-attributes",
];

/// Components in which `<mj-raw>` may stand.
pub(super) const TAKE_RAW: [&str; 7] =
    ["mj-head", "mj-body", "mj-wrapper", "mj-section", "mj-group", "mj-column", "mj-hero"];

/// What stands in a column.
const CONTENT: &[&str] = &[
    "mj-accordion",
    "mj-button",
    "mj-carousel",
    "mj-divider",
    "mj-image",
    "mj-navbar",
    "mj-raw",
    "mj-social",
    "mj-spacer",
    "mj-table",
    "mj-text",
];

/// The components a container may hold; `None` for what holds HTML or text.
pub(super) fn children(component: &str) -> Option<&'static [&'static str]> {
    Some(match component {
        "mjml" => &["mj-head", "mj-body"],
        "mj-head" => &[
            "mj-attributes",
            "mj-breakpoint",
            "mj-font",
            "mj-html-attributes",
            "mj-preview",
            "mj-raw",
            "mj-style",
            "mj-title",
        ],
        "mj-body" => &["mj-hero", "mj-raw", "mj-section", "mj-wrapper"],
        "mj-wrapper" => &["mj-hero", "mj-raw", "mj-section"],
        "mj-section" => &["mj-column", "mj-group", "mj-raw"],
        "mj-group" => &["mj-column", "mj-raw"],
        "mj-column" | "mj-hero" => CONTENT,
        "mj-navbar" => &["mj-navbar-link"],
        "mj-social" => &["mj-social-element"],
        "mj-accordion" => &["mj-accordion-element"],
        "mj-accordion-element" => &["mj-accordion-text", "mj-accordion-title"],
        "mj-carousel" => &["mj-carousel-image"],
        _ => return None,
    })
}

const PADDING: &[&str] = &["padding", "padding-bottom", "padding-left", "padding-right", "padding-top"];
const BORDER: &[&str] = &["border", "border-bottom", "border-left", "border-radius", "border-right", "border-top"];
const FONT: &[&str] = &[
    "color",
    "font-family",
    "font-size",
    "font-style",
    "font-weight",
    "letter-spacing",
    "line-height",
    "text-decoration",
    "text-transform",
];
const LINK: &[&str] = &["href", "name", "rel", "target", "title"];
const ICONS: &[&str] = &[
    "icon-align",
    "icon-height",
    "icon-position",
    "icon-unwrapped-alt",
    "icon-unwrapped-url",
    "icon-width",
    "icon-wrapped-alt",
    "icon-wrapped-url",
];
const THUMBNAILS: &[&str] =
    &["tb-border", "tb-border-radius", "tb-hover-border-color", "tb-selected-border-color", "tb-width"];
const BACKGROUND: &[&str] = &[
    "background-color",
    "background-position",
    "background-position-x",
    "background-position-y",
    "background-repeat",
    "background-size",
    "background-url",
];
const EVERYWHERE: &[&str] = &["css-class", "mj-class"];

/// The attributes that MJML reads, by component, in groups.
const ATTRIBUTES: &[(&str, &[&[&str]])] = &[
    ("mjml", &[&["dir", "lang", "owa", "version"]]),
    ("mj-accordion", &[PADDING, ICONS, &["border", "container-background-color", "font-family"]]),
    ("mj-accordion-element", &[ICONS, &["background-color", "border", "font-family"]]),
    ("mj-accordion-text", &[PADDING, FONT, &["background-color"]]),
    ("mj-accordion-title", &[PADDING, FONT, &["background-color"]]),
    ("mj-body", &[&["background-color", "class", "dir", "id", "lang", "title", "width"]]),
    ("mj-breakpoint", &[&["width"]]),
    (
        "mj-button",
        &[
            PADDING,
            BORDER,
            FONT,
            LINK,
            &[
                "align",
                "background-color",
                "container-background-color",
                "height",
                "inner-padding",
                "inner-padding-bottom",
                "inner-padding-left",
                "inner-padding-right",
                "inner-padding-top",
                "text-align",
                "vertical-align",
                "width",
            ],
        ],
    ),
    (
        "mj-carousel",
        &[
            PADDING,
            THUMBNAILS,
            &[
                "align",
                "border-radius",
                "container-background-color",
                "icon-width",
                "left-icon",
                "right-icon",
                "thumbnails",
            ],
        ],
    ),
    ("mj-carousel-image", &[LINK, THUMBNAILS, &["alt", "border-radius", "src", "thumbnails-src"]]),
    (
        "mj-column",
        &[
            PADDING,
            BORDER,
            &[
                "background-color",
                "container-background-color",
                "direction",
                "inner-background-color",
                "inner-border",
                "inner-border-bottom",
                "inner-border-left",
                "inner-border-radius",
                "inner-border-right",
                "inner-border-top",
                "mobile-width",
                "vertical-align",
                "width",
            ],
        ],
    ),
    (
        "mj-divider",
        &[PADDING, &["align", "border-color", "border-style", "border-width", "container-background-color", "width"]],
    ),
    ("mj-font", &[&["href", "name"]]),
    ("mj-group", &[&["background-color", "direction", "mobile-width", "vertical-align", "width"]]),
    (
        "mj-hero",
        &[
            PADDING,
            BACKGROUND,
            &[
                "align",
                "background-height",
                "background-width",
                "border-radius",
                "container-background-color",
                "height",
                "inner-background-color",
                "inner-padding",
                "inner-padding-bottom",
                "inner-padding-left",
                "inner-padding-right",
                "inner-padding-top",
                "mode",
                "vertical-align",
                "width",
            ],
        ],
    ),
    (
        "mj-image",
        &[
            PADDING,
            BORDER,
            LINK,
            &[
                "align",
                "alt",
                "container-background-color",
                "fluid-on-mobile",
                "font-size",
                "full-width",
                "height",
                "max-height",
                "sizes",
                "src",
                "srcset",
                "usemap",
                "width",
            ],
        ],
    ),
    (
        "mj-navbar",
        &[
            PADDING,
            &[
                "align",
                "base-url",
                "hamburger",
                "ico-align",
                "ico-close",
                "ico-color",
                "ico-font-family",
                "ico-font-size",
                "ico-line-height",
                "ico-open",
                "ico-padding",
                "ico-padding-bottom",
                "ico-padding-left",
                "ico-padding-right",
                "ico-padding-top",
                "ico-text-decoration",
                "ico-text-transform",
            ],
        ],
    ),
    ("mj-navbar-link", &[PADDING, FONT, LINK, &["navbar-base-url"]]),
    ("mj-preview", &[]),
    ("mj-raw", &[&["position"]]),
    ("mj-section", &[PADDING, BORDER, BACKGROUND, &["direction", "full-width", "text-align", "text-padding"]]),
    (
        "mj-social",
        &[
            PADDING,
            FONT,
            &[
                "align",
                "border-radius",
                "container-background-color",
                "icon-height",
                "icon-padding",
                "icon-size",
                "inner-padding",
                "mode",
                "table-layout",
                "text-padding",
                "vertical-align",
            ],
        ],
    ),
    (
        "mj-social-element",
        &[
            PADDING,
            FONT,
            LINK,
            &[
                "align",
                "alt",
                "background-color",
                "border-radius",
                "icon-height",
                "icon-padding",
                "icon-position",
                "icon-size",
                "sizes",
                "src",
                "srcset",
                "text-align",
                "text-padding",
                "vertical-align",
            ],
        ],
    ),
    ("mj-spacer", &[PADDING, BORDER, &["container-background-color", "height", "vertical-align", "width"]]),
    ("mj-style", &[&["inline"]]),
    (
        "mj-table",
        &[
            PADDING,
            FONT,
            &[
                "align",
                "border",
                "cellpadding",
                "cellspacing",
                "container-background-color",
                "role",
                "table-layout",
                "vertical-align",
                "width",
            ],
        ],
    ),
    (
        "mj-text",
        &[
            PADDING,
            FONT,
            &["align", "background-color", "container-background-color", "height", "text-align", "vertical-align"],
        ],
    ),
    ("mj-title", &[]),
    (
        "mj-wrapper",
        &[PADDING, BORDER, BACKGROUND, &["align", "direction", "full-width", "gap", "text-align", "text-padding"]],
    ),
];

/// Components that only name or carry others; the compiler passes what is not known through as HTML.
const OTHERS: [&str; 7] =
    ["mj-all", "mj-attributes", "mj-class", "mj-head", "mj-html-attribute", "mj-html-attributes", "mj-selector"];

/// Every component there is.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ATTRIBUTES.iter().map(|(name, _)| *name).chain(OTHERS).chain(["mj-include"])
}

/// The attributes a component reads; `None` where any may stand.
pub(super) fn attributes(component: &str) -> Option<Vec<&'static str>> {
    if component == "mj-all" {
        let mut all: Vec<&str> =
            ATTRIBUTES.iter().flat_map(|(_, groups)| groups.iter()).flat_map(|group| group.iter().copied()).collect();
        all.extend(EVERYWHERE);
        return Some(all);
    }
    if component == "mj-class" {
        return attributes("mj-all").map(|all| all.into_iter().chain(["name"]).collect());
    }
    let (_, groups) = ATTRIBUTES.iter().find(|(name, _)| *name == component)?;
    Some(groups.iter().flat_map(|group| group.iter().copied()).chain(EVERYWHERE.iter().copied()).collect())
}
