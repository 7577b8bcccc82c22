//! Where in the declarations of a `style` attribute a value stands.

use super::address::Address;
use super::flow::Machine;

/// Where in declarations something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Where a property is named.
    Property,
    /// Where a property's value stands, with the letters of the word before.
    Value(String),
    /// In quotes.
    Quoted(char),
    /// In `url()`, with its quote.
    Url(Option<char>, Address),
    /// In a comment.
    Comment,
}

impl Style {
    fn letter(self, letter: char) -> Self {
        match (self, letter) {
            (Self::Property, ':') => Self::Value(String::new()),
            (Self::Property, _) => Self::Property,
            (Self::Value(_), ';') => Self::Property,
            (Self::Value(_), '"' | '\'') => Self::Quoted(letter),
            (Self::Value(word), '(') if word.eq_ignore_ascii_case("url") => Self::Url(None, Address::Start),
            (Self::Value(word), '*') if word == "/" => Self::Comment,
            (Self::Value(mut word), letter) => {
                if !letter.is_ascii_alphanumeric() && letter != '-' {
                    word.clear();
                }
                if letter.is_ascii_alphanumeric() || matches!(letter, '-' | '/') {
                    word.push(letter);
                }
                Self::Value(word)
            }
            (Self::Quoted(quote), letter) if letter == quote => Self::Value(String::new()),
            (Self::Url(None, Address::Start), '"' | '\'') => Self::Url(Some(letter), Address::Start),
            (Self::Url(None, _), ')') => Self::Value(String::new()),
            (Self::Url(Some(quote), _), letter) if letter == quote => Self::Value(String::new()),
            (Self::Url(quote, mut address), letter) => {
                address.text(letter.encode_utf8(&mut [0; 4]));
                Self::Url(quote, address)
            }
            (other, _) => other,
        }
    }
}

impl Machine for Style {
    fn text(&mut self, text: &str) {
        for letter in text.chars() {
            let state = std::mem::replace(self, Self::Property);
            *self = state.letter(letter);
        }
    }

    fn value(&mut self) {
        match self {
            Self::Url(_, address) => address.value(),
            Self::Value(word) => word.clear(),
            _ => {}
        }
    }
}
