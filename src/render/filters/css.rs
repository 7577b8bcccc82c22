//! Values that may stand in a `style` attribute: what cannot end its property, load something or run.

/// Functions that compute a colour or a size.
const FUNCTIONS: [&str; 11] =
    ["rgb", "rgba", "hsl", "hsla", "calc", "min", "max", "clamp", "var", "linear-gradient", "radial-gradient"];

/// Whether a text is the value of one property: words, numbers, colours, names in quotes.
pub(super) fn is_value(text: &str) -> bool {
    let mut word = String::new();
    let mut quote = None;
    let mut depth = 0_usize;
    let mut before = ' ';
    for letter in text.chars() {
        if let Some(open) = quote {
            if letter == open {
                quote = None;
            } else if !is_text_letter(letter) {
                return false;
            }
            continue;
        }
        match letter {
            '(' if FUNCTIONS.contains(&word.to_ascii_lowercase().as_str()) => depth += 1,
            ')' if depth > 0 => depth -= 1,
            '"' | '\'' => quote = Some(letter),
            '*' if before == '/' => return false,
            '#' | '.' | ',' | '%' | '-' | '+' | '/' | '*' | '!' | '_' | ' ' => {}
            letter if letter.is_alphanumeric() => {}
            _ => return false,
        }
        if letter.is_alphanumeric() || letter == '-' {
            word.push(letter);
        } else {
            word.clear();
        }
        before = letter;
    }
    quote.is_none() && depth == 0
}

/// Whether a text may stand within the quotes of a style.
pub(super) fn is_text(text: &str) -> bool {
    text.chars().all(is_text_letter)
}

fn is_text_letter(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_' | '.' | ',' | '+' | '#' | '%' | '!' | '?')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_values_from_rules() {
        for value in [
            "red",
            "#ff0000",
            "12px",
            "50%",
            "1.5em auto",
            "rgb(1, 2,3)",
            "rgba(0 0 0 / 50%)",
            "'Open Sans', Arial",
            "red !important",
            "calc(100% - 4px)",
            "",
        ] {
            assert!(is_value(value), "{value}");
        }
        for value in [
            "red;background:red",
            "url(https://a.test)",
            "expression(1)",
            "red}",
            "\\75rl(x)",
            "a:b",
            "rgb(1",
            "1)",
            "'a",
            "/*",
            "@import",
            "\"a;b\"",
            "<b>",
            "a&b",
            "red\nblue",
            "URL(x)",
            "attr(x)",
        ] {
            assert!(!is_value(value), "{value}");
        }
        assert!(is_text("Open Sans") && !is_text("a'b") && !is_text("a\\b"));
    }
}
