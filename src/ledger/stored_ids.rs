//! Ids that an earlier version stored as they were, and this one stores as hashes since they hold an address: what a store
//! must rewrite, so that who was mailed or suppressed under them is found.

use super::Identity;

/// What a column holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum StoredId {
    Profile,
    Occasion,
}

/// Columns of ids: table, column, which of its rows, what they hold.
pub(super) const ID_COLUMNS: [(&str, &str, &str, StoredId); 3] = [
    ("deliveries", "profile_id", "true", StoredId::Profile),
    ("deliveries", "occasion", "true", StoredId::Occasion),
    ("suppressions", "subject", "kind = 'profile'", StoredId::Profile),
];

/// The query for the ids of a column that may hold an address, in SQL that every store understands.
pub(super) fn candidates_sql(table: &str, column: &str, condition: &str) -> String {
    format!(
        "select distinct {column} from {table} where {condition} and {column} not like 'hmac:%' and ({column} like '%@%' \
         or {column} like '%!%40%' escape '!' or {column} like '%&%' or {column} like '%\u{ff20}%')"
    )
}

/// The statement that gives the rows of a column their new ids, which stand in `renamed (old, new)`.
pub(super) fn rename_sql(table: &str, column: &str, condition: &str) -> String {
    format!(
        "update {table} set {column} = (select renamed.new from renamed where renamed.old = {table}.{column}) \
         where {condition} and {column} in (select old from renamed)"
    )
}

/// The old and the new form of those ids that are stored otherwise now.
pub(super) fn renamed(identity: &Identity, kind: StoredId, ids: Vec<String>) -> Vec<(String, String)> {
    let stored = |id: &str| match kind {
        StoredId::Profile => identity.stored_profile_id(id),
        StoredId::Occasion => identity.stored_occasion(id),
    };
    ids.into_iter().map(|id| (stored(&id), id)).filter(|(new, id)| new != id).map(|(new, id)| (id, new)).collect()
}
