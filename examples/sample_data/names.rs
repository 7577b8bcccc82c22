//! Invented names: people by region, companies by their parts.

/// A part of the world: its zones and the names people there may have.
pub(crate) struct Region {
    /// Of a hundred accounts, how many start here.
    pub(crate) weight: u32,
    /// IANA zones, the most common first.
    pub(crate) zones: &'static [&'static str],
    pub(crate) first_names: &'static [&'static str],
    pub(crate) last_names: &'static [&'static str],
}

pub(crate) const REGIONS: [Region; 9] = [
    Region {
        weight: 27,
        zones: &["America/New_York", "America/Chicago", "America/Los_Angeles", "America/Denver", "America/Toronto"],
        first_names: &[
            "Ava", "Mason", "Harper", "Ethan", "Naomi", "Caleb", "Jasmine", "Owen", "Riley", "Desmond", "Grace",
            "Tyler", "Imani", "Logan", "Paige", "Marcus", "Hazel", "Jordan",
        ],
        last_names: &[
            "Brooks",
            "Carter",
            "Nguyen",
            "Whitfield",
            "Ramirez",
            "Okafor",
            "Lindgren",
            "Sullivan",
            "Patel",
            "Hayes",
            "Delgado",
            "O'Connor",
            "Freeman",
            "Kowalski",
            "Bennett",
            "Tran",
        ],
    },
    Region {
        weight: 14,
        zones: &["Europe/London", "Europe/Dublin"],
        first_names: &[
            "Isla", "Callum", "Freya", "Rhys", "Poppy", "Alfie", "Niamh", "Finlay", "Aisha", "Gareth", "Orla",
            "Hamish", "Beatrix", "Tariq", "Siobhán",
        ],
        last_names: &[
            "Ashworth",
            "Pemberton",
            "MacLeod",
            "Hughes",
            "Doyle",
            "Fairclough",
            "Khan",
            "Whitmore",
            "Byrne",
            "Lockwood",
            "Kerr",
            "Baxter",
            "Gallagher",
        ],
    },
    Region {
        weight: 19,
        zones: &["Europe/Paris", "Europe/Berlin", "Europe/Madrid", "Europe/Rome", "Europe/Amsterdam"],
        first_names: &[
            "Léa", "Hugo", "Zoë", "Matthias", "Inés", "Jonas", "Chiara", "Łukasz", "Camille", "Björn", "Anaïs",
            "Pieter", "Sofía", "Till", "Élodie", "Marek", "Noor", "Giulia",
        ],
        last_names: &[
            "Moreau",
            "Schäfer",
            "García",
            "Bianchi",
            "de Vries",
            "Lefèvre",
            "Nowak",
            "Brandt",
            "Fernández",
            "Conti",
            "Jansen",
            "Dubois",
            "Krüger",
            "Marchetti",
            "Vidal",
            "Kaczmarek",
        ],
    },
    Region {
        weight: 5,
        zones: &["Europe/Stockholm", "Europe/Copenhagen", "Europe/Helsinki", "Europe/Oslo"],
        first_names: &["Astrid", "Søren", "Linnea", "Aksel", "Maja", "Eero", "Signe", "Oskar", "Tuuli", "Håkon"],
        last_names: &["Lindqvist", "Sørensen", "Virtanen", "Berg", "Holm", "Nyström", "Dahl", "Korhonen", "Åkesson"],
    },
    Region {
        weight: 10,
        zones: &["Asia/Kolkata", "Asia/Karachi", "Asia/Dubai"],
        first_names: &[
            "Aarav", "Priya", "Rohan", "Ananya", "Vikram", "Meera", "Arjun", "Fatima", "Kabir", "Lakshmi", "Zain",
            "Divya", "Farhan", "Ishaan",
        ],
        last_names: &[
            "Sharma", "Iyer", "Reddy", "Khan", "Mehta", "Nair", "Banerjee", "Qureshi", "Desai", "Kapoor", "Malik",
            "Rao",
        ],
    },
    Region {
        weight: 8,
        zones: &["Asia/Tokyo", "Asia/Seoul", "Asia/Singapore", "Asia/Manila"],
        first_names: &[
            "Haruka", "Min-jun", "Yuto", "Wei Ling", "Sakura", "Ji-woo", "Ren", "Marisol", "Aiko", "Jun Hao", "Kenji",
            "Seo-yeon",
        ],
        last_names: &[
            "Tanaka", "Kim", "Sato", "Lim", "Nakamura", "Park", "Reyes", "Ito", "Choi", "Tan", "Watanabe", "Santos",
        ],
    },
    Region {
        weight: 8,
        zones: &["America/Sao_Paulo", "America/Mexico_City", "America/Bogota", "America/Argentina/Buenos_Aires"],
        first_names: &[
            "Beatriz",
            "Thiago",
            "Valentina",
            "Joaquín",
            "Luiza",
            "Mateo",
            "Camila",
            "Emiliano",
            "João",
            "Renata",
            "Santiago",
            "Catalina",
        ],
        last_names: &[
            "Oliveira",
            "Souza",
            "Hernández",
            "Rojas",
            "Pereira",
            "Gutiérrez",
            "Almeida",
            "Cárdenas",
            "Lima",
            "Navarro",
            "Quintero",
        ],
    },
    Region {
        weight: 5,
        zones: &["Australia/Sydney", "Australia/Brisbane", "Pacific/Auckland", "Australia/Perth"],
        first_names: &["Matilda", "Lachlan", "Aroha", "Banjo", "Tahlia", "Angus", "Mia", "Tane", "Bridget", "Koa"],
        last_names: &["Mackenzie", "Walker", "Ngata", "Dunstan", "Fraser", "Parata", "Holloway", "Reid", "Sinclair"],
    },
    Region {
        weight: 4,
        zones: &["Africa/Lagos", "Africa/Nairobi", "Africa/Johannesburg", "Africa/Cairo"],
        first_names: &["Chidi", "Wanjiru", "Thabo", "Amara", "Youssef", "Zanele", "Kwame", "Halima", "Sipho", "Nour"],
        last_names: &["Adeyemi", "Kamau", "Dlamini", "Eze", "Hassan", "Nkosi", "Mwangi", "Abara", "Botha", "Farouk"],
    },
];

