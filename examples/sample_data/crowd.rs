//! People of the smaller examples: names, zones and addresses as products have them, a few of them awkward.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::calendar;
use crate::chance::Chance;
use crate::names::{REGIONS, address_part};

/// Somebody with a login.
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) first_name: String,
    /// The zone as the product stored it: empty for a few.
    pub(crate) stored_zone: &'static str,
    /// The zone the person lives in.
    pub(crate) zone: TimeZone,
    pub(crate) token: String,
    pub(crate) unsubscribed: bool,
}

/// Draws `count` people; `topic` keeps the crowds of different examples apart.
pub(crate) fn crowd(seed: u64, topic: u64, count: usize) -> Vec<Member> {
    (0..count).map(|number| member(number, &mut Chance::new(seed, topic, number as u64))).collect()
}

fn member(number: usize, chance: &mut Chance) -> Member {
    let region = &REGIONS[chance.weighted(&REGIONS.map(|region| region.weight))];
    let zone = region.zones[chance.index(region.zones.len())];
    let (first, last) = (*chance.pick(region.first_names), *chance.pick(region.last_names));
    let address = format!("{}.{}{}@example.test", address_part(first), address_part(last), number + 1);
    let email = match number % 47 {
        11 => address.to_uppercase(),
        23 => format!("{}.{}@", address_part(first), address_part(last)),
        35 => String::new(),
        _ => address,
    };
    let first_name = match number % 40 {
        7 => "Maria Magdalena Wilhelmina Konstantinopoulou",
        19 => "",
        29 => "Tom & <Jerry>",
        _ => first,
    };
    Member {
        id: format!("u{:03}", number + 1),
        email,
        first_name: first_name.to_owned(),
        stored_zone: if number % 31 == 17 { "" } else { zone },
        zone: calendar::zone(zone),
        token: format!("{:016x}", chance.next()),
        unsubscribed: number % 37 == 13,
    }
}

/// A moment of a local day, between two hours of it.
pub(crate) fn moment_between(day: Date, hours: (i64, i64), zone: &TimeZone, chance: &mut Chance) -> Timestamp {
    let part = |value: i64| i8::try_from(value).expect("a part of a day fits");
    let hour = part(chance.between(hours.0, hours.1));
    let time = day.at(hour, part(chance.between(0, 59)), part(chance.between(0, 59)), 0);
    zone.to_timestamp(time).expect("a day of the sample is an instant")
}
