//! The ledger's tables as SQL, files and copies see them: names, columns and cells, the same for every kind of ledger.

use jiff::Timestamp;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Text.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// A double.
    Real,
    /// An instant with microseconds.
    Instant,
}

/// A column of a ledger's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnKind,
    /// Whether a cell may be empty.
    pub is_nullable: bool,
}

impl Column {
    const fn or_null(self) -> Self {
        Self { is_nullable: true, ..self }
    }
}

/// A cell of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing.
    Null,
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A double.
    Real(f64),
    /// An instant.
    Instant(Timestamp),
}

/// A table of the ledger. `meta`, which holds the ledger's secret, is none of them.
#[derive(Debug, PartialEq, Eq)]
pub struct LedgerTable {
    /// Its name; SQL of jobs says `ledger.NAME`.
    pub name: &'static str,
    /// How many of the first columns are its key.
    pub key: usize,
    /// Its columns, the key's first.
    pub columns: &'static [Column],
}

impl LedgerTable {
    /// The table of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        LEDGER_TABLES.iter().find(|table| table.name == name)
    }

    /// The columns of its key.
    #[must_use]
    pub fn key_columns(&self) -> &'static [Column] {
        &self.columns[..self.key]
    }
}

const fn column(name: &'static str, kind: ColumnKind) -> Column {
    Column { name, kind, is_nullable: false }
}

const fn text(name: &'static str) -> Column {
    column(name, ColumnKind::Text)
}

const fn integer(name: &'static str) -> Column {
    column(name, ColumnKind::Integer)
}

const fn real(name: &'static str) -> Column {
    column(name, ColumnKind::Real)
}

const fn instant(name: &'static str) -> Column {
    column(name, ColumnKind::Instant)
}

/// Every table, each after those it refers to; a test compares them with what the databases have.
pub const LEDGER_TABLES: &[LedgerTable] = &[
    LedgerTable {
        name: "jobs",
        key: 1,
        columns: &[
            text("job"),
            instant("created_at"),
            instant("first_completed_at").or_null(),
            text("last_provider").or_null(),
            text("category"),
        ],
    },
    LedgerTable { name: "starts", key: 2, columns: &[text("job"), text("part"), instant("starts_at")] },
    LedgerTable {
        name: "leases",
        key: 1,
        columns: &[
            text("job"),
            integer("epoch"),
            text("run_id"),
            instant("taken_at"),
            instant("heartbeat_at"),
            instant("released_at").or_null(),
        ],
    },
    LedgerTable {
        name: "runs",
        key: 2,
        columns: &[
            text("job"),
            integer("epoch"),
            text("run_id"),
            instant("as_of"),
            instant("started_at"),
            instant("ended_at").or_null(),
            text("status"),
            text("provider").or_null(),
            text("counts"),
        ],
    },
    LedgerTable {
        name: "volumes",
        key: 2,
        columns: &[text("job"), text("bucket"), integer("mails"), instant("updated_at")],
    },
    LedgerTable {
        name: "batches",
        key: 1,
        columns: &[
            text("batch_id"),
            text("provider"),
            text("idempotency_key").or_null(),
            instant("as_of"),
            text("period").or_null(),
            text("project_checksum"),
            instant("dispatched_at"),
            integer("size"),
        ],
    },
    LedgerTable {
        name: "deliveries",
        key: 3,
        columns: &[
            text("job"),
            text("profile_id"),
            text("occasion"),
            text("delivery_id"),
            text("state"),
            text("reason").or_null(),
            real("level").or_null(),
            instant("reached_at"),
            instant("detected_at"),
            instant("dispatched_at").or_null(),
            instant("settled_at").or_null(),
            instant("updated_at"),
            text("batch_id").or_null(),
            integer("position").or_null(),
            integer("attempt"),
            text("provider").or_null(),
            text("provider_message_id").or_null(),
            text("address_hash").or_null(),
            text("body_hash").or_null(),
            text("run_id"),
            integer("epoch"),
            instant("not_before").or_null(),
            text("variant").or_null(),
        ],
    },
    LedgerTable {
        name: "suppressions",
        key: 4,
        columns: &[
            text("kind"),
            text("subject"),
            text("reason"),
            text("job"),
            text("origin"),
            instant("created_at"),
            instant("lifted_at").or_null(),
        ],
    },
    LedgerTable { name: "halts", key: 1, columns: &[text("job"), text("reason").or_null(), instant("halted_at")] },
    LedgerTable {
        name: "corrections",
        key: 2,
        columns: &[
            text("delivery_id"),
            instant("corrected_at"),
            text("from_state"),
            text("to_state"),
            text("reason"),
            text("corrected_by"),
        ],
    },
    LedgerTable {
        name: "allowances",
        key: 1,
        columns: &[text("provider"), instant("next_start"), text("day"), integer("messages")],
    },
];