/// First parts of company names.
pub(crate) const COMPANY_FIRST: [&str; 40] = [
    "Amber",
    "Anchor",
    "Birch",
    "Brightwater",
    "Canopy",
    "Cedar",
    "Clover",
    "Copper",
    "Coral",
    "Driftwood",
    "Ember",
    "Fieldstone",
    "Firefly",
    "Foxglove",
    "Granite",
    "Harbour",
    "Hawthorn",
    "Heron",
    "Indigo",
    "Juniper",
    "Kestrel",
    "Lantern",
    "Larkspur",
    "Lighthouse",
    "Maple",
    "Marigold",
    "Meadow",
    "Mistral",
    "Northwind",
    "Oakline",
    "Orchard",
    "Paperplane",
    "Pebble",
    "Quarry",
    "Redwood",
    "Saffron",
    "Skylark",
    "Tamarind",
    "Thistle",
    "Wildflower",
];

/// Last parts of company names.
pub(crate) const COMPANY_LAST: [&str; 18] = [
    "Studio",
    "Books",
    "Coffee",
    "Travel",
    "Health",
    "Labs",
    "Outfitters",
    "Foods",
    "Academy",
    "Interiors",
    "Cycles",
    "Records",
    "Finance",
    "Garden",
    "Software",
    "Theatre",
    "Skincare",
    "Events",
];

/// The letters of an address: lower case, without accents, words joined by hyphens.
pub(crate) fn address_part(name: &str) -> String {
    let mut part = String::new();
    for letter in name.to_lowercase().chars() {
        match letter {
            'a'..='z' | '0'..='9' => part.push(letter),
            'à' | 'á' | 'â' | 'ã' | 'å' => part.push('a'),
            'ä' | 'æ' => part.push_str("ae"),
            'ç' => part.push('c'),
            'è' | 'é' | 'ê' | 'ë' => part.push('e'),
            'ì' | 'í' | 'î' | 'ï' => part.push('i'),
            'ł' => part.push('l'),
            'ñ' => part.push('n'),
            'ò' | 'ó' | 'ô' | 'õ' => part.push('o'),
            'ö' | 'ø' => part.push_str("oe"),
            'ù' | 'ú' | 'û' => part.push('u'),
            'ü' => part.push_str("ue"),
            ' ' | '-' => part.push('-'),
            _ => {}
        }
    }
    part
}
