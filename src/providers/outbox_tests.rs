//! Bytes that mail programs read, and files that survive.

use super::*;

fn message(delivery_id: &str) -> Message {
    let mailbox = |text: &str| Mailbox::parse(text).expect("valid");
    Message {
        delivery_id: delivery_id.to_owned(),
        from: mailbox("Åcme, Inc. <hello@acme.test>"),
        to: mailbox("Ann \"the\" Lee <ann@example.test>"),
        reply_to: Some(mailbox("help@acme.test")),
        subject: format!("Grüße 🎉 {}", "long ".repeat(60)),
        html: "<!doctype html><p>Ünïcode and a <b>very</b> long line</p>".to_owned(),
        text: "plain\n".to_owned(),
        headers: vec![
            ("List-Unsubscribe".to_owned(), format!("<https://acme.test/leave/{}>", "x".repeat(300))),
            ("List-Unsubscribe-Post".to_owned(), "List-Unsubscribe=One-Click".to_owned()),
        ],
        date: "2026-11-01T06:00:00Z".parse().expect("an instant"),
    }
}

#[test]
fn the_same_message_makes_the_same_bytes() {
    let (first, second) = (mime(&message("a1")).expect("made"), mime(&message("a1")).expect("made"));
    assert_eq!(first, second);
    let text = String::from_utf8(first).expect("mails are ASCII");
    assert!(text.is_ascii());
    for part in [
        "Message-ID: <a1@milepost.invalid>\r\n",
        "Date: Sun, 01 Nov 2026 06:00:00 +0000\r\n",
        "MIME-Version: 1.0\r\n",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
        "boundary=\"milepost-a1\"",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Type: text/html; charset=utf-8",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert!(text.find("text/plain") < text.find("text/html"), "the richer part comes last");
    assert!(text.split("\r\n").all(|line| line.len() <= 998), "lines are at most 998 characters");
    assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "every line ends with CRLF");
}

#[test]
fn a_header_cannot_smuggle_another() {
    let mut hostile = message("a2");
    hostile.subject = "Hi\r\nBcc: eve@example.test".to_owned();
    hostile.to.name = Some("Ann\r\nBcc: eve@example.test".to_owned());
    hostile.headers.push(("X-Note".to_owned(), "a\r\nBcc: eve@example.test".to_owned()));
    let text = String::from_utf8(mime(&hostile).expect("made")).expect("mails are ASCII");
    assert!(!text.to_lowercase().contains("\r\nbcc:"), "{text}");
}

#[test]
fn hostile_names_make_a_mail() {
    for name in [
        "<script>\"'\\",
        "\u{202e}rtl \u{0}nul\u{7f}",
        "🎉🎉",
        &"é".repeat(10_000),
        &"a".repeat(10_000),
        "",
        " ",
        "a,b;c:d@e",
    ] {
        let mut hostile = message("a4");
        hostile.to.name = Some(name.to_owned());
        hostile.from.name = Some(name.to_owned());
        hostile.subject = name.to_owned();
        hostile.html = format!("<p>{name}\0\r\r\n\n.\r\n</p>");
        let mail = mime(&hostile).expect("made");
        assert!(mail.is_ascii(), "{name:?}");
    }
}

#[test]
fn dates_before_the_epoch_do_not_stop_a_mail() {
    let mut old = message("a3");
    old.date = Timestamp::MIN;
    assert!(mime(&old).is_ok());
    old.date = Timestamp::MAX;
    assert!(mime(&old).is_ok());
}
