//! One hash over everything that leaves, so that a replay can prove it sends the same bytes.

use xxhash_rust::xxh3::Xxh3;

use crate::ledger::hexadecimal;
use crate::model::{Mailbox, Message};

/// The 128 bits of an XXH3, in hexadecimal, over an encoding of every field in which no two messages are alike. What it has
/// to notice is a template or a row that has changed, and nobody gains by hiding that: a keyed provider answers a replay
/// with what it accepted before. A cryptographic hash would be a tenth of the work of a message.
#[must_use]
pub fn body_hash(message: &Message) -> String {
    let Message { delivery_id, from, to, reply_to, subject, html, text, headers, date } = message;
    let mut hasher = Xxh3::new();
    hasher.update(b"milepost message 2\n");
    part(&mut hasher, delivery_id);
    mailbox(&mut hasher, from);
    mailbox(&mut hasher, to);
    hasher.update(&[u8::from(reply_to.is_some())]);
    if let Some(reply_to) = reply_to {
        mailbox(&mut hasher, reply_to);
    }
    part(&mut hasher, subject);
    part(&mut hasher, html);
    part(&mut hasher, text);
    hasher.update(&(headers.len() as u64).to_be_bytes());
    for (name, value) in headers {
        part(&mut hasher, name);
        part(&mut hasher, value);
    }
    hasher.update(&date.as_nanosecond().to_be_bytes());
    hexadecimal(&hasher.digest128().to_be_bytes())
}

fn mailbox(hasher: &mut Xxh3, mailbox: &Mailbox) {
    hasher.update(&[u8::from(mailbox.name.is_some())]);
    if let Some(name) = &mailbox.name {
        part(hasher, name);
    }
    part(hasher, mailbox.address.as_str());
}

fn part(hasher: &mut Xxh3, text: &str) {
    hasher.update(&(text.len() as u64).to_be_bytes());
    hasher.update(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_counts() {
        let mailbox = |text: &str| Mailbox::parse(text).expect("valid");
        let message = Message {
            delivery_id: "a".into(),
            from: mailbox("A <a@b.test>"),
            to: mailbox("c@d.test"),
            reply_to: None,
            subject: "s".into(),
            html: "h".into(),
            text: "t".into(),
            headers: vec![("X-A".into(), "1".into())],
            date: "2026-11-01T06:00:00Z".parse().expect("an instant"),
        };
        let changes: [fn(&mut Message); 11] = [
            |message| message.delivery_id = "b".into(),
            |message| message.from.name = None,
            |message| message.to = Mailbox::parse("C <c@d.test>").expect("valid"),
            |message| message.reply_to = Some(message.to.clone()),
            |message| message.subject = "S".into(),
            |message| (message.html, message.text) = ("ht".into(), String::new()),
            |message| (message.subject, message.html) = ("sh".into(), String::new()),
            |message| message.headers.clear(),
            |message| message.headers[0].1 = "2".into(),
            |message| message.headers.push(("X-A".into(), "1".into())),
            |message| message.date += jiff::SignedDuration::from_secs(1),
        ];
        let mut seen = vec![body_hash(&message)];
        assert_eq!(seen[0], body_hash(&message.clone()));
        assert_eq!(seen[0].len(), 32);
        for change in changes {
            let mut changed = message.clone();
            change(&mut changed);
            let hash = body_hash(&changed);
            assert!(!seen.contains(&hash));
            seen.push(hash);
        }
    }
}
